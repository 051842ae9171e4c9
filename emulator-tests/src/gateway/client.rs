//! Whether who asked is still there.

use tokio::sync::oneshot;

/// Held for as long as the client's connection is.
pub(super) type Connected = oneshot::Sender<()>;

/// The other end of it, for whoever answers.
pub(super) struct Client(oneshot::Receiver<()>);

/// Both ends.
pub(super) fn connected() -> (Connected, Client) {
    let (here, gone) = oneshot::channel();
    (here, Client(gone))
}

impl Client {
    /// Waits until the client has gone.
    pub(super) async fn gone(&mut self) {
        // Nothing is ever sent: it is an error when the other end is dropped.
        let _ = (&mut self.0).await;
    }
}
