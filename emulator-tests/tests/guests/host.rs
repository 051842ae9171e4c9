//! What the tests see of this host.

use emulator_guests as guests;
use emulator_localstack::Choice;
use emulator_tests::Emulator;
use emulator_tests::emulator::Builder;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A file that a recipe makes; reported as skipped where it is missing, which CI does not allow.
fn made(path: &str, by: &str) -> Option<PathBuf> {
    let path = root().join(path);
    if path.exists() {
        return Some(path);
    }
    let why = format!("{} is not there: {by}", path.display());
    assert!(std::env::var_os("CI").is_none(), "{why}");
    eprintln!("skipped: {why}");
    None
}

/// An emulator that boots so many instances, if this host can.
pub fn builder(most: usize) -> Option<Builder> {
    let python = made(".imgtool/localstack/bin/python", ".ci/setup --emulator")?;
    if let Some(program) = guests::missing() {
        let why = format!("{program} is not installed");
        assert!(std::env::var_os("CI").is_none(), "{why}");
        eprintln!("skipped: {why}");
        return None;
    }
    Some(
        Emulator::builder()
            .localstack(Choice::Process)
            .python(python)
            .guests(most),
    )
}

/// The sample's image, for both firmwares.
pub fn sample(dir: &Path) -> Option<PathBuf> {
    made(".imgtool/config.toml", ".ci/setup")?;
    let hello = made(
        "target/x86_64-unknown-linux-gnu/release/hello",
        "`just hello`",
    )?;
    let imgtool = Path::new(env!("CARGO_BIN_EXE_emulator")).with_file_name("imgtool");
    assert!(
        imgtool.exists(),
        "{} is not there: `just build`",
        imgtool.display()
    );
    let image = dir.join("hello.img");
    let out = Command::new(imgtool)
        .arg("build")
        .arg(hello)
        .arg("-o")
        .arg(&image)
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    Some(image)
}

/// The machines of these instances that there are on this host: process and command line.
fn processes(instance: &str) -> Vec<(i32, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let name = entry.file_name();
        let Some(id) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let Ok(line) = std::fs::read(entry.path().join("cmdline")) else {
            continue;
        };
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains("qemu-system-x86_64") && line.contains(instance) {
            found.push((id, line));
        }
    }
    found
}

/// Command lines of an instance's machines.
pub fn machines(instance: &str) -> Vec<String> {
    let lines = processes(instance).into_iter().map(|(_, line)| line);
    lines.collect()
}

/// Processes of an instance's machines.
pub fn machine_ids(instance: &str) -> Vec<i32> {
    processes(instance).into_iter().map(|(id, _)| id).collect()
}
