//! Where cases run: a directory with inputs, another for outputs, and the program.
//!
//! The program is never root: a root who runs the tests runs it as nobody.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The user and group "nobody".
const NOBODY: u32 = 65534;

/// What the arguments of nearly every case end with.
pub(crate) const BOOT: &[&str] = &["--kernel", "kernel.deb", "--stub", "stub.efi"];

/// A row of the table.
pub(crate) struct Case {
    /// What is wrong, for the table.
    pub(crate) input: &'static str,
    pub(crate) args: Vec<OsString>,
    pub(crate) code: i32,
    /// What the message has to say: the file, the cause.
    pub(crate) parts: &'static [&'static str],
    pub(crate) env: Vec<(&'static str, &'static str)>,
    /// A shell's words that end by executing the program: limits, mounts.
    pub(crate) shell: Option<&'static str>,
    /// Whether the message's numbers are left out of the table.
    pub(crate) varies: bool,
}

impl Case {
    /// Any command.
    pub(crate) fn new(
        input: &'static str,
        args: &[impl AsRef<OsStr>],
        parts: &'static [&'static str],
    ) -> Case {
        assert!(!parts.is_empty());
        Case {
            input,
            args: args.iter().map(|a| a.as_ref().to_owned()).collect(),
            code: 2,
            parts,
            env: Vec::new(),
            shell: None,
            varies: false,
        }
    }

    /// `imgtool build` of `args`, with a good kernel and stub, to `../out/a.img`.
    pub(crate) fn build(
        input: &'static str,
        args: &[impl AsRef<OsStr>],
        parts: &'static [&'static str],
    ) -> Case {
        let mut case = Case::new(input, &["build", "-o", "../out/a.img"], parts);
        case.args.extend(BOOT.iter().map(OsString::from));
        case.args.extend(args.iter().map(|a| a.as_ref().to_owned()));
        case
    }

    pub(crate) fn code(mut self, code: i32) -> Case {
        self.code = code;
        self
    }

    pub(crate) fn env(mut self, name: &'static str, value: &'static str) -> Case {
        self.env.push((name, value));
        self
    }

    pub(crate) fn varies(mut self) -> Case {
        self.varies = true;
        self
    }

    pub(crate) fn shell(mut self, shell: &'static str) -> Case {
        self.shell = Some(shell);
        self
    }
}

/// What a case said.
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The directories.
pub(crate) struct Bench {
    dir: tempfile::TempDir,
    program: PathBuf,
}

impl Bench {
    pub(crate) fn new() -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let bench = Bench {
            program: program(dir.path()),
            dir,
        };
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(bench.dir.path(), open).unwrap();
        for sub in [bench.input(), bench.output()] {
            std::fs::create_dir(&sub).unwrap();
            let all = std::fs::Permissions::from_mode(0o777);
            std::fs::set_permissions(&sub, all).unwrap();
        }
        bench.put("kernel.deb", testutils::kernel_deb());
        bench.put("stub.efi", testutils::pe(0x8664, &[]));
        bench.put("app", testutils::elf(62, 2));
        bench
    }

    /// Where the program runs, and inputs are.
    pub(crate) fn input(&self) -> PathBuf {
        self.dir.path().join("in")
    }

    /// Where outputs go.
    pub(crate) fn output(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    /// Writes an input.
    pub(crate) fn put(&self, name: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
        let path = self.input().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
    }

    /// The program, as a user who is not root, in a known environment.
    pub(crate) fn command(&self, shell: Option<&str>) -> Command {
        let mut command = match shell {
            None => Command::new(&self.program),
            Some(shell) => {
                let mut bash = Command::new("bash");
                bash.args(["-c", &format!("{shell}\nexec \"$@\""), "bash"]);
                bash.arg(&self.program);
                bash
            }
        };
        let path = std::env::var_os("PATH").unwrap_or_default();
        command
            .current_dir(self.input())
            .env_clear()
            .env("PATH", path)
            .env("HOME", "/nonexistent")
            .stdin(Stdio::null());
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    pub(crate) fn run(&self, case: &Case) -> Said {
        let mut command = self.command(case.shell);
        command.args(&case.args);
        command.envs(case.env.iter().copied());
        said(command.output().unwrap())
    }

    /// Every file in the two directories, with its size: what a failed command must not change.
    pub(crate) fn files(&self) -> BTreeMap<PathBuf, u64> {
        let mut files = BTreeMap::new();
        let mut pending = vec![self.input(), self.output()];
        while let Some(dir) = pending.pop() {
            // A directory that is closed to this user holds nothing of ours.
            let Ok(entries) = std::fs::read_dir(&dir) else {
                continue;
            };
            for entry in entries {
                let entry = entry.unwrap();
                let metadata = entry.metadata().unwrap();
                files.insert(entry.path(), metadata.len());
                if metadata.is_dir() {
                    pending.push(entry.path());
                }
            }
        }
        files
    }

    /// A command that has to succeed.
    pub(crate) fn succeed(&self, args: &[&str]) {
        let said = said(self.command(None).args(args).output().unwrap());
        assert_eq!(said.code, Some(0), "{args:?}: {}", said.stderr);
    }

    /// The text without the names of the directories, and with short digests.
    pub(crate) fn plain(&self, text: &str) -> String {
        let dir = self.dir.path().display().to_string();
        let text = text.replace(&format!("{dir}/in/"), "");
        let text = text.replace(&format!("{dir}/in"), ".");
        let text = text.replace(&format!("{dir}/out"), "../out");
        let mut plain = String::new();
        let mut run = String::new();
        for c in text.chars().chain(['\n']) {
            if c.is_ascii_hexdigit() && !c.is_ascii_uppercase() {
                run.push(c);
                continue;
            }
            if run.len() == 64 {
                run.truncate(8);
                run.push('…');
            }
            plain.push_str(&std::mem::take(&mut run));
            plain.push(c);
        }
        plain.truncate(plain.trim_end().len());
        plain
    }
}

fn said(output: Output) -> Said {
    Said {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The program where nobody can execute it: a checkout may lie in a closed directory.
fn program(dir: &Path) -> PathBuf {
    let built = PathBuf::from(env!("CARGO_BIN_EXE_imgtool"));
    if !is_root() {
        return built;
    }
    let copy = dir.join("imgtool");
    std::fs::copy(built, &copy).unwrap();
    copy
}
