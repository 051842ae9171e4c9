//! The line to QEMU: QMP (QEMU's `docs/interop/qmp-spec.txt`) on a socket that we listen on.

use serde::Deserialize;
use std::io;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

/// Most bytes of a message.
const MOST_MESSAGE: u64 = 64 << 10;

/// What QEMU tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// It takes commands: the machine is there.
    Ready,
    /// The guest has powered off, and the machine waits.
    PoweredOff,
    /// The machine ends, and that was not the guest: QEMU was sent a signal, or a device failed.
    Failed,
    /// The machine was reset.
    Reset,
}

/// What QEMU is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tell {
    /// Press the power button.
    PowerButton,
    /// Press the reset button.
    Reset,
    /// Let the machine run on.
    Continue,
    /// End.
    Quit,
}

impl Tell {
    fn message(self) -> &'static str {
        match self {
            Self::PowerButton => "{\"execute\": \"system_powerdown\"}\n",
            Self::Reset => "{\"execute\": \"system_reset\"}\n",
            Self::Continue => "{\"execute\": \"cont\"}\n",
            Self::Quit => "{\"execute\": \"quit\"}\n",
        }
    }
}

#[derive(Debug, Deserialize)]
struct Message {
    event: Option<String>,
    #[serde(default)]
    data: Data,
    #[serde(rename = "return")]
    answer: Option<serde::de::IgnoredAny>,
}

/// What `SHUTDOWN` says of itself.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Data {
    /// Whether it was the guest's doing.
    guest: bool,
    /// `guest-shutdown`, `host-signal`.
    reason: String,
}

/// The line.
pub(super) struct Control {
    write: OwnedWriteHalf,
    pub(super) events: mpsc::UnboundedReceiver<Event>,
}

impl Control {
    /// Waits for QEMU to connect.
    pub(super) async fn accept(listener: UnixListener) -> io::Result<Self> {
        let (stream, _) = listener.accept().await?;
        Self::new(stream).await
    }

    async fn new(stream: UnixStream) -> io::Result<Self> {
        let (read, mut write) = stream.into_split();
        write
            .write_all(b"{\"execute\": \"qmp_capabilities\"}\n")
            .await?;
        let (tell, events) = mpsc::unbounded_channel();
        tokio::spawn(listen(read, tell));
        Ok(Self { write, events })
    }

    /// Tells QEMU something. That it is gone is seen by its end.
    pub(super) async fn tell(&mut self, what: Tell) {
        if let Err(error) = self.write.write_all(what.message().as_bytes()).await {
            tracing::debug!(?what, %error, "QEMU can't be told");
        }
    }
}

async fn listen(read: OwnedReadHalf, tell: mpsc::UnboundedSender<Event>) {
    let mut read = BufReader::new(read);
    let (mut line, mut ready) = (Vec::new(), false);
    loop {
        line.clear();
        let mut bounded = (&mut read).take(MOST_MESSAGE);
        match bounded.read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let event = event(&line, ready);
        ready |= event == Some(Event::Ready);
        if let Some(event) = event
            && tell.send(event).is_err()
        {
            return;
        }
    }
}

/// The first answer is that to our greeting, and comes once the machine has been made.
fn event(line: &[u8], ready: bool) -> Option<Event> {
    let message: Message = serde_json::from_slice(line).ok()?;
    match message.event.as_deref() {
        Some("SHUTDOWN") if message.data.guest => return Some(Event::PoweredOff),
        Some("SHUTDOWN") => {
            tracing::debug!(reason = message.data.reason, "a machine ends");
            return Some(Event::Failed);
        }
        Some("RESET") => return Some(Event::Reset),
        _ => {}
    }
    (message.answer.is_some() && !ready).then_some(Event::Ready)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn qemu_says_when_it_is_there_and_when_the_guest_is_off() {
        let (mut qemu, ours) = UnixStream::pair().unwrap();
        let mut control = Control::new(ours).await.unwrap();
        for text in [
            "{\"QMP\": {\"version\": {}}}\r\n",
            "garbage\r\n",
            "{\"return\": {}}\r\n",
            "{\"return\": {}}\r\n{\"event\": \"STOP\"}\r\n",
            "{\"event\": \"RESET\", \"data\": {\"guest\": true}}\r\n",
            "{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": true, \"reason\": \"guest-shutdown\"}}\r\n",
            "{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": false, \"reason\": \"host-signal\"}}\r\n",
        ] {
            qemu.write_all(text.as_bytes()).await.unwrap();
        }
        assert_eq!(control.events.recv().await, Some(Event::Ready));
        assert_eq!(control.events.recv().await, Some(Event::Reset));
        assert_eq!(control.events.recv().await, Some(Event::PoweredOff));
        assert_eq!(control.events.recv().await, Some(Event::Failed));
        control.tell(Tell::Quit).await;
        let mut said = [0; 200];
        let n = qemu.read(&mut said).await.unwrap();
        assert_eq!(
            std::str::from_utf8(&said[..n]).unwrap(),
            "{\"execute\": \"qmp_capabilities\"}\n{\"execute\": \"quit\"}\n"
        );
        drop(qemu);
        assert_eq!(control.events.recv().await, None);
    }
}
