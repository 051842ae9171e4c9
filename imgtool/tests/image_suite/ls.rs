//! `imgtool ls`: what it shows is what debugfs and mtools find.

use crate::disk::*;
use crate::listing::of_tar;
use crate::support::*;
use crate::trees::{add_roots, odd, tar};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// What is shown of a file, by its path.
type Files = BTreeMap<String, String>;

fn json(image: &Path, arguments: &[&str]) -> Value {
    let text = ok(imgtool().arg("ls").arg(image).args(arguments).arg("--json"));
    serde_json::from_str(&text).unwrap()
}

/// What `imgtool ls` shows, as a line a file.
fn files(list: &Value) -> Files {
    let files = list["files"].as_array().unwrap();
    let mut found = Files::new();
    let mut last = "";
    for file in files {
        let path = file["path"].as_str().unwrap();
        assert!(last.as_bytes() < path.as_bytes(), "{last} {path}");
        last = path;
        let mut line = format!(
            "{} {} {}:{} {} {} {} {}",
            file["kind"].as_str().unwrap(),
            file["mode"].as_str().unwrap(),
            file["uid"],
            file["gid"],
            file["size"],
            file["links"],
            file["inode"],
            file["mtime"]
        );
        if let Some(target) = file["target"].as_str() {
            line += &format!(" -> {target}");
        }
        if file["device"].is_object() {
            line += &format!(" {}:{}", file["device"]["major"], file["device"]["minor"]);
        }
        found.insert(path.to_owned(), line);
    }
    found
}

/// What debugfs says to each of these requests.
fn debugfs(fs: &str, requests: &[String]) -> Vec<String> {
    let mut commands = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut commands, requests.join("\n").as_bytes()).unwrap();
    let said = ok(Command::new("debugfs")
        .arg("-f")
        .arg(commands.path())
        .arg(fs));
    // It repeats each request.
    let mut answers: Vec<String> = Vec::new();
    let mut wanted = requests.iter();
    let mut next = wanted.next();
    for line in said.lines() {
        if next.is_some_and(|request| line == format!("debugfs: {request}")) {
            answers.push(String::new());
            next = wanted.next();
        } else if let Some(answer) = answers.last_mut() {
            *answer += line;
            *answer += "\n";
        }
    }
    assert_eq!(answers.len(), requests.len());
    answers
}

/// All files of a root file system, by debugfs: directories by `ls`, inodes by `stat`.
fn by_debugfs(image: &Path) -> Files {
    let fs = e2fs(image, root(image));
    let mut inodes = BTreeMap::from([("/".to_owned(), "2".to_owned())]);
    let mut level = vec![("".to_owned(), "2".to_owned())];
    while !level.is_empty() {
        let requests: Vec<_> = level.iter().map(|(_, n)| format!("ls -p <{n}>")).collect();
        let mut below = Vec::new();
        for ((dir, _), answer) in level.iter().zip(debugfs(&fs, &requests)) {
            // Inode, mode, owner, group, name, size. A name with a line end goes on without a slash.
            for line in answer.lines().filter(|line| line.starts_with('/')) {
                let fields: Vec<&str> = line.split('/').collect();
                let [_, inode, mode, _, _, name, ..] = fields[..] else {
                    panic!("{line}");
                };
                if matches!(name, "." | "..") || inode == "0" {
                    continue;
                }
                let path = format!("{dir}/{name}");
                if mode.starts_with("04") {
                    below.push((path.clone(), inode.to_owned()));
                }
                inodes.insert(path, inode.to_owned());
            }
        }
        level = below;
    }
    let numbers: BTreeSet<&String> = inodes.values().collect();
    let requests: Vec<_> = numbers.iter().map(|n| format!("stat <{n}>")).collect();
    let answers = debugfs(&fs, &requests);
    let known: BTreeMap<_, _> = numbers.into_iter().zip(answers).collect();
    let line = |inode: &String| stat(&fs, inode, &known[inode]);
    inodes
        .iter()
        .map(|(path, n)| (path.clone(), line(n)))
        .collect()
}

/// What debugfs says of an inode, in the form of [`files`].
fn stat(fs: &str, inode: &str, said: &str) -> String {
    let words: Vec<&str> = said.split_whitespace().collect();
    let after = |what: &str| {
        let at = words.iter().position(|word| *word == what).unwrap();
        words[at + 1]
    };
    let kind = match after("Type:") {
        "regular" => "file",
        "character" => "character-device",
        "block" => "block-device",
        "FIFO" => "fifo",
        kind => kind,
    };
    // Seconds, then what no bits of 32 hold: nanoseconds and two more bits.
    let (seconds, extra) = after("mtime:").split_once(':').unwrap();
    let hex = |text: &str| i64::from_str_radix(text.trim_start_matches("0x"), 16).unwrap();
    let mtime = i64::from(hex(seconds) as i32) + ((hex(extra) & 3) << 32);
    // It takes owners for signed numbers.
    let id = |text: &str| text.parse::<i64>().unwrap() as u32;
    let mut line = format!(
        "{kind} {:04o} {}:{} {} {} {inode} {mtime}",
        u32::from_str_radix(after("Mode:"), 8).unwrap(),
        id(after("User:")),
        id(after("Group:")),
        after("Size:"),
        after("Links:"),
    );
    if kind == "symlink" {
        let target = match said.split_once("Fast link dest: \"") {
            Some((_, rest)) => rest.rsplit_once('"').unwrap().0.to_owned(),
            None => ok(Command::new("debugfs").args(["-R", &format!("cat <{inode}>"), fs])),
        };
        line += &format!(" -> {target}");
    }
    if said.contains("Device major/minor number:") {
        let (major, minor) = after("number:").split_once(':').unwrap();
        let number = |text: &str| text.parse::<u32>().unwrap();
        line += &format!(" {}:{}", number(major), number(minor));
    }
    line
}

fn assert_same(found: &Files, expected: &Files) {
    for path in found.keys().chain(expected.keys()) {
        assert_eq!(found.get(path), expected.get(path), "{path}");
    }
}

/// Builds image and pack for a firmware; gives what is listed of each, which is the same.
fn built(archive: &Path, dir: &Path, firmware: &str, program: &str) -> (Value, String) {
    let path = |suffix: &str| dir.join(format!("{firmware}.{suffix}"));
    let (image, pack) = (path("img"), path("pack"));
    let pack_path = pack.to_str().unwrap();
    let arguments = [
        "--pack",
        pack_path,
        "--firmware",
        firmware,
        "--owner",
        "keep",
    ];
    build(
        archive,
        &image,
        &[&arguments[..], &["--", program]].concat(),
    );
    let list = json(&image, &[]);
    assert_eq!(list, json(&pack, &[]), "{firmware}");
    let text = ok(imgtool().arg("ls").arg(&image));
    assert_eq!(text, ok(imgtool().arg("ls").arg(&pack)), "{firmware}");
    (list, text)
}

/// What one archive holds, as raw disks and packs for all firmware.
#[test]
fn files_are_listed_as_debugfs_finds_them() {
    if prepared().is_none() || !have_tools() {
        return;
    }
    let dir = scratch();
    let tree = dir.path().join("tree");
    odd(&tree, false);
    // A directory with an index.
    std::fs::create_dir(tree.join("many")).unwrap();
    for n in 0..2000 {
        std::fs::write(tree.join(format!("many/{n} of many")), "").unwrap();
    }
    std::fs::write(tree.join("line\nend \u{1b}[31m"), "").unwrap();
    std::os::unix::fs::symlink("to\u{7}bell", tree.join("bell")).unwrap();
    if is_root("devices and owners") {
        add_roots(&tree);
    }
    let archive = tar(&tree, &dir.path().join("tree.tar"), &[]);
    let (list, text) = built(&archive, dir.path(), "hybrid", "/usr/bin/tool");
    let found = files(&list);
    assert_eq!(list["partition"]["file_system"], "ext4");
    assert_eq!(list["partition"]["name"], "root");

    // debugfs has no spelling for a line end: that name is looked at below.
    let odd_name = "/line\nend \u{1b}[31m";
    let mut expected = by_debugfs(&dir.path().join("hybrid.img"));
    expected.retain(|path, _| !path.starts_with("/line"));
    let mut others = found.clone();
    let line = others.remove(odd_name).unwrap();
    assert!(line.starts_with("file 0644 "), "{line}");
    assert_same(&others, &expected);

    // All that is in the archive, and what every image has.
    let archived: BTreeSet<String> = of_tar(&archive)
        .into_keys()
        .map(|path| format!("/{}", String::from_utf8(path).unwrap()))
        .collect();
    let more: Vec<_> = found
        .keys()
        .filter(|path| !archived.contains(*path))
        .collect();
    let ours = [
        "/",
        "/dev",
        "/etc",
        "/lost+found",
        "/proc",
        "/run",
        "/sys",
        "/tmp",
    ];
    assert_eq!(more, ours);
    assert!(archived.iter().all(|path| found.contains_key(path)));

    // A line for each, in the same order, and nothing in it that a terminal obeys.
    assert_eq!(text.lines().count(), found.len());
    assert!(text.contains(" /line\\nend \\u{1b}[31m\n"));
    assert!(text.contains(" /bell -> to\\u{7}bell\n"));
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'));

    for firmware in ["bios", "uefi"] {
        let (other, _) = built(&archive, dir.path(), firmware, "/usr/bin/tool");
        assert_eq!(files(&other), found, "{firmware}");
    }
}

#[test]
fn debian_is_listed_as_debugfs_finds_it() {
    let Some(debian) = debian() else { return };
    if !have_tools() || !has("bash") {
        return;
    }
    let dir = scratch();
    let (list, text) = built(&debian, dir.path(), "hybrid", "/bin/true");
    let (image, pack) = (
        dir.path().join("hybrid.img"),
        dir.path().join("hybrid.pack"),
    );
    assert_same(&files(&list), &by_debugfs(&image));
    let line = |path: &str| {
        let end = format!(" {path}");
        let lines: Vec<_> = text.lines().filter(|line| line.ends_with(&end)).collect();
        assert_eq!(lines.len(), 1, "{path}");
        lines[0]
    };
    assert_eq!(
        line("/bin -> usr/bin"),
        "lrwxrwxrwx 0/0                  7 /bin -> usr/bin"
    );
    assert_eq!(
        line("/dev/null"),
        "crw-rw-rw- 0/0                1,3 /dev/null"
    );

    // A path is a part of it: links on the way are followed, the last one is not.
    let ls = |path: &str| ok(imgtool().arg("ls").arg(&pack).arg(path));
    assert_eq!(
        ls("/bin"),
        "lrwxrwxrwx 0/0                  7 /bin -> usr/bin\n"
    );
    assert_eq!(ls("/bin/sh").trim_end(), line("/usr/bin/sh -> dash"));
    let part = |at: &str| {
        let inside = |path: &str| path == at || path.starts_with(&format!("{at}/"));
        let wanted = |line: &&str| inside(line.split_at(34).1.split(" -> ").next().unwrap());
        let lines: Vec<_> = text.lines().filter(wanted).collect();
        assert!(lines.len() > 100, "{at}");
        lines.join("\n") + "\n"
    };
    assert_eq!(ls("/bin/"), part("/usr/bin"));
    assert_eq!(ls("etc"), part("/etc"));

    // Who stops reading hears no complaint; and neither image nor pack is held in memory.
    let bash = |script: &str, image: &Path| {
        let mut bash = Command::new("bash");
        bash.args(["-c", &format!("set -o pipefail\n{script}"), "bash", IMGTOOL]);
        let out = output(bash.arg(image));
        assert!(
            out.status.success() && out.stderr.is_empty(),
            "{script}: {out:?}"
        );
        String::from_utf8(out.stdout).unwrap()
    };
    let first = text.lines().next().unwrap();
    for image in [&image, &pack] {
        assert_eq!(
            bash("\"$1\" ls \"$2\" | head -n 1", image).trim_end(),
            first
        );
        bash("\"$1\" ls --json \"$2\" | head -n 1", image);
        assert_eq!(bash("ulimit -v 100000; \"$1\" ls \"$2\"", image), text);
    }
}

/// Boot partitions are FAT: their files are those that mtools finds.
#[test]
fn boot_partitions_are_listed_as_mtools_find_them() {
    let Some(sample) = sample() else { return };
    if !has("mdir") || !have_tools() {
        return;
    }
    let dir = scratch();
    for (firmware, name, code) in [
        ("hybrid", "esp", "EF00"),
        ("uefi", "esp", "EF00"),
        ("bios", "boot", "EA00"),
    ] {
        let image = dir.path().join(format!("{firmware}.img"));
        let pack = dir.path().join(format!("{firmware}.pack"));
        let arguments = ["--firmware", firmware, "--pack", pack.to_str().unwrap()];
        build(&sample, &image, &arguments);
        let list = json(&image, &["--partition", name]);
        assert_eq!(list, json(&pack, &["--partition", name]));
        assert_eq!(list["partition"]["file_system"], "fat");
        let files = list["files"].as_array().unwrap();
        let found: BTreeSet<String> = files
            .iter()
            .skip(1)
            .map(|file| {
                let slash = if file["kind"] == "directory" { "/" } else { "" };
                format!("{}{slash}", file["path"].as_str().unwrap())
            })
            .collect();
        let at = format!("{}@@{}", image.display(), partition(&image, code).start);
        let said = ok(Command::new("mdir").args(["-b", "-/", "-i", &at, "::"]));
        let expected: BTreeSet<String> = said
            .lines()
            .map(|line| line.trim_start_matches(':').to_owned())
            .collect();
        assert_eq!(found, expected);
        for file in files.iter().filter(|file| file["kind"] == "file") {
            let path = file["path"].as_str().unwrap();
            let out = output(Command::new("mtype").args(["-i", &at, &format!("::{path}")]));
            assert_eq!(
                out.stdout.len() as u64,
                file["size"].as_u64().unwrap(),
                "{path}"
            );
        }
    }
    let refused = output(
        imgtool()
            .arg("ls")
            .arg(dir.path().join("bios.img"))
            .args(["--partition", "esp"]),
    );
    assert_eq!(refused.status.code(), Some(2));
}
