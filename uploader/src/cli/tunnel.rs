//! A command that leads into an instance, for as long as it is needed.

use std::convert::Infallible;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

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
    pub(super) async fn keep_open(&self) -> Infallible {
        let mut said = false;
        loop {
            let [program, arguments @ ..] = self.words.as_slice() else {
                return std::future::pending().await;
            };
            let started = Command::new(program)
                .args(arguments)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .kill_on_drop(true)
                .spawn();
            let ended = match started {
                Ok(mut child) => child.wait().await.map(|it| it.to_string()),
                Err(error) => Err(error),
            };
            if let (Err(error), false) = (&ended, said) {
                eprintln!("uploader: --tunnel {program}: {error}");
                said = true;
            }
            tracing::debug!(?ended, "the tunnel ended");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_told_what_it_is_about() {
        let tunnel = Tunnel::new("emulator port-forward {id} {port}:8080", "i-1", 80);
        assert_eq!(tunnel.words, ["emulator", "port-forward", "i-1", "80:8080"]);
    }
}
