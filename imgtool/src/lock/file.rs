//! The lock file: TOML, one spelling for one content.

use std::fs::Permissions;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Difference, Lock, LockedInput, Role};
use crate::Class;
use crate::error::without_temporary;

/// Version of the file's format.
const VERSION: u32 = 1;

/// Ten thousand additions fit.
const MAX_FILE: u64 = 4 << 20;

const HEADER: &str = "# Written by `imgtool lock`, checked by `imgtool build --locked`.\n";

/// Why a lock can't be written, read or kept.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// A file can't be read.
    #[error("{}: can't be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// There is no lock file.
    #[error("{}: there is no such lock", .0.display())]
    Missing(PathBuf),
    /// The lock file can't be written.
    #[error("{}: can't be written", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// The lock file is not one.
    #[error("{}: not a lock file: {why}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The inputs are not the locked ones.
    #[error("the inputs are not the locked ones:{}", differences(.0))]
    Differs(Vec<Difference>),
}

fn differences(differences: &[Difference]) -> String {
    differences.iter().map(|d| format!("\n{d}")).collect()
}

impl LockError {
    /// Whose fault it is: always the input's, for a person named the file.
    pub fn class(&self) -> Class {
        Class::Input
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            LockError::Differs(_) => Some(
                "if the new inputs are meant, `imgtool lock` with the same arguments locks them"
                    .to_owned(),
            ),
            LockError::Invalid { .. } | LockError::Missing(_) => {
                Some("`imgtool lock` with the build's arguments writes a new one".to_owned())
            }
            _ => None,
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Format {
    version: u32,
    #[serde(default, rename = "input")]
    inputs: Vec<LockedInput>,
}

/// Where the lock of a spec is unless `--lock` says otherwise: `image.toml` has `image.lock`
/// beside it; without a spec it is `imgtool.lock` in the working directory.
pub fn default_path(spec: Option<&Path>) -> PathBuf {
    match spec {
        Some(spec) => spec.with_extension("lock"),
        None => PathBuf::from("imgtool.lock"),
    }
}

/// The lock as text: the same inputs give the same bytes.
pub fn render(lock: &Lock) -> Result<String, toml::ser::Error> {
    let format = Format {
        version: VERSION,
        inputs: lock.inputs().to_vec(),
    };
    Ok(format!("{HEADER}{}", toml::to_string(&format)?))
}

/// Writes the lock at `path`, under a temporary name first, so that there is never half a one.
pub fn write(path: &Path, lock: &Lock) -> Result<(), LockError> {
    let failed = |source| LockError::Write {
        path: path.to_owned(),
        source: without_temporary(source),
    };
    let text = render(lock).map_err(|e| failed(std::io::Error::other(e)))?;
    let dir = match path.parent() {
        Some(dir) if dir != Path::new("") => dir,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new()
        .prefix(".imgtool-lock-")
        // As open(2) makes any new file: less the umask.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(dir)
        .map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.persist(path).map_err(|e| failed(e.error))?;
    Ok(())
}

/// Reads the lock at `path`.
pub fn read(path: &Path) -> Result<Lock, LockError> {
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_FILE + 1).read_to_string(&mut text))
        .map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => LockError::Missing(path.to_owned()),
            _ => LockError::Read {
                path: path.to_owned(),
                source,
            },
        })?;
    parse(&text, path)
}

/// Parses a lock; `path` is for messages.
pub fn parse(text: &str, path: &Path) -> Result<Lock, LockError> {
    let invalid = |why: String| LockError::Invalid {
        path: path.to_owned(),
        why,
    };
    if text.len() as u64 > MAX_FILE {
        return Err(invalid(format!("larger than {MAX_FILE} bytes")));
    }
    // The version comes first: what follows it may be unknown to this program.
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let one_line = |e: toml::de::Error| e.message().lines().collect::<Vec<_>>().join(", ");
    let Version { version } = toml::from_str(text).map_err(|e| invalid(one_line(e)))?;
    if version != VERSION {
        return Err(invalid(format!(
            "version {version}, and this imgtool knows only {VERSION}"
        )));
    }
    let format: Format = toml::from_str(text).map_err(|e| invalid(one_line(e)))?;
    for input in &format.inputs {
        let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if input.sha256.len() != 64 || !input.sha256.bytes().all(digit) {
            return Err(invalid(format!(
                "{}: {:?} is not a SHA-256 in lower-case hexadecimal",
                input.role, input.sha256
            )));
        }
    }
    Lock::new(format.inputs).map_err(|role: Role| invalid(format!("{role} occurs twice")))
}

#[cfg(test)]
mod tests {
    use super::super::digest_file;
    use super::*;

    fn sample() -> Lock {
        let input = |role: Role, path: &str| LockedInput {
            role,
            path: path.into(),
            kind: "file".into(),
            sha256: "ab".repeat(32),
            package: None,
            version: None,
            architecture: None,
        };
        let mut kernel = input(Role::Kernel, "debs/linux \"image\".deb");
        kernel.kind = "deb".into();
        kernel.package = Some("linux-image-6.1.0-56-cloud-amd64".into());
        kernel.version = Some("6.1.192-2".into());
        kernel.architecture = Some("amd64".into());
        Lock::new(vec![
            kernel,
            input(Role::Add("/etc/b".into()), "b"),
            input(Role::Application, "server"),
            input(Role::Add("/etc/a".into()), "a"),
        ])
        .unwrap()
    }

    /// Lock files are committed and compared: their bytes are a format.
    #[test]
    fn the_file_has_one_spelling() {
        let digest = "ab".repeat(32);
        let expected = format!(
            "{HEADER}version = 1\n\
             \n[[input]]\nrole = \"application\"\npath = \"server\"\nkind = \"file\"\nsha256 = \"{digest}\"\n\
             \n[[input]]\nrole = \"add /etc/a\"\npath = \"a\"\nkind = \"file\"\nsha256 = \"{digest}\"\n\
             \n[[input]]\nrole = \"add /etc/b\"\npath = \"b\"\nkind = \"file\"\nsha256 = \"{digest}\"\n\
             \n[[input]]\nrole = \"kernel\"\npath = 'debs/linux \"image\".deb'\nkind = \"deb\"\nsha256 = \"{digest}\"\n\
             package = \"linux-image-6.1.0-56-cloud-amd64\"\nversion = \"6.1.192-2\"\narchitecture = \"amd64\"\n"
        );
        assert_eq!(render(&sample()).unwrap(), expected);
    }

    #[test]
    fn what_is_written_is_read_back_and_leaves_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image.lock");
        std::fs::write(&path, "old").unwrap();
        write(&path, &sample()).unwrap();
        assert_eq!(read(&path).unwrap(), sample());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_ne!(mode & 0o400, 0);
    }

    #[test]
    fn what_is_not_a_lock_is_refused_with_the_reason() {
        let input = |sha256: &str, role: &str| {
            format!(
                "[[input]]\nrole = \"{role}\"\npath = \"x\"\nkind = \"file\"\nsha256 = \"{sha256}\"\n"
            )
        };
        let good = "0".repeat(64);
        for (text, why) in [
            ("".to_owned(), "missing field `version`"),
            ("version = 2\nnew = 1".to_owned(), "version 2"),
            ("version = 1\nnew = 1".to_owned(), "unknown field `new`"),
            (
                format!("version = 1\n{}", input("0", "stub")),
                "not a SHA-256",
            ),
            (
                format!("version = 1\n{}", input(&"A".repeat(64), "stub")),
                "not a SHA-256",
            ),
            (
                format!("version = 1\n{}", input(&good, "stubb")),
                "unknown role",
            ),
            (
                format!(
                    "version = 1\n{}{}",
                    input(&good, "stub"),
                    input(&good, "stub")
                ),
                "stub occurs twice",
            ),
        ] {
            let error = parse(&text, Path::new("image.lock")).unwrap_err();
            let shown = error.to_string();
            assert!(
                shown.starts_with("image.lock: not a lock file: "),
                "{shown}"
            );
            assert!(shown.contains(why), "{shown}");
            assert_eq!(error.class(), Class::Input);
        }
    }

    #[test]
    fn a_lock_lies_beside_its_spec() {
        for (spec, lock) in [
            (Some("a/image.toml"), "a/image.lock"),
            (Some("web.toml"), "web.lock"),
            (None, "imgtool.lock"),
        ] {
            assert_eq!(default_path(spec.map(Path::new)), Path::new(lock));
        }
    }

    #[test]
    fn a_files_digest_is_its_sha256() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        // FIPS 180-2, appendix B.1.
        assert_eq!(
            digest_file(&path).unwrap(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        let error = digest_file(&dir.path().join("none")).unwrap_err();
        assert_eq!(error.class(), Class::Input);
    }
}
