//! What the other regions are told of the first: which image it is, how fast the way to its vault
//! is, and its AMI.

use super::super::Failure;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uploader::Class;
use uploader::regions::{Rate, Source};
use uploader::request::ImageRef;

/// Less than that says nothing about the way.
const LEAST: u64 = 1 << 20;

/// What is known of the first region.
#[derive(Clone, Debug, Default)]
pub(super) struct News {
    /// The image.
    pub(super) image: Option<ImageRef>,
    /// The AMI, once it is known whether there is one.
    pub(super) made: Option<Made>,
    /// When something was first sent, and how much was since.
    began: Option<Instant>,
    sent: u64,
    /// What that has shown, once it is over.
    rate: Option<Rate>,
}

/// How the first region ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Made {
    /// With an AMI.
    Ami(Source),
    /// Its AMI is not waited for.
    NotWaited,
    /// It failed.
    Failed,
}

impl News {
    /// How fast the way to its vault is.
    pub(super) fn rate(&self, now: Instant) -> Rate {
        match (self.rate, self.began) {
            (Some(rate), _) => rate,
            (None, Some(began)) => Rate::AtLeast(per_second(self.sent, now - began)),
            (None, None) => Rate::AtLeast(0),
        }
    }

    /// Nothing more is sent.
    fn is_sent(&mut self, now: Instant) {
        self.rate.get_or_insert(match self.began {
            Some(began) if self.sent > LEAST => Rate::Shown(per_second(self.sent, now - began)),
            _ => Rate::Unknown,
        });
    }
}

fn per_second(bytes: u64, time: Duration) -> u64 {
    (bytes as f64 / time.as_secs_f64().max(0.001)) as u64
}

/// Who tells, and who listens.
pub(super) fn first() -> (First, Listener) {
    let (tell, listen) = watch::channel(News::default());
    (First(Arc::new(tell)), Listener(listen))
}

/// The first region's, which tells. When it is gone, nothing more comes.
pub(super) struct First(Arc<watch::Sender<News>>);

impl First {
    /// Which image it is.
    pub(super) fn is_of(&self, image: &ImageRef) {
        self.0.send_modify(|it| it.image = Some(image.clone()));
    }

    /// Sending begins: gives who is to be told of bytes as they are sent.
    pub(super) fn sends(&self) -> impl Fn(u64) + Send + Sync + 'static {
        self.0.send_modify(|it| it.began = Some(Instant::now()));
        let tell = self.0.clone();
        move |bytes| tell.send_modify(|it| it.sent += bytes)
    }

    /// All is sent, or nothing had to be.
    pub(super) fn is_sent(&self) {
        self.0.send_modify(|it| it.is_sent(Instant::now()));
    }

    /// Whether there is an AMI. The first word counts.
    pub(super) fn made(&self, made: Made) {
        self.0.send_modify(|it| _ = it.made.get_or_insert(made));
    }
}

impl Drop for First {
    fn drop(&mut self) {
        self.is_sent();
        self.made(Made::Failed);
    }
}

/// Another region's, which listens.
#[derive(Clone)]
pub(super) struct Listener(watch::Receiver<News>);

impl Listener {
    /// Waits until the news tell something.
    ///
    /// # Errors
    /// Ctrl-C.
    pub(super) async fn until<T>(
        &mut self,
        cancel: &CancellationToken,
        mut told: impl FnMut(&News) -> Option<T>,
    ) -> Result<T, Failure> {
        loop {
            let answer = told(&self.0.borrow_and_update());
            if let Some(answer) = answer {
                return Ok(answer);
            }
            tokio::select! {
                changed = self.0.changed() => if changed.is_err() {
                    return Err(Failure::new(Class::Failed, "the first region ended without a word"));
                },
                () = cancel.cancelled() => return Err(Failure::interrupted()),
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const MB: u64 = 1_000_000;

    #[test]
    fn a_rate_may_rise_until_all_is_sent() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut news = News::default();
        assert_eq!(news.rate(start), Rate::AtLeast(0));
        (news.began, news.sent) = (Some(start), 40 * MB);
        assert_eq!(news.rate(after(10)), Rate::AtLeast(4 * MB));
        news.is_sent(after(20));
        assert_eq!(news.rate(after(100)), Rate::Shown(2 * MB));
        // It is not asked what comes after that.
        news.is_sent(after(200));
        assert_eq!(news.rate(after(300)), Rate::Shown(2 * MB));
    }

    #[test]
    fn little_or_nothing_that_was_sent_shows_no_rate() {
        let start = Instant::now();
        for (began, sent) in [(None, 0), (Some(start), 0), (Some(start), LEAST)] {
            let mut news = News {
                began,
                sent,
                ..News::default()
            };
            news.is_sent(start + Duration::from_secs(1));
            assert_eq!(news.rate(start), Rate::Unknown, "{sent} of {began:?}");
        }
    }

    #[tokio::test]
    async fn a_first_region_that_ends_leaves_nobody_waiting() {
        let (first, mut news) = first();
        let cancel = CancellationToken::new();
        let sent = first.sends();
        let waiting = tokio::spawn(async move {
            let over = |it: &News| matches!(it.rate(Instant::now()), Rate::Unknown).then_some(());
            news.until(&cancel, over).await.unwrap();
            news.until(&cancel, |it| it.made.clone()).await.unwrap()
        });
        // Who sends may outlive it.
        drop(first);
        sent(1);
        assert_eq!(waiting.await.unwrap(), Made::Failed);
    }

    #[tokio::test]
    async fn ctrl_c_ends_the_waiting() {
        let (_first, mut news) = first();
        let cancel = CancellationToken::new();
        cancel.cancel();
        let waited = news.until(&cancel, |it| it.made.clone()).await;
        assert!(waited.unwrap_err().is_interrupt());
    }
}
