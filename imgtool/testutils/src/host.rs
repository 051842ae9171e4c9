//! Tools of the host, and scratch directories.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::{Command, Output};

use tempfile::TempDir;

/// Reports that something is not tested here, for example because a tool is missing.
///
/// # Panics
/// In CI, where everything has to be tested.
pub fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "{why}");
    eprintln!("skipped: {why}");
}

/// Runs another project's tool. One that is not installed is reported as skipped, and fails in CI.
pub fn oracle(command: &mut Command) -> Option<Output> {
    match command.output() {
        Ok(output) => Some(output),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            skip(&format!("{:?} is not installed", command.get_program()));
            None
        }
        Err(error) => panic!("{:?}: {error}", command.get_program()),
    }
}

/// Runs an oracle that has to succeed; `None` if it was skipped.
pub fn oracle_passes(command: &mut Command) -> Option<Output> {
    let output = oracle(command)?;
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&text)
    );
    Some(output)
}

/// Whether a tool is installed. One that is not is reported as skipped, and fails in CI.
pub fn has(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|dir| dir.join(tool).is_file());
    if !found {
        skip(&format!("{tool} is not installed"));
    }
    found
}

/// A scratch directory, and the path of `name` in it.
pub fn scratch(name: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    (dir, path)
}
