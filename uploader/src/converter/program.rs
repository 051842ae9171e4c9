//! The program in the converter's image: `uploader` itself, if nothing else is needed to run it.

use super::strip::strip;
use crate::Class;
use imgtool::input::{InputError, elf_needed};
use sha2::{Digest, Sha256};
use std::io;
use std::path::{Path, PathBuf};

/// Longest program that is taken.
const MAX_LEN: u64 = 512 << 20;

/// A static program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its bytes, without symbols and debug information.
    pub stripped: Vec<u8>,
    /// SHA-256 of the whole file, in hexadecimal digits.
    pub sha256: String,
    /// What it says its version is.
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
    #[error("{path}: not uploader: asked for --version it says {said:?}")]
    Other {
        /// The file.
        path: PathBuf,
        /// What it says.
        said: String,
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
    /// Looks at the program at `path`, which says that it is of this version.
    ///
    /// # Errors
    /// It can't be read, or is no static program.
    pub fn open(path: &Path, version: &str) -> Result<Program, ProgramError> {
        let read = |cause| ProgramError::Read {
            path: path.to_owned(),
            cause,
        };
        let len = std::fs::metadata(path).map_err(read)?.len();
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
        Ok(Program {
            stripped: bytes,
            sha256,
            version: version.to_owned(),
        })
    }

    /// The version in what `uploader --version` prints.
    ///
    /// # Errors
    /// That is something else.
    pub fn version_of(path: &Path, said: &str) -> Result<String, ProgramError> {
        let version = said.trim_end().strip_prefix("uploader ").filter(|it| {
            let fits = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'.' | b'-' | b'+');
            (1..=64).contains(&it.len()) && it.bytes().all(fits)
        });
        version
            .map(str::to_owned)
            .ok_or_else(|| ProgramError::Other {
                path: path.to_owned(),
                said: said.chars().take(200).collect(),
            })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_dynamic_program_is_refused_with_what_it_needs() {
        let error = Program::open(&std::env::current_exe().unwrap(), "1").unwrap_err();
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
        let error = Program::open(&script, "1").unwrap_err();
        assert!(matches!(error, ProgramError::Elf(_)), "{error}");
        assert!(matches!(
            Program::open(&dir.path().join("none"), "1"),
            Err(ProgramError::Read { .. })
        ));
    }

    #[test]
    fn only_uploader_is_the_program() {
        let of = |said| Program::version_of(Path::new("x"), said);
        assert_eq!(of("uploader 0.1.0\n").unwrap(), "0.1.0");
        for said in [
            "",
            "uploader ",
            "imgtool 0.1.0",
            "uploader 1\nuploader 2",
            "uploader a b",
        ] {
            assert!(of(said).is_err(), "{said:?}");
        }
    }
}
