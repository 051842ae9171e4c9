//! What GNU tar makes of a directory.

use crate::support::*;
use imgtool::input::{InputKind, detect, load};
use imgtool::tree::CHUNK;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use testutils::*;

/// A directory with links, sparse files, long and odd names, attributes.
fn sample(dir: &Path) -> bool {
    let long = "x".repeat(120);
    std::fs::create_dir_all(dir.join("sub").join(&long)).unwrap();
    std::fs::write(dir.join("sub").join(&long).join("é ü"), "text").unwrap();
    std::fs::write(dir.join("b"), vec![3; 200_000]).unwrap();
    std::fs::hard_link(dir.join("b"), dir.join("sub/hard")).unwrap();
    symlink("../b", dir.join("sub/link")).unwrap();
    symlink("y".repeat(300), dir.join("dangling")).unwrap();
    std::fs::set_permissions(dir.join("sub"), PermissionsExt::from_mode(0o2750)).unwrap();
    let sparse = std::fs::File::create(dir.join("sparse")).unwrap();
    for i in 0..40 {
        sparse
            .write_all_at(&[i; 4096], u64::from(i) * 5 * CHUNK / 2)
            .unwrap();
    }
    sparse.set_len(10 << 20).unwrap();
    std::fs::File::create(dir.join("hole"))
        .unwrap()
        .set_len(3 << 20)
        .unwrap();
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(dir.join("b"), "user.note", b"a\nb\0", flags).is_ok()
}

#[test]
fn gnu_tar_of_a_directory_is_the_directory() {
    let (dir, tree_dir) = scratch("tree");
    std::fs::create_dir(&tree_dir).unwrap();
    let has_xattrs = sample(&tree_dir);
    let mut options = options(dir.path());
    let root = dump(&load(&tree_dir, &options).unwrap().tree);
    options.owner = Some(imgtool::input::OwnerPolicy::Keep);
    let keep = dump(&load(&tree_dir, &options).unwrap().tree);
    let owner = std::fs::metadata(&tree_dir).unwrap().uid();
    assert!(root.contains("/sub 2750 0:0 dir"), "{root}");
    for (format, more) in [
        ("gnu", &[][..]),
        ("gnu", &["--sparse"]),
        ("pax", &[]),
        ("pax", &["--sparse", "--sparse-version=0.0"]),
        ("pax", &["--sparse", "--sparse-version=0.1"]),
        ("pax", &["--sparse", "--sparse-version=1.0", "--xz"]),
        ("pax", &["--sparse", "--zstd"]),
        ("pax", &["--sparse", "--gzip", "--owner=0", "--group=0"]),
    ] {
        let has_attributes = format == "pax";
        let format_flag = format!("--format={format}");
        let mut args = vec!["-cf", "../t.tar", &format_flag, "--numeric-owner"];
        if has_attributes {
            args.extend(["--xattrs", "--xattrs-include=*"]);
        }
        args.extend(more);
        args.push(".");
        if run("tar", &args, &tree_dir).is_none() {
            return;
        }
        let archive = dir.path().join("t.tar");
        assert_eq!(detect(&archive).unwrap(), InputKind::Tar);
        let expected = if more.contains(&"--owner=0") {
            &root
        } else {
            &keep
        };
        let expected = match has_attributes && has_xattrs {
            true => expected.clone(),
            false => expected.replace(" user.note=610a6200", ""),
        };
        let found = dump(&load(&archive, &options).unwrap().tree);
        assert_eq!(found, expected, "{args:?}, owner {owner}");
    }
}
