//! The same bytes, whoever builds, where, when and how.

use crate::disk::sha256;
use crate::support::*;
use crate::trees::{odd, tar};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What varies between two builds of one image.
#[derive(Default)]
struct Way<'a> {
    jobs: Option<&'a str>,
    /// In place of the input.
    input: Option<PathBuf>,
    /// Output and working directory, below the scratch directory.
    dir: Option<&'a str>,
    env: &'a [(&'a str, &'a str)],
    umask: Option<u32>,
    nobody: bool,
    /// Kernel and stub from `--kernel` and `--stub`, in place of the configuration.
    flags: bool,
    more: &'a [&'a str],
}

const NOBODY: u32 = 65534;

/// A place where anybody can build: the program and its inputs, copied.
struct Place {
    dir: tempfile::TempDir,
    kernel: PathBuf,
    stub: PathBuf,
    built: std::cell::Cell<u32>,
}

impl Place {
    fn new() -> Option<Place> {
        let (kernel, stub) = boot_files()?;
        let dir = scratch();
        let copy = |from: &Path, name: &str| {
            let to = dir.path().join(name);
            std::fs::copy(from, &to).unwrap();
            std::fs::set_permissions(&to, PermissionsExt::from_mode(0o755)).unwrap();
            to
        };
        copy(Path::new(IMGTOOL), "imgtool");
        Some(Place {
            kernel: copy(&kernel, "kernel.deb"),
            stub: copy(&stub, "stub.deb"),
            built: 0.into(),
            dir,
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Builds image, pack and manifest; gives their digests.
    fn build(&self, input: &Path, way: &Way<'_>) -> [String; 3] {
        let n = self.built.replace(self.built.get() + 1);
        let out = self.path(way.dir.unwrap_or("out")).join(n.to_string());
        std::fs::create_dir_all(&out).unwrap();
        let mut command = Command::new(self.path("imgtool"));
        command
            .arg("build")
            .arg(way.input.as_deref().unwrap_or(input));
        command
            .args(["--name", "same", "-o"])
            .arg(out.join("o.img"));
        command.arg("--pack").arg(out.join("o.pack"));
        if way.flags || way.dir.is_some() || way.nobody {
            command
                .arg("--kernel")
                .arg(&self.kernel)
                .arg("--stub")
                .arg(&self.stub);
        }
        if let Some(jobs) = way.jobs {
            command.args(["--jobs", jobs]);
        }
        if way.dir.is_some() {
            command.current_dir(&out);
        }
        if way.nobody {
            std::os::unix::fs::chown(&out, Some(NOBODY), Some(NOBODY)).unwrap();
            command
                .uid(NOBODY)
                .gid(NOBODY)
                .current_dir("/")
                .env_remove("HOME");
        }
        // Last: it may end with a command of the image.
        command.args(way.more);
        command.envs(way.env.iter().copied());
        match way.umask {
            Some(umask) => {
                let mut shell = Command::new("sh");
                shell
                    .arg("-c")
                    .arg(format!("umask {umask:o}; exec \"$@\""))
                    .arg("sh");
                shell.arg(command.get_program()).args(command.get_args());
                ok(&mut shell)
            }
            None => ok(&mut command),
        };
        let digests = ["o.img", "o.pack", "o.pack.json"].map(|name| sha256(&out.join(name)));
        std::fs::remove_dir_all(&out).unwrap();
        digests
    }

    /// Builds in every way and demands the same digests.
    fn all_same(&self, input: &Path, more: &[&str], ways: Vec<(&str, Way<'_>)>) {
        let with = |way: Way<'_>| self.build(input, &Way { more, ..way });
        let first = with(Way::default());
        for (what, way) in ways {
            // The manifest has its inputs' digests: from an archive it is another one.
            let same = match &way.input {
                Some(input) if input.is_file() => 2,
                _ => 3,
            };
            assert_eq!(with(way)[..same], first[..same], "{what}");
        }
    }
}

/// What varies for any input.
fn ways() -> Vec<(&'static str, Way<'static>)> {
    let way = Way::default;
    let mut ways = vec![
        ("again", way()),
        (
            "one job",
            Way {
                jobs: Some("1"),
                ..way()
            },
        ),
        (
            "two jobs",
            Way {
                jobs: Some("2"),
                ..way()
            },
        ),
        (
            "another directory",
            Way {
                dir: Some("elsewhere/deep"),
                ..way()
            },
        ),
        (
            "kernel and stub by flags",
            Way {
                flags: true,
                ..way()
            },
        ),
        (
            "another umask",
            Way {
                umask: Some(0o077),
                ..way()
            },
        ),
        (
            "another time zone and locale",
            Way {
                env: &[
                    ("TZ", "Pacific/Kiritimati"),
                    ("LC_ALL", "tr_TR.UTF-8"),
                    ("LANG", "C"),
                ],
                ..way()
            },
        ),
    ];
    if is_root("building as nobody") {
        ways.push((
            "nobody",
            Way {
                nobody: true,
                ..way()
            },
        ));
    }
    ways
}

#[test]
fn the_sample_is_the_same_everywhere() {
    let (Some(sample), Some(place)) = (sample(), Place::new()) else {
        return;
    };
    let input = place.path("hello");
    std::fs::copy(&sample, &input).unwrap();
    place.all_same(&input, &[], ways());
}

#[test]
fn a_tree_is_the_same_everywhere_and_from_whatever_it_comes() {
    let Some(place) = Place::new() else { return };
    let tree = place.path("tree");
    odd(&tree, false);
    // It holds files of mode 0600: nobody has to own it. --owner root, the default, makes that
    // no difference.
    let is_root = is_root("trees of other users");
    let own = |path: &Path, uid: u32| {
        if is_root {
            ok(Command::new("chown")
                .args(["-hR", &format!("{uid}:{uid}")])
                .arg(path));
            // chown takes set-user-ID away.
            let chmod = |mode, name| {
                std::fs::set_permissions(path.join(name), PermissionsExt::from_mode(mode)).unwrap();
            };
            chmod(0o4755, "usr/bin/tool");
            chmod(0o2775, "größe");
        }
    };
    let mut ways = ways();
    let from = |input: PathBuf| Way {
        input: Some(input),
        ..Way::default()
    };
    let shuffled = place.path("shuffled");
    odd(&shuffled, true);
    own(&shuffled, 1001);
    ways.push(("made in another order, by user 1001", from(shuffled)));
    let owner = ["--sparse", "--owner=0", "--group=0"];
    let plain = tar(&tree, &place.path("tree.tar"), &owner);
    for (name, compress) in [("gz", "gzip -n"), ("xz", "xz -1"), ("zst", "zstd -q")] {
        let packed = place.path(&format!("tree.tar.{name}"));
        let line = format!("{compress} <'{}' >'{}'", plain.display(), packed.display());
        ok(Command::new("sh").args(["-c", &line]));
        ways.push((name, from(packed)));
    }
    ways.push(("tar", from(plain)));
    own(&tree, NOBODY);
    place.all_same(&tree, &["--", "/usr/bin/tool"], ways);
}

#[test]
fn a_debian_tree_is_the_same_by_any_number_of_jobs() {
    let (Some(debian), Some(place)) = (debian(), Place::new()) else {
        return;
    };
    let jobs = |n| Way {
        jobs: Some(n),
        ..Way::default()
    };
    let ways = vec![("1", jobs("1")), ("2", jobs("2")), ("7", jobs("7"))];
    place.all_same(&debian, &["--", "/bin/true"], ways);
}

#[test]
fn another_input_is_another_image() {
    let Some(place) = Place::new() else { return };
    let tree = place.path("tree");
    odd(&tree, false);
    let more: &[&str] = &["--", "/usr/bin/tool"];
    let build = || {
        place.build(
            &tree,
            &Way {
                more,
                ..Way::default()
            },
        )
    };
    let first = build();
    std::fs::write(tree.join("usr/share/file9"), "other").unwrap();
    for (one, other) in first.iter().zip(build()) {
        assert_ne!(*one, other);
    }
}

#[test]
fn a_pack_is_the_image_and_zstd_reads_it() {
    let Some(debian) = debian() else { return };
    if !has("zstd") {
        return;
    }
    let dir = scratch();
    let path = |name| dir.path().join(name);
    let (raw, pack) = (path("raw.img"), path("a.pack"));
    build(
        &debian,
        &raw,
        &["--pack", pack.to_str().unwrap(), "--", "/bin/true"],
    );
    ok(Command::new("zstd").args(["-q", "-t"]).arg(&pack));
    let unpacked = path("unpacked.img");
    ok(imgtool().arg("unpack").arg(&pack).arg("-o").arg(&unpacked));
    assert_eq!(sha256(&unpacked), sha256(&raw));
    // A pack alone is the same pack.
    let alone = path("alone.pack");
    let mut command = imgtool();
    command
        .arg("build")
        .arg(&debian)
        .args(["--name", "raw", "--pack"])
        .arg(&alone);
    ok(command.args(["--", "/bin/true"]));
    // The image's name is part of its identity; the first one's came from its input.
    let mut same = imgtool();
    same.arg("build")
        .arg(&debian)
        .args(["--pack"])
        .arg(path("same.pack"));
    ok(same.args(["--", "/bin/true"]));
    assert_eq!(sha256(&path("same.pack")), sha256(&pack));
}
