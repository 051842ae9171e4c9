//! One pack into the vault: read and checked part by part, sent in parallel, complete or not there.

use super::Limits;
use super::delta::NewPack;
use super::error::{ImageError, PushError};
use super::objects::Target;
use super::parts::{self, Part, StoredPart, base64, checksum};
use super::source::{Image, Reader};
use crate::aws::{AwsError, Head, Kind};
use crate::vault::Names;
use aws_sdk_s3::types::{ChecksumType, CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// How often an upload may be ended by another before this push gives up.
const ROUNDS: usize = 5;

/// Bytes that are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Read, of a disk.
    Read(u64),
    /// Sent, of a pack.
    Sent(u64),
    /// Of a pack, and in the vault already: read, and compared.
    Found(u64),
}

/// Told of each step.
pub type Progress = Arc<dyn Fn(Step) + Send + Sync>;

/// The way of one pack into the vault. Clones share all of it.
#[derive(Clone)]
pub(super) struct Transfer(Arc<Inner>);

struct Inner {
    target: Target,
    /// A permit for each part that may be in memory.
    places: Arc<Semaphore>,
    image: Arc<Image>,
    pack: NewPack,
    key: String,
    parts: Vec<Part>,
    /// SHA-256 of each part that was read.
    sums: Vec<OnceLock<[u8; 32]>>,
    /// Readers that nobody uses, and places for as many as may read at the same time.
    readers: Mutex<Vec<Reader>>,
    processors: Semaphore,
    progress: Progress,
    sent: AtomicU64,
    resumed: AtomicUsize,
}

/// What became of a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Transferred {
    /// Bytes that were sent.
    pub(super) sent: u64,
    /// Parts that an earlier push had sent.
    pub(super) resumed: usize,
}

/// One round's end.
enum Round {
    /// The object is there, by us.
    Complete,
    /// The upload is not there any more, or the object is: look again.
    Changed,
}

impl Transfer {
    pub(super) fn new(
        target: &Target,
        image: Arc<Image>,
        pack: NewPack,
        limits: &Limits,
        progress: Progress,
    ) -> Transfer {
        let lens = pack.frames.iter().map(|frame| frame.len);
        let parts = parts::cut(lens, pack.table.len() as u64);
        let places = parts::in_flight(&parts, limits.memory, limits.requests);
        Transfer(Arc::new(Inner {
            target: target.with_requests(places),
            places: Arc::new(Semaphore::new(places)),
            image,
            key: Names::pack_key(&pack.record.digest),
            sums: parts.iter().map(|_| OnceLock::new()).collect(),
            parts,
            pack,
            readers: Mutex::default(),
            processors: Semaphore::new(limits.jobs.max(1)),
            progress,
            sent: AtomicU64::new(0),
            resumed: AtomicUsize::new(0),
        }))
    }

    /// Brings it about that the vault has the pack.
    pub(super) async fn run(&self) -> Result<Transferred, PushError> {
        let Inner { target, key, .. } = &*self.0;
        for round in 0..ROUNDS {
            if let Some(stored) = target.bucket.head(key).await? {
                // By an earlier push that was killed, or by another one just now.
                self.each_part(&Sending::Nowhere).await?;
                self.same(&stored)?;
                return self.done().await;
            }
            let ended = match self.0.parts.len() {
                1 => self.at_once().await?,
                _ => self.in_parts().await?,
            };
            match ended {
                Round::Complete => match target.bucket.head(key).await? {
                    Some(stored) => {
                        self.same(&stored)?;
                        return self.done().await;
                    }
                    None => tracing::warn!(key, "was complete, and is not there"),
                },
                Round::Changed => tracing::debug!(key, round, "another push was faster"),
            }
        }
        Err(PushError::Restless {
            bucket: target.bucket.name().to_owned(),
            key: key.clone(),
        })
    }

    async fn done(&self) -> Result<Transferred, PushError> {
        let Inner { target, key, .. } = &*self.0;
        if let Err(error) = target.tidy(key).await {
            // The bucket's lifecycle rule does it in some days.
            tracing::warn!(%error, key, "other uploads of this pack could not be ended");
        }
        Ok(Transferred {
            sent: self.0.sent.load(Ordering::Relaxed),
            resumed: self.0.resumed.load(Ordering::Relaxed),
        })
    }

    /// Refuses an object that is not this pack.
    fn same(&self, stored: &Head) -> Result<(), PushError> {
        let Inner {
            target, key, pack, ..
        } = &*self.0;
        let sums: Vec<[u8; 32]> = self
            .0
            .sums
            .iter()
            .filter_map(|it| it.get().copied())
            .collect();
        let (ours, theirs) = (checksum(&sums), stored.checksum.as_deref());
        let why = if stored.len != pack.record.size {
            format!("{} bytes, not {}", stored.len, pack.record.size)
        } else if theirs != Some(&ours) {
            format!("its SHA-256 is {}, not {ours}", theirs.unwrap_or("missing"))
        } else {
            return Ok(());
        };
        Err(PushError::Occupied {
            bucket: target.bucket.name().to_owned(),
            key: key.clone(),
            why,
        })
    }

    /// A pack of one part.
    async fn at_once(&self) -> Result<Round, PushError> {
        let Inner { target, key, .. } = &*self.0;
        let (bytes, sum) = self.read(0).await?;
        let len = bytes.len() as u64;
        match target.put_once(key, bytes, &base64(&sum)).await? {
            true => {
                self.0.sent.fetch_add(len, Ordering::Relaxed);
                (self.0.progress)(Step::Sent(len));
                Ok(Round::Complete)
            }
            false => Ok(Round::Changed),
        }
    }

    /// A pack of several, as a multipart upload: a new one, or one that was left over.
    async fn in_parts(&self) -> Result<Round, PushError> {
        let Inner { target, key, .. } = &*self.0;
        let leftovers = target.leftovers(key).await?;
        let (id, had, ours) = match parts::choose(leftovers, &self.0.parts) {
            Some(it) => (it.id, it.parts, false),
            None => (target.begin(key).await?, BTreeMap::new(), true),
        };
        let sending = Sending::Upload(Arc::new(Upload { id, had }));
        let sent = self.each_part(&sending).await;
        let Sending::Upload(upload) = sending else {
            return Ok(Round::Changed);
        };
        match sent {
            Ok(tags) => self.complete(&upload.id, &tags).await,
            Err(PushError::Aws(error)) if error.code == "NoSuchUpload" => Ok(Round::Changed),
            // Nothing is left of a pack that is not what its manifest says. What an earlier push
            // began is not ours to end: its parts were checked, and another may be at it now.
            Err(error @ PushError::Image(_)) if ours => {
                target.abort(key, &upload.id).await?;
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    async fn complete(&self, upload: &str, tags: &[String]) -> Result<Round, PushError> {
        let Inner {
            target, key, pack, ..
        } = &*self.0;
        let parts = (1..)
            .zip(tags)
            .zip(&self.0.sums)
            .map(|((number, tag), sum)| {
                CompletedPart::builder()
                    .part_number(number)
                    .e_tag(tag)
                    .set_checksum_sha256(sum.get().map(|it| base64(it)))
                    .build()
            });
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts.collect()));
        let answer = target
            .bucket
            .complete_multipart_upload()
            .key(key)
            .upload_id(upload)
            .multipart_upload(parts.build())
            .checksum_type(ChecksumType::Composite)
            .set_mpu_object_size(i64::try_from(pack.record.size).ok())
            .if_none_match("*")
            .customize()
            .config_override(super::objects::patient())
            .send()
            .await
            .map_err(|error| AwsError::new("s3 CompleteMultipartUpload", error));
        match answer {
            Ok(_) => Ok(Round::Complete),
            // Another push completed or ended it, or sent one of its parts again, whose tag then is
            // another (S3's tags of encrypted parts are not those of their content).
            Err(error) if matches!(error.code.as_str(), "NoSuchUpload" | "InvalidPart") => {
                Ok(Round::Changed)
            }
            Err(error) if error.kind == Kind::Conflict => {
                // The object is there; or it was for a moment, and S3 wants a new upload.
                target.abort(key, upload).await?;
                Ok(Round::Changed)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Reads and checks every part, and sends what is not there. Gives their tags.
    async fn each_part(&self, sending: &Sending) -> Result<Vec<String>, PushError> {
        let count = self.0.parts.len();
        let mut tags = vec![String::new(); count];
        let mut tasks = JoinSet::new();
        let mut next = 0;
        loop {
            tokio::select! {
                Ok(place) = self.0.places.clone().acquire_owned(), if next < count => {
                    let (this, sending, at) = (self.clone(), sending.clone(), next);
                    tasks.spawn(async move {
                        let tag = this.part(at, &sending).await?;
                        drop(place);
                        Ok::<_, PushError>((at, tag))
                    });
                    next += 1;
                }
                Some(done) = tasks.join_next(), if !tasks.is_empty() => {
                    let done = done.map_err(|error| ImageError::Reader(error.to_string()))?;
                    match done {
                        Ok((at, tag)) => tags[at] = tag,
                        Err(error) => {
                            // No request of ours may arrive after the upload's end.
                            tasks.shutdown().await;
                            return Err(error);
                        }
                    }
                }
                else => return Ok(tags),
            }
        }
    }

    async fn part(&self, at: usize, sending: &Sending) -> Result<String, PushError> {
        let inner = &*self.0;
        let len = inner.parts[at].len;
        let upload = match sending {
            Sending::Nowhere if inner.sums[at].get().is_some() => return Ok(String::new()),
            Sending::Nowhere => {
                self.read(at).await?;
                (inner.progress)(Step::Found(len));
                return Ok(String::new());
            }
            Sending::Upload(upload) => upload,
        };
        let (bytes, sum) = self.read(at).await?;
        let sum = base64(&sum);
        // A pack has 9,500 parts at most.
        let number = at as i32 + 1;
        let (tag, step) = match upload.had.get(&number) {
            Some(part) if part.len == len && part.sha256 == sum => {
                inner.resumed.fetch_add(1, Ordering::Relaxed);
                (part.etag.clone(), Step::Found(len))
            }
            _ => {
                let sent = inner
                    .target
                    .put_part(&inner.key, &upload.id, number, bytes, &sum);
                let tag = sent.await?;
                inner.sent.fetch_add(len, Ordering::Relaxed);
                (tag, Step::Sent(len))
            }
        };
        (inner.progress)(step);
        Ok(tag)
    }

    /// A part's bytes, each frame of them checked, and their SHA-256.
    async fn read(&self, at: usize) -> Result<(Bytes, [u8; 32]), PushError> {
        let failed = |error: &dyn std::fmt::Display| ImageError::Reader(error.to_string());
        let processor = self.0.processors.acquire().await;
        let _processor = processor.map_err(|error| failed(&error))?;
        let this = self.clone();
        let read = tokio::task::spawn_blocking(move || this.read_now(at));
        Ok(read.await.map_err(|error| failed(&error))??)
    }

    fn read_now(&self, at: usize) -> Result<(Bytes, [u8; 32]), ImageError> {
        let inner = &*self.0;
        let readers = || {
            inner
                .readers
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner())
        };
        let free = readers().pop();
        let mut reader = match free {
            Some(reader) => reader,
            None => Reader::new()?,
        };
        let part = &inner.parts[at];
        let mut bytes = Vec::with_capacity(part.len as usize);
        let frames = &inner.pack.frames[part.frames.clone()];
        inner.image.read(frames, &mut reader, &mut bytes)?;
        if at + 1 == inner.parts.len() {
            bytes.extend_from_slice(&inner.pack.table);
        }
        readers().push(reader);
        let sum: [u8; 32] = Sha256::digest(&bytes).into();
        // Read again, other bytes may be the same blocks; but they are not the same part.
        if *inner.sums[at].get_or_init(|| sum) != sum {
            return Err(ImageError::Changed {
                index: frames.first().map_or(0, |frame| frame.index),
            });
        }
        Ok((bytes.into(), sum))
    }
}

/// Where parts go.
#[derive(Clone)]
enum Sending {
    /// They are in the vault, and only compared.
    Nowhere,
    Upload(Arc<Upload>),
}

struct Upload {
    id: String,
    /// What it had when this push came to it.
    had: BTreeMap<i32, StoredPart>,
}
