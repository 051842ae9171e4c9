//! The program, what it is given, and how its end is judged.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub(crate) use testutils::{has, skip};

/// The program as it was built.
pub(crate) const IMGTOOL: &str = env!("CARGO_BIN_EXE_imgtool");

/// `imgtool`, with kernel and stub found by the checkout's configuration.
pub(crate) fn imgtool() -> Command {
    Command::new(IMGTOOL)
}

/// The checkout.
pub(crate) fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// A file that setting up or building makes. Without it a test is skipped with a report; CI has
/// to have it.
fn made(path: &str, by: &str) -> Option<PathBuf> {
    let path = checkout().join(path);
    if path.exists() {
        return Some(path);
    }
    skip(&format!("{} is missing; {by} makes it", path.display()));
    None
}

/// Whether the tests run as root. What only root can test is reported as skipped, in CI too:
/// tests need no root.
pub(crate) fn is_root(what: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: {what}: needs root");
    }
    root
}

/// Kernel and stub, which every image needs.
pub(crate) fn prepared() -> Option<()> {
    made(".imgtool/config.toml", ".ci/setup").map(drop)
}

/// Paths of the kernel's and the stub's package.
pub(crate) fn boot_files() -> Option<(PathBuf, PathBuf)> {
    let config = made(".imgtool/config.toml", ".ci/setup")?;
    let table: toml::Table = std::fs::read_to_string(&config).unwrap().parse().unwrap();
    let file = |key: &str| config.with_file_name("").join(table[key].as_str().unwrap());
    Some((file("kernel"), file("stub")))
}

/// Package of a kernel that has ext4 and the disks' drivers as modules.
pub(crate) fn generic_kernel() -> Option<PathBuf> {
    prepared()?;
    made(".imgtool/generic.deb", "`.ci/setup --test`")
}

/// The sample, a static binary.
pub(crate) fn sample() -> Option<PathBuf> {
    prepared()?;
    made(
        "target/x86_64-unknown-linux-gnu/release/hello",
        "`just hello`",
    )
}

/// Debian's minbase, as a tar archive.
pub(crate) fn debian() -> Option<PathBuf> {
    prepared()?;
    made(".imgtool/debian.tar", "`.ci/setup --test`")
}

/// The same with systemd.
pub(crate) fn debian_systemd() -> Option<PathBuf> {
    prepared()?;
    made(".imgtool/debian-systemd.tar", "`.ci/setup --test`")
}

/// Runs a command and gives what it printed, whatever its exit code.
pub(crate) fn output(command: &mut Command) -> Output {
    command
        .output()
        .unwrap_or_else(|e| panic!("{:?}: {e}", command.get_program()))
}

/// Runs a command that has to succeed; gives its standard output.
pub(crate) fn ok(command: &mut Command) -> String {
    let out = output(command);
    let [stdout, stderr] = [&out.stdout, &out.stderr].map(|b| String::from_utf8_lossy(b));
    assert!(
        out.status.success(),
        "{command:?}: {}\n{stdout}\n{stderr}",
        out.status
    );
    stdout.into_owned()
}

/// A scratch directory that other users can enter.
pub(crate) fn scratch() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    dir
}

/// Builds `out` from `input`, with more arguments after that.
pub(crate) fn build(input: &Path, out: &Path, arguments: &[&str]) {
    let mut command = imgtool();
    command.arg("build").arg(input).arg("-o").arg(out);
    ok(command.args(arguments));
}
