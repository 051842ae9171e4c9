//! From any order back to one, with a bound on what waits.

use super::PassError;
use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard};

/// Passes items on in the order of their sequence numbers, whatever order they arrive in.
pub(super) struct InOrder<S, T> {
    queue: Mutex<Queue<T>>,
    /// Locked by the one worker that passes items on, while the others go on with theirs.
    sink: Mutex<S>,
    moved: Condvar,
    window: u64,
}

struct Queue<T> {
    next: u64,
    waiting: BTreeMap<u64, T>,
    /// Whether a worker is passing items on.
    busy: bool,
    stopped: bool,
}

impl<S, T> InOrder<S, T> {
    /// `sink` takes the items; none may be more than `window` ahead of the next one due.
    pub(super) fn new(sink: S, window: u64) -> InOrder<S, T> {
        let queue = Queue {
            next: 0,
            waiting: BTreeMap::new(),
            busy: false,
            stopped: false,
        };
        InOrder {
            queue: Mutex::new(queue),
            sink: Mutex::new(sink),
            moved: Condvar::new(),
            window,
        }
    }

    /// Hands in item `sequence`; waits while it is too far ahead. Says whether work goes on.
    ///
    /// The item that is due never waits, and a worker that finds it due passes on all that follows
    /// without a gap: there is always one worker that can go on.
    pub(super) fn put(
        &self,
        sequence: u64,
        item: T,
        mut take: impl FnMut(&mut S, T) -> Result<(), PassError>,
    ) -> Result<bool, PassError> {
        let mut queue = lock(&self.queue);
        while !queue.stopped && sequence >= queue.next + self.window {
            queue = self.moved.wait(queue).unwrap_or_else(|e| e.into_inner());
        }
        queue.waiting.insert(sequence, item);
        if queue.busy {
            return Ok(!queue.stopped);
        }
        queue.busy = true;
        loop {
            let next = queue.next;
            let item = match queue.waiting.remove(&next) {
                Some(item) if !queue.stopped => item,
                _ => break,
            };
            drop(queue);
            let taken = take(&mut lock(&self.sink), item);
            queue = lock(&self.queue);
            queue.next += 1;
            self.moved.notify_all();
            if let Err(error) = taken {
                queue.busy = false;
                return Err(error);
            }
        }
        queue.busy = false;
        Ok(!queue.stopped)
    }

    /// Makes every present and future [`put`](InOrder::put) return at once.
    pub(super) fn stop(&self) {
        lock(&self.queue).stopped = true;
        self.moved.notify_all();
    }

    /// The sink, once all workers are done.
    pub(super) fn into_inner(self) -> S {
        self.sink.into_inner().unwrap_or_else(|e| e.into_inner())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn items_leave_in_order_and_few_wait() {
        const ITEMS: u64 = 5000;
        const WINDOW: u64 = 7;
        let ordered = InOrder::new(Vec::new(), WINDOW);
        let (next, taken) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (ordered, next, taken) = (&ordered, &next, &taken);
                scope.spawn(move || {
                    loop {
                        let item = next.fetch_add(1, Ordering::Relaxed);
                        if item >= ITEMS {
                            return;
                        }
                        for _ in 0..(item * 7 + thread) % 50 {
                            std::thread::yield_now();
                        }
                        let put = ordered.put(item, item, |sink, item| {
                            taken.fetch_add(1, Ordering::Relaxed);
                            sink.push(item);
                            Ok(())
                        });
                        assert!(put.unwrap());
                        // What was handed in is at most a window ahead of what has left.
                        assert!(item < taken.load(Ordering::Relaxed) + WINDOW);
                    }
                });
            }
        });
        assert_eq!(ordered.into_inner(), (0..ITEMS).collect::<Vec<_>>());
    }

    #[test]
    fn nothing_is_passed_on_after_a_stop() {
        let ordered = InOrder::new(Vec::new(), 2);
        let push = |sink: &mut Vec<u64>, item| {
            sink.push(item);
            Ok(())
        };
        assert!(ordered.put(0, 0, push).unwrap());
        ordered.stop();
        assert!(!ordered.put(1, 1, push).unwrap());
        assert!(!ordered.put(99, 99, push).unwrap());
        assert_eq!(ordered.into_inner(), [0]);
    }
}
