//! Ranges of an image, read as if each were a file of its own.

use std::cell::RefCell;
use std::fmt;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::rc::Rc;

/// Anything an image can be read from.
pub trait ReadSeek: Read + Seek + 'static {}

impl<T: Read + Seek + 'static> ReadSeek for T {}

/// A range of an image. Reads end at its end; writes are refused.
#[derive(Clone)]
pub(super) struct Window {
    image: Rc<RefCell<dyn ReadSeek>>,
    start: u64,
    len: u64,
    position: u64,
}

impl Window {
    /// All of `image`.
    pub(super) fn whole(mut image: impl ReadSeek) -> io::Result<Window> {
        let len = image.seek(SeekFrom::End(0))?;
        Ok(Window {
            image: Rc::new(RefCell::new(image)),
            start: 0,
            len,
            position: 0,
        })
    }

    /// The bytes `start .. start + len` of this window.
    pub(super) fn part(&self, start: u64, len: u64) -> io::Result<Window> {
        let inside = start.checked_add(len).is_some_and(|end| end <= self.len);
        let at = self.start.checked_add(start);
        match at {
            Some(at) if inside => Ok(Window {
                image: Rc::clone(&self.image),
                start: at,
                len,
                position: 0,
            }),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Bytes.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Fills `buf` from `offset`.
    pub(super) fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.position = offset;
        self.read_exact(buf)
    }

    /// `N` bytes from `offset`.
    pub(super) fn array<const N: usize>(&mut self, offset: u64) -> io::Result<[u8; N]> {
        let mut buf = [0; N];
        self.read_at(offset, &mut buf)?;
        Ok(buf)
    }
}

impl Read for Window {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = self.len.saturating_sub(self.position);
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        if want == 0 {
            return Ok(0);
        }
        let mut image = self.image.borrow_mut();
        // `position < len` and `start + len` is an offset in the image, so this can't overflow.
        image.seek(SeekFrom::Start(self.start + self.position))?;
        let n = image.read(&mut buf[..want])?;
        self.position += n as u64;
        Ok(n)
    }
}

impl Seek for Window {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.len.checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

// The gpt crate's device trait asks for these two.

impl Write for Window {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Window({}, {})", self.start, self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn a_window_ends_where_it_says() {
        let whole = Window::whole(Cursor::new((0..10).collect::<Vec<u8>>())).unwrap();
        let mut part = whole.part(4, 3).unwrap();
        let mut all = Vec::new();
        part.read_to_end(&mut all).unwrap();
        assert_eq!(all, [4, 5, 6]);
        assert!(part.array::<2>(2).is_err());
        assert_eq!(part.array::<2>(1).unwrap(), [5, 6]);
        assert!(part.array::<1>(u64::MAX).is_err());
        assert!(whole.part(8, 3).is_err());
        assert!(whole.part(u64::MAX, 2).is_err());
        assert!(part.write(&[0]).is_err());
        assert!(part.seek(SeekFrom::End(-100)).is_err());
    }
}
