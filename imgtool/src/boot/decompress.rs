//! Decoders behind one type, with bounds on what they allocate and give.

use std::io::{self, BufRead, Read};

/// Memory that an xz decoder may take: `xz -9` needs 65 MiB, a hostile header asks for 4 GiB.
const XZ_MEMORY: u64 = 256 << 20;

/// How data are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gz,
    Xz,
    Zstd,
}

impl Compression {
    /// By a file name's last extension: "" is none; `None` if it is not one of these.
    pub(super) fn from_extension(extension: &str) -> Option<Compression> {
        Some(match extension {
            "" => Compression::None,
            "gz" => Compression::Gz,
            "xz" => Compression::Xz,
            "zst" => Compression::Zstd,
            _ => return None,
        })
    }

    /// A reader of the decompressed bytes.
    pub(super) fn decoder<'a>(self, from: impl BufRead + 'a) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Compression::None => Box::new(from),
            Compression::Gz => Box::new(flate2::bufread::GzDecoder::new(from)),
            Compression::Xz => {
                let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, 0)?;
                Box::new(liblzma::bufread::XzDecoder::new_stream(from, stream))
            }
            // The window is bounded by zstd's own default of 128 MiB.
            Compression::Zstd => Box::new(zstd::Decoder::with_buffer(from)?),
        })
    }
}

/// An error that says that a limit was passed.
pub(super) fn too_large(what: &str, limit: u64) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("{what} is larger than {} MiB", limit >> 20),
    )
}

/// Reads to the end, at most `limit` bytes. Memory grows with what is really there.
pub(super) fn read_bounded(from: impl Read, what: &str, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(too_large(what, limit));
    }
    Ok(bytes)
}

/// Gives bytes until `left` are used up, then an error: a bound on what a bomb unpacks to.
pub(super) struct Limited<R> {
    pub(super) inner: R,
    pub(super) left: u64,
    pub(super) limit: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        match self.left.checked_sub(n as u64) {
            Some(left) => self.left = left,
            None => return Err(too_large("the unpacked archive", self.limit)),
        }
        Ok(n)
    }
}
