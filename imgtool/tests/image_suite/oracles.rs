//! Images as other projects' tools read them, against what went in.

use crate::disk::*;
use crate::listing::{difference, of_directory, of_image, of_tar};
use crate::support::*;
use crate::trees::{add_roots, odd, random_tar, tar, untar};
use std::path::Path;
use std::process::Command;

/// Builds an image from an archive and has all judges look at it; `ours` are the paths that
/// imgtool adds.
fn judge(archive: &Path, program: &str) {
    if !have_tools() {
        return;
    }
    let dir = scratch();
    let path = |name| dir.path().join(name);
    let (image, pack) = (path("i.img"), path("i.pack"));
    build(
        archive,
        &image,
        &["--pack", pack.to_str().unwrap(), "--", program],
    );
    check(&image);
    ok(Command::new("zstd").args(["-q", "-t"]).arg(&pack));

    let found = of_image(&image, root(&image));
    let mut expected = of_tar(archive);
    let added = add_ours(&found, &mut expected);
    assert_eq!(difference(&found, &expected), [""; 0]);

    rdump(&image, archive, &added, dir.path());
    extracted(&[&image, &pack], archive, &added, dir.path());
    if is_root("comparing with a kernel's mount") {
        mounted(&image, archive, &added, dir.path());
    }
}

/// What every image has, whatever went in: mount points and where PID 1 writes.
const OURS: [&str; 8] = [
    "dev",
    "etc",
    "lost+found",
    "proc",
    "run",
    "sys",
    "tmp",
    "var",
];

/// Expects what imgtool adds, as it is; gives the paths.
fn add_ours(
    found: &crate::listing::Listing,
    expected: &mut crate::listing::Listing,
) -> Vec<&'static str> {
    let mut added = Vec::new();
    for ours in OURS {
        if let (Some(line), false) = (
            found.get(ours.as_bytes()),
            expected.contains_key(ours.as_bytes()),
        ) {
            assert!(line.contains(" 0:0 d"), "{ours} {line}");
            expected.insert(ours.into(), line.clone());
            added.push(ours);
        }
    }
    added
}

/// debugfs takes all files out: names and content are the archive's.
fn rdump(image: &Path, archive: &Path, added: &[&str], dir: &Path) {
    let (out, reference) = (dir.join("rdump"), dir.join("reference"));
    std::fs::create_dir(&out).unwrap();
    // Only root's tar makes devices.
    untar(archive, &reference, &["--exclude=./dev/*"]);
    let request = format!("rdump / {}", out.display());
    let fs = e2fs(image, root(image));
    ok(Command::new("debugfs").args(["-R", &request, &fs]));
    remove(&out, added);
    for tree in [&reference, &out] {
        let script = "rm -rf dev/*; find . ! -type f ! -type d ! -type l -delete";
        ok(Command::new("sh").args(["-c", script]).current_dir(tree));
    }
    diff(&reference, &out);
}

/// `imgtool extract` makes of an image and of a pack what tar makes of the archive.
fn extracted(images: &[&Path], archive: &Path, added: &[&str], dir: &Path) {
    let (out, reference) = (dir.join("extracted"), dir.join("whole"));
    untar(archive, &reference, &[]);
    for image in images {
        let mut extract = imgtool();
        extract.arg("extract").arg(image).arg("-C").arg(&out);
        ok(&mut extract);
        remove(&out, added);
        diff(&reference, &out);
        if is_root("owners, devices and capabilities") {
            assert_same(&of_directory(&out), &of_directory(&reference));
        }
        std::fs::remove_dir_all(&out).unwrap();
    }
}

/// Two listings by the host's tools.
fn assert_same(found: &str, expected: &str) {
    if found != expected {
        let differ = found.lines().zip(expected.lines()).filter(|(a, b)| a != b);
        panic!("{:#?}", differ.take(20).collect::<Vec<_>>());
    }
}

/// `diff -r` finds no difference. It can't compare special files, and says so.
fn diff(reference: &Path, found: &Path) {
    let mut diff = Command::new("diff");
    diff.env("LC_ALL", "C").args(["-r", "--no-dereference"]);
    let out = output(diff.args([reference, found]));
    let text = String::from_utf8_lossy(&out.stdout);
    let kind = |text: &str| text.rsplit_once(" is a ").map(|(_, kind)| kind.to_string());
    let differ: Vec<&str> = text
        .lines()
        .filter(|line| match line.split_once(" while file ") {
            Some((one, other)) => kind(one) != kind(other) || !one.starts_with("File "),
            None => true,
        })
        .collect();
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert!(
        differ.is_empty() && stderr.is_empty(),
        "{differ:#?}\n{stderr}"
    );
}

fn remove(dir: &Path, added: &[&str]) {
    for path in added {
        let path = dir.join(path);
        if path.exists() {
            std::fs::remove_dir(path).unwrap();
        }
    }
}

/// A mount of the host's kernel, where there are loop devices.
struct Mount<'a>(&'a Path);

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

fn mount<'a>(what: &Path, options: &str, at: &'a Path) -> Option<Mount<'a>> {
    let _ = std::fs::create_dir(at);
    let out = output(
        Command::new("mount")
            .args(["-t", "ext4", "-o", options])
            .arg(what)
            .arg(at),
    );
    out.status.success().then_some(Mount(at))
}

/// The kernel's view of an image is the archive: names, content, modes, owners, attributes.
fn mounted(image: &Path, archive: &Path, added: &[&str], dir: &Path) {
    // Whether mounting works here at all is found out with another program's file system.
    let (probe, at) = (dir.join("probe"), dir.join("at"));
    ok(Command::new("mke2fs")
        .args(["-q", "-t", "ext4"])
        .arg(&probe)
        .arg("8M"));
    if mount(&probe, "ro,loop", &at).is_none() {
        eprintln!("skipped: comparing with a kernel's mount: no loop mounts here");
        return;
    }
    let offset = root(image).start;
    let mount = mount(image, &format!("ro,loop,offset={offset}"), &at);
    assert!(
        mount.is_some(),
        "the kernel does not mount {}",
        image.display()
    );
    // What imgtool adds is all that may be more.
    let reference = dir.join("all");
    untar(archive, &reference, &[]);
    for path in added {
        ok(Command::new("cp")
            .args(["-a", "--no-preserve=timestamps"])
            .arg(at.join(path))
            .arg(&reference));
    }
    diff(&reference, &at);
    assert_same(&of_directory(&at), &of_directory(&reference));
}

#[test]
fn debian_is_in_the_image_as_it_is_in_the_archive() {
    if let Some(debian) = debian() {
        judge(&debian, "/bin/true");
    }
}

#[test]
fn an_odd_tree_is_in_the_image_as_it_is_in_the_archive() {
    if prepared().is_none() {
        return;
    }
    let dir = scratch();
    let tree = dir.path().join("tree");
    odd(&tree, false);
    if is_root("devices, capabilities and owners") {
        add_roots(&tree);
    }
    let archive = tar(&tree, &dir.path().join("tree.tar"), &[]);
    judge(&archive, "/usr/bin/tool");
}

/// A directory whose owners are kept is what its archive is.
#[test]
fn owners_devices_and_attributes_come_from_a_directory_too() {
    if prepared().is_none() || !is_root("devices, capabilities and owners") {
        return;
    }
    let dir = scratch();
    let path = |name| dir.path().join(name);
    let tree = path("tree");
    odd(&tree, false);
    add_roots(&tree);
    let archive = tar(&tree, &path("tree.tar"), &[]);
    let arguments = ["--name", "same", "--owner", "keep", "--", "/usr/bin/tool"];
    build(&tree, &path("a.img"), &arguments);
    build(&archive, &path("b.img"), &arguments);
    assert_eq!(sha256(&path("a.img")), sha256(&path("b.img")));
}

#[test]
fn random_trees_are_in_the_image_as_they_are_in_the_archive() {
    if prepared().is_none() {
        return;
    }
    for seed in 1..=6 {
        eprintln!("seed {seed}");
        let dir = scratch();
        let archive = dir.path().join("random.tar");
        random_tar(seed, &archive);
        judge(&archive, "/app");
    }
}
