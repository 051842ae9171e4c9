//! The launcher, which is carried in the program, in a directory where Python finds it.

use super::StartError;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

const FILES: [(&str, &str); 5] = [
    (
        "launcher.py",
        include_str!("../../../localstack/launcher.py"),
    ),
    ("objects.py", include_str!("../../../localstack/objects.py")),
    ("owner.py", include_str!("../../../localstack/owner.py")),
    ("polls.py", include_str!("../../../localstack/polls.py")),
    ("state.py", include_str!("../../../localstack/state.py")),
];

/// Makes a directory that only its owner may enter, if it is not there.
pub(super) fn make_dir(path: &Path) -> Result<(), StartError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| StartError::File {
            path: path.to_owned(),
            source,
        })
}

/// Writes the launcher; gives its directory.
pub(super) fn write_launcher(home: &Path) -> Result<PathBuf, StartError> {
    let dir = home.join("launcher");
    make_dir(&dir)?;
    for (name, text) in FILES {
        let path = dir.join(name);
        fs::write(&path, text).map_err(|source| StartError::File { path, source })?;
    }
    Ok(dir)
}
