//! Requests that are being answered, by account. What a client asked for is done even if the client
//! is killed, but for a message to receive: whoever wants to know what is there afterwards waits
//! until none is left.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// How many there are.
#[derive(Debug, Default)]
pub(super) struct AtWork(Mutex<BTreeMap<String, usize>>);

/// One of them: it ends with this.
pub(super) struct Work<'a> {
    all: &'a AtWork,
    account: String,
}

impl AtWork {
    /// One more, for this account.
    pub(super) fn begin(&self, account: &str) -> Work<'_> {
        self.change(|counts| *counts.entry(account.to_owned()).or_default() += 1);
        Work {
            all: self,
            account: account.to_owned(),
        }
    }

    /// How many there are by account; of those that have none, nothing.
    pub(super) fn counts(&self) -> BTreeMap<String, usize> {
        self.change(|counts| counts.clone())
    }

    fn change<T>(&self, change: impl FnOnce(&mut BTreeMap<String, usize>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Work<'_> {
    fn drop(&mut self) {
        self.all.change(|counts| {
            if let Some(count) = counts.get_mut(&self.account) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(&self.account);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_account_has_its_own_and_none_is_left_over() {
        let all = AtWork::default();
        let (one, two, other) = (all.begin("1"), all.begin("1"), all.begin("2"));
        let expected = [("1".to_owned(), 2), ("2".to_owned(), 1)];
        assert_eq!(all.counts(), BTreeMap::from(expected));
        drop((one, other));
        assert_eq!(all.counts(), BTreeMap::from([("1".to_owned(), 1)]));
        drop(two);
        assert_eq!(all.counts(), BTreeMap::new());
    }

    #[test]
    fn a_panic_ends_it_too() {
        let all = AtWork::default();
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _work = all.begin("1");
            panic!("in the middle");
        }));
        assert!(ended.is_err() && all.counts().is_empty());
    }
}
