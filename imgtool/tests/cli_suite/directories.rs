//! Directories as root file systems.

use super::bench::{Bench, Case};
use std::ffi::OsStr;
use std::fs::Permissions;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use testutils::elf;

fn close(bench: &Bench, path: &str) {
    let path = bench.input().join(path);
    std::fs::set_permissions(path, Permissions::from_mode(0o000)).unwrap();
}

pub(crate) fn cases(bench: &Bench) -> Vec<Case> {
    let program = |dir: &str| {
        bench.put(format!("{dir}/app"), elf(62, 2));
        let path = bench.input().join(dir).join("app");
        std::fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    };
    for dir in ["tree", "closed-file", "closed-dir", "latin1", "big"] {
        program(dir);
    }
    bench.put("tree/data", "x");
    bench.put("tree/etc/passwd", "web:x:1000:1000::/:/bin/sh\n");
    bench.put("closed-file/etc/secret", "x");
    close(bench, "closed-file/etc/secret");
    bench.put("closed-dir/var/lib/x", "x");
    close(bench, "closed-dir/var/lib");
    let name = bench
        .input()
        .join("latin1")
        .join(OsStr::from_bytes(b"caf\xe9"));
    std::fs::write(name, "x").unwrap();
    let noise: Vec<u8> = (0..8 << 20).map(|n: u32| n as u8 | 1).collect();
    bench.put("big/noise", noise);
    let link = |target: &str, path: &str| {
        std::os::unix::fs::symlink(target, bench.input().join(path)).unwrap();
    };
    link("/nowhere", "tree/dangling");
    link("again", "tree/again");

    vec![
        Case::build(
            "unreadable file in a directory",
            &["closed-file", "--", "/app"],
            &["closed-file/etc/secret", "Permission denied", "readable"],
        ),
        Case::build(
            "unreadable directory in a directory",
            &["closed-dir", "--", "/app"],
            &["closed-dir/var/lib", "Permission denied", "readable"],
        ),
        Case::build(
            "file name that is not UTF-8",
            &["latin1", "--", "/app"],
            &["caf", "not UTF-8", "rename"],
        ),
        Case::build(
            "content larger than --size",
            &["big", "--size", "4MiB", "--", "/app"],
            &["4194304", "--size", "give at least"],
        )
        .varies(),
        Case::build(
            "nothing said of what to run",
            &["tree"],
            &["nothing says", "-- COMMAND"],
        ),
        Case::build(
            "program that the image does not have",
            &["tree", "--", "/srv/app"],
            &["/srv/app", "no such file"],
        ),
        Case::build(
            "program that is not in PATH",
            &["tree", "--", "httpd"],
            &["httpd", "PATH"],
        ),
        Case::build(
            "program that is not executable",
            &["tree", "--", "/data"],
            &["/data", "not executable"],
        ),
        Case::build(
            "program that is a directory",
            &["tree", "--", "/etc"],
            &["/etc", "not a regular file"],
        ),
        Case::build(
            "program behind a dangling link",
            &["tree", "--", "/dangling"],
            &["/dangling", "no such file"],
        ),
        Case::build(
            "program behind a link to itself",
            &["tree", "--", "/again"],
            &["/again"],
        ),
        Case::build(
            "init that the image does not have",
            &["tree", "--init", "/sbin/init"],
            &["/sbin/init", "no such file"],
        ),
        Case::build(
            "user that the image does not have",
            &["tree", "--user", "www-data", "--", "/app"],
            &["www-data", "/etc/passwd"],
        ),
        Case::build(
            "group that the image does not have",
            &["tree", "--user", "web:wheel", "--", "/app"],
            &["wheel", "/etc/group"],
        ),
        Case::build(
            "addition that is not there",
            &["tree", "--add", "no-file:/etc/x", "--", "/app"],
            &["no-file", "No such file"],
        ),
        Case::build(
            "addition below a file",
            &["tree", "--add", "app:/data/x", "--", "/app"],
            &["/data/x"],
        ),
        Case::build(
            "addition of a directory over a file",
            &["tree", "--add", "big:/data", "--", "/app"],
            &["/data"],
        ),
        Case::build(
            "addition of an unreadable file",
            &[
                "tree",
                "--add",
                "closed-file/etc/secret:/etc/x",
                "--",
                "/app",
            ],
            &["closed-file/etc/secret", "Permission denied"],
        ),
    ]
}
