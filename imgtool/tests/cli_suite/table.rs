//! The table of bad input: every case runs, and `docs/bad-input.md` says what each one gives.

use super::bench::{Bench, Case, Said};
use super::{
    archives, boot_files, changes, containers, directories, executables, lists, locks, outputs,
    packs, settings,
};
use std::fmt::Write;
use std::path::Path;

const HEAD: &str = "\
# Bad input

What `imgtool` says to input that is wrong, one line each: the test `bad_input` of
`imgtool/tests/cli_suite.rs` runs all of them, checks that nothing is left behind, and compares this
page with what it saw (`IMGTOOL_BLESS=1 cargo test --release -p imgtool --test cli_suite bad_input`
writes it anew). Exit codes: 2 the input is wrong, 3 something is missing here. Digests are
shortened.
";

/// What the case did wrong, or how it is written in the table.
fn row(bench: &Bench, case: &Case) -> Result<Option<String>, String> {
    let before = bench.files();
    let said = bench.run(case);
    if case.shell.is_some()
        && ["unshare:", "mount:"]
            .iter()
            .any(|p| said.stderr.contains(p))
    {
        // No user namespaces here; the line in the table is kept.
        testutils::skip(&format!("{}: {}", case.input, said.stderr.trim()));
        return Ok(None);
    }
    check(case, &said)?;
    let after = bench.files();
    let changed: Vec<_> = after
        .iter()
        .filter(|(p, n)| before.get(*p) != Some(n))
        .collect();
    if !changed.is_empty() || after.len() != before.len() {
        return Err(format!("left or changed: {changed:?}"));
    }
    let mut text = bench.plain(&message(&said.stderr));
    if case.varies {
        text = without_numbers(&text);
    }
    let line = line(case.input, &text, case.code);
    Ok(Some(line))
}

fn check(case: &Case, said: &Said) -> Result<(), String> {
    let stderr = &said.stderr;
    if said.code != Some(case.code) {
        return Err(format!("exit code {:?}: {stderr}", said.code));
    }
    for part in case.parts {
        if !stderr.contains(part) {
            return Err(format!("{part:?} is missing in: {stderr}"));
        }
    }
    if !said.stdout.is_empty() || stderr.contains("panicked") {
        return Err(format!("stdout {:?}, stderr {stderr}", said.stdout));
    }
    Ok(())
}

/// The message in one line: without the program's name, the usage, and where to find help.
fn message(stderr: &str) -> String {
    let mut lines: Vec<&str> = Vec::new();
    for line in stderr.lines().map(str::trim) {
        // What came before the message is progress.
        if line.starts_with("imgtool: ") {
            lines.clear();
        }
        if line.starts_with("Usage:") || line.starts_with("For more information") {
            break;
        }
        if !line.is_empty() {
            lines.push(line);
        }
    }
    let text = lines.join("; ").replace(":; ", ": ");
    let short = text.strip_prefix("imgtool: ");
    let short = short.or(text.strip_prefix("error: "));
    short.unwrap_or(&text).to_owned()
}

/// For sizes that change with the guest's PID 1.
fn without_numbers(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '0'..='9' if out.ends_with('…') => {}
            '0'..='9' => out.push('…'),
            _ => out.push(c),
        }
    }
    out
}

pub(crate) fn line(input: &str, message: &str, code: i32) -> String {
    // Long names say nothing by their length.
    let message = message.replace(&"n".repeat(256), "nnn…");
    let message = message
        .replace('|', "\\|")
        .replace('<', "&lt;")
        .replace('*', "\\*");
    format!("| {input} | {message} | {code} |")
}

#[test]
fn bad_input() {
    let bench = Bench::new();
    // What every case spoils one thing of.
    let good = [&["build", "app", "-o", "good.img"], super::bench::BOOT].concat();
    bench.succeed(&good);
    let groups = [
        ("Kernel, modules, UEFI stub", boot_files::cases(&bench)),
        ("Programs", executables::cases(&bench)),
        (
            "Directories, and what runs in them",
            directories::cases(&bench),
        ),
        ("Archives", archives::cases(&bench)),
        ("Container images", containers::cases(&bench)),
        (
            "Arguments, environment and image.toml",
            settings::cases(&bench),
        ),
        ("Locks", locks::cases(&bench)),
        ("Packs and images", packs::cases(&bench)),
        ("Files of images", lists::cases(&bench)),
        ("Outputs", outputs::cases(&bench)),
    ];
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/bad-input.md");
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    let mut page = HEAD.to_owned();
    let mut failures = String::new();
    let start = |page: &mut String, title: &str| {
        write!(
            page,
            "\n## {title}\n\n| input | message | exit |\n|---|---|---|\n"
        )
        .unwrap();
    };
    for (title, cases) in &groups {
        start(&mut page, title);
        for case in cases {
            match row(&bench, case) {
                Ok(Some(line)) => writeln!(page, "{line}").unwrap(),
                Ok(None) => {
                    let start = format!("| {} |", case.input);
                    let kept = known.lines().find(|l| l.starts_with(&start));
                    writeln!(page, "{}", kept.unwrap_or(&start)).unwrap();
                }
                Err(why) => writeln!(failures, "{}: {why}", case.input).unwrap(),
            }
        }
    }
    start(&mut page, "Inputs that change while they are read");
    for line in changes::lines() {
        writeln!(page, "{line}").unwrap();
    }
    assert!(failures.is_empty(), "\n{failures}");
    if std::env::var_os("IMGTOOL_BLESS").is_some() {
        std::fs::write(&path, page).unwrap();
        return;
    }
    for (said, line) in page.lines().zip(known.lines()) {
        assert_eq!(
            said, line,
            "docs/bad-input.md; IMGTOOL_BLESS=1 writes it anew"
        );
    }
    assert_eq!(
        page.lines().count(),
        known.lines().count(),
        "docs/bad-input.md"
    );
}
