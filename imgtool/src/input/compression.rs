//! Compressed archives: told by their first bytes, decompressed once into an unnamed file.

use super::budget::Budget;
use super::span::Span;
use super::{InputError, Options};
use crate::tree::is_zero;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;

/// Bytes decompressed at a time.
const BUFFER: usize = 256 * 1024;
/// What an xz decoder may use: `xz -9` needs 65 MiB.
const XZ_MEMORY: u64 = 128 * 1024 * 1024;

/// A compression of whole files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    /// RFC 1952, one or more members.
    Gzip,
    /// The .xz file format, one or more streams.
    Xz,
    /// RFC 8878, one or more frames.
    Zstd,
}

impl Compression {
    /// Tells a compression by the first bytes of a file.
    pub(super) fn detect(head: &[u8]) -> Option<Compression> {
        match head {
            [0x1f, 0x8b, ..] => Some(Compression::Gzip),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Compression::Xz),
            // A frame, or a skippable frame before one (RFC 8878, section 3.1).
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
                Some(Compression::Zstd)
            }
            _ => None,
        }
    }

    /// What messages call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Compression::Gzip => "gzip",
            Compression::Xz => "xz",
            Compression::Zstd => "zstd",
        }
    }

    /// Decompresses `input`.
    pub(super) fn reader<'a>(
        self,
        input: impl Read + Send + 'a,
    ) -> io::Result<Box<dyn Read + Send + 'a>> {
        let input = BufReader::with_capacity(BUFFER, input);
        Ok(match self {
            Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
            Compression::Xz => {
                let flags = liblzma::stream::CONCATENATED;
                let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, flags)?;
                Box::new(liblzma::bufread::XzDecoder::new_stream(input, stream))
            }
            Compression::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(input)?),
        })
    }
}

/// What decompression made.
pub(super) struct Spooled {
    /// The decompressed bytes.
    pub(super) span: Span,
    /// Their SHA-256.
    pub(super) sha256: [u8; 32],
}

/// Decompresses `input` into an unnamed file. Every byte counts against `budget`, so what grows
/// without end stops there; runs of zeros take no room on the disk.
pub(super) fn spool(
    input: &Span,
    compression: Compression,
    options: &Options<'_>,
    budget: &Budget,
) -> Result<Spooled, InputError> {
    let spool_error = |source| InputError::Spool {
        dir: options.spool_dir.display().to_string(),
        source,
    };
    let corrupt = |source| InputError::Decompress {
        name: input.name.to_string(),
        format: compression.name(),
        source,
    };
    let file = tempfile::tempfile_in(options.spool_dir).map_err(spool_error)?;
    let mut reader = compression.reader(input.reader()).map_err(corrupt)?;
    let mut hash = Sha256::new();
    let mut buf = vec![0; BUFFER];
    let mut len: u64 = 0;
    loop {
        let n = fill(&mut reader, &mut buf).map_err(corrupt)?;
        if n == 0 {
            break;
        }
        budget.spool(n as u64)?;
        hash.update(&buf[..n]);
        write_sparse(&file, &buf[..n], len).map_err(spool_error)?;
        len = len.saturating_add(n as u64);
    }
    file.set_len(len).map_err(spool_error)?;
    drop(reader);
    input.check_unchanged()?;
    Ok(Spooled {
        span: Span::unnamed(file, &input.name, len),
        sha256: hash.finalize().into(),
    })
}

fn write_sparse(file: &File, bytes: &[u8], mut at: u64) -> io::Result<()> {
    for chunk in bytes.chunks(64 * 1024) {
        if !is_zero(chunk) {
            file.write_all_at(chunk, at)?;
        }
        at = at.saturating_add(chunk.len() as u64);
    }
    Ok(())
}

/// Reads until `buf` is full or the input ends.
pub(super) fn fill(reader: &mut impl Read, buf: &mut [u8]) -> io::Result<usize> {
    let mut n = 0;
    while n < buf.len() {
        match reader.read(&mut buf[n..]) {
            Ok(0) => break,
            Ok(more) => n += more,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(n)
}
