//! `imgtool cat` and `imgtool extract`, called by a user who is not root.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};

use imgtool::extract::{ExtractError, Request, extract};
use imgtool::pass::Progress;

use super::bench::{BOOT, Bench};
use testutils::noise;

/// Bytes of the file with a hole: more than one piece of what is read at once.
const SPARSE: u64 = 3 << 20;

/// A tree, built as `t.img` and `t.pack`.
fn built() -> Bench {
    let bench = Bench::new();
    let tree = bench.input().join("tree");
    let app = fs::read(bench.input().join("app")).unwrap();
    bench.put("tree/app", app);
    bench.put("tree/etc/name", "a name\n");
    bench.put("tree/etc/deep/blocks", blocks());
    bench.put("tree/etc/deep/empty", "");
    bench.put("tree/closed/file", "x");
    bench.put("tree/evil-1", "");
    bench.put("tree/evil-2", "");
    bench.put("tree/zz-hostile-1", "");
    let sparse = fs::File::create(tree.join("sparse")).unwrap();
    sparse.write_all_at(b"far out", 2 << 20).unwrap();
    sparse.set_len(SPARSE).unwrap();
    fs::hard_link(tree.join("etc/deep/blocks"), tree.join("again")).unwrap();
    symlink("etc/deep", tree.join("short")).unwrap();
    symlink("/short/../name", tree.join("chain")).unwrap();
    symlink("/etc/../../../../tree/app", tree.join("etc/up")).unwrap();
    symlink("loop", tree.join("loop")).unwrap();
    symlink("x".repeat(200), tree.join("long")).unwrap();
    for (path, mode) in [
        ("app", 0o4755),
        ("etc/name", 0o604),
        ("etc", 0o2755),
        ("closed", 0o555),
        (".", 0o755),
    ] {
        fs::set_permissions(tree.join(path), Permissions::from_mode(mode)).unwrap();
    }
    let flags = rustix::fs::XattrFlags::empty();
    let set = rustix::fs::setxattr(tree.join("etc/name"), "user.of", b"a name", flags);
    if let Err(e) = set {
        assert!(std::env::var_os("CI").is_none(), "{e}");
        eprintln!("skipped: user attributes: {e}");
    }
    let args = ["build", "tree", "-o", "t.img", "--pack", "t.pack"];
    bench.succeed(&[&args[..], BOOT, &["--", "/app"]].concat());
    bench
}

/// Some blocks that differ.
fn blocks() -> Vec<u8> {
    (0..300_000_u32).map(|n| (n / 1000) as u8 | 1).collect()
}

fn imgtool(bench: &Bench, args: &[&str]) -> Output {
    bench.command(None).args(args).output().unwrap()
}

/// A command that has to be refused: what it says.
fn refused(bench: &Bench, args: &[&str]) -> String {
    let output = imgtool(bench, args);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{args:?}: {stderr}");
    assert!(output.stdout.is_empty(), "{args:?}");
    stderr
}

/// What is below a directory, a line for each path.
fn listing(dir: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut pending = vec![dir.to_owned()];
    while let Some(path) = pending.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let name = path.strip_prefix(dir).unwrap().to_owned();
        let mut line = format!("{:o}", metadata.mode());
        if metadata.is_dir() {
            pending.extend(fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        } else if metadata.is_symlink() {
            line += &format!(" -> {}", fs::read_link(&path).unwrap().display());
        } else {
            let bytes = fs::read(&path).unwrap();
            let sum = crc32fast::hash(&bytes);
            line += &format!(" {} {sum:x} {} names", bytes.len(), metadata.nlink());
            let mut value = [0; 64];
            if let Ok(len) = rustix::fs::getxattr(&path, "user.of", &mut value) {
                line += &format!(" {:?}", std::str::from_utf8(&value[..len]));
            }
        }
        found.insert(name, line);
    }
    found
}

#[test]
fn a_directory_comes_back_from_image_and_pack_without_root() {
    let bench = built();
    let mut expected = listing(&bench.input().join("tree"));
    // What gives rights to others than the owner is not kept.
    for (path, mode, kept) in [("app", "104755", "100755"), ("etc", "42755", "40755")] {
        let line = expected.get_mut(Path::new(path)).unwrap();
        *line = line.replacen(mode, kept, 1);
    }
    for (source, out) in [("t.img", "raw"), ("t.pack", "pack")] {
        let directory = format!("../out/{out}");
        let output = imgtool(&bench, &["extract", source, "-C", &directory, "--json"]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{stderr}");
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let counts = &json["extracted"];
        assert_eq!(counts["files"], 9, "{json}");
        assert_eq!(counts["hard_links"], 1, "{json}");
        assert_eq!(counts["symlinks"], 5, "{json}");
        assert_eq!(counts["warnings"], serde_json::json!([]), "{json}");

        let out = bench.output().join(out);
        let mut found = listing(&out);
        // What every image has.
        for path in ["dev", "lost+found", "proc", "run", "sys", "tmp"] {
            assert!(found.remove(Path::new(path)).is_some(), "{path}");
        }
        assert_eq!(found, expected, "{source}");
        let metadata = |path: &str| fs::symlink_metadata(out.join(path)).unwrap();
        assert_eq!(metadata("again").ino(), metadata("etc/deep/blocks").ino());
        assert!(metadata("sparse").blocks() * 512 < SPARSE / 2, "no hole");
        for path in found.keys() {
            let mtime = fs::symlink_metadata(out.join(path)).unwrap().mtime();
            assert_eq!(mtime, 0, "{}", path.display());
        }
    }
}

#[test]
fn paths_come_with_their_parents_and_nothing_else() {
    let bench = built();
    let args = ["extract", "t.pack", "short/blocks", "/etc/deep/", "chain"];
    bench.succeed(&[&args[..], &["-C", "../out/part"]].concat());
    let found = listing(&bench.output().join("part"));
    let paths: Vec<_> = found.keys().map(|path| path.to_str().unwrap()).collect();
    let expected = [
        "",
        "chain",
        "etc",
        "etc/deep",
        "etc/deep/blocks",
        "etc/deep/empty",
    ];
    assert_eq!(paths, expected);

    bench.succeed(&["extract", "t.img", "--partition", "esp", "-C", "../out/esp"]);
    let uki = fs::read(bench.output().join("esp/EFI/BOOT/BOOTX64.EFI")).unwrap();
    let args = [
        "cat",
        "t.pack",
        "--partition",
        "esp",
        "efi/boot/bootx64.efi",
    ];
    assert!(imgtool(&bench, &args).stdout == uki);
    assert!(uki.starts_with(b"MZ"));

    let before = bench.files();
    let said = refused(
        &bench,
        &["extract", "t.img", "/app", "/none", "-C", "../out/none"],
    );
    assert!(said.contains("t.img: /none: no such file"), "{said}");
    assert_eq!(bench.files(), before);
}

#[test]
fn what_is_there_is_replaced_by_force_only() {
    let bench = built();
    let out = bench.output().join("there");
    let args = ["extract", "t.img", "-C", "../out/there", "/etc/name"];
    let forced = [&args[..], &["--force"]].concat();
    bench.succeed(&args);
    fs::write(out.join("etc/name"), "mine").unwrap();
    let said = refused(&bench, &args);
    assert!(
        said.contains("../out/there/etc/name: is there already"),
        "{said}"
    );
    assert!(said.contains("--force"), "{said}");
    assert_eq!(fs::read(out.join("etc/name")).unwrap(), b"mine");
    bench.succeed(&forced);
    assert_eq!(fs::read(out.join("etc/name")).unwrap(), b"a name\n");
    // Never a directory.
    fs::remove_file(out.join("etc/name")).unwrap();
    fs::create_dir(out.join("etc/name")).unwrap();
    for args in [&args[..], &forced] {
        let said = refused(&bench, args);
        assert!(said.contains("is a directory there, and a file"), "{said}");
    }
}

/// Links that lead out of the directory, planted where the image has a directory and a file.
#[test]
fn planted_links_are_not_followed() {
    let bench = built();
    let victim = bench.output().join("victim");
    let out = bench.output().join("there");
    for dir in [&victim, &out] {
        fs::create_dir(dir).unwrap();
        fs::set_permissions(dir, Permissions::from_mode(0o777)).unwrap();
    }
    fs::write(victim.join("app"), "mine").unwrap();
    symlink("../victim", out.join("etc")).unwrap();
    symlink("../victim/app", out.join("app")).unwrap();
    for path in ["/etc", "/etc/name", "/etc/deep/empty", "/app"] {
        let said = refused(&bench, &["extract", "t.img", "-C", "../out/there", path]);
        assert!(said.contains("is there already"), "{said}");
    }
    let forced = [
        "extract",
        "t.img",
        "-C",
        "../out/there",
        "/etc",
        "/app",
        "--force",
    ];
    bench.succeed(&forced);
    assert!(fs::symlink_metadata(out.join("etc")).unwrap().is_dir());
    assert!(fs::symlink_metadata(out.join("app")).unwrap().is_file());
    assert_eq!(fs::read(victim.join("app")).unwrap(), b"mine");
    assert_eq!(fs::read_dir(&victim).unwrap().count(), 1);
}

/// Names that no directory has, put into the image's bytes.
#[test]
fn hostile_names_are_refused() {
    let bench = built();
    let image = bench.input().join("t.img");
    let mut bytes = fs::read(&image).unwrap();
    let find = |bytes: &[u8], name: &[u8]| {
        let found = bytes.windows(name.len()).position(|w| w == name);
        found.unwrap()
    };
    // Without checksums, which would tell of any change. The superblock is behind the name of an
    // entry of the partition table: the root's is the third.
    let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let root = number(1024 + 2 * 128 + 32) * 512;
    let features = root + 1024 + 0x64;
    assert_ne!(bytes[features + 1] & 4, 0, "metadata_csum");
    bytes[features + 1] &= !4;
    for (name, becomes, len, says) in [
        (
            &b"zz-hostile-1"[..],
            &b"../../victim"[..],
            12,
            "../../victim",
        ),
        (b"zz-hostile-1", b"..", 2, "the name \"..\""),
        (b"zz-hostile-1", b".", 1, "the name \".\""),
        (b"zz-hostile-1", b"/", 1, "the name \"/\""),
        // A link, and a file of the same name.
        (b"evil-1", b"evil-2", 6, "\"evil-2\" twice"),
    ] {
        let mut bytes = bytes.clone();
        let at = find(&bytes, name);
        bytes[at..at + becomes.len()].copy_from_slice(becomes);
        bytes[at - 2] = len;
        bench.put("hostile.img", &bytes);
        let before = bench.files();
        let said = refused(&bench, &["extract", "hostile.img", "-C", "../out/hostile"]);
        assert!(said.contains(says), "{said}");
        let after = bench.files();
        let outside = |path: &&PathBuf| !path.starts_with(bench.output().join("hostile"));
        let made: Vec<_> = after.keys().filter(|p| !before.contains_key(*p)).collect();
        assert_eq!(made.into_iter().filter(outside).count(), 0);
        fs::remove_dir_all(bench.output().join("hostile")).unwrap();
    }
}

/// Asks to stop at the first piece of a file.
struct Stop(AtomicBool);

impl Progress for Stop {
    fn advance(&self, _bytes: u64) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn an_interrupted_extraction_leaves_no_half_written_file() {
    let bench = Bench::new();
    bench.put("noise", noise(2 << 20));
    let args = ["build", "app", "--add", "noise:/a-noise", "-o", "t.img"];
    bench.succeed(&[&args[..], BOOT].concat());
    let out = bench.output().join("stopped");
    let paths = [b"/a-noise".to_vec()];
    let stop = Stop(AtomicBool::new(false));
    let request = Request {
        image: &bench.input().join("t.img"),
        partition: None,
        paths: &paths,
        directory: &out,
        owners: false,
        devices: false,
        force: false,
    };
    let stopped = extract(&request, &stop, &stop.0);
    assert!(
        matches!(stopped, Err(ExtractError::Interrupted)),
        "{stopped:?}"
    );
    assert_eq!(fs::read_dir(&out).unwrap().count(), 0);
}

#[test]
fn cat_prints_what_a_path_leads_to() {
    let bench = built();
    let mut sparse = vec![0; SPARSE as usize];
    sparse[2 << 20..][..7].copy_from_slice(b"far out");
    for image in ["t.img", "t.pack"] {
        for (path, expected) in [
            ("/etc/deep/blocks", blocks()),
            ("again", blocks()),
            ("/short/blocks", blocks()),
            ("chain", b"a name\n".to_vec()),
            ("/etc/deep/empty", Vec::new()),
            ("sparse", sparse.clone()),
        ] {
            let output = imgtool(&bench, &["cat", image, path]);
            assert!(
                output.stderr.is_empty() && output.stdout == expected,
                "{path}"
            );
        }
        for (path, says) in [
            ("/etc", "/etc: a directory, not a file"),
            ("etc/none", "etc/none: no such file or directory"),
            ("/etc/name/x", "/etc/name/x: not a directory"),
            ("/loop", "/loop: too many symbolic links"),
            ("/etc/up", "/etc/up: no such file or directory"),
        ] {
            let said = refused(&bench, &["cat", image, path]);
            assert!(said.contains(image) && said.contains(says), "{said}");
        }
    }
    // Who stops reading hears no complaint, and nothing is held in memory.
    let mut bash = Command::new("bash");
    bash.args([
        "-c",
        "set -o pipefail; ulimit -v 100000; \"$0\" cat t.pack sparse | head -c 9",
    ])
    .arg(bench.command(None).get_program())
    .current_dir(bench.input());
    let output = bash.output().unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
    assert_eq!(output.stdout, [0; 9]);
}
