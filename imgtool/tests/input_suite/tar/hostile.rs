//! Archives that are broken, or made to break something.

use crate::support::*;
use imgtool::input::tar_from_bytes;
use testutils::*;

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
