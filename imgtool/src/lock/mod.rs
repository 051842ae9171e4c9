//! The lock: every input's digest, so that a later build refuses any other.
//!
//! A TOML file beside the spec, written by `imgtool lock` and checked by `imgtool build --locked`.
//! Inputs are matched by role, not by path: the same file in another directory is the same input.

mod check;
mod file;

pub use check::{Difference, check};
pub use file::{LockError, default_path, parse, read, render, write};

use std::fmt;
use std::io::Read;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What an input is for; no two inputs of a build have the same role.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Role {
    /// The application.
    Application,
    /// An addition, by its path in the image.
    Add(String),
    /// The kernel.
    Kernel,
    /// The directory of kernel modules.
    Modules,
    /// The UEFI stub.
    Stub,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Role::Application => f.write_str("application"),
            Role::Add(target) => write!(f, "add {target}"),
            Role::Kernel => f.write_str("kernel"),
            Role::Modules => f.write_str("modules"),
            Role::Stub => f.write_str("stub"),
        }
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Role, String> {
        match text {
            "application" => Ok(Role::Application),
            "kernel" => Ok(Role::Kernel),
            "modules" => Ok(Role::Modules),
            "stub" => Ok(Role::Stub),
            _ => match text.strip_prefix("add ") {
                Some(target) if target.starts_with('/') => Ok(Role::Add(target.to_owned())),
                _ => Err(format!("unknown role {text:?}")),
            },
        }
    }
}

impl From<Role> for String {
    fn from(role: Role) -> String {
        role.to_string()
    }
}

impl TryFrom<String> for Role {
    type Error = String;

    fn try_from(text: String) -> Result<Role, String> {
        text.parse()
    }
}

/// One input of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedInput {
    /// What it is for.
    pub role: Role,
    /// Where it was, as given. For messages only.
    pub path: String,
    /// What it is: `elf`, `directory`, `tar`, `deb`, `file`, …
    pub kind: String,
    /// SHA-256 of a file, or of a directory's canonical form, in lower-case hexadecimal.
    pub sha256: String,
    /// Name of the Debian package, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// Version of the Debian package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Architecture of the Debian package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
}

/// The inputs of a build, ordered by role, each role once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock {
    inputs: Vec<LockedInput>,
}

impl Lock {
    /// A lock of these inputs. The error is the role that occurs twice.
    pub fn new(mut inputs: Vec<LockedInput>) -> Result<Lock, Role> {
        inputs.sort_by(|a, b| a.role.cmp(&b.role));
        let twice = inputs.windows(2).find_map(|pair| match pair {
            [a, b] if a.role == b.role => Some(a.role.clone()),
            _ => None,
        });
        match twice {
            Some(role) => Err(role),
            None => Ok(Lock { inputs }),
        }
    }

    /// The inputs, ordered by role.
    pub fn inputs(&self) -> &[LockedInput] {
        &self.inputs
    }

    /// The input of this role.
    pub fn get(&self, role: &Role) -> Option<&LockedInput> {
        self.inputs
            .binary_search_by(|input| input.role.cmp(role))
            .ok()
            .and_then(|at| self.inputs.get(at))
    }
}

/// SHA-256 of a file in lower-case hexadecimal, read as a stream.
pub fn digest_file(path: &Path) -> Result<String, LockError> {
    let io = |source| LockError::Read {
        path: path.to_owned(),
        source,
    };
    let mut file = std::fs::File::open(path).map_err(io)?;
    digest_reader(&mut file).map_err(io)
}

/// SHA-256 of all that `reader` gives, in lower-case hexadecimal.
pub fn digest_reader(reader: &mut impl Read) -> std::io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buf = vec![0; 1 << 18];
    loop {
        match reader.read(&mut buf) {
            Ok(0) => return Ok(hex::encode(hasher.finalize())),
            Ok(n) => hasher.update(&buf[..n]),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}
