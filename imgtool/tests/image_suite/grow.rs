//! The first boot on a larger disk, and the second.

use crate::disk::*;
use crate::machine::run;
use crate::support::*;
use std::path::{Path, PathBuf};
use std::process::Command;

const DISK: u64 = 8 << 30;

#[test]
fn root_grows_to_the_disk_once() {
    let Some(debian) = debian() else { return };
    if !have_tools() || !has("qemu-img") {
        return;
    }
    let dir = scratch();
    let image = dir.path().join("debian.img");
    let overlay = dir.path().join("overlay");
    let script = "df -B1 --output=size / && echo grown to what df says; sleep infinity";
    build(&debian, &image, &["--", "/bin/sh", "-c", script]);
    let before = root(&image);
    let boot = || {
        let machine = [
            "--firmware",
            "bios",
            "--disk",
            "nvme",
            "--disk-size",
            "8GiB",
        ];
        let keep = ["--overlay", overlay.to_str().unwrap()];
        let button = ["--expect", "grown to what df says", "--power-off"];
        run(&image, &[&machine[..], &keep[..], &button[..]].concat())
    };

    let first = boot();
    let grown = [
        "imgtool: root partition grown to ",
        "imgtool: root file system grown to ",
    ];
    first.expect(0, "expected", &grown);
    let disk = raw(&overlay, dir.path());
    check(&disk);
    let after = root(&disk);
    assert_eq!(after.start, before.start);
    // All of the disk but the backup table and what is left of its last mebibyte.
    let end = after.start + after.len;
    assert!((DISK - (1 << 20)..DISK).contains(&end), "{after:?}");
    let size = |disk: &Path| {
        let number = |name| superblock(disk, name).parse::<u64>().unwrap();
        number("Block count") * number("Block size")
    };
    // The kernel leaves out a last block group that is too small to hold anything.
    let group = 128 << 20;
    assert!((after.len - group..=after.len).contains(&size(&disk)));
    assert_eq!(superblock(&disk, "Filesystem state"), "clean");
    let table = ok(Command::new("sgdisk").arg("-p").arg(&disk));

    let second = boot();
    second.expect(0, "expected", &[]);
    assert!(!second.console.contains("imgtool: root partition grown"));
    assert!(!second.console.contains("imgtool: root file system grown"));
    let again = raw(&overlay, dir.path());
    check(&again);
    assert_eq!(ok(Command::new("sgdisk").arg("-p").arg(&again)), table);
    assert_eq!(size(&again), size(&disk));
    assert_eq!(root(&image), before, "the image itself is as it was");
}

/// What the guest's disk holds, sparse.
fn raw(overlay: &Path, dir: &Path) -> PathBuf {
    let raw = dir.join("disk.raw");
    let mut convert = Command::new("qemu-img");
    convert.args(["convert", "-O", "raw"]).arg(overlay);
    ok(convert.arg(&raw));
    raw
}
