//! A command that leads into an instance, for as long as it is needed.

use cli_support::say;
use std::convert::Infallible;
use std::pin::pin;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

/// Most bytes of a line that are shown.
const MAX_LINE: u64 = 4096;

/// A command, with what it is about filled in.
pub(super) struct Tunnel {
    words: Vec<String>,
}

impl Tunnel {
    /// `{id}` is the instance's id, `{port}` the port in it. There is no shell: words are separated
    /// by spaces.
    pub(super) fn new(command: &str, id: &str, port: u16) -> Tunnel {
        let port = port.to_string();
        let fill = |word: &str| word.replace("{id}", id).replace("{port}", &port);
        Tunnel {
            words: command.split_whitespace().map(fill).collect(),
        }
    }

    /// Runs it, again if it ends: an instance that boots may not be reached yet. Dropped, it ends.
    ///
    /// That it failed, and the last line that it said of why, is told; once for each such line.
    pub(super) async fn keep_open(&self) -> Infallible {
        let mut said = String::new();
        loop {
            let [program, arguments @ ..] = self.words.as_slice() else {
                return std::future::pending().await;
            };
            let started = Command::new(program)
                .args(arguments)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .kill_on_drop(true)
                .spawn();
            let failed = match started {
                Ok(child) => failure(child).await,
                Err(error) => Some(error.to_string()),
            };
            tracing::debug!(?failed, "the tunnel ended");
            if let Some(why) = failed.filter(|it| *it != said) {
                say!("uploader: --tunnel {program}: {why}");
                said = why;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

/// Waits for a command's end. If it failed: its status, and the last line it said.
async fn failure(mut child: Child) -> Option<String> {
    let (status, last) = match child.stderr.take() {
        None => (child.wait().await, String::new()),
        Some(said) => {
            let mut reading = pin!(last_line(said));
            tokio::select! {
                last = &mut reading => (child.wait().await, last),
                // What it left in the background may have its standard error still.
                status = child.wait() => {
                    let last = tokio::time::timeout(Duration::from_secs(1), reading).await;
                    (status, last.unwrap_or_default())
                }
            }
        }
    };
    match status {
        Ok(status) if status.success() => None,
        Ok(status) if last.is_empty() => Some(status.to_string()),
        Ok(status) => Some(format!("{status}: {last}")),
        Err(error) => Some(error.to_string()),
    }
}

/// The last line that is not empty, without what would move a terminal's cursor. It is read to its
/// end: a command whose pipe is full stands still.
async fn last_line(said: impl AsyncRead + Unpin) -> String {
    let mut said = BufReader::new(said);
    let (mut last, mut line) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        let mut some = (&mut said).take(MAX_LINE);
        match some.read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => break,
            Ok(_) if line.trim_ascii().is_empty() => {}
            Ok(_) => std::mem::swap(&mut last, &mut line),
        }
    }
    let text = String::from_utf8_lossy(&last);
    text.trim().chars().filter(|it| !it.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn said_by(script: &str) -> Option<String> {
        let command = Command::new("sh")
            .args(["-c", script])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        failure(command.unwrap()).await
    }

    #[tokio::test]
    async fn a_command_that_fails_is_told_by_its_last_line() {
        assert_eq!(
            said_by("printf 'first\nno such instance\n\n' >&2; exit 3").await,
            Some("exit status: 3: no such instance".to_owned())
        );
        assert_eq!(said_by("exit 3").await, Some("exit status: 3".to_owned()));
        assert_eq!(said_by("echo fine >&2").await, None);
        // More than a pipe holds, in one line.
        let long = said_by("head -c 200000 /dev/zero | tr '\\0' x >&2; exit 1").await;
        assert!(long.unwrap().len() < 5000);
    }

    #[test]
    fn a_command_is_told_what_it_is_about() {
        let tunnel = Tunnel::new("emulator port-forward {id} {port}:8080", "i-1", 80);
        assert_eq!(tunnel.words, ["emulator", "port-forward", "i-1", "80:8080"]);
    }
}
