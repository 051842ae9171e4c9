//! Inputs that change between the scan and the last read. At the library, where it can be said
//! when.

use super::table::line;
use error_class::Chain;
use imgtool::build::{self, BuildError, Context, Outputs, Prepared};
use imgtool::pass::Progress;
use imgtool::spec::{self, HostConfig, Overrides};
use std::fs::{File, OpenOptions, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Once;
use std::sync::atomic::AtomicBool;
use testutils::{elf, executable, kernel_deb, pe, tar};

/// Changes a file once the first block has been read.
struct Meanwhile<'a> {
    once: Once,
    change: &'a (dyn Fn() + Sync),
}

impl Progress for Meanwhile<'_> {
    fn advance(&self, _bytes: u64) {
        self.once.call_once(self.change);
    }
}

struct Scene {
    dir: tempfile::TempDir,
}

impl Scene {
    /// A directory and an archive with a program and 8 MiB each, and boot files.
    fn new() -> Scene {
        let dir = tempfile::tempdir().unwrap();
        let scene = Scene { dir };
        let noise: Vec<u8> = (0..8 << 20).map(|n: u32| n as u8 | 1).collect();
        std::fs::create_dir(scene.path("tree")).unwrap();
        std::fs::create_dir(scene.path("out")).unwrap();
        for (name, bytes) in [
            ("tree/app", elf(62, 2)),
            ("tree/big", noise.clone()),
            (
                "app.tar",
                tar(&[executable("app", b"x"), executable("big", &noise)]),
            ),
            ("kernel.deb", kernel_deb()),
            ("stub.efi", pe(0x8664, &[])),
        ] {
            std::fs::write(scene.path(name), bytes).unwrap();
        }
        let mode = Permissions::from_mode(0o755);
        std::fs::set_permissions(scene.path("tree/app"), mode).unwrap();
        scene
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    fn prepare(&self, input: &str) -> Prepared {
        let overrides = Overrides {
            kernel: Some(self.path("kernel.deb")),
            stub: Some(self.path("stub.efi")),
            command: vec!["/app".into()],
            ..Overrides::default()
        };
        let input = self.path(input);
        let spec = spec::resolve(Some(&input), None, &overrides, &HostConfig::default()).unwrap();
        let context = Context {
            spool_dir: self.dir.path(),
            library_dirs: &[],
            cache: None,
            digests: false,
            lock: None,
        };
        build::prepare(&spec, &context).unwrap()
    }

    fn write(&self, prepared: &Prepared, change: &(dyn Fn() + Sync)) -> Result<(), BuildError> {
        let outputs = Outputs {
            raw: Some(self.path("out/a.img")),
            pack: Some(self.path("out/a.pack")),
            level: 1,
        };
        let progress = Meanwhile {
            once: Once::new(),
            change,
        };
        let never = AtomicBool::new(false);
        build::write(prepared, &outputs, 1, &progress, &never).map(drop)
    }
}

fn open(path: &Path) -> File {
    OpenOptions::new().write(true).open(path).unwrap()
}

fn shrink(path: &Path) {
    open(path).set_len(1000).unwrap();
}

fn grow(path: &Path) {
    open(path).set_len(9 << 20).unwrap();
}

fn remove(path: &Path) {
    std::fs::remove_file(path).unwrap();
}

/// The same size and the same time of modification: only the inode's own time tells.
fn rewrite(path: &Path) {
    let times = std::fs::metadata(path).unwrap();
    std::fs::write(path, vec![0; 8 << 20]).unwrap();
    open(path).set_modified(times.modified().unwrap()).unwrap();
}

fn replace(path: &Path) {
    remove(path);
    std::fs::write(path, vec![1; 8 << 20]).unwrap();
}

fn make_pipe(path: &Path) {
    remove(path);
    let out = std::process::Command::new("mkfifo").arg(path).status();
    assert!(out.unwrap().success());
}

fn make_link(path: &Path) {
    remove(path);
    std::os::unix::fs::symlink("app", path).unwrap();
}

/// How a file changes.
type Change = fn(&Path);

const CHANGES: [(&str, &str, &str, Change); 9] = [
    ("file that shrinks", "tree", "tree/big", shrink),
    ("file that grows", "tree", "tree/big", grow),
    ("file that is removed", "tree", "tree/big", remove),
    ("file that is written anew", "tree", "tree/big", rewrite),
    (
        "file that another takes the place of",
        "tree",
        "tree/big",
        replace,
    ),
    (
        "file that a pipe takes the place of",
        "tree",
        "tree/big",
        make_pipe,
    ),
    (
        "file that a link takes the place of",
        "tree",
        "tree/big",
        make_link,
    ),
    ("archive that shrinks", "app.tar", "app.tar", shrink),
    (
        "archive that is written anew",
        "app.tar",
        "app.tar",
        rewrite,
    ),
];

/// Changes each, checks what is said and left, and gives the lines of the table.
pub(crate) fn lines() -> Vec<String> {
    let mut lines = Vec::new();
    for (what, input, path, change) in CHANGES {
        let mut messages = Vec::new();
        // Before the first read, and after it.
        for late in [false, true] {
            let scene = Scene::new();
            let prepared = scene.prepare(input);
            let change = || change(&scene.path(path));
            let error = if late {
                scene.write(&prepared, &change).expect_err(what)
            } else {
                change();
                scene.write(&prepared, &|| {}).expect_err(what)
            };
            let left: Vec<_> = std::fs::read_dir(scene.path("out")).unwrap().collect();
            assert!(left.is_empty(), "{what}: {left:?}");
            assert_eq!(error.class().exit_code(), 2, "{what}");
            let dir = format!("{}/", scene.dir.path().display());
            messages.push(chain(&error).replace(&dir, ""));
        }
        assert_eq!(messages[0], messages[1], "{what}");
        assert!(messages[0].starts_with(path), "{what}: {}", messages[0]);
        lines.push(line(what, &messages[0], 2));
    }
    lines
}

fn chain(error: &BuildError) -> String {
    let mut text = Chain(error).to_string();
    if let Some(hint) = error.hint() {
        text.push_str(&format!("; hint: {hint}"));
    }
    text
}
