//! Output files: written under a temporary name beside their own, and renamed when they are whole.

use super::BuildError;
use crate::error::without_temporary;
use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// A file that is there under its own name only once it is finished.
#[derive(Debug)]
pub(super) struct PendingFile {
    file: NamedTempFile,
    path: PathBuf,
}

impl PendingFile {
    /// Creates the temporary file in the directory of `path`.
    pub(super) fn create(path: &Path) -> Result<PendingFile, BuildError> {
        let failed = |what, source| BuildError::Output {
            path: path.into(),
            what,
            source,
        };
        if path.file_name().is_none() || path.is_dir() {
            let source = io::ErrorKind::IsADirectory.into();
            return Err(failed("can't be created: name a file", source));
        }
        if std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
            // Root could rename over /dev/null.
            let source = io::Error::other("a device, a pipe or the like");
            return Err(failed("not a regular file", source));
        }
        let dir = match path.parent() {
            Some(dir) if dir != Path::new("") => dir,
            _ => Path::new("."),
        };
        let file = tempfile::Builder::new()
            .prefix(".imgtool-")
            // As open(2) makes any new file: less the umask.
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(dir)
            .map_err(|source| failed("can't be created", without_temporary(source)))?;
        Ok(PendingFile {
            file,
            path: path.into(),
        })
    }

    /// The open file.
    pub(super) fn file(&self) -> &File {
        self.file.as_file()
    }

    /// Gives the file its name.
    pub(super) fn finish(self) -> Result<(), BuildError> {
        let path = self.path;
        self.file
            .persist(&path)
            .map(drop)
            .map_err(|e| BuildError::Output {
                path,
                what: "can't be given its name",
                source: without_temporary(e.error),
            })
    }
}
