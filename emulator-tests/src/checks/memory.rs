//! What LocalStack said, for as long as nothing that went through us changed it.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most entries of one memory. One more, and all are asked for again.
const MOST: usize = 1024;

/// Answers by what was asked.
pub struct Memory<K, V>(Mutex<Inner<K, V>>);

struct Inner<K, V> {
    entries: HashMap<K, V>,
    /// Counts what was forgotten, so that an answer that was under way then is not kept.
    epoch: u64,
}

/// When a question was asked.
#[derive(Clone, Copy)]
pub struct Asked(u64);

impl<K: Eq + Hash, V: Clone> Memory<K, V> {
    /// Empty.
    pub fn new() -> Self {
        Self(Mutex::new(Inner {
            entries: HashMap::new(),
            epoch: 0,
        }))
    }

    /// What is remembered, or when the question that has to be asked now was asked.
    pub fn get(&self, key: &K) -> Result<V, Asked> {
        let inner = self.lock();
        inner.entries.get(key).cloned().ok_or(Asked(inner.epoch))
    }

    /// Remembers an answer, unless something was forgotten since it was asked for.
    pub fn put(&self, asked: Asked, key: K, value: V) {
        let mut inner = self.lock();
        if inner.epoch != asked.0 {
            return;
        }
        if inner.entries.len() >= MOST {
            inner.entries.clear();
        }
        inner.entries.insert(key, value);
    }

    /// Forgets one answer.
    pub fn forget(&self, key: &K) {
        let mut inner = self.lock();
        inner.epoch += 1;
        inner.entries.remove(key);
    }

    /// Forgets all.
    pub fn clear(&self) {
        let mut inner = self.lock();
        inner.epoch += 1;
        inner.entries.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Inner<K, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_from_before_a_change_is_not_kept() {
        let memory = Memory::new();
        let Err(asked) = memory.get(&1) else {
            panic!("nothing was put")
        };
        memory.put(asked, 1, "old");
        assert_eq!(memory.get(&1).ok(), Some("old"));
        memory.forget(&1);
        memory.put(asked, 1, "old");
        assert_eq!(memory.get(&1).ok(), None);
    }

    #[test]
    fn is_bounded() {
        let memory = Memory::new();
        for key in 0..MOST * 2 + 1 {
            if let Err(asked) = memory.get(&key) {
                memory.put(asked, key, ());
            }
        }
        assert!(memory.lock().entries.len() <= MOST);
    }
}
