//! Ordered, non-overlapping extents: the one language in which formats say where bytes go.

use crate::tree::Source;
use std::sync::Arc;

/// A run of bytes on the disk and where they come from.
#[derive(Debug, Clone)]
pub struct Extent {
    /// Offset on the disk in bytes.
    pub offset: u64,
    /// Length in bytes, never 0.
    pub len: u64,
    /// Where the bytes come from.
    pub source: ExtentSource,
}

/// Where an extent's bytes come from.
#[derive(Debug, Clone)]
pub enum ExtentSource {
    /// `bytes[at..at + len]`.
    Bytes {
        /// Shared by many extents.
        bytes: Arc<[u8]>,
        /// Where in `bytes` the extent starts.
        at: usize,
    },
    /// Content of a file, from offset `at` of its source.
    Content {
        /// What holds the bytes.
        source: Source,
        /// Where in the source the extent starts.
        at: u64,
    },
    /// Zeros that a reader may look at: content.
    Zero,
    /// Space that no reader may look at. It reads as zero in a raw image, and need not be put
    /// into a snapshot.
    Free,
}

/// Two extents claim the same bytes, or none claims some.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("extent at {offset} for {len} bytes does not follow the one that ends at {end}")]
pub struct OverlapError {
    offset: u64,
    len: u64,
    end: u64,
}

/// Extents in ascending order, each beginning where the last ended or, with a gap of free space,
/// behind it.
#[derive(Debug, Clone, Default)]
pub struct ExtentMap {
    extents: Vec<Extent>,
    end: u64,
}

impl ExtentMap {
    /// Where the last extent ends.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Appends an extent; space between the last one's end and it is free. Nothing is appended
    /// for `len` 0.
    pub fn push(
        &mut self,
        offset: u64,
        len: u64,
        source: ExtentSource,
    ) -> Result<(), OverlapError> {
        let refused = OverlapError {
            offset,
            len,
            end: self.end,
        };
        let end = offset.checked_add(len).ok_or_else(|| refused.clone())?;
        if offset < self.end {
            return Err(refused);
        }
        if offset > self.end {
            self.append(self.end, offset - self.end, ExtentSource::Free);
        }
        if len > 0 {
            self.append(offset, len, source);
        }
        self.end = end;
        Ok(())
    }

    /// Appends bytes and, behind them, zeros up to `len` bytes in all.
    pub fn push_bytes(
        &mut self,
        offset: u64,
        bytes: Vec<u8>,
        len: u64,
    ) -> Result<(), OverlapError> {
        let n = bytes.len() as u64;
        self.push(
            offset,
            n,
            ExtentSource::Bytes {
                bytes: bytes.into(),
                at: 0,
            },
        )?;
        self.push(offset + n, len.saturating_sub(n), ExtentSource::Zero)
    }

    /// Appends all of `other`, shifted by `offset`.
    pub fn append_map(&mut self, offset: u64, other: ExtentMap) -> Result<(), OverlapError> {
        for extent in other.extents {
            self.push(offset + extent.offset, extent.len, extent.source)?;
        }
        Ok(())
    }

    /// The extents.
    pub fn into_extents(self) -> Vec<Extent> {
        self.extents
    }

    fn append(&mut self, offset: u64, len: u64, source: ExtentSource) {
        // Zero and free runs are merged, so that their number does not grow with their size.
        if let Some(last) = self.extents.last_mut() {
            let same = matches!(
                (&last.source, &source),
                (ExtentSource::Zero, ExtentSource::Zero) | (ExtentSource::Free, ExtentSource::Free)
            );
            if same {
                last.len += len;
                return;
            }
        }
        self.extents.push(Extent {
            offset,
            len,
            source,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlap_is_refused_and_a_gap_is_free() {
        let mut map = ExtentMap::default();
        map.push(0, 10, ExtentSource::Zero).unwrap();
        map.push(20, 5, ExtentSource::Zero).unwrap();
        assert!(map.push(24, 1, ExtentSource::Zero).is_err());
        assert!(map.push(u64::MAX, 2, ExtentSource::Zero).is_err());
        let extents = map.into_extents();
        assert_eq!(extents.len(), 3);
        assert!(matches!(
            extents[1],
            Extent {
                offset: 10,
                len: 10,
                source: ExtentSource::Free
            }
        ));
    }
}
