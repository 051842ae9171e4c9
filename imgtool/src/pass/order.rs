//! From any order back to one, with a bound on what waits.

use super::PassError;
use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard};

/// Passes items on in the order of their sequence numbers, whatever order they arrive in.
pub struct InOrder<S, T> {
    state: Mutex<State<S, T>>,
    moved: Condvar,
    window: u64,
}

struct State<S, T> {
    sink: S,
    next: u64,
    waiting: BTreeMap<u64, T>,
    stopped: bool,
}

impl<S, T> InOrder<S, T> {
    /// `sink` takes the items; none may be more than `window` ahead of the next one due.
    pub fn new(sink: S, window: u64) -> InOrder<S, T> {
        let state = State {
            sink,
            next: 0,
            waiting: BTreeMap::new(),
            stopped: false,
        };
        InOrder {
            state: Mutex::new(state),
            moved: Condvar::new(),
            window,
        }
    }

    /// Hands in item `sequence`; waits while it is too far ahead. Says whether work goes on.
    ///
    /// The item that is due never waits, and its worker passes on all that follows it without a
    /// gap: there is always one worker that can go on.
    pub fn put(
        &self,
        sequence: u64,
        item: T,
        mut take: impl FnMut(&mut S, T) -> Result<(), PassError>,
    ) -> Result<bool, PassError> {
        let mut state = self.lock();
        while !state.stopped && sequence >= state.next + self.window {
            state = self.moved.wait(state).unwrap_or_else(|e| e.into_inner());
        }
        if state.stopped {
            return Ok(false);
        }
        state.waiting.insert(sequence, item);
        let State {
            sink,
            next,
            waiting,
            ..
        } = &mut *state;
        while let Some(item) = waiting.remove(next) {
            take(sink, item)?;
            *next += 1;
        }
        drop(state);
        self.moved.notify_all();
        Ok(true)
    }

    /// Makes every present and future [`put`](InOrder::put) return at once.
    pub fn stop(&self) {
        self.lock().stopped = true;
        self.moved.notify_all();
    }

    /// The sink, once all workers are done.
    pub fn into_inner(self) -> S {
        self.state
            .into_inner()
            .unwrap_or_else(|e| e.into_inner())
            .sink
    }

    fn lock(&self) -> MutexGuard<'_, State<S, T>> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }
}
