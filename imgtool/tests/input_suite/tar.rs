//! Tar archives: what must be read, and what must be refused.

use crate::support::*;
use imgtool::input::{InputKind, detect, load, tar_from_bytes};
use imgtool::tree::{CHUNK, Kind, Tree};
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;

#[test]
fn all_kinds_of_entries() {
    let archive = tar(&[
        entry(b'5', "./", ""),
        file("./usr/bin/a", b"text"),
        entry(b'1', "b", "./usr/bin/a"),
        entry(b'2', "l", "usr/bin"),
        entry(b'3', "dev/null", ""),
        entry(b'4', "dev/disk", ""),
        entry(b'6', "fifo", ""),
        entry(b'0', "old-dir/", ""),
        file("/absolute", b""),
        // Through a link, inside the tree.
        file("l/c", b"c"),
        // The last one wins.
        file("usr/bin/a", b"new"),
    ]);
    let input = load_bytes(&archive).unwrap();
    assert_eq!(input.kind, InputKind::Tar);
    let expected = "\
/ 0755 0:0 dir
/absolute 0644 0:0 file 0 [] e3b0c44298fc
/b 0644 0:0 file 4 [(0, 4)] 982d9e3eb996
/dev 0755 0:0 dir
/dev/disk 0644 0:0 block 1,3
/dev/null 0644 0:0 char 1,3
/fifo 0644 0:0 fifo
/l 0777 0:0 -> usr/bin
/old-dir 0644 0:0 dir
/usr 0755 0:0 dir
/usr/bin 0755 0:0 dir
/usr/bin/a 0644 0:0 file 3 [(0, 3)] 11507a0e2f5e
/usr/bin/c 0644 0:0 file 1 [(0, 1)] 2e7d2c03a950
";
    assert_eq!(dump(&input.tree), expected);
}

#[test]
fn an_absolute_link_leads_to_the_images_own_directory() {
    let host = tempfile::tempdir().unwrap();
    let outside = host.path().to_str().unwrap();
    let archive = tar(&[
        file("etc/passwd", b"old"),
        entry(b'2', "l", "/etc"),
        file("l/passwd", b"new"),
        entry(b'2', "out", outside),
        file("out/x", b"x"),
    ]);
    let input = load_bytes(&archive).unwrap();
    let content = |path: &[u8]| match &input.tree.node(input.tree.lookup(path).unwrap()).kind {
        Kind::File(content) => content.read_all(10).unwrap().unwrap(),
        _ => panic!("not a file"),
    };
    assert_eq!(content(b"/etc/passwd"), b"new");
    // The directory that the link names is made in the image; the host's stays empty.
    assert_eq!(content(format!("{outside}/x").as_bytes()), b"x");
    assert_eq!(std::fs::read_dir(host.path()).unwrap().count(), 0);
}

#[test]
fn pax_records_and_gnu_names_override_the_header() {
    let long = "d/".repeat(60) + "file";
    let name = [long.as_bytes(), b"\0"].concat();
    let gnu = |kind, body| Entry {
        name: b"././@LongLink",
        kind,
        link: b"",
        body,
    };
    let records = pax(&[
        ("path", "né/e".as_bytes()),
        ("uid", b"70000"),
        ("gid", b"4000000000"),
        ("SCHILY.xattr.user.x", b"a\nb=\0"),
        ("SCHILY.xattr.user.empty", b""),
        ("SCHILY.xattr.trusted.x", b"no"),
        ("SCHILY.xattr.security.selinux", b"no"),
        ("LIBARCHIVE.xattr.user.y%20z", b"AQI"),
    ]);
    let global = pax(&[("uid", b"5"), ("comment", b"by git")]);
    let undo = pax(&[("uid", b"")]);
    let archive = tar(&[
        gnu(b'L', &name),
        gnu(b'K', &name),
        entry(b'2', "short", "short"),
        Entry {
            kind: b'g',
            ..file("g", &global)
        },
        Entry {
            kind: b'x',
            ..file("x", &records)
        },
        file("e", b"1"),
        file("global", b"2"),
        Entry {
            kind: b'x',
            ..file("x", &undo)
        },
        file("undone", b"3"),
    ]);
    let text = dump(&load_bytes(&archive).unwrap().tree);
    assert!(
        text.contains(&format!("/{long} 0777 0:0 -> {long}")),
        "{text}"
    );
    let attributes = " user.empty= user.x=610a623d00 user.y z=0102";
    for line in [
        &format!("/né/e 0644 70000:4000000000 file 1 [(0, 1)] 6b86b273ff34{attributes}\n"),
        "/global 0644 5:0 ",
        "/undone 0644 0:0 ",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

/// `(what, archive, what the message must say)`.
fn hostile() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let good = tar(&[file("a", b"x")]);
    let with = |change: &dyn Fn(&mut [u8; 512])| {
        let mut h = header(&file("f", b"x"));
        change(&mut h);
        checksum(&mut h);
        let mut out = h.to_vec();
        out.resize(512 * 4, 0);
        out
    };
    let x = |records: &[(&str, &[u8])]| {
        let body = pax(records);
        tar(&[
            Entry {
                kind: b'x',
                ..file("x", &body)
            },
            file("f", b"data"),
        ])
    };
    let two = [
        Entry {
            kind: b'x',
            ..file("x", b"6 a=b\n")
        },
        Entry {
            kind: b'x',
            ..file("x", b"6 a=b\n")
        },
    ];
    vec![
        (
            "dotdot",
            tar(&[file("a/../../etc/passwd", b"")]),
            "\"a/../../etc/passwd\": its path contains \"..\"",
        ),
        (
            "absolute dotdot",
            tar(&[file("/../x", b"")]),
            "\"/../x\": its path contains",
        ),
        (
            "link out",
            tar(&[entry(b'2', "l", "../../etc"), file("l/x", b"")]),
            "\"l/x\": the symbolic link \"/l\" on its path leads out",
        ),
        (
            "link loop",
            tar(&[
                entry(b'2', "l", "m"),
                entry(b'2', "m", "l"),
                file("l/x", b""),
            ]),
            "40 symbolic links",
        ),
        (
            "file as dir",
            tar(&[file("f", b""), file("f/x", b"")]),
            "\"f/x\": \"/f\" is not a directory",
        ),
        (
            "hard link to nothing",
            tar(&[entry(b'1', "h", "gone")]),
            "\"h\": a hard link to \"gone\": there is no such file",
        ),
        (
            "hard link out",
            tar(&[entry(b'1', "h", "../../etc/shadow")]),
            "a hard link to \"../../etc/shadow\": its path contains",
        ),
        (
            "hard link to dir",
            tar(&[entry(b'5', "d", ""), entry(b'1', "h", "d")]),
            "that is a directory",
        ),
        (
            "hard link with content",
            tar(&[
                file("a", b""),
                Entry {
                    kind: b'1',
                    link: b"a",
                    ..file("h", b"evil")
                },
            ]),
            "4 bytes of content where",
        ),
        (
            "empty link",
            tar(&[entry(b'2', "l", "")]),
            "a symbolic link to nowhere",
        ),
        (
            "long name",
            x(&[("path", &[b'n'; 256])]),
            "longer than 255 bytes",
        ),
        (
            "long path",
            x(&[("path", &[b'n', b'/', b'n'].repeat(3000))]),
            "longer than 4095 bytes",
        ),
        ("NUL in name", x(&[("path", b"a\0b")]), "NUL byte"),
        (
            "NUL in link",
            {
                let body = pax(&[("linkpath", b"a\0b")]);
                tar(&[
                    Entry {
                        kind: b'x',
                        ..file("x", &body)
                    },
                    entry(b'2', "l", "z"),
                ])
            },
            "NUL byte",
        ),
        ("no name", tar(&[file("", b"")]), "an entry without a name"),
        (
            "unknown type",
            tar(&[entry(b'V', "label", "")]),
            "\"label\": an entry of unknown type 'V'",
        ),
        (
            "root a file",
            tar(&[file("./.", b"")]),
            "the root of the file system has to be a directory",
        ),
        (
            "cut in content",
            good[..600].to_vec(),
            "\"a\": the archive is cut off: 1 bytes should follow",
        ),
        (
            "cut in header",
            good[..1024 + 100].to_vec(),
            "at byte 1024: the archive is cut off in a header",
        ),
        (
            "no end mark",
            cut_tar(&[file("a", b"x")]),
            "at byte 1024: the archive is cut off: its end mark is missing",
        ),
        (
            "lone zero block",
            [cut_tar(&[file("a", b"x")]), vec![0; 512], good.clone()].concat(),
            "single zero block",
        ),
        (
            "two archives",
            [good.clone(), vec![0; 4096], good.clone()].concat(),
            "at byte 6144: a second archive",
        ),
        (
            "nothing but zeros",
            vec![0; 10240],
            "an archive without files",
        ),
        (
            "bad checksum",
            {
                let mut a = [good.clone()].concat();
                a.splice(
                    1024..,
                    [cut_tar(&[file("b", b"x")]), vec![0; 1024]].concat(),
                );
                a[1030] ^= 1;
                a
            },
            "at byte 1024: not a tar header",
        ),
        (
            "negative size",
            with(&|h| h[124..136].copy_from_slice(&[0xff; 12])),
            "its size is out of range",
        ),
        (
            "huge size",
            with(&|h| h[124..136].copy_from_slice(b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff")),
            "cut off: 9223372036854775807 bytes",
        ),
        (
            "size not octal",
            with(&|h| h[124..136].copy_from_slice(b"99999999999\0")),
            "its size is out of range",
        ),
        (
            "uid",
            with(&|h| h[108..116].copy_from_slice(b"\x80\0\0\0\xff\xff\xff\xff")),
            "its uid 4294967295 is out of range",
        ),
        ("pax uid", x(&[("uid", b"-1")]), "its uid is out of range"),
        (
            "pax size",
            x(&[("size", b"99999")]),
            "\"f\": the archive is cut off: 99999 bytes",
        ),
        (
            "device",
            {
                let mut h = header(&entry(b'3', "n", ""));
                h[329..337].copy_from_slice(b"7777777\0");
                checksum(&mut h);
                [h.to_vec(), vec![0; 1024]].concat()
            },
            "device numbers are out of range",
        ),
        (
            "broken pax",
            tar(&[
                Entry {
                    kind: b'x',
                    ..file("x", b"99 a=b\n")
                },
                file("f", b""),
            ]),
            "not \"LENGTH KEY=VALUE\"",
        ),
        ("two pax headers", tar(&two), "two extended headers"),
        ("pax at end", tar(&two[..1]), "no entry after it"),
        (
            "large xattr",
            x(&[("SCHILY.xattr.user.a", &[0; 65537])]),
            "larger than Linux handles",
        ),
        (
            "broken xattr",
            x(&[("LIBARCHIVE.xattr.user.a", b"!")]),
            "not encoded as it should be",
        ),
        (
            "sparse order",
            x(&[
                ("GNU.sparse.size", b"9000"),
                ("GNU.sparse.map", b"512,2,0,2"),
            ]),
            "out of order",
        ),
        (
            "sparse past end",
            x(&[("GNU.sparse.size", b"3"), ("GNU.sparse.map", b"0,4")]),
            "past the end",
        ),
        (
            "sparse too much",
            x(&[("GNU.sparse.size", b"99"), ("GNU.sparse.map", b"0,5")]),
            "more bytes than the archive holds",
        ),
        (
            "sparse size",
            x(&[("GNU.sparse.size", b"-1"), ("GNU.sparse.map", b"0,4")]),
            "size of a sparse file out of range",
        ),
        (
            "sparse version",
            x(&[("GNU.sparse.major", b"2"), ("GNU.sparse.minor", b"0")]),
            "unknown format",
        ),
        (
            "sparse 1.0 map",
            x(&[
                ("GNU.sparse.major", b"1"),
                ("GNU.sparse.minor", b"0"),
                ("GNU.sparse.realsize", b"9"),
            ]),
            "sparse map",
        ),
        (
            "old sparse in ustar",
            tar(&[Entry {
                kind: b'S',
                ..file("s", b"")
            }]),
            "GNU sparse file in an archive of another format",
        ),
    ]
}

#[test]
fn hostile_archives_are_refused_by_name() {
    for (what, archive, why) in hostile() {
        let error = match load_bytes(&archive) {
            Ok(input) => panic!("{what}: accepted as\n{}", dump(&input.tree)),
            Err(error) => error,
        };
        let text = message(&error);
        assert!(
            text.contains(why) && text.contains("in.tar"),
            "{what}: {text}"
        );
        assert_eq!(error.class().exit_code(), 2, "{what}");
    }
}

#[test]
fn an_archive_cut_anywhere_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let body = [7; 700];
    let whole = tar(&[file("a", b"x"), entry(b'5', "d", ""), file("d/b", &body)]);
    // The last block alone may be missing: one zero block at the end is a mark, too.
    for len in (0..whole.len() - 1024).step_by(13) {
        let result = tar_from_bytes("cut.tar", &whole[..len], &options(dir.path()));
        assert!(result.is_err(), "cut to {len} bytes");
    }
    tar_from_bytes("cut.tar", &whole, &options(dir.path())).unwrap();
}

#[test]
fn compressions_are_told_by_content_and_may_be_in_pieces() {
    let archive = tar(&[file("a", b"hello"), file("zeros", &[0; 300_000])]);
    let expected = dump(&load_bytes(&archive).unwrap().tree);
    let (front, back) = archive.split_at(700);
    let gz = |bytes: &[u8]| {
        let mut w = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        w.write_all(bytes).unwrap();
        w.finish().unwrap()
    };
    let xz = |bytes: &[u8]| {
        let mut w = liblzma::write::XzEncoder::new(Vec::new(), 1);
        w.write_all(bytes).unwrap();
        w.finish().unwrap()
    };
    let zst = |bytes: &[u8]| zstd::encode_all(bytes, 1).unwrap();
    for (name, pack) in [
        ("gzip", &gz as &dyn Fn(&[u8]) -> Vec<u8>),
        ("xz", &xz),
        ("zstd", &zst),
    ] {
        for bytes in [pack(&archive), [pack(front), pack(back)].concat()] {
            let input = load_bytes(&bytes).unwrap_or_else(|e| panic!("{name}: {}", message(&e)));
            assert_eq!(dump(&input.tree), expected, "{name}");
            let cut = load_bytes(&bytes[..bytes.len() - 9]).err().unwrap();
            assert!(
                message(&cut).contains(&format!("its {name} data")),
                "{}",
                message(&cut)
            );
        }
        let error = message(&load_bytes(&pack(b"no archive")).err().unwrap());
        assert!(error.contains("not a tar archive"), "{error}");
    }
}

#[test]
fn a_bomb_stops_at_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bomb.tar.zst");
    let mut zeros = tar(&[file("a", &vec![0; 8 << 20])]);
    std::fs::write(&path, zstd::encode_all(&zeros[..], 1).unwrap()).unwrap();
    let mut small = options(dir.path());
    small.max_size = 1 << 20;
    let error = load(&path, &small).unwrap_err();
    let text = message(&error);
    assert!(
        text.contains("bomb.tar.zst: more than 1048576 bytes of content (--max-size)"),
        "{text}"
    );
    assert!(error.hint().unwrap().contains("--max-size"));

    // Plain, and not zeros: holes cost nothing.
    let error = tar_from_bytes("plain.tar", &tar(&[file("a", &vec![1; 2 << 20])]), &small);
    assert!(message(&error.unwrap_err()).contains("plain.tar: more than 1048576"));
    tar_from_bytes("plain.tar", &zeros, &small).unwrap();

    small.max_files = 3;
    zeros = tar(&[file("a/b/c/d", b"")]);
    let error = message(&tar_from_bytes("many.tar", &zeros, &small).unwrap_err());
    assert!(error.contains("many.tar: more than 3 files"), "{error}");
}

#[test]
fn a_plain_archive_that_changes_is_refused() {
    let (_dir, path) = scratch("in.tar");
    std::fs::write(&path, tar(&[file("a", b"hello")])).unwrap();
    let tree = load(&path, &options(path.parent().unwrap())).unwrap().tree;
    assert_eq!(read(&tree, "a"), b"hello");
    std::fs::write(&path, tar(&[file("a", b"other stuff")])).unwrap();
    let Kind::File(content) = &tree.node(tree.lookup(b"a").unwrap()).kind else {
        panic!("not a file")
    };
    assert!(
        content
            .read_all(100)
            .unwrap_err()
            .to_string()
            .contains("changed while")
    );
}

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

#[test]
fn text_acls_are_left_out_with_a_warning() {
    let body = pax(&[("SCHILY.acl.access", b"user::rw-")]);
    let archive = tar(&[
        Entry {
            kind: b'x',
            ..file("x", &body)
        },
        file("f", b""),
    ]);
    let input = load_bytes(&archive).unwrap();
    assert_eq!(input.warnings.len(), 1);
    assert!(
        input.warnings[0].contains("--xattrs-include"),
        "{:?}",
        input.warnings
    );
    assert!(input.tree.node(Tree::ROOT).meta.xattrs.is_empty());
}
