//! Spans of packs, read ahead.

use super::error::PutError;
use super::joined;
use super::read::Packs;
use super::spans::{Span, Spans};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

/// A span's bytes. They go, and the next may be read, when the last of its frames is decoded.
struct Memory {
    bytes: Vec<u8>,
    _permit: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Memory {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reads several spans at a time, and gives them in order.
pub(super) struct Source<'p> {
    spans: std::iter::Peekable<Spans<'p>>,
    packs: Arc<Packs>,
    /// One permit for each span that there is memory for.
    memory: Arc<Semaphore>,
    reading: VecDeque<Reading>,
}

struct Reading(JoinHandle<Result<(Span, Bytes), PutError>>);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<'p> Source<'p> {
    /// At most `most` spans are in memory.
    pub(super) fn new(spans: Spans<'p>, packs: Arc<Packs>, most: usize) -> Source<'p> {
        Source {
            spans: spans.peekable(),
            packs,
            memory: Arc::new(Semaphore::new(most.max(1))),
            reading: VecDeque::new(),
        }
    }

    /// The next span, or `None` after the last. May be dropped and called again.
    pub(super) async fn next(&mut self) -> Option<Result<(Span, Bytes), PutError>> {
        while let Ok(memory) = self.memory.clone().try_acquire_owned() {
            if !self.start(memory) {
                break;
            }
        }
        if self.reading.is_empty() && self.spans.peek().is_some() {
            // The semaphore is never closed.
            let memory = self.memory.clone().acquire_owned().await.ok()?;
            self.start(memory);
        }
        let first = self.reading.front_mut()?;
        let read = (&mut first.0).await;
        self.reading.pop_front();
        Some(joined(read).flatten())
    }

    fn start(&mut self, memory: OwnedSemaphorePermit) -> bool {
        let Some(span) = self.spans.next() else {
            return false;
        };
        let packs = Arc::clone(&self.packs);
        self.reading.push_back(Reading(tokio::spawn(async move {
            let bytes = packs.read(&span).await?;
            let memory = Memory {
                bytes,
                _permit: memory,
            };
            Ok((span, Bytes::from_owner(memory)))
        })));
        true
    }
}
