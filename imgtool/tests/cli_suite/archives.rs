//! Root file systems in archives.

use super::bench::{Bench, Case};
use testutils::{Entry, entry, executable, gz, tar, xz, zst};

pub(crate) fn cases(bench: &Bench) -> Vec<Case> {
    let noise: Vec<u8> = (0..200_000_u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes())
        .collect();
    let good = tar(&[executable("app", &noise)]);
    for (name, packed) in [
        ("t.gz", gz(&good)),
        ("t.xz", xz(&good)),
        ("t.zst", zst(&good)),
    ] {
        bench.put(format!("cut-{name}"), &packed[..packed.len() / 2]);
        let mut corrupt = packed.clone();
        corrupt[packed.len() / 2] ^= 0xff;
        bench.put(format!("corrupt-{name}"), &corrupt);
    }
    bench.put("text.gz", gz(&[b'x'; 4096]));
    bench.put("cut.tar", &good[..good.len() / 2]);
    bench.put("no-end.tar", &good[..good.len() - 1024]);
    let mut corrupt = tar(&[executable("a", b"x"), executable("app", b"y")]);
    corrupt[1024 + 20] ^= 1;
    bench.put("corrupt.tar", &corrupt);
    bench.put("zeros.tar", [0; 10240]);
    bench.put(
        "bomb.tar.zst",
        zst(&tar(&[executable("zeros", &[1; 8 << 20])])),
    );
    bench.put("bomb.tar.xz", xz(&vec![0; 64 << 20]));

    let archive = |name: &str, entries: &[Entry<'_>]| bench.put(name, tar(entries));
    archive("up.tar", &[executable("a/../../etc/passwd", b"x")]);
    archive("up-only.tar", &[entry(b'5', "..", "")]);
    archive(
        "link-up.tar",
        &[
            entry(b'2', "out", "../../../../tmp"),
            executable("out/../../x", b"x"),
        ],
    );
    archive(
        "loop.tar",
        &[
            entry(b'2', "a", "/b"),
            entry(b'2', "b", "/a"),
            executable("a/x", b"x"),
        ],
    );
    archive(
        "under-file.tar",
        &[executable("a", b"x"), executable("a/b", b"y")],
    );
    archive("hard-out.tar", &[entry(b'1', "h", "../../etc/passwd")]);
    archive("hard-none.tar", &[entry(b'1', "h", "not/there")]);
    archive(
        "hard-dir.tar",
        &[entry(b'5', "d", ""), entry(b'1', "h", "d")],
    );
    let long = "n".repeat(256);
    let named = |path: &'static [u8]| -> [(&'static str, &'static [u8]); 1] { [("path", path)] };
    archive(
        "long-name.tar",
        &[Entry {
            pax: &[("path", long.as_bytes())],
            ..executable("x", b"x")
        }],
    );
    archive(
        "latin1.tar",
        &[Entry {
            name: b"caf\xe9",
            ..executable("x", b"x")
        }],
    );
    archive(
        "nul.tar",
        &[Entry {
            pax: &named(b"a\0b"),
            ..executable("x", b"x")
        }],
    );
    let far = "t/".repeat(2048);
    archive(
        "long-link.tar",
        &[Entry {
            pax: &[("linkpath", far.as_bytes())],
            ..entry(b'2', "l", "t")
        }],
    );
    archive(
        "xattrs.tar",
        &[Entry {
            pax: &[("SCHILY.xattr.user.big", &[b'v'; 5000])],
            ..executable("x", b"x")
        }],
    );
    archive("lost-found.tar", &[executable("lost+found", b"x")]);
    archive(
        "dev-file.tar",
        &[executable("dev", b"x"), executable("app", b"x")],
    );
    archive(
        "huge.tar",
        &[Entry {
            pax: &[("size", b"9223372036854775807")],
            ..executable("x", b"x")
        }],
    );
    archive(
        "bad-pax.tar",
        &[Entry {
            pax: &[("uid", b"minus one")],
            ..executable("x", b"x")
        }],
    );
    archive("unknown.tar", &[entry(b'Z', "x", "")]);
    bench.put("app.zip", b"PK\x03\x04".repeat(200));
    bench.put("app.bz2", b"BZh9".repeat(200));
    bench.put("notes.txt", "Nothing to run.\n".repeat(100));

    let build = |input, file: &str, parts| {
        // Whether a relative path is a program, only the guest can tell: the content comes first.
        Case::build(input, &[file, "--", "./app"], parts)
    };
    vec![
        build("truncated tar", "cut.tar", &["cut.tar", "app"]),
        build(
            "tar without its end mark",
            "no-end.tar",
            &["no-end.tar", "end"],
        ),
        build(
            "tar with a damaged header",
            "corrupt.tar",
            &["corrupt.tar", "byte 1024", "checksum"],
        ),
        build(
            "tar without files",
            "zeros.tar",
            &["zeros.tar", "without files"],
        ),
        build(
            "truncated .tar.gz",
            "cut-t.gz",
            &["cut-t.gz", "gzip data is corrupt or cut off"],
        ),
        build(
            "truncated .tar.xz",
            "cut-t.xz",
            &["cut-t.xz", "xz data is corrupt or cut off"],
        ),
        build(
            "truncated .tar.zst",
            "cut-t.zst",
            &["cut-t.zst", "zstd data is corrupt or cut off"],
        ),
        build(
            "corrupt .tar.gz",
            "corrupt-t.gz",
            &["corrupt-t.gz", "gzip data is corrupt"],
        ),
        build(
            "corrupt .tar.xz",
            "corrupt-t.xz",
            &["corrupt-t.xz", "xz data is corrupt"],
        ),
        build(
            "corrupt .tar.zst",
            "corrupt-t.zst",
            &["corrupt-t.zst", "zstd data is corrupt"],
        ),
        build("text in gzip", "text.gz", &["text.gz", "not a tar archive"]),
        Case::build(
            "tar bomb, by its content",
            &["bomb.tar.zst", "--max-size", "1MiB", "--", "/zeros"],
            &["bomb.tar.zst", "1048576 bytes", "--max-size"],
        ),
        Case::build(
            "tar bomb, by its compression",
            &["bomb.tar.xz", "--max-size", "16MiB", "--", "/zeros"],
            &["bomb.tar.xz", "16777216 bytes", "--max-size"],
        ),
        Case::build(
            "tar entry that says it has 8 EiB",
            &["huge.tar", "--", "/x"],
            &["huge.tar", "x"],
        ),
        build(
            "path that climbs out of the archive",
            "up.tar",
            &["up.tar", "a/../../etc/passwd", ".."],
        ),
        build("entry named ..", "up-only.tar", &["up-only.tar", ".."]),
        build(
            "path that climbs out through a link",
            "link-up.tar",
            &["link-up.tar", "out/../../x"],
        ),
        build(
            "file behind a loop of absolute links",
            "loop.tar",
            &["loop.tar", "a/x"],
        ),
        build(
            "file below a file",
            "under-file.tar",
            &["under-file.tar", "a/b"],
        ),
        build(
            "hard link out of the archive",
            "hard-out.tar",
            &["hard-out.tar", "h", "../../etc/passwd"],
        ),
        build(
            "hard link to nothing",
            "hard-none.tar",
            &["hard-none.tar", "not/there"],
        ),
        build(
            "hard link to a directory",
            "hard-dir.tar",
            &["hard-dir.tar", "directory"],
        ),
        build(
            "name of 256 bytes",
            "long-name.tar",
            &["long-name.tar", "255"],
        ),
        build(
            "name that is not UTF-8",
            "latin1.tar",
            &["caf", "not UTF-8", "rename"],
        ),
        build("name with a NUL byte", "nul.tar", &["nul.tar", "NUL"]),
        build(
            "symbolic link to 4096 bytes",
            "long-link.tar",
            &["long-link.tar", "l", "4095"],
        ),
        build(
            "extended attributes of 5000 bytes",
            "xattrs.tar",
            &["x", "4 KiB"],
        ),
        build(
            "file at ext4's own /lost+found",
            "lost-found.tar",
            &["lost+found", "remove it"],
        ),
        build(
            "file where /dev has to be",
            "dev-file.tar",
            &["dev", "director"],
        ),
        build(
            "number that is none in a pax header",
            "bad-pax.tar",
            &["bad-pax.tar", "uid"],
        ),
        build(
            "entry of an unknown kind",
            "unknown.tar",
            &["unknown.tar", "x"],
        ),
        build("zip archive", "app.zip", &["app.zip", "zip", "tar"]),
        build(
            "bzip2",
            "app.bz2",
            &["app.bz2", "bzip2", "gzip, xz or zstd"],
        ),
        build("text", "notes.txt", &["notes.txt", "neither"]),
    ]
}
