//! What a guest wrote to its serial console: in a file, of which the end is kept.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Bytes that are kept at least: `GetConsoleOutput` gives 64 KiB.
const KEPT: u64 = 256 << 10;
/// Bytes from which on the file is cut to [`KEPT`].
const MOST: u64 = 1 << 20;

/// A console.
pub struct Console {
    path: PathBuf,
    inner: Mutex<Inner>,
    /// How many bytes there have been.
    length: watch::Sender<u64>,
}

struct Inner {
    file: File,
    /// Which byte of the console the file begins with.
    start: u64,
}

/// A piece of a console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Which byte of the console it begins with: later than asked for, if that is gone.
    pub start: u64,
    /// The bytes from there on.
    pub bytes: Vec<u8>,
}

impl Console {
    /// An empty one in this file.
    ///
    /// # Errors
    /// The file can't be written.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)?;
        Ok(Self {
            path: path.to_owned(),
            inner: Mutex::new(Inner { file, start: 0 }),
            length: watch::Sender::new(0),
        })
    }

    /// Takes in what the guest writes, until it writes no more.
    pub(super) fn take(&self, mut from: impl Read) {
        let mut buffer = [0; 8192];
        loop {
            match from.read(&mut buffer) {
                Ok(0) => return,
                Ok(read) => {
                    if let Err(error) = self.push(&buffer[..read]) {
                        tracing::warn!(console = %self.path.display(), %error, "not written");
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }

    fn push(&self, bytes: &[u8]) -> io::Result<()> {
        let mut inner = self.lock();
        let at = *self.length.borrow() - inner.start;
        inner.file.write_all_at(bytes, at)?;
        let end = at + bytes.len() as u64;
        let length = inner.start + end;
        if end > MOST {
            let mut kept = vec![0; KEPT as usize];
            inner.file.read_exact_at(&mut kept, end - KEPT)?;
            let new = self.path.with_extension("new");
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(true)
                .open(&new)?;
            file.write_all(&kept)?;
            std::fs::rename(&new, &self.path)?;
            *inner = Inner {
                file,
                start: length - KEPT,
            };
        }
        drop(inner);
        self.length.send_replace(length);
        Ok(())
    }

    /// What there is from this byte on.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn read(&self, from: u64) -> io::Result<Piece> {
        let inner = self.lock();
        let length = *self.length.borrow();
        let start = from.clamp(inner.start, length);
        let mut bytes = vec![0; usize::try_from(length - start).unwrap_or_default()];
        inner.file.read_exact_at(&mut bytes, start - inner.start)?;
        Ok(Piece { start, bytes })
    }

    /// Tells how many bytes there have been, now and whenever there are more.
    pub fn length(&self) -> watch::Receiver<u64> {
        self.length.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_kept_and_the_file_stays_small() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("console");
        let console = Console::create(&path).unwrap();
        let text: Vec<u8> = (0..300_000_u32)
            .flat_map(|n| format!("line {n}\r\n").into_bytes())
            .collect();
        let mut largest = 0;
        for piece in text.chunks(50_000) {
            console.take(piece);
            largest = largest.max(std::fs::metadata(&path).unwrap().len());
        }
        assert!(largest <= MOST + 8192, "{largest}");
        let all = text.len() as u64;
        assert_eq!(*console.length().borrow(), all);
        let piece = console.read(0).unwrap();
        assert!(piece.bytes.len() as u64 >= KEPT);
        assert_eq!(piece.start + piece.bytes.len() as u64, all);
        assert!(text.ends_with(&piece.bytes));
        assert_eq!(std::fs::read(&path).unwrap(), piece.bytes);
        assert_eq!(
            console.read(all - 3).unwrap().bytes,
            &text[text.len() - 3..]
        );
        assert_eq!(console.read(u64::MAX).unwrap().bytes, b"");
        // It begins anew when the instance is started again.
        drop(console);
        assert_eq!(Console::create(&path).unwrap().read(0).unwrap().bytes, b"");
    }
}
