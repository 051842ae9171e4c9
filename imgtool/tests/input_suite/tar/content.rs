//! The archive as a stream: compressed, too large, or changed while it is read.

use crate::support::*;
use imgtool::input::{load, tar_from_bytes};
use imgtool::tree::Kind;
use std::io::Write;
use testutils::*;

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
