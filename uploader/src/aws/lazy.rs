//! Clients that are made when they are first used.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, LazyLock};

/// A service's client. To make one is 1.2 million instructions, about 30 ms under QEMU's translator, and
/// an agent's first poll needs three of the six. Clones share it.
pub struct LazyClient<C>(Arc<LazyLock<C, Make<C>>>);

type Make<C> = Box<dyn FnOnce() -> C + Send>;

impl<C> LazyClient<C> {
    pub(super) fn new(make: impl FnOnce() -> C + Send + 'static) -> LazyClient<C> {
        LazyClient(Arc::new(LazyLock::new(Box::new(make))))
    }
}

impl<C: Send + 'static> From<C> for LazyClient<C> {
    fn from(client: C) -> LazyClient<C> {
        LazyClient::new(|| client)
    }
}

impl<C> Deref for LazyClient<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.0
    }
}

impl<C> Clone for LazyClient<C> {
    fn clone(&self) -> LazyClient<C> {
        LazyClient(Arc::clone(&self.0))
    }
}

impl<C> fmt::Debug for LazyClient<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LazyClient")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn it_is_made_once_and_not_before_it_is_used() {
        let made = Arc::new(AtomicU32::new(0));
        let client = LazyClient::new({
            let made = Arc::clone(&made);
            move || made.fetch_add(1, Ordering::Relaxed) + 7
        });
        let other = client.clone();
        assert_eq!(made.load(Ordering::Relaxed), 0);
        assert_eq!((*client, *other, *client), (7, 7, 7));
        assert_eq!(made.load(Ordering::Relaxed), 1);
    }
}
