//! Sparse files in archives: the four ways GNU tar has written them ("Storing Sparse Files" in
//! its manual). All end up as regions that lie one after the other in the archive.

use super::numbers::{decimal, field};
use super::pax::Record;
use crate::input::InputError;
use crate::input::span::Span;
use crate::tree::Region;
use tar::{GnuExtSparseHeader, GnuHeader, GnuSparseHeader};

/// Regions of one file that are believed. The map is in memory; this many are 24 MiB.
const MAX_REGIONS: usize = 1 << 20;
const BLOCK: u64 = 512;

/// `(offset, length)` of each region as the map lists them.
pub(super) type Map = Vec<(u64, u64)>;

/// The old GNU format: type `S`, four regions in the header, further ones in blocks behind it.
/// Returns the map and how many bytes of blocks there were.
pub(super) fn old_gnu(
    header: &GnuHeader,
    span: &Span,
    after_header: u64,
) -> Result<Result<(Map, u64), String>, InputError> {
    let mut map = Map::new();
    let mut blocks: u64 = 0;
    if let Err(why) = extend(&mut map, &header.sparse) {
        return Ok(Err(why));
    }
    let mut more = header.isextended[0] != 0;
    while more {
        let mut block = GnuExtSparseHeader::new();
        let at = after_header.saturating_add(blocks);
        if at.checked_add(BLOCK).is_none_or(|end| end > span.len) {
            return Ok(Err("the archive is cut off in its sparse map".to_string()));
        }
        span.read_exact_at(at, block.as_mut_bytes())?;
        blocks = blocks.saturating_add(BLOCK);
        if let Err(why) = extend(&mut map, &block.sparse) {
            return Ok(Err(why));
        }
        more = block.isextended[0] != 0;
    }
    Ok(Ok((map, blocks)))
}

fn extend(map: &mut Map, headers: &[GnuSparseHeader]) -> Result<(), String> {
    for header in headers {
        // An unused place, as GNU tar and libarchive tell it.
        if header.offset[0] == 0 || header.numbytes[0] == 0 {
            continue;
        }
        let offset = field(&header.offset);
        let len = field(&header.numbytes);
        push(map, offset.zip(len))?;
    }
    Ok(())
}

/// pax format 0.0: `GNU.sparse.offset` and `GNU.sparse.numbytes` again and again.
pub(super) fn pax_0_0(records: &[Record]) -> Result<Map, String> {
    let mut map = Map::new();
    let mut offset = None;
    for (key, value) in records {
        match key.as_slice() {
            b"GNU.sparse.offset" => offset = decimal(value),
            b"GNU.sparse.numbytes" => push(&mut map, offset.take().zip(decimal(value)))?,
            _ => {}
        }
    }
    Ok(map)
}

/// pax format 0.1: `GNU.sparse.map` holds all numbers, with commas.
pub(super) fn pax_0_1(value: &[u8]) -> Result<Map, String> {
    let mut map = Map::new();
    let mut numbers = value.split(|&b| b == b',').map(decimal);
    while let Some(offset) = numbers.next() {
        push(&mut map, offset.zip(numbers.next().flatten()))?;
    }
    Ok(map)
}

/// pax format 1.0: the map leads the content, a number a line, padded to whole blocks.
/// Returns it and its length in bytes.
pub(super) fn pax_1_0(
    span: &Span,
    at: u64,
    stored: u64,
) -> Result<Result<(Map, u64), String>, InputError> {
    let mut lines = Lines {
        span,
        at,
        end: at.saturating_add(stored),
        block: [0; BLOCK as usize],
        used: BLOCK as usize,
    };
    let mut map = Map::new();
    let Some(count) = lines.number()? else {
        return Ok(Err("a sparse map that is not one".to_string()));
    };
    for _ in 0..count {
        let offset = lines.number()?;
        let len = lines.number()?;
        if let Err(why) = push(&mut map, offset.zip(len)) {
            return Ok(Err(why));
        }
    }
    Ok(Ok((map, lines.at.saturating_sub(at))))
}

struct Lines<'a> {
    span: &'a Span,
    /// Where the next block is.
    at: u64,
    end: u64,
    block: [u8; BLOCK as usize],
    used: usize,
}

impl Lines<'_> {
    fn number(&mut self) -> Result<Option<u64>, InputError> {
        let mut digits = Vec::new();
        loop {
            if self.used == self.block.len() {
                if self.end.saturating_sub(self.at) < BLOCK {
                    return Ok(None);
                }
                self.span.read_exact_at(self.at, &mut self.block)?;
                self.at = self.at.saturating_add(BLOCK);
                self.used = 0;
            }
            let byte = self.block[self.used];
            self.used += 1;
            if byte == b'\n' {
                return Ok(decimal(&digits));
            }
            if digits.len() > 20 {
                return Ok(None);
            }
            digits.push(byte);
        }
    }
}

fn push(map: &mut Map, region: Option<(u64, u64)>) -> Result<(), String> {
    let region = region.ok_or("a sparse map with a number out of range")?;
    if map.len() >= MAX_REGIONS {
        return Err(format!("a sparse map of more than {MAX_REGIONS} regions"));
    }
    map.push(region);
    Ok(())
}

/// Gives each region of `map` its place in the archive, from `at` on. The regions must be in
/// order, inside the file's `size`, and fill exactly the `stored` bytes.
pub(super) fn place(map: &Map, size: u64, at: u64, stored: u64) -> Result<Vec<Region>, String> {
    let mut regions = Vec::with_capacity(map.len());
    let (mut end, mut used) = (0_u64, 0_u64);
    for &(offset, len) in map {
        if offset < end {
            return Err("a sparse map whose regions overlap or are out of order".to_string());
        }
        end = offset
            .checked_add(len)
            .filter(|&end| end <= size)
            .ok_or("a sparse map that reaches past the end of the file")?;
        if len == 0 {
            continue;
        }
        // Writers pad each region to whole blocks, so only the last can be anything else.
        if used % BLOCK != 0 {
            return Err("a sparse map with a region that is not whole blocks".to_string());
        }
        regions.push(Region {
            offset,
            len,
            at: at.saturating_add(used),
        });
        used = used
            .checked_add(len)
            .filter(|&used| used <= stored)
            .ok_or("a sparse map of more bytes than the archive holds for it")?;
    }
    if used != stored {
        return Err(format!(
            "a sparse map of {used} bytes where the archive holds {stored}"
        ));
    }
    Ok(regions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_that_lie_are_refused() {
        for (map, size, stored, why) in [
            (&[(512, 512), (0, 512)][..], 4096, 1024, "out of order"),
            (&[(0, 1024), (512, 512)], 4096, 1536, "overlap"),
            (&[(4096, 512)], 4096, 512, "past the end"),
            (&[(u64::MAX, 2)], 4096, 2, "past the end"),
            (&[(0, 512)], 4096, 100, "more bytes than the archive"),
            (
                &[(0, 512)],
                4096,
                1024,
                "of 512 bytes where the archive holds 1024",
            ),
            (&[(0, 100), (512, 100)], 4096, 200, "not whole blocks"),
        ] {
            let error = place(&map.to_vec(), size, 0, stored).unwrap_err();
            assert!(error.contains(why), "{map:?}: {error}");
        }
        let regions = place(&vec![(512, 512), (4000, 96), (4096, 0)], 4096, 7, 608).unwrap();
        let region = |offset, len, at| Region { offset, len, at };
        assert_eq!(regions, [region(512, 512, 7), region(4000, 96, 519)]);
    }

    #[test]
    fn maps_in_pax_records() {
        assert_eq!(pax_0_1(b"0,512,4096,0").unwrap(), [(0, 512), (4096, 0)]);
        for bad in [&b"0,512,4096"[..], b"", b"0,x", b"-1,2"] {
            assert!(pax_0_1(bad).is_err(), "{bad:?}");
        }
        let record = |k: &str, v: &str| (k.as_bytes().to_vec(), v.as_bytes().to_vec());
        let good = [
            record("GNU.sparse.offset", "512"),
            record("GNU.sparse.numbytes", "7"),
        ];
        assert_eq!(pax_0_0(&good).unwrap(), [(512, 7)]);
        assert!(pax_0_0(&good[1..]).is_err());
    }
}
