//! Where a regular file's bytes come from. Content is referenced, never copied into the tree.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;

/// A regular file's bytes: data segments in ascending order, holes between and around them.
#[derive(Debug, Clone, Default)]
pub struct Content {
    /// Size of the file in bytes, holes included.
    pub size: u64,
    /// Ascending, not overlapping, none empty, each starting at a multiple of
    /// [`CHUNK`](super::CHUNK), each but one that ends the file ending at one.
    pub segments: Vec<Segment>,
}

/// A run of bytes of a file.
#[derive(Debug, Clone)]
pub struct Segment {
    /// Where in the file it starts.
    pub offset: u64,
    /// Its length in bytes.
    pub len: u64,
    /// What holds its bytes.
    pub source: Source,
    /// Where in `source` it starts.
    pub at: u64,
}

/// Something that holds bytes and can be read at any offset from any thread.
#[derive(Debug, Clone)]
pub enum Source {
    /// In memory: small things only.
    Memory(Arc<[u8]>),
    /// A file of the host, opened when it is read and checked against what was scanned.
    Path(Arc<HostFile>),
    /// An open file: an archive, or an unnamed temporary file.
    Open {
        /// The file.
        file: Arc<File>,
        /// What messages call it.
        name: Arc<str>,
    },
    /// An open archive of the host, checked against what was scanned at each read.
    Archive {
        /// The file.
        file: Arc<File>,
        /// What it was when its table of contents was read.
        host: Arc<HostFile>,
    },
    /// A file of which an archive holds only some regions; offsets are the file's own.
    Regions(Arc<Regions>),
}

/// The regions of a sparse file that an archive holds; everything else is zero.
#[derive(Debug)]
pub struct Regions {
    /// The archive.
    pub source: Source,
    /// Ascending by `offset`, not overlapping, none empty.
    pub regions: Vec<Region>,
}

/// A stored region of a sparse file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// Where in the file it starts.
    pub offset: u64,
    /// Its length in bytes.
    pub len: u64,
    /// Where in the archive its bytes start.
    pub at: u64,
}

/// A regular file of the host as the scan saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFile {
    /// Its path.
    pub path: PathBuf,
    /// Device number of the file system it is on.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Size in bytes.
    pub size: u64,
    /// Modification time: seconds and nanoseconds.
    pub mtime: (i64, i64),
    /// Inode change time: seconds and nanoseconds.
    pub ctime: (i64, i64),
}

/// Why content could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// The file is not what the scan saw.
    #[error("{path}: changed while the image was built; build again once nothing writes to it")]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// Reading failed.
    #[error("{name}: can't be read")]
    Io {
        /// The file.
        name: String,
        /// The cause.
        source: std::io::Error,
    },
}

impl HostFile {
    /// What `metadata` says of the file at `path`.
    pub fn new(path: PathBuf, metadata: &std::fs::Metadata) -> HostFile {
        HostFile {
            path,
            dev: metadata.dev(),
            ino: metadata.ino(),
            size: metadata.size(),
            mtime: (metadata.mtime(), metadata.mtime_nsec()),
            ctime: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Opens it, and refuses a file that is not the scanned one any more.
    pub fn open(&self) -> Result<File, ContentError> {
        // O_NONBLOCK: should a pipe have taken the file's place, opening it must not hang.
        let flags = (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK).bits() as i32;
        let file = std::fs::OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open(&self.path)
            .map_err(|source| self.io(source))?;
        self.check(&file)?;
        Ok(file)
    }

    /// Refuses a file that is not the scanned one any more. Called before a read and after it.
    pub fn check(&self, file: &File) -> Result<(), ContentError> {
        let now = file.metadata().map_err(|source| self.io(source))?;
        let same = (now.dev(), now.ino(), now.size()) == (self.dev, self.ino, self.size)
            && (now.mtime(), now.mtime_nsec()) == self.mtime
            && (now.ctime(), now.ctime_nsec()) == self.ctime;
        if same {
            Ok(())
        } else {
            Err(ContentError::Changed {
                path: self.path.clone(),
            })
        }
    }

    fn io(&self, source: std::io::Error) -> ContentError {
        // Gone, or a link has taken its place, which O_NOFOLLOW refuses.
        let link = source.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
        if source.kind() == std::io::ErrorKind::NotFound || link {
            return ContentError::Changed {
                path: self.path.clone(),
            };
        }
        ContentError::Io {
            name: self.path.display().to_string(),
            source,
        }
    }
}

impl Source {
    /// Fills `buf` from offset `at`. Fewer bytes than that is an error.
    pub fn read_exact_at(&self, at: u64, buf: &mut [u8]) -> Result<(), ContentError> {
        match self {
            Source::Memory(bytes) => {
                let start = usize::try_from(at).ok();
                let part = start
                    .and_then(|s| bytes.get(s..s.checked_add(buf.len())?))
                    .ok_or_else(|| short("memory"))?;
                buf.copy_from_slice(part);
                Ok(())
            }
            Source::Path(host) => {
                let file = host.open()?;
                match file.read_exact_at(buf, at) {
                    Ok(()) => host.check(&file),
                    Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
                        Err(ContentError::Changed {
                            path: host.path.clone(),
                        })
                    }
                    Err(e) => Err(host.io(e)),
                }
            }
            Source::Open { file, name } => {
                file.read_exact_at(buf, at)
                    .map_err(|source| ContentError::Io {
                        name: name.to_string(),
                        source,
                    })
            }
            Source::Archive { file, host } => {
                let read = file.read_exact_at(buf, at);
                host.check(file)?;
                read.map_err(|source| host.io(source))
            }
            Source::Regions(regions) => regions.read_exact_at(at, buf),
        }
    }
}

impl Regions {
    fn read_exact_at(&self, at: u64, buf: &mut [u8]) -> Result<(), ContentError> {
        let end = at
            .checked_add(buf.len() as u64)
            .ok_or_else(|| short("sparse file"))?;
        buf.fill(0);
        let first = self
            .regions
            .partition_point(|r| r.offset.saturating_add(r.len) <= at);
        for region in &self.regions[first..] {
            if region.offset >= end {
                break;
            }
            let from = region.offset.max(at);
            let to = region.offset.saturating_add(region.len).min(end);
            let part = &mut buf[(from - at) as usize..(to - at) as usize];
            let place = region.at.saturating_add(from - region.offset);
            self.source.read_exact_at(place, part)?;
        }
        Ok(())
    }
}

fn short(name: &str) -> ContentError {
    ContentError::Io {
        name: name.to_string(),
        source: std::io::ErrorKind::UnexpectedEof.into(),
    }
}

impl Content {
    /// Content held in memory, without holes.
    pub fn from_bytes(bytes: impl Into<Arc<[u8]>>) -> Content {
        let bytes = bytes.into();
        let size = bytes.len() as u64;
        let segments = if size == 0 {
            Vec::new()
        } else {
            vec![Segment {
                offset: 0,
                len: size,
                source: Source::Memory(bytes),
                at: 0,
            }]
        };
        Content { size, segments }
    }

    /// Reads the whole file, if it is at most `limit` bytes; `None` if it is larger.
    pub fn read_all(&self, limit: u64) -> Result<Option<Vec<u8>>, ContentError> {
        if self.size > limit {
            return Ok(None);
        }
        let mut bytes = vec![0; self.size as usize];
        for segment in &self.segments {
            let start = segment.offset as usize;
            let end = start + segment.len as usize;
            segment
                .source
                .read_exact_at(segment.at, &mut bytes[start..end])?;
        }
        Ok(Some(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_of_a_sparse_file_read_as_the_file() {
        let regions = Regions {
            source: Source::Memory(b"??abcdef".as_slice().into()),
            regions: vec![
                Region {
                    offset: 2,
                    len: 3,
                    at: 2,
                },
                Region {
                    offset: 7,
                    len: 3,
                    at: 5,
                },
            ],
        };
        let source = Source::Regions(Arc::new(regions));
        let whole = b"\0\0abc\0\0def\0\0";
        for from in 0..whole.len() {
            for to in from..=whole.len() {
                let mut buf = vec![9; to - from];
                source.read_exact_at(from as u64, &mut buf).unwrap();
                assert_eq!(buf, &whole[from..to], "{from}..{to}");
            }
        }
    }

    #[test]
    fn a_file_that_shrank_or_changed_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, [1; 100]).unwrap();
        let file = Arc::new(File::open(&path).unwrap());
        let host = Arc::new(HostFile::new(path.clone(), &file.metadata().unwrap()));
        let sources = [
            Source::Path(host.clone()),
            Source::Archive {
                file,
                host: host.clone(),
            },
        ];
        for source in &sources {
            source.read_exact_at(0, &mut [0; 100]).unwrap();
        }
        std::fs::write(&path, [1; 50]).unwrap();
        for source in &sources {
            let error = source.read_exact_at(0, &mut [0; 100]).unwrap_err();
            assert!(matches!(error, ContentError::Changed { .. }), "{error}");
        }
    }
}
