//! The program in the converter's image: `uploader` itself, if nothing else is needed to run it.

use super::strip::strip;
use crate::Class;
use imgtool::input::{InputError, elf_needed};
use sha2::{Digest, Sha256};
use std::hint::black_box;
use std::io;
use std::path::{Path, PathBuf};

/// What is in the program, so that a file can be asked for its version without being run.
const MARK: &str = concat!(
    "[this is uploader, version ",
    env!("CARGO_PKG_VERSION"),
    "]"
);
/// Bytes of it before the version.
const BEFORE: usize = MARK.len() - env!("CARGO_PKG_VERSION").len() - 1;
/// Longest version.
const MAX_VERSION: usize = 64;
/// Longest program that is taken.
const MAX_LEN: u64 = 512 << 20;

/// A static program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its bytes, without symbols and debug information.
    pub stripped: Vec<u8>,
    /// SHA-256 of the whole file, in hexadecimal digits.
    pub sha256: String,
    /// Its version, as it says in it.
    pub version: String,
}

/// A file can't be the converter's program.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// It can't be read.
    #[error("{path}: can't be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// It is longer than any program.
    #[error("{path}: {len} bytes, and the converter's program has {MAX_LEN} at most")]
    TooLong {
        /// The file.
        path: PathBuf,
        /// So many.
        len: u64,
    },
    /// It is no program for the image.
    #[error(transparent)]
    Elf(#[from] InputError),
    /// It needs libraries.
    #[error("{path}: not a static program: it needs {needs}")]
    Dynamic {
        /// The file.
        path: PathBuf,
        /// What.
        needs: String,
    },
    /// It is a program, and not this one.
    #[error("{path}: a static program, but not uploader")]
    Other {
        /// The file.
        path: PathBuf,
    },
}

impl ProgramError {
    /// Whose fault it is.
    pub fn class(&self) -> Class {
        Class::Input
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            ProgramError::Dynamic { .. } => Some(
                "just converter makes one (it takes libc.a: Debian's libc6-dev, Fedora's \
                 glibc-static); --program FILE takes one that is elsewhere"
                    .to_owned(),
            ),
            ProgramError::Elf(_) | ProgramError::Other { .. } => {
                Some("--program takes uploader, linked statically for x86_64".to_owned())
            }
            ProgramError::Read { .. } | ProgramError::TooLong { .. } => None,
        }
    }
}

impl Program {
    /// Looks at the program at `path`.
    ///
    /// # Errors
    /// It can't be read, is no static program, or not this one.
    pub fn open(path: &Path) -> Result<Program, ProgramError> {
        let read = |cause| ProgramError::Read {
            path: path.to_owned(),
            cause,
        };
        let metadata = std::fs::metadata(path).map_err(read)?;
        if !metadata.is_file() {
            return Err(read(io::Error::other("not a regular file")));
        }
        let len = metadata.len();
        if len > MAX_LEN {
            return Err(ProgramError::TooLong {
                path: path.to_owned(),
                len,
            });
        }
        let mut bytes = std::fs::read(path).map_err(read)?;
        let headers = elf_needed(&path.display().to_string(), &bytes)?;
        let mut needs: Vec<String> = headers.interpreter.into_iter().collect();
        needs.extend(headers.needed);
        if !needs.is_empty() || !headers.executable {
            return Err(ProgramError::Dynamic {
                path: path.to_owned(),
                needs: needs.join(", "),
            });
        }
        let sha256 = hex::encode(Sha256::digest(&bytes));
        strip(&mut bytes);
        let version = version(&bytes).ok_or_else(|| ProgramError::Other {
            path: path.to_owned(),
        })?;
        Ok(Program {
            version,
            stripped: bytes,
            sha256,
        })
    }
}

/// The version that a program says it is.
fn version(program: &[u8]) -> Option<String> {
    // As the compiler does not see it, it is in the program as a whole, and not its parts.
    let (before, _) = black_box(MARK).as_bytes().split_at(BEFORE);
    let mut rest = program;
    while let Some(at) = find(rest, before) {
        rest = &rest[at + before.len()..];
        let len = rest.iter().take(MAX_VERSION + 1).position(|it| *it == b']');
        let version = len.and_then(|len| std::str::from_utf8(&rest[..len]).ok());
        let fits = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'.' | b'-' | b'+');
        if let Some(it) = version.filter(|it| !it.is_empty() && it.bytes().all(fits)) {
            return Some(it.to_owned());
        }
    }
    None
}

/// Where `wanted` is in `bytes`.
fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    let first = *wanted.first()?;
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|it| *it == first) {
        from += at;
        if bytes[from..].starts_with(wanted) {
            return Some(from);
        }
        from += 1;
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_dynamic_program_is_refused_with_what_it_needs() {
        let error = Program::open(&std::env::current_exe().unwrap()).unwrap_err();
        assert!(matches!(error, ProgramError::Dynamic { .. }), "{error}");
        assert!(
            error.to_string().contains("/lib64/ld-linux-x86-64.so.2"),
            "{error}"
        );
        assert!(error.hint().unwrap().contains("just converter"));
    }

    #[test]
    fn what_is_no_program_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("script");
        std::fs::write(&script, "#!/bin/sh\n").unwrap();
        let error = Program::open(&script).unwrap_err();
        assert!(matches!(error, ProgramError::Elf(_)), "{error}");
        assert!(matches!(
            Program::open(&dir.path().join("none")),
            Err(ProgramError::Read { .. })
        ));
    }

    #[test]
    fn the_version_is_in_the_program() {
        let ours = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(version(&ours).as_deref(), Some(env!("CARGO_PKG_VERSION")));
        // No other mark may be in this program: none is spelt out here.
        let of = |text: &str| version(text.replace('~', &MARK[..BEFORE]).as_bytes());
        assert_eq!(of("~1.2.3-rc.1]").as_deref(), Some("1.2.3-rc.1"));
        assert_eq!(of("~\0~2]").as_deref(), Some("2"));
        let long = format!("~{}]", "1".repeat(65));
        for bad in ["", "[", "~1", "~]", &long] {
            assert_eq!(of(bad), None, "{bad:?}");
        }
    }
}
