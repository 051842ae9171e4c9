//! What the command line takes from the host. Nothing below it looks at the environment.

use super::{Class, Failure};
use std::env;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Where a prepared checkout has LocalStack's Python.
const PYTHON: &str = ".imgtool/localstack/bin/python";

/// LocalStack's Python: the one that `EMULATOR_LOCALSTACK_PYTHON` names, or that of the checkout
/// that the current directory or this program is in.
pub(super) fn localstack_python() -> Option<PathBuf> {
    if let Some(python) = env::var_os("EMULATOR_LOCALSTACK_PYTHON") {
        return Some(python.into());
    }
    let places = [env::current_dir().ok(), env::current_exe().ok()];
    places
        .iter()
        .flatten()
        .flat_map(|place| place.ancestors())
        .map(|dir| dir.join(PYTHON))
        .find(|python| python.exists())
}

/// LocalStack's image, if `EMULATOR_LOCALSTACK_IMAGE` names another one.
pub(super) fn localstack_image() -> Option<String> {
    env::var("EMULATOR_LOCALSTACK_IMAGE").ok()
}

/// The directory of an emulator without `--data`: of this user alone.
pub(super) fn run_dir() -> Result<PathBuf, Failure> {
    let uid = rustix::process::getuid().as_raw();
    let dir = env::var_os("XDG_RUNTIME_DIR")
        .map(PathBuf::from)
        .filter(|dir| dir.is_absolute() && dir.is_dir())
        .map_or_else(
            || env::temp_dir().join(format!("emulator-{uid}")),
            |dir| dir.join("emulator"),
        );
    let fail = |error| Failure::new(Class::Surroundings, format!("{}: {error}", dir.display()));
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&dir)
        .map_err(fail)?;
    // In /tmp, someone else may have been there first.
    let found = fs::symlink_metadata(&dir).map_err(fail)?;
    if !found.is_dir() || found.uid() != uid || found.mode() & 0o077 != 0 {
        return Err(Failure::new(
            Class::Surroundings,
            format!("{} is not a directory of this user alone", dir.display()),
        )
        .hint("name one with --data"));
    }
    Ok(dir)
}

/// Removes what is in a run directory, which has no state to keep.
pub(super) fn empty(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        // The lock is held by path and inode: a new file would be another lock.
        if entry.path() == emulator_tests::emulator::lock_file(dir) {
            continue;
        }
        let path = entry.path();
        let removed = if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        if let Err(error) = removed {
            tracing::debug!("{}: {error}", path.display());
        }
    }
}
