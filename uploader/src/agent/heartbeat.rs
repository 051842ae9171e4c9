//! Heartbeats: what a running agent says of itself, in `converter/heartbeats/ID.json`.
//!
//! Each has one writer, the agent of that id. A caller who finds a fresh one that does not say
//! `leaving` knows that somebody will ask the queue again after this moment. So it is only written
//! while the agent's loop goes round: one that hangs must not be taken for alive.

use super::Clock;
use crate::aws::{AwsError, Condition};
use crate::vault::{SMALL_OBJECT, Vault};
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;
use time::OffsetDateTime;
use tokio::sync::{Mutex, Notify};
use tokio::task::JoinHandle;

/// Where they are.
pub const PREFIX: &str = "converter/heartbeats/";
/// How often one is written.
pub const EVERY: Duration = Duration::from_secs(30);
/// Seconds for which one counts: some may be lost on the way, or come late.
pub const FRESH: i64 = 120;
/// Seconds for which an agent's loop may not come round until its heart stops: longer than a poll
/// takes, its second attempt included, and shorter than callers wait for one that is stuck.
const LONGEST_ROUND: i64 = 150;
/// Seconds after which nobody looks at one any more.
const FORGOTTEN: i64 = 3600;
/// Seconds after which one that was left behind is deleted.
const SWEPT: i64 = 86_400;
/// Most that are looked at.
const MAX_BEATS: usize = 200;
/// As many are listed as one answer of S3 names.
const ONE_PAGE: usize = 1;
/// Longest id.
const MAX_ID: usize = 64;
/// Version of the format.
const VERSION: u32 = 1;

/// What an agent is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activity {
    /// It waits for requests.
    Idle,
    /// It works on some.
    Busy,
    /// It asks the queue once more, and ends unless there is something; or it ends after the request
    /// that it has or waits for, or was told to stop.
    Leaving,
}

/// What an agent says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Version of this format: 1.
    pub version: u32,
    /// The instance's id, or what its host chose.
    pub id: String,
    /// The program's version.
    pub program: String,
    /// When it began.
    #[serde(with = "time::serde::rfc3339")]
    pub started: OffsetDateTime,
    /// What it is about.
    pub activity: Activity,
    /// How many requests it has in hand.
    pub requests: usize,
    /// How many it takes at a time.
    pub parallel: usize,
    /// Bytes for blocks, of all requests together.
    pub memory: u64,
}

/// A heartbeat, and when it was written, by S3's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beat {
    /// What it says.
    pub heartbeat: Heartbeat,
    /// When it was written.
    pub written: OffsetDateTime,
}

impl Heartbeat {
    /// That of an agent that begins, and waits for requests.
    pub fn new(id: &str, started: OffsetDateTime, parallel: usize, memory: u64) -> Heartbeat {
        Heartbeat {
            version: VERSION,
            id: id.to_owned(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
            started,
            activity: Activity::Idle,
            requests: 0,
            parallel,
            memory,
        }
    }

    fn parse(text: &[u8], id: &str) -> Option<Heartbeat> {
        let heartbeat: Heartbeat = serde_json::from_slice(text).ok()?;
        (heartbeat.version == VERSION && heartbeat.id == id).then_some(heartbeat)
    }
}

/// Whether a text can be an agent's id, which is part of a key.
pub fn is_id(id: &str) -> bool {
    let fits = |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_' | b'.');
    (1..=MAX_ID).contains(&id.len()) && id.bytes().all(fits) && !id.starts_with('.')
}

fn key(id: &str) -> String {
    format!("{PREFIX}{id}.json")
}

/// `converter/heartbeats/ID.json`
fn id_of(key: &str) -> Option<&str> {
    let id = key.strip_prefix(PREFIX)?.strip_suffix(".json")?;
    is_id(id).then_some(id)
}

/// All of a vault's. What can't be read as one is nobody's.
///
/// # Errors
/// S3 refuses.
pub async fn all(vault: &Vault) -> Result<Vec<Beat>, AwsError> {
    since(vault, i64::MIN).await
}

/// Those of a vault that are not older than an hour.
///
/// # Errors
/// S3 refuses.
pub async fn recent(vault: &Vault, now: OffsetDateTime) -> Result<Vec<Beat>, AwsError> {
    since(vault, now.unix_timestamp() - FORGOTTEN).await
}

async fn since(vault: &Vault, oldest: i64) -> Result<Vec<Beat>, AwsError> {
    let bucket = vault.bucket();
    let found = list(vault).await?;
    let mut beats = Vec::new();
    for (written, id) in found.into_iter().take(MAX_BEATS) {
        // The newest come first.
        if written < oldest {
            break;
        }
        let Some(object) = bucket.get(&key(&id), SMALL_OBJECT).await? else {
            continue;
        };
        if let Some(heartbeat) = Heartbeat::parse(&object.body.or_empty(), &id) {
            beats.push(Beat {
                heartbeat,
                written: object.written,
            });
        }
    }
    Ok(beats)
}

/// Deletes those that agents left behind when they were killed, once nobody looks at them any more.
///
/// # Errors
/// S3 refuses.
pub async fn sweep(vault: &Vault, now: OffsetDateTime) -> Result<(), AwsError> {
    let oldest = now.unix_timestamp() - SWEPT;
    for (written, id) in list(vault).await? {
        if written < oldest {
            forget(vault, &id).await?;
        }
    }
    Ok(())
}

/// When each was written, and whose it is: the newest first, as far as one answer lists them.
async fn list(vault: &Vault) -> Result<Vec<(i64, String)>, AwsError> {
    let listed = vault.bucket().list(PREFIX, ONE_PAGE).await?;
    let mut found: Vec<(i64, String)> = listed
        .iter()
        .filter_map(|object| {
            let id = id_of(&object.key)?;
            Some((object.written.unix_timestamp(), id.to_owned()))
        })
        .collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    Ok(found)
}

/// Deletes the heartbeat of an agent that is known to be gone.
///
/// # Errors
/// S3 refuses.
pub async fn forget(vault: &Vault, id: &str) -> Result<(), AwsError> {
    match is_id(id) {
        true => vault.bucket().delete(&key(id)).await,
        false => Ok(()),
    }
}

/// An agent's own heartbeat, written again and again until it is stopped or dropped.
pub struct Heart {
    shared: Arc<Shared>,
    beating: JoinHandle<()>,
}

struct Shared {
    vault: Vault,
    clock: Clock,
    /// Whoever writes has it, so that what was said last is what is there.
    said: Mutex<Said>,
    /// What is to be said: what the agent is about, and how many requests it has.
    now: StdMutex<(Activity, usize)>,
    /// There is something new to say.
    changed: Notify,
    /// When the agent's loop came round last: seconds of the Unix time.
    round: AtomicI64,
}

struct Said {
    heartbeat: Heartbeat,
    /// Of what was written last: an answer that was lost on its way, and a call that arrives late,
    /// change nothing then.
    etag: Option<String>,
    /// When something was written last.
    written: Option<OffsetDateTime>,
}

impl Heart {
    /// Begins to write them; the first is not waited for.
    pub fn start(vault: &Vault, clock: &Clock, first: Heartbeat) -> Heart {
        let shared = Arc::new(Shared {
            now: StdMutex::new((first.activity, first.requests)),
            vault: vault.clone(),
            clock: Arc::clone(clock),
            said: Mutex::new(Said {
                heartbeat: first,
                etag: None,
                written: None,
            }),
            changed: Notify::new(),
            round: AtomicI64::new(clock().unix_timestamp()),
        });
        let beating = {
            let shared = Arc::clone(&shared);
            tokio::spawn(async move {
                loop {
                    shared.beat_if_alive().await;
                    tokio::select! {
                        () = tokio::time::sleep(EVERY) => {}
                        () = shared.changed.notified() => {}
                    }
                }
            })
        };
        Heart { shared, beating }
    }

    /// The agent's loop comes round: nothing that it waits for hangs.
    pub fn came_round(&self) {
        self.shared.came_round();
    }

    /// Says something else from now on; once this is `Ok`, it is what everybody sees.
    ///
    /// # Errors
    /// S3 refuses. It is said again with the next beat.
    pub async fn say(&self, activity: Activity, requests: usize) -> Result<(), AwsError> {
        self.shared.set(activity, requests);
        self.shared.beat().await
    }

    /// The same, and does not wait until it is said.
    pub fn note(&self, activity: Activity, requests: usize) {
        self.shared.set(activity, requests);
        self.shared.changed.notify_one();
    }

    /// Whether nobody takes this agent for alive, because it could not say so for a while.
    pub async fn is_unheard(&self) -> bool {
        let said = self.shared.said.lock().await;
        let now = (self.shared.clock)();
        let age = |it: OffsetDateTime| (now - it).whole_seconds();
        // A clock may differ from S3's by some seconds.
        said.written.is_none_or(|it| age(it) > FRESH + 60)
    }

    /// Takes the heartbeat away: the last thing an agent does.
    pub async fn stop(self) {
        // A beat that is under way comes first, and no other follows.
        let said = self.shared.said.lock().await;
        self.beating.abort();
        if said.written.is_some()
            && let Err(error) = forget(&self.shared.vault, &said.heartbeat.id).await
        {
            tracing::debug!(%error, "the heartbeat stays, and grows old");
        }
    }
}

impl Drop for Heart {
    fn drop(&mut self) {
        self.beating.abort();
    }
}

impl Shared {
    fn came_round(&self) {
        let now = (self.clock)().unix_timestamp();
        self.round.store(now, Ordering::Relaxed);
    }

    /// Whether the agent's loop goes round.
    fn goes_round(&self) -> bool {
        let now = (self.clock)().unix_timestamp();
        now - self.round.load(Ordering::Relaxed) <= LONGEST_ROUND
    }

    async fn beat_if_alive(&self) {
        match self.goes_round() {
            true => {
                self.beat().await.ok();
            }
            false => {
                tracing::warn!(
                    "no heartbeat: the queue was not asked for {LONGEST_ROUND} s or more"
                );
            }
        }
    }

    fn set(&self, activity: Activity, requests: usize) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = (activity, requests);
    }

    async fn beat(&self) -> Result<(), AwsError> {
        let mut said = self.said.lock().await;
        let (activity, requests) = *self.now.lock().unwrap_or_else(PoisonError::into_inner);
        said.heartbeat.activity = activity;
        said.heartbeat.requests = requests;
        // The agent's loop waits for it, and the next comes then anyway.
        let written = tokio::time::timeout(EVERY, self.write(&mut said)).await;
        written.unwrap_or_else(|_| {
            Err(AwsError {
                operation: "s3 PutObject",
                kind: crate::aws::Kind::Unavailable,
                code: String::new(),
                message: format!("no answer for {} s", EVERY.as_secs()),
            })
        })
    }

    async fn write(&self, said: &mut Said) -> Result<(), AwsError> {
        let text = serde_json::to_vec(&said.heartbeat).unwrap_or_default();
        let (bucket, key) = (self.vault.bucket(), key(&said.heartbeat.id));
        let now = (self.clock)();
        let mut condition = Condition::unchanged(said.etag.clone());
        // The second time for what a lost answer, or somebody who took us for dead, left there.
        for _ in 0..2 {
            match bucket.put_json(&key, text.clone(), None, condition).await {
                Ok(Some(etag)) => {
                    said.etag = Some(etag);
                    said.written = Some(now);
                    return Ok(());
                }
                Ok(None) => {
                    let there = bucket.get(&key, SMALL_OBJECT).await?;
                    condition = Condition::unchanged(there.map(|it| it.etag));
                }
                Err(error) => {
                    tracing::warn!(%error, "no heartbeat: others may take this agent for dead");
                    return Err(error);
                }
            }
        }
        Err(AwsError {
            operation: "s3 PutObject",
            kind: crate::aws::Kind::Conflict,
            code: String::new(),
            message: format!("{key} is written by another agent: each needs an id of its own"),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::aws::Session;
    use aws_config::{BehaviorVersion, Region};
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpListener;
    use std::sync::atomic::AtomicUsize;

    /// Where S3 would be: what is put there is counted, and forgotten.
    fn bucket() -> (String, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let puts = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&puts);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.unwrap());
                let (mut line, mut len) = (String::new(), 0);
                while stream.read_line(&mut line).unwrap() > 2 {
                    if let Some(it) = line.to_lowercase().strip_prefix("content-length:") {
                        len = it.trim().parse().unwrap();
                    }
                    counted.fetch_add(usize::from(line.starts_with("PUT ")), Ordering::SeqCst);
                    line.clear();
                }
                stream.read_exact(&mut vec![0; len]).unwrap();
                let answer = "HTTP/1.1 200 OK\r\netag: \"1\"\r\ncontent-length: 0\r\nconnection: \
                              close\r\n\r\n";
                stream.get_mut().write_all(answer.as_bytes()).unwrap();
            }
        });
        (url, puts)
    }

    async fn vault(url: &str) -> Vault {
        let keys = aws_sdk_s3::config::Credentials::new("key", "secret", None, None, "test");
        let config = aws_config::defaults(BehaviorVersion::latest())
            .credentials_provider(keys)
            .region(Region::new("us-east-1"))
            .endpoint_url(url)
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .load()
            .await;
        let session = Session::new(
            config,
            "123456789012".into(),
            "us-east-1".into(),
            "aws".into(),
            "arn:aws:iam::123456789012:root".into(),
        );
        Vault::new(session, "image-vault").unwrap()
    }

    #[tokio::test]
    async fn a_heart_stops_with_its_agents_loop() {
        let (url, puts) = bucket();
        let vault = vault(&url).await;
        let now = Arc::new(AtomicI64::new(1_000_000));
        let seen = Arc::clone(&now);
        let clock: Clock = Arc::new(move || {
            OffsetDateTime::from_unix_timestamp(seen.load(Ordering::SeqCst)).unwrap()
        });
        let first = Heartbeat::new("i-1", clock(), 1, 64);
        let heart = Heart::start(&vault, &clock, first);
        let written = || puts.load(Ordering::SeqCst);
        while written() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        now.fetch_add(LONGEST_ROUND, Ordering::SeqCst);
        heart.shared.beat_if_alive().await;
        assert_eq!(written(), 2);
        // A poll hangs.
        now.fetch_add(1, Ordering::SeqCst);
        heart.shared.beat_if_alive().await;
        assert_eq!(written(), 2);
        heart.came_round();
        heart.shared.beat_if_alive().await;
        assert_eq!(written(), 3);
    }

    #[test]
    fn only_heartbeats_are_read_and_each_under_its_own_name() {
        assert_eq!(id_of("converter/heartbeats/i-0123.json"), Some("i-0123"));
        for other in [
            "converter/heartbeats/.json",
            "converter/heartbeats/../x.json",
            "converter/heartbeats/a/b.json",
            "converter/launch.json",
        ] {
            assert_eq!(id_of(other), None, "{other}");
        }
        let one = Heartbeat::new("i-1", OffsetDateTime::UNIX_EPOCH, 2, 64);
        let text = serde_json::to_vec(&one).unwrap();
        assert_eq!(Heartbeat::parse(&text, "i-1"), Some(one));
        assert_eq!(Heartbeat::parse(&text, "i-2"), None);
        assert_eq!(Heartbeat::parse(b"{", "i-1"), None);
    }
}
