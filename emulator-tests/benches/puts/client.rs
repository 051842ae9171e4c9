//! A client that costs next to nothing: blocks whose digests are known beforehand, as in an
//! image's manifest, written to sockets that stay open.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

const BLOCK_LEN: usize = 512 * 1024;
const AMZ_DATE: &[BorrowedFormatItem<'_>] =
    format_description!("[year][month][day]T[hour][minute][second]Z");
/// Every page of a block says which block it is.
const PAGE: usize = 4096;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Blocks put, and how long it took.
pub struct Measured {
    pub blocks: u32,
    pub seconds: f64,
}

impl Measured {
    pub fn per_second(&self) -> f64 {
        f64::from(self.blocks) / self.seconds
    }
}

/// What blocks are made of: no zeros, nothing that compresses, and no two the same.
struct Image {
    noise: Vec<u8>,
    round: u32,
}

impl Image {
    fn new(round: u32) -> Self {
        let mut noise = vec![0; BLOCK_LEN];
        fastrand::Rng::with_seed(7).fill(&mut noise);
        Self { noise, round }
    }

    /// Makes a copy of `noise` the block of this index.
    fn stamp(&self, block: &mut [u8], index: u32) {
        for page in block.chunks_exact_mut(PAGE) {
            page[..4].copy_from_slice(&index.to_le_bytes());
            page[4..8].copy_from_slice(&self.round.to_le_bytes());
        }
    }

    /// Every block's digest, as a manifest has them.
    fn digests(&self, blocks: u32) -> Vec<[u8; 32]> {
        let mut block = self.noise.clone();
        (0..blocks)
            .map(|index| {
                self.stamp(&mut block, index);
                Sha256::digest(&block).into()
            })
            .collect()
    }
}

/// Starts a snapshot, puts blocks, completes it; the time is that of the puts.
pub fn measure(
    endpoint: SocketAddr,
    blocks: u32,
    connections: u32,
    round: u32,
) -> std::result::Result<Measured, Box<dyn Error>> {
    let image = Image::new(round);
    let digests = image.digests(blocks);
    let run = || -> Result<Measured> {
        let mut control = Connection::new(endpoint);
        let size = blocks.div_ceil(2048);
        let started = control.call(
            "POST",
            "/snapshots",
            "content-type: application/json\r\n",
            format!("{{\"VolumeSize\":{size}}}").as_bytes(),
        )?;
        let started: serde_json::Value = serde_json::from_slice(&started)?;
        let id = started["SnapshotId"].as_str().ok_or("no SnapshotId")?;
        let next = AtomicU32::new(0);
        let start = Instant::now();
        std::thread::scope(|scope| -> Result<()> {
            let workers: Vec<_> = (0..connections)
                .map(|_| scope.spawn(|| put(endpoint, id, &image, &digests, &next)))
                .collect();
            for worker in workers {
                worker.join().map_err(|_| "a worker panicked")??;
            }
            Ok(())
        })?;
        let seconds = start.elapsed().as_secs_f64();
        let mut linear = Sha256::new();
        digests.iter().for_each(|digest| linear.update(digest));
        let headers = format!(
            "x-amz-ChangedBlocksCount: {blocks}\r\nx-amz-Checksum: {}\r\n\
             x-amz-Checksum-Algorithm: SHA256\r\nx-amz-Checksum-Aggregation-Method: LINEAR\r\n",
            STANDARD.encode(linear.finalize())
        );
        control.call(
            "POST",
            &format!("/snapshots/completion/{id}"),
            &headers,
            &[],
        )?;
        Ok(Measured { blocks, seconds })
    };
    run().map_err(|error| -> Box<dyn Error> { error })
}

fn put(
    endpoint: SocketAddr,
    id: &str,
    image: &Image,
    digests: &[[u8; 32]],
    next: &AtomicU32,
) -> Result<()> {
    let mut connection = Connection::new(endpoint);
    let mut block = image.noise.clone();
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let Some(digest) = digests.get(index as usize) else {
            return Ok(());
        };
        image.stamp(&mut block, index);
        let headers = format!(
            "x-amz-Data-Length: {BLOCK_LEN}\r\nx-amz-Checksum: {}\r\n\
             x-amz-Checksum-Algorithm: SHA256\r\ncontent-type: application/octet-stream\r\n",
            STANDARD.encode(digest)
        );
        let path = format!("/snapshots/{id}/blocks/{index}");
        connection.call("PUT", &path, &headers, &block)?;
    }
}

/// One connection, opened when it is needed: a server may close it after any answer.
struct Connection {
    endpoint: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
}

impl Connection {
    fn new(endpoint: SocketAddr) -> Self {
        Self {
            endpoint,
            stream: None,
        }
    }

    /// The answer's body, if its status is one of success.
    fn call(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> Result<Vec<u8>> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(self.endpoint)?;
                stream.set_nodelay(true)?;
                BufReader::new(stream)
            }
        };
        let now = OffsetDateTime::now_utc().format(AMZ_DATE)?;
        let day = now.get(..8).ok_or("a date")?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\n\
             authorization: AWS4-HMAC-SHA256 Credential=test/{day}/us-east-1/ebs/aws4_request, \
             SignedHeaders=host, Signature=0\r\nx-amz-date: {now}\r\n{headers}\r\n",
            self.endpoint,
            body.len(),
        );
        stream.get_mut().write_all(head.as_bytes())?;
        stream.get_mut().write_all(body)?;

        let mut line = String::new();
        stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut close = line.starts_with("HTTP/1.0");
        let mut length = 0_usize;
        loop {
            line.clear();
            if stream.read_line(&mut line)? == 0 {
                return Err("the server closed the connection".into());
            }
            let Some((name, value)) = line.trim_end().split_once(':') else {
                break;
            };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse()?;
            } else if name.eq_ignore_ascii_case("connection") {
                close = value.trim().eq_ignore_ascii_case("close");
            }
        }
        let mut answer = vec![0; length];
        stream.read_exact(&mut answer)?;
        if !close {
            self.stream = Some(stream);
        }
        if !status.starts_with('2') {
            let answer = String::from_utf8_lossy(&answer);
            return Err(format!("{method} {path}: {status} {answer}").into());
        }
        Ok(answer)
    }
}
