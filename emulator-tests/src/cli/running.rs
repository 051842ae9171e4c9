//! The emulator that runs on a data directory, found by the file that it leaves there.

use super::{Class, Failure};
use cli_support::say;
use emulator_localstack::{Lease, LeaseError};
use emulator_protocol::{Account, Region};
use emulator_tests::admin::Admin;
use emulator_tests::emulator::{Parts, lock_file};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long an emulator may take to answer a question of ours. A busy machine's takes a while.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);
/// How often it is looked whether one that starts or ends has done so.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How long that takes at most before it is worth a word.
const SAID_AFTER: Duration = Duration::from_secs(1);

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
                return Err(Failure::new(Class::Surroundings, message));
            }
        };
        serde_json::from_slice(&text).map(Some).map_err(|error| {
            Failure::new(Class::Surroundings, format!("{}: {error}", path.display()))
        })
    }

    /// The same, but only if it answers: one that was killed holds its lock until the kernel has
    /// taken it apart, and its file stays. One that starts or ends is waited for, for so long.
    ///
    /// # Errors
    /// It neither answers nor ends in time, or can't be looked for.
    pub(super) fn find_answering(
        data: &Path,
        within: Duration,
    ) -> Result<Option<Running>, Failure> {
        let since = Instant::now();
        let mut said = false;
        loop {
            let found = Running::find(data)?;
            match &found {
                Some(running) if running.answers()? => return Ok(found),
                None if !is_held(data)? => return Ok(None),
                _ => {}
            }
            if !said && since.elapsed() > SAID_AFTER {
                said = true;
                let data = data.display();
                say!("emulator: waiting for one that starts or ends on {data}");
            }
            if since.elapsed() >= within {
                let data = data.display();
                return Err(match found {
                    Some(Running { pid, address, .. }) => {
                        let message = format!(
                            "{data}: process {pid} has it, and does not answer on {address}"
                        );
                        Failure::new(Class::Failed, message)
                            .hint(format!("emulator down ends it; if it hangs, kill {pid}"))
                    }
                    None => {
                        let message = format!("{data}: an emulator is just starting or ending");
                        Failure::new(Class::Failed, message)
                    }
                });
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Whether the emulator of this directory answers where it should.
    fn answers(&self) -> Result<bool, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::of(Class::Surroundings, &error))?;
        let admin = Admin::new(self.address);
        let asked =
            runtime.block_on(async { tokio::time::timeout(ANSWERS_WITHIN, admin.status()).await });
        // Who has the port may be somebody else by now.
        Ok(matches!(asked, Ok(Ok(status)) if status.ca_bundle == self.ca_bundle))
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
        Err(error) => Err(Failure::of(Class::Surroundings, &error)),
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
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::TcpListener;
    use std::thread;

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

    /// What an emulator of this directory would leave.
    fn running(data: &Path, address: SocketAddr) -> Running {
        Running {
            address,
            pid: 12345,
            data: data.to_owned(),
            ca_bundle: data.join("ca.pem"),
            region: Region::default_region(),
            localstack: "process".to_owned(),
            localstack_address: address,
            keeps: true,
            guests: 0,
            logs: Vec::new(),
        }
    }

    fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    /// Answers one question as the emulator with this certificate does.
    fn answer(listener: TcpListener, ca_bundle: &Path) {
        let status = serde_json::json!({
            "version": "0", "address": listener.local_addr().unwrap(),
            "localstack": "127.0.0.1:1", "ca_bundle": ca_bundle, "now": "2026-01-01T00:00:00Z",
            "ahead_seconds": 0, "faults": 0, "at_work": {}, "guests": null,
        });
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let status = status.to_string();
        let length = status.len();
        write!(
            stream,
            "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{status}"
        )
        .unwrap();
    }

    #[test]
    fn one_that_was_killed_is_waited_for_and_not_taken_for_running() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path();
        let lock = Lease::try_take(&lock_file(data)).unwrap();
        // As a killed one's: the kernel still accepts for it.
        let (listener, address) = listener();
        running(data, address).write().unwrap();
        assert!(Running::find(data).unwrap().is_some());
        let killed = thread::spawn(move || {
            thread::sleep(Duration::from_millis(200));
            drop(listener);
            thread::sleep(Duration::from_millis(200));
            drop(lock);
        });
        let since = Instant::now();
        let found = Running::find_answering(data, Duration::from_secs(60)).unwrap();
        assert!(found.is_none());
        assert!(since.elapsed() >= Duration::from_millis(400));
        killed.join().unwrap();
    }

    #[test]
    fn one_that_answers_for_this_directory_runs() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path();
        let _lock = Lease::try_take(&lock_file(data)).unwrap();
        let (ours, address) = listener();
        let ca_bundle = data.join("ca.pem");
        // It starts: its file comes later than its lock.
        let expected = running(data, address);
        let starting = thread::spawn(move || {
            thread::sleep(Duration::from_millis(200));
            expected.write().unwrap();
            answer(ours, &ca_bundle);
        });
        let found = Running::find_answering(data, Duration::from_secs(60)).unwrap();
        assert_eq!(found.unwrap().address, address);
        starting.join().unwrap();

        // Somebody else has the port.
        let (other, address) = listener();
        running(data, address).write().unwrap();
        let other = thread::spawn(move || answer(other, Path::new("/elsewhere/ca.pem")));
        let failure = Running::find_answering(data, Duration::from_millis(100)).unwrap_err();
        let failure = format!("{failure:?}");
        assert!(failure.contains("process 12345 has it"), "{failure}");
        assert!(failure.contains("kill 12345"), "{failure}");
        other.join().unwrap();
    }

    #[test]
    fn one_that_starts_for_too_long_is_said_to() {
        let dir = tempfile::tempdir().unwrap();
        assert!(
            Running::find_answering(dir.path(), Duration::ZERO)
                .unwrap()
                .is_none()
        );
        let _lock = Lease::try_take(&lock_file(dir.path())).unwrap();
        let failure = Running::find_answering(dir.path(), Duration::from_millis(100)).unwrap_err();
        let failure = format!("{failure:?}");
        assert!(failure.contains("just starting or ending"), "{failure}");
    }
}
