//! Entries of all kinds, and what extended headers say of them.

use crate::support::*;
use imgtool::input::InputKind;
use imgtool::tree::{Kind, Tree};
use testutils::*;

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
        body,
        ..file("", b"")
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
