//! Temporary directories, and those that killed processes have left.

use super::lock_file;
use emulator_localstack::Lease;
use rustix::process::geteuid;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

const PREFIX: &str = "emulator-";

/// A lock file this young may be about to be locked.
const YOUNG: Duration = Duration::from_secs(60);

/// Makes one, once those whose emulators are gone have been removed.
pub(super) fn make() -> io::Result<TempDir> {
    let parent = std::env::temp_dir();
    for entry in fs::read_dir(&parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| name.starts_with(PREFIX)) {
            remove_if_left(&entry.path());
        }
    }
    tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)
}

/// Removes a directory of this user if its lock and LocalStack's are there and nobody holds them.
fn remove_if_left(dir: &Path) {
    let locks = [lock_file(dir), dir.join("localstack/lease")];
    let is_left = is_own(dir)
        && locks.iter().all(|lock| is_old(lock))
        && locks.iter().all(|lock| Lease::try_take(lock).is_ok());
    if is_left && let Err(error) = fs::remove_dir_all(dir) {
        tracing::debug!("{}: {error}", dir.display());
    }
}

/// Not by way of a link.
fn is_own(dir: &Path) -> bool {
    fs::symlink_metadata(dir).is_ok_and(|found| found.is_dir() && found.uid() == geteuid().as_raw())
}

fn is_old(file: &Path) -> bool {
    let age = fs::symlink_metadata(file)
        .and_then(|found| found.modified())
        .map(|modified| modified.elapsed().unwrap_or_default());
    age.is_ok_and(|age| age > YOUNG)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::{YOUNG, lock_file, remove_if_left};
    use emulator_localstack::Lease;
    use std::fs::{self, File};
    use std::path::Path;
    use std::time::SystemTime;

    fn leave(dir: &Path, modified: SystemTime) {
        fs::create_dir(dir.join("localstack")).unwrap();
        for name in ["lock", "localstack/lease"] {
            let file = File::create(dir.join(name)).unwrap();
            file.set_modified(modified).unwrap();
        }
    }

    #[test]
    fn only_what_nobody_holds_is_removed() {
        let old = SystemTime::now() - 2 * YOUNG;
        let parent = tempfile::tempdir().unwrap();
        let dir = |name: &str| {
            let dir = parent.path().join(name);
            fs::create_dir(&dir).unwrap();
            dir
        };
        let (left, young, held, saving, other) = (
            dir("left"),
            dir("young"),
            dir("held"),
            dir("saving"),
            dir("other"),
        );
        for (dir, modified) in [
            (&left, old),
            (&young, SystemTime::now()),
            (&held, old),
            (&saving, old),
        ] {
            leave(dir, modified);
        }
        let _held = Lease::try_take(&lock_file(&held)).unwrap();
        let _saving = Lease::try_take(&saving.join("localstack/lease")).unwrap();
        for dir in [&left, &young, &held, &saving, &other] {
            remove_if_left(dir);
        }
        assert!(!left.exists());
        assert!(young.exists() && held.exists() && saving.exists() && other.exists());
    }
}
