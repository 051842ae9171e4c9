//! Bodies to which something happens.

use super::cut::Cut;
use crate::gateway::body::{Polled, Through};
use bytes::{Bytes, BytesMut};
use emulator_protocol::http::{Body, BodyError};
use hyper::body::{Body as _, Frame, SizeHint};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Sleep, sleep};

/// A body that breaks off after so many bytes, or one byte before its end.
pub(crate) fn cut(body: Body, after: u64) -> Body {
    let left = match body.size_hint().exact() {
        // Whoever has as many bytes as were promised does not notice what comes after.
        Some(length) => after.min(length.saturating_sub(1)),
        None => after,
    };
    Cutting { body, left }.into_body()
}

struct Cutting {
    body: Body,
    left: u64,
}

impl Through for Cutting {
    fn next(&mut self, context: &mut Context<'_>) -> Polled {
        let broken = || Poll::Ready(Some(Err(BodyError::from(Cut))));
        if self.left == 0 {
            return broken();
        }
        match ready!(Pin::new(&mut self.body).poll_frame(context)) {
            Some(Ok(frame)) => {
                let Ok(mut data) = frame.into_data() else {
                    return broken();
                };
                let left = usize::try_from(self.left).unwrap_or(usize::MAX);
                data.truncate(left);
                self.left -= data.len() as u64;
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Some(Err(error)) => Poll::Ready(Some(Err(error))),
            None => broken(),
        }
    }

    fn is_over(&self) -> bool {
        false
    }

    /// What it would have been: the other side must miss something.
    fn size(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A body that passes at so many bytes a second.
pub(crate) fn slow(body: Body, bytes_per_second: u64) -> Body {
    Slow {
        body,
        rate: bytes_per_second.max(1),
        held: Bytes::new(),
        timer: Box::pin(sleep(Duration::ZERO)),
    }
    .into_body()
}

struct Slow {
    body: Body,
    rate: u64,
    /// Came, and waits for its time.
    held: Bytes,
    timer: Pin<Box<Sleep>>,
}

impl Through for Slow {
    fn next(&mut self, context: &mut Context<'_>) -> Polled {
        if self.held.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.held = data,
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                other => return Poll::Ready(other),
            }
        }
        ready!(self.timer.as_mut().poll(context));
        // A tenth of a second's worth at a time.
        let piece = usize::try_from(self.rate / 10).unwrap_or(usize::MAX).max(1);
        let piece = self.held.split_to(piece.min(self.held.len()));
        let pause = Duration::from_secs_f64(piece.len() as f64 / self.rate as f64);
        let next = self
            .timer
            .deadline()
            .max(tokio::time::Instant::now() - pause)
            + pause;
        self.timer.as_mut().reset(next);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_over(&self) -> bool {
        self.held.is_empty() && self.body.is_end_stream()
    }

    fn size(&self) -> SizeHint {
        let held = self.held.len() as u64;
        let rest = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(held));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(held));
        }
        hint
    }
}

/// A body one byte of which is another: that at `offset`, modulo the length where it is known.
pub(crate) fn corrupt(body: Body, offset: u64) -> Body {
    let at = match body.size_hint().exact() {
        Some(0) => return body,
        Some(length) => offset % length,
        None => offset,
    };
    Corrupt {
        body,
        before: Some(at),
    }
    .into_body()
}

struct Corrupt {
    body: Body,
    /// Bytes still to come before that one; `None` when it was there.
    before: Option<u64>,
}

impl Through for Corrupt {
    fn next(&mut self, context: &mut Context<'_>) -> Polled {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let (Some(before), Some(Ok(frame))) = (self.before, frame.as_ref()) else {
            return Poll::Ready(frame);
        };
        let Some(data) = frame.data_ref() else {
            return Poll::Ready(Some(Ok(Frame::data(Bytes::new()))));
        };
        let length = data.len() as u64;
        let Some(at) = usize::try_from(before).ok().filter(|&at| at < data.len()) else {
            self.before = Some(before - length);
            return Poll::Ready(Some(Ok(Frame::data(data.clone()))));
        };
        let mut changed = BytesMut::from(&data[..]);
        changed[at] ^= 0x01;
        self.before = None;
        Poll::Ready(Some(Ok(Frame::data(changed.freeze()))))
    }

    fn is_over(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use emulator_protocol::http::full;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn one_byte_is_another() {
        for (offset, expected) in [(0, "`abc"), (3, "aabb"), (5, "a`bc")] {
            let body = corrupt(full("aabc"), offset);
            let bytes = body.collect().await.unwrap().to_bytes();
            assert_eq!(bytes, expected, "{offset}");
        }
        assert_eq!(corrupt(full(""), 3).collect().await.unwrap().to_bytes(), "");
    }

    #[tokio::test]
    async fn a_cut_body_breaks_off_before_its_end() {
        for after in [0, 2, 4, 9] {
            let mut body = cut(full("abcd"), after);
            let mut read = 0;
            let error = loop {
                match body.frame().await.unwrap() {
                    Ok(frame) => read += frame.into_data().unwrap().len() as u64,
                    Err(error) => break error,
                }
            };
            assert!(error.is::<Cut>());
            assert_eq!(read, after.min(3));
        }
    }

    #[tokio::test]
    async fn a_slow_body_takes_its_time_and_is_whole() {
        let start = std::time::Instant::now();
        let body = slow(full(vec![7_u8; 3000]), 10_000);
        assert_eq!(body.size_hint().exact(), Some(3000));
        let bytes = body.collect().await.unwrap().to_bytes();
        assert_eq!(bytes, vec![7_u8; 3000]);
        let took = start.elapsed().as_secs_f64();
        assert!((0.15..30.0).contains(&took), "{took}");
    }
}
