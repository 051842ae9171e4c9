//! Ranges of packs, from the vault or from a file.

use super::error::PutError;
use super::spans::Span;
use crate::aws::{AwsError, Bucket, Kind};
use crate::pace::{Fault, Patience, Retries};
use crate::vault::Names;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

/// Longest time of one request: a span within it is 35 KiB/s.
const TIMEOUT: Duration = Duration::from_secs(120);
const OPERATION: &str = "s3 GetObject";

/// The packs of one image.
pub(crate) struct Packs {
    origin: Origin,
    digests: Vec<String>,
    patience: Patience,
}

/// Where packs are.
enum Origin {
    /// In a vault's bucket.
    Bucket(Bucket),
    /// On this machine: the image's only pack.
    File(Arc<File>),
}

/// What one request got.
enum Got {
    Bytes(Vec<u8>),
    /// It may help to ask again.
    Again(AwsError),
}

impl Packs {
    pub(crate) fn new(bucket: Bucket, digests: Vec<String>, patience: Patience) -> Packs {
        Packs {
            origin: Origin::Bucket(bucket),
            digests,
            patience,
        }
    }

    /// An image's only pack, as a file.
    pub(crate) fn local(file: Arc<File>, digests: Vec<String>, patience: Patience) -> Packs {
        Packs {
            origin: Origin::File(file),
            digests,
            patience,
        }
    }

    /// An error about a frame.
    pub(crate) fn corrupt(&self, pack: u32, index: u32, offset: u64, why: String) -> PutError {
        PutError::Corrupt {
            pack: self.digests.get(pack as usize).cloned().unwrap_or_default(),
            index,
            offset,
            why,
        }
    }

    /// The bytes of a span.
    pub(crate) async fn read(&self, span: &Span) -> Result<Vec<u8>, PutError> {
        let bucket = match &self.origin {
            Origin::File(file) => return self.read_file(file, span).await,
            Origin::Bucket(bucket) => bucket,
        };
        let seed = span.offset ^ u64::from(span.pack);
        let mut retries = Retries::new(self.patience, seed);
        loop {
            let asked = tokio::time::timeout(TIMEOUT, self.ask(bucket, span));
            let got = match asked.await {
                Ok(got) => got?,
                Err(_) => Got::Again(broken("nothing came for two minutes")),
            };
            let last = match got {
                Got::Bytes(bytes) => return Ok(bytes),
                Got::Again(error) => error,
            };
            let fault = match last.kind {
                Kind::Throttled => Fault::Throttled,
                _ => Fault::Unavailable,
            };
            match retries.after(fault, 0) {
                Ok(wait) => tokio::time::sleep(wait).await,
                Err(gave_up) => {
                    let seconds = gave_up.0.as_secs();
                    return Err(PutError::Budget { seconds, last });
                }
            }
        }
    }

    async fn read_file(&self, file: &Arc<File>, span: &Span) -> Result<Vec<u8>, PutError> {
        let (file, offset) = (Arc::clone(file), span.offset);
        let len = usize::try_from(span.len).unwrap_or(usize::MAX);
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = vec![0; len];
            file.read_exact_at(&mut bytes, offset).map(|()| bytes)
        });
        super::joined(read.await)?.map_err(|error| self.corrupt_span(span, error.to_string()))
    }

    fn corrupt_span(&self, span: &Span, why: String) -> PutError {
        let (index, offset) = match span.blocks.first() {
            Some((put, frame)) => (put.index, frame.offset),
            None => (0, span.offset),
        };
        self.corrupt(span.pack, index, offset, why)
    }

    async fn ask(&self, bucket: &Bucket, span: &Span) -> Result<Got, PutError> {
        let corrupt = |why: &str| self.corrupt_span(span, why.to_owned());
        let Some(digest) = self.digests.get(span.pack as usize) else {
            return Err(corrupt("the manifest has no such pack"));
        };
        let key = Names::pack_key(digest);
        let last = span.offset.saturating_add(span.len).saturating_sub(1);
        let answer = bucket
            .get_object()
            .key(&key)
            .range(format!("bytes={}-{last}", span.offset))
            .send()
            .await
            .map_err(|error| AwsError::new(OPERATION, error));
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) if error.code == "NoSuchKey" => {
                let bucket = bucket.name().to_owned();
                return Err(PutError::NoPack { bucket, key });
            }
            Err(error) if error.code == "InvalidRange" => {
                return Err(corrupt("its frame lies behind the pack's end"));
            }
            Err(error) if error.is_transient() => return Ok(Got::Again(error)),
            Err(error) => return Err(error.into()),
        };
        let promised = answer.content_length.map(i64::cast_unsigned);
        if promised.is_some_and(|it| it < span.len) {
            return Err(corrupt("its frame reaches behind the pack's end"));
        }
        let wanted = usize::try_from(span.len).unwrap_or(usize::MAX);
        let mut body = answer.body;
        let mut bytes = Vec::with_capacity(wanted);
        while let Some(piece) = body.next().await {
            match piece {
                Ok(piece) if piece.len() <= wanted - bytes.len() => bytes.extend_from_slice(&piece),
                Ok(_) => return Ok(Got::Again(broken("more came than was asked for"))),
                Err(error) => return Ok(Got::Again(broken(&error.to_string()))),
            }
        }
        if bytes.len() < wanted {
            return Ok(Got::Again(broken("the answer broke off")));
        }
        Ok(Got::Bytes(bytes))
    }
}

fn broken(why: &str) -> AwsError {
    AwsError {
        operation: OPERATION,
        kind: Kind::Unavailable,
        code: String::new(),
        message: why.to_owned(),
    }
}
