//! The emulator that runs on a data directory, found by the file that it leaves there.

use super::{Class, Failure};
use emulator_tests::aws::{Account, Region};
use emulator_tests::emulator::{Parts, lock_file};
use emulator_tests::localstack::{Lease, LeaseError};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// What a running emulator says of itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Running {
    /// Where the gateway listens.
    pub(crate) address: SocketAddr,
    /// The process that runs the gateway.
    pub(crate) pid: u32,
    /// Where state is.
    pub(crate) data: PathBuf,
    /// The certificates that clients have to trust.
    pub(crate) ca_bundle: PathBuf,
    /// The region that clients are given.
    pub(crate) region: Region,
    /// How LocalStack is run: `container` or `process`.
    pub(crate) localstack: String,
    /// Where LocalStack listens.
    pub(crate) localstack_address: SocketAddr,
    /// Whether state is kept.
    pub(crate) keeps: bool,
    /// How many instances are booted at a time; 0: they are records.
    pub(crate) guests: usize,
    /// The gateway's log, and LocalStack's.
    pub(crate) logs: Vec<PathBuf>,
}

impl Running {
    /// Of these parts, run by this process.
    pub(super) fn new(parts: &Parts, keeps: bool) -> Running {
        Running {
            address: parts.address,
            pid: std::process::id(),
            data: parts.data.clone(),
            ca_bundle: parts.ca_bundle.clone(),
            region: parts.region.clone(),
            localstack: parts.kind.to_string(),
            localstack_address: parts.localstack,
            keeps,
            guests: parts
                .guests
                .as_ref()
                .map_or(0, |guests| guests.limits().guests),
            logs: ["emulator.log", "localstack/localstack.log"]
                .map(|log| parts.data.join(log))
                .into_iter()
                .filter(|log| log.exists())
                .collect(),
        }
    }

    /// The one that runs on this directory, if there is one.
    pub(super) fn find(data: &Path) -> Result<Option<Running>, Failure> {
        if !is_held(data)? {
            return Ok(None);
        }
        let path = file(data);
        let text = match fs::read(&path) {
            Ok(text) => text,
            // It is still starting, or ending.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                let message = format!("{}: {error}", path.display());
                return Err(Failure::new(Class::Host, message));
            }
        };
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|error| Failure::new(Class::Host, format!("{}: {error}", path.display())))
    }

    /// Leaves the file.
    pub(super) fn write(&self) -> std::io::Result<()> {
        let path = file(&self.data);
        let new = path.with_extension("new");
        fs::write(&new, serde_json::to_vec(self)?)?;
        fs::rename(&new, &path)
    }

    /// Takes the file away.
    pub(super) fn forget(data: &Path) {
        if let Err(error) = fs::remove_file(file(data))
            && error.kind() != ErrorKind::NotFound
        {
            tracing::warn!("{}: {error}", file(data).display());
        }
    }

    /// What AWS clients need in their environment.
    pub(crate) fn env(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", format!("https://{}", self.address)),
            ("AWS_CA_BUNDLE", self.ca_bundle.display().to_string()),
            ("AWS_ACCESS_KEY_ID", Account::default_account().to_string()),
            ("AWS_SECRET_ACCESS_KEY", "emulator".to_owned()),
            ("AWS_REGION", self.region.to_string()),
            ("AWS_DEFAULT_REGION", self.region.to_string()),
        ]
    }

    /// The lines that a shell takes over, or the same as JSON.
    pub(super) fn print(&self, out: &mut impl Write, json: bool) -> Result<(), Failure> {
        if json {
            let env: serde_json::Map<String, serde_json::Value> = self
                .env()
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.into()))
                .collect();
            let mut value =
                serde_json::to_value(self).map_err(|error| Failure::of(Class::Failed, &error))?;
            value["env"] = env.into();
            writeln!(out, "{value}").map_err(Failure::stdout)?;
        } else {
            for (name, value) in self.env() {
                writeln!(out, "export {name}={}", quoted(&value)).map_err(Failure::stdout)?;
            }
        }
        out.flush().map_err(Failure::stdout)
    }
}

/// Whether a process runs on this directory.
pub(super) fn is_held(data: &Path) -> Result<bool, Failure> {
    let lock = lock_file(data);
    if !lock.exists() {
        return Ok(false);
    }
    match Lease::try_take(&lock) {
        Ok(_) => Ok(false),
        Err(LeaseError::Held(_)) => Ok(true),
        Err(error) => Err(Failure::of(Class::Host, &error)),
    }
}

fn file(data: &Path) -> PathBuf {
    data.join("emulator.json")
}

/// As a shell reads it back.
fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
        value.to_owned()
    } else {
        format!("'{}'", value.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        let cases = [
            ("https://127.0.0.1:4566", "https://127.0.0.1:4566"),
            ("/tmp/a b", "'/tmp/a b'"),
            ("it's", r"'it'\''s'"),
            ("$(reboot)", "'$(reboot)'"),
            ("", "''"),
        ];
        for (value, expected) in cases {
            assert_eq!(quoted(value), expected);
        }
    }
}
