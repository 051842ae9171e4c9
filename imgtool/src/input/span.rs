//! A range of bytes of an open file: an archive, a blob inside one, or what decompression made.

use super::InputError;
use crate::tree::{ContentError, HostFile, Source};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// A range of bytes of an open file.
#[derive(Debug, Clone)]
pub(super) struct Span {
    file: Arc<File>,
    source: Source,
    /// What messages call it.
    pub(super) name: Arc<str>,
    /// Where in the file it starts.
    pub(super) start: u64,
    /// Its length in bytes.
    pub(super) len: u64,
}

impl Span {
    /// All of the regular file at `path`. Later reads of its bytes refuse a file that changed.
    pub(super) fn open(path: &Path) -> Result<Span, InputError> {
        let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
        let file = std::os::unix::fs::OpenOptionsExt::custom_flags(
            std::fs::OpenOptions::new().read(true),
            flags,
        )
        .open(path)
        .map_err(|e| InputError::io(path, e))?;
        let metadata = file.metadata().map_err(|e| InputError::io(path, e))?;
        if !metadata.is_file() {
            return Err(InputError::file(path, "not a regular file"));
        }
        let host = Arc::new(HostFile::new(path.to_path_buf(), &metadata));
        let file = Arc::new(file);
        Ok(Span {
            source: Source::Archive {
                file: file.clone(),
                host,
            },
            file,
            name: path.display().to_string().into(),
            start: 0,
            len: metadata.len(),
        })
    }

    /// `len` bytes of an unnamed file that nobody else can change.
    pub(super) fn unnamed(file: File, name: &str, len: u64) -> Span {
        let file = Arc::new(file);
        let name: Arc<str> = name.into();
        Span {
            source: Source::Open {
                file: file.clone(),
                name: name.clone(),
            },
            file,
            name,
            start: 0,
            len,
        }
    }

    /// The same bytes under another name.
    pub(super) fn named(mut self, name: &str) -> Span {
        self.name = name.into();
        self
    }

    /// The `len` bytes at `offset`; `None` if they are not all inside.
    pub(super) fn part(&self, offset: u64, len: u64) -> Option<Span> {
        if offset.checked_add(len)? > self.len {
            return None;
        }
        Some(Span {
            start: self.start.checked_add(offset)?,
            len,
            ..self.clone()
        })
    }

    /// What the tree's segments refer to; offsets in it count from the start of the file.
    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    /// Fills `buf` from `offset`.
    pub(super) fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), InputError> {
        let inside = offset
            .checked_add(buf.len() as u64)
            .is_some_and(|end| end <= self.len);
        let read = if inside {
            self.file
                .read_exact_at(buf, self.start.saturating_add(offset))
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        };
        read.map_err(|source| self.io(source))
    }

    /// All bytes, if they are at most `limit`; `None` if they are more.
    pub(super) fn read_all(&self, limit: u64) -> Result<Option<Vec<u8>>, InputError> {
        if self.len > limit {
            return Ok(None);
        }
        let mut bytes = vec![0; usize::try_from(self.len).unwrap_or(0)];
        self.read_exact_at(0, &mut bytes)?;
        Ok(Some(bytes))
    }

    /// Up to `buf.len()` of its first bytes.
    pub(super) fn head<'b>(&self, buf: &'b mut [u8]) -> Result<&'b [u8], InputError> {
        let len = usize::try_from(self.len)
            .unwrap_or(usize::MAX)
            .min(buf.len());
        self.read_exact_at(0, &mut buf[..len])?;
        Ok(&buf[..len])
    }

    /// Reads it from start to end.
    pub(super) fn reader(&self) -> SpanReader<'_> {
        SpanReader { span: self, at: 0 }
    }

    /// Refuses an archive that is not what it was when it was opened.
    pub(super) fn check_unchanged(&self) -> Result<(), InputError> {
        if let Source::Archive { file, host } = &self.source {
            host.check(file)?;
        }
        Ok(())
    }

    fn io(&self, source: io::Error) -> InputError {
        InputError::Content(ContentError::Io {
            name: self.name.to_string(),
            source,
        })
    }
}

/// Reads a [`Span`] from start to end.
pub(super) struct SpanReader<'a> {
    span: &'a Span,
    at: u64,
}

impl Read for SpanReader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = self.span.len.saturating_sub(self.at);
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        let place = self.span.start.saturating_add(self.at);
        let n = self.span.file.read_at(&mut buf[..want], place)?;
        if n == 0 && want > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at = self.at.saturating_add(n as u64);
        Ok(n)
    }
}
