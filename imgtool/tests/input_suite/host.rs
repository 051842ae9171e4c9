//! Directories, executables and what is added from the host.

use crate::support::*;
use imgtool::input::{InputKind, OwnerPolicy, add, detect, digest, elf_needed, load, resolve_user};
use imgtool::tree::{ContentError, Kind, Tree};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use testutils::*;

#[test]
fn a_directory_is_the_root_file_system() {
    let (dir, root) = scratch("root");
    std::fs::create_dir_all(root.join("a/b")).unwrap();
    std::fs::write(root.join("a/b/f"), "text").unwrap();
    std::fs::hard_link(root.join("a/b/f"), root.join("z")).unwrap();
    symlink("nowhere", root.join("l")).unwrap();
    std::fs::write(root.join("zeros"), vec![0; 1 << 20]).unwrap();
    std::os::unix::net::UnixListener::bind(root.join("sock")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        root.join("fifo"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    for (path, mode) in [
        ("", 0o1711),
        ("a", 0o2755),
        ("a/b", 0o700),
        ("a/b/f", 0o4640),
        ("zeros", 0o644),
        ("sock", 0o755),
    ] {
        std::fs::set_permissions(root.join(path), PermissionsExt::from_mode(mode)).unwrap();
    }
    let mut options = options(dir.path());
    let input = load(&root, &options).unwrap();
    assert_eq!(input.kind, InputKind::Directory);
    assert_eq!(detect(&root).unwrap(), InputKind::Directory);
    let expected = "\
/ 1711 0:0 dir
/a 2755 0:0 dir
/a/b 0700 0:0 dir
/a/b/f 4640 0:0 file 4 [(0, 4)] 982d9e3eb996
/fifo 0400 0:0 fifo
/l 0777 0:0 -> nowhere
/sock 0755 0:0 socket
/z = /a/b/f
/zeros 0644 0:0 file 1048576 [] 30e14955ebf1
";
    assert_eq!(dump(&input.tree), expected);
    options.owner = Some(OwnerPolicy::Keep);
    let kept = load(&root, &options).unwrap();
    let uid = std::fs::metadata(&root).unwrap().uid();
    assert_eq!(kept.tree.node(Tree::ROOT).meta.uid, uid);
}

#[test]
fn a_directory_that_changes_is_refused_when_it_is_read() {
    let (dir, root) = scratch("root");
    std::fs::create_dir(&root).unwrap();
    std::fs::write(root.join("f"), vec![1; 100_000]).unwrap();
    let tree = load(&root, &options(dir.path())).unwrap().tree;
    std::fs::OpenOptions::new()
        .write(true)
        .open(root.join("f"))
        .unwrap()
        .set_len(50_000)
        .unwrap();
    let Kind::File(content) = &tree.node(tree.lookup(b"f").unwrap()).kind else {
        panic!("not a file")
    };
    let error = content.read_all(1 << 20).unwrap_err();
    assert!(matches!(error, ContentError::Changed { .. }), "{error}");
}

#[test]
fn an_unreadable_file_is_named_by_the_scan() {
    let (dir, root) = scratch("root");
    std::fs::create_dir(&root).unwrap();
    std::fs::write(root.join("secret"), "s").unwrap();
    std::fs::set_permissions(root.join("secret"), PermissionsExt::from_mode(0o000)).unwrap();
    if std::fs::read(root.join("secret")).is_ok() {
        eprintln!("skipped: this user may read everything");
        return;
    }
    let error = load(&root, &options(dir.path())).unwrap_err();
    let text = message(&error);
    assert!(
        text.contains("/root/secret: can't be read: Permission denied"),
        "{text}"
    );
    assert!(error.hint().unwrap().contains("readable to you"));
}

#[test]
fn kernel_file_systems_are_not_content() {
    let dir = tempfile::tempdir().unwrap();
    let error = load(Path::new("/proc"), &options(dir.path())).unwrap_err();
    assert!(
        message(&error).contains("/proc: proc is mounted here"),
        "{}",
        message(&error)
    );
}

#[test]
fn limits_hold_for_directories() {
    let (dir, root) = scratch("root");
    std::fs::create_dir(&root).unwrap();
    for i in 0..10 {
        std::fs::write(root.join(i.to_string()), vec![1; 1000]).unwrap();
    }
    let mut options = options(dir.path());
    options.max_size = 9999;
    let error = message(&load(&root, &options).unwrap_err());
    assert!(
        error.contains("root: more than 9999 bytes of content (--max-size)"),
        "{error}"
    );
    options.max_size = 10_000;
    load(&root, &options).unwrap();
    options.max_files = 10;
    let error = message(&load(&root, &options).unwrap_err());
    assert!(error.contains("more than 10 files"), "{error}");
}

#[test]
fn a_path_too_long_to_open_is_refused_and_deep_nesting_is_not() {
    let (dir, root) = scratch("r");
    std::fs::create_dir(&root).unwrap();
    let mut at = rustix::fs::open(
        &root,
        rustix::fs::OFlags::DIRECTORY,
        rustix::fs::Mode::empty(),
    )
    .unwrap();
    let depth = (4095 - root.as_os_str().len()) / 2;
    for _ in 0..depth {
        rustix::fs::mkdirat(&at, "d", rustix::fs::Mode::RWXU).unwrap();
        at = rustix::fs::openat(
            &at,
            "d",
            rustix::fs::OFlags::DIRECTORY,
            rustix::fs::Mode::empty(),
        )
        .unwrap();
    }
    let tree = load(&root, &options(dir.path())).unwrap().tree;
    assert_eq!(tree.walk().len(), depth + 1);
    rustix::fs::mkdirat(&at, "ddd", rustix::fs::Mode::RWXU).unwrap();
    let error = message(&load(&root, &options(dir.path())).unwrap_err());
    assert!(error.contains("longer than 4095 bytes"), "{error}");
    run("rm", &["-r", "r"], dir.path());
}

#[test]
fn the_digest_of_a_directory_is_about_what_the_image_gets() {
    let dir = tempfile::tempdir().unwrap();
    let make = |name: &str, names: &[&str]| {
        let root = dir.path().join(name);
        std::fs::create_dir_all(root.join("d")).unwrap();
        for n in names {
            std::fs::write(root.join(n), format!("content of {n}")).unwrap();
        }
        root
    };
    let options = options(dir.path());
    let of = |path: &Path| digest(path, &options).unwrap();
    let one = make("one", &["a", "b", "d/c"]);
    let first = of(&one);
    assert_eq!(first, of(&make("two", &["d/c", "b", "a"])));
    type Change<'a> = (&'a str, &'a dyn Fn(&Path));
    let changes: [Change<'_>; 6] = [
        ("content", &|r| {
            std::fs::write(r.join("a"), "content of A").unwrap()
        }),
        ("name", &|r| {
            std::fs::rename(r.join("a"), r.join("x")).unwrap()
        }),
        ("mode", &|r| {
            std::fs::set_permissions(r.join("a"), PermissionsExt::from_mode(0o600)).unwrap()
        }),
        ("more", &|r| std::fs::create_dir(r.join("e")).unwrap()),
        ("link", &|r| symlink("a", r.join("l")).unwrap()),
        ("hard link", &|r| {
            std::fs::hard_link(r.join("a"), r.join("h")).unwrap()
        }),
    ];
    for (what, change) in changes {
        let root = make(what, &["a", "b", "d/c"]);
        assert_eq!(of(&root), first, "{what}");
        change(&root);
        assert_ne!(of(&root), first, "{what}");
    }
    // Of a file it is what sha256sum says.
    let empty = dir.path().join("empty");
    std::fs::write(&empty, "").unwrap();
    assert!(of(&empty).starts_with("e3b0c44298fc1c149afbf4c8996fb924"));
}

#[test]
fn adding_files_and_directories() {
    let (dir, src) = scratch("src");
    std::fs::create_dir_all(src.join("lib/sub")).unwrap();
    std::fs::write(src.join("lib/f"), "1").unwrap();
    std::fs::write(src.join("lib/sub/g"), "2").unwrap();
    std::fs::hard_link(src.join("lib/f"), src.join("h")).unwrap();
    for d in ["", "lib", "lib/sub"] {
        std::fs::set_permissions(src.join(d), PermissionsExt::from_mode(0o750)).unwrap();
    }
    for f in ["lib/f", "lib/sub/g"] {
        std::fs::set_permissions(src.join(f), PermissionsExt::from_mode(0o644)).unwrap();
    }
    let base = load_bytes(&tar(&[
        entry(b'2', "lib", "usr/lib"),
        entry(b'5', "usr/lib", ""),
        file("usr/lib/f", b"0"),
        file("etc/conf", b"old"),
    ]))
    .unwrap();
    let mut tree = base.tree.clone();
    let options = options(dir.path());
    add(&mut tree, &src, "/", &options).unwrap();
    add(&mut tree, &src.join("lib/f"), "/etc/conf", &options).unwrap();
    add(&mut tree, &src.join("lib/f"), "/lib/", &options).unwrap();
    add(&mut tree, &src.join("lib"), "/new/place", &options).unwrap();
    let expected = "\
/ 0755 0:0 dir
/etc 0755 0:0 dir
/etc/conf 0644 0:0 file 1 [(0, 1)] 6b86b273ff34
/h 0644 0:0 file 1 [(0, 1)] 6b86b273ff34
/lib 0777 0:0 -> usr/lib
/new 0755 0:0 dir
/new/place 0750 0:0 dir
/new/place/f 0644 0:0 file 1 [(0, 1)] 6b86b273ff34
/new/place/sub 0750 0:0 dir
/new/place/sub/g 0644 0:0 file 1 [(0, 1)] d4735e3a265e
/usr 0755 0:0 dir
/usr/lib 0644 0:0 dir
/usr/lib/f 0644 0:0 file 1 [(0, 1)] 6b86b273ff34
/usr/lib/sub 0750 0:0 dir
/usr/lib/sub/g 0644 0:0 file 1 [(0, 1)] d4735e3a265e
";
    assert_eq!(
        dump(&tree).replace("/usr/lib 0755", "/usr/lib 0644"),
        expected
    );
    assert_eq!(tree.node(tree.lookup(b"new").unwrap()).layer, 4);
    for (from, to, why) in [
        ("lib/f", "relative", "has to be absolute"),
        (
            "lib/f",
            "/etc",
            "is a directory in the image; write \"/etc/\"",
        ),
        ("lib/f", "/", "can't"),
        ("lib/f", "/a/../b", "contains \"..\""),
        ("lib", "/etc/conf", "\"/etc/conf\" is not a directory"),
        ("gone", "/x", "can't be read"),
    ] {
        let from = if to == "/" {
            PathBuf::from("/dev/null")
        } else {
            src.join(from)
        };
        match add(&mut tree, &from, to, &options) {
            Ok(()) => assert_eq!(to, "/", "{from:?}"),
            Err(error) => {
                let text = message(&error);
                assert!(text.contains(why), "{text}");
            }
        }
    }
}

#[test]
fn users_come_from_the_images_own_files_through_links() {
    let input = load_bytes(&tar(&[
        file("usr/share/passwd", b"web:x:7:8::/:\n"),
        entry(b'2', "etc/passwd", "../usr/share/passwd"),
    ]))
    .unwrap();
    assert_eq!(resolve_user(&input.tree, "web").unwrap(), (7, 8, vec![]));
    assert!(resolve_user(&input.tree, "root").is_err());
}

/// The test's own program: a dynamic executable of this host.
fn own_program() -> PathBuf {
    std::env::current_exe().unwrap()
}

#[test]
fn a_dynamic_program_brings_its_interpreter_and_libraries() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(dir.path());
    let program = own_program();
    let headers = elf_needed("own", &std::fs::read(&program).unwrap()).unwrap();
    let interpreter = headers.interpreter.clone().expect("a dynamic program");
    let dirs: Vec<PathBuf> = [
        "/lib/x86_64-linux-gnu",
        "/usr/lib/x86_64-linux-gnu",
        "/lib64",
        "/usr/lib64",
    ]
    .map(PathBuf::from)
    .into();
    options.library_dirs = &dirs;
    let input = load(&program, &options).unwrap();
    assert_eq!(input.kind, InputKind::Elf { dynamic: true });
    assert_eq!(input.config.entrypoint, ["/app"]);
    let tree = &input.tree;
    assert_eq!(tree.node(tree.lookup(b"/app").unwrap()).meta.mode, 0o755);
    assert_eq!(
        read(tree, &interpreter),
        std::fs::read(&interpreter).unwrap()
    );
    for name in &headers.needed {
        assert!(
            dump(tree).contains(&format!("/{name} 0755 0:0 file")),
            "{name}"
        );
    }

    options.library_dirs = &[];
    let error = load(&program, &options).unwrap_err();
    let text = message(&error);
    assert!(
        text.contains("libc.so.6") && text.contains("not found"),
        "{text}"
    );
    assert!(error.hint().unwrap().contains("statically"));

    // What only ld.so.conf would lead to moves to where the interpreter looks.
    let odd = dir.path().join("odd");
    std::fs::create_dir(&odd).unwrap();
    let extra = headers
        .needed
        .iter()
        .find(|n| *n != "libc.so.6" && !n.starts_with("ld-"));
    if let Some(extra) = extra {
        let from = dirs
            .iter()
            .map(|d| d.join(extra))
            .find(|p| p.exists())
            .unwrap();
        std::fs::copy(from, odd.join(extra)).unwrap();
        let dirs = [vec![odd], dirs.clone()].concat();
        options.library_dirs = &dirs;
        let tree = load(&program, &options).unwrap().tree;
        assert!(
            tree.lookup(format!("/lib/x86_64-linux-gnu/{extra}").as_bytes())
                .is_some(),
            "{}",
            dump(&tree)
        );
    }
}

/// A static executable: a file header and one program header, nothing else.
fn tiny_elf() -> Vec<u8> {
    let mut e = vec![0; 64 + 56];
    e[..8].copy_from_slice(b"\x7fELF\x02\x01\x01\0");
    e[16] = 2; // ET_EXEC
    e[18] = 62; // EM_X86_64
    e[24] = 1; // e_entry
    e[32] = 64; // e_phoff
    e[54] = 56; // e_phentsize
    e[56] = 1; // e_phnum
    e[64] = 1; // PT_LOAD
    e
}

#[test]
fn a_static_program_is_alone() {
    let (dir, path) = scratch("app");
    std::fs::write(&path, tiny_elf()).unwrap();
    let input = load(&path, &options(dir.path())).unwrap();
    assert_eq!(input.kind, InputKind::Elf { dynamic: false });
    let lines = dump(&input.tree);
    assert!(
        lines.starts_with("/ 0755 0:0 dir\n/app 0755 0:0 file 120 [(0, 120)]"),
        "{lines}"
    );
    assert_eq!(lines.lines().count(), 2);
}

#[test]
fn what_cannot_run_is_refused_with_the_reason() {
    let (dir, path) = scratch("prog");
    let with = |at: usize, byte: u8| {
        let mut e = tiny_elf();
        e[at] = byte;
        e
    };
    let mut dynamic = tiny_elf();
    dynamic[64] = 2; // PT_DYNAMIC
    dynamic[64 + 32..64 + 40].copy_from_slice(&u64::MAX.to_le_bytes());
    for (bytes, why) in [
        (with(18, 183), "another machine (183)"),
        (with(4, 1), "not a 64-bit"),
        (with(16, 1), "an object file"),
        (with(16, 4), "neither a program nor a library"),
        (with(16, 3), "a shared library"),
        (with(24, 0), "no entry point"),
        (with(40 - 1, 0xff), "cut off"),
        (with(54, 55), "program headers"),
        (tiny_elf()[..100].to_vec(), "cut off"),
        (dynamic, "cut off"),
        (b"\x7fELF".to_vec(), "cut off"),
        (b"#!/bin/sh\necho\n".to_vec(), "a script"),
        (b"BZh9".to_vec(), "bzip2"),
        (b"PK\x03\x04".to_vec(), "a zip"),
        (b"!<arch>\ndebian".to_vec(), "Debian package"),
        (b"MZ".to_vec(), "Windows or UEFI"),
        (vec![7; 4096], "neither an ELF executable nor an archive"),
        (vec![], "an empty file"),
    ] {
        std::fs::write(&path, &bytes).unwrap();
        let error = load(&path, &options(dir.path())).unwrap_err();
        let text = message(&error);
        assert!(
            text.contains("/prog: ") && text.contains(why),
            "{why}: {text}"
        );
        assert_eq!(error.class().exit_code(), 2);
    }
    let gone = load(&dir.path().join("gone"), &options(dir.path())).unwrap_err();
    assert!(
        message(&gone).contains("/gone: can't be read"),
        "{}",
        message(&gone)
    );
    let fifo = load(Path::new("/dev/null"), &options(dir.path())).unwrap_err();
    assert!(
        message(&fifo).contains("not a regular file"),
        "{}",
        message(&fifo)
    );
}
