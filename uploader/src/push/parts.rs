//! How a pack is cut into the parts of a multipart upload, and which earlier upload to go on with.
//!
//! Parts end where frames do, so that each can be read, checked and sent without the others. The
//! cut is a function of the frames' lengths alone: another push of the same pack makes the same
//! parts, with the same checksums, and so can go on where this one was killed.

use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

/// Parts have at least so many bytes; S3 wants 5 MiB.
const MIN_PART: u64 = 8 << 20;
/// Parts at most: S3 takes 10,000.
const MAX_PARTS: u64 = 9_500;
const MIB: u64 = 1 << 20;

/// A part of a pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which frames.
    pub frames: Range<usize>,
    /// Its length, with the seek table if it is the last.
    pub len: u64,
}

/// Cuts a pack of frames of these lengths, with `table` bytes behind them.
pub fn cut(lens: impl Iterator<Item = u32> + Clone, table: u64) -> Vec<Part> {
    let size: u64 = lens.clone().map(u64::from).sum::<u64>() + table;
    let least = size.div_ceil(MAX_PARTS).next_multiple_of(MIB).max(MIN_PART);
    let mut parts: Vec<Part> = Vec::new();
    let mut open = Part {
        frames: 0..0,
        len: 0,
    };
    for len in lens {
        open.frames.end += 1;
        open.len += u64::from(len);
        if open.len >= least {
            let next = open.frames.end..open.frames.end;
            parts.push(std::mem::replace(
                &mut open,
                Part {
                    frames: next,
                    len: 0,
                },
            ));
        }
    }
    match parts.last_mut() {
        Some(last) if open.len == 0 => last.len += table,
        _ => {
            open.len += table;
            parts.push(open);
        }
    }
    parts
}

/// How many parts may be in memory at the same time: as many as `memory` holds, two at least (one
/// is read while the other is sent), and not more than `most`.
pub fn in_flight(parts: &[Part], memory: u64, most: usize) -> usize {
    let longest = parts.iter().map(|part| part.len).max().unwrap_or(1).max(1);
    usize::try_from(memory / longest)
        .unwrap_or(usize::MAX)
        .clamp(2, most.max(2))
}

/// A part that S3 has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPart {
    /// Its length.
    pub len: u64,
    /// Its SHA-256 in base64, as S3 says it.
    pub sha256: String,
    /// What completes the upload.
    pub etag: String,
}

/// An upload that was begun and not completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// S3's name for it.
    pub id: String,
    /// Its parts by number, from 1.
    pub parts: BTreeMap<i32, StoredPart>,
}

/// The upload to go on with: the one with the most parts of the right lengths; of several such, the
/// first by id, so that two pushes choose the same. Whether a part is ours is known when it is read.
pub fn choose(leftovers: Vec<Leftover>, parts: &[Part]) -> Option<Leftover> {
    let fitting = |it: &Leftover| {
        let fits = |(number, part): &(&i32, &StoredPart)| {
            let place = number
                .checked_sub(1)
                .and_then(|it| usize::try_from(it).ok());
            place
                .and_then(|at| parts.get(at))
                .is_some_and(|it| it.len == part.len)
        };
        it.parts.iter().filter(fits).count()
    };
    leftovers.into_iter().min_by(|a, b| {
        let most = fitting(b).cmp(&fitting(a));
        most.then_with(|| a.id.cmp(&b.id))
    })
}

/// A digest as S3 writes it.
pub fn base64(digest: &[u8]) -> String {
    BASE64.encode(digest)
}

/// The checksum that S3 gives an object of these parts: that of its bytes if it was put at once,
/// else that of the parts' checksums, and their number (`COMPOSITE`).
pub fn checksum(parts: &[[u8; 32]]) -> String {
    match parts {
        [one] => base64(one),
        parts => format!(
            "{}-{}",
            base64(&Sha256::digest(parts.concat())),
            parts.len()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_hold_every_frame_once_and_fit_s3(
            lens in prop::collection::vec(1u32..550_000, 1..2000),
            table in 0u64..100_000,
        ) {
            let parts = cut(lens.iter().copied(), table);
            let mut next = 0;
            for (at, part) in parts.iter().enumerate() {
                prop_assert_eq!(part.frames.start, next);
                next = part.frames.end;
                let mut len: u64 = lens[part.frames.clone()].iter().copied().map(u64::from).sum();
                if at + 1 == parts.len() {
                    len += table;
                } else {
                    prop_assert!(part.len >= MIN_PART && part.len < MIN_PART + 550_000);
                }
                prop_assert!(!part.frames.is_empty());
                prop_assert_eq!(part.len, len);
            }
            prop_assert_eq!(next, lens.len());
        }
    }

    /// 5 TiB that does not compress: the number of parts has a limit, not their length.
    #[test]
    fn a_huge_pack_has_few_parts() {
        let frames = 10 << 20;
        let parts = cut(
            std::iter::repeat_n(524_300_u32, frames),
            frames as u64 * 8 + 17,
        );
        assert!(parts.len() <= 9_500, "{}", parts.len());
        assert_eq!(in_flight(&parts, 256 << 20, 16), 2);
    }

    #[test]
    fn as_many_parts_as_memory_holds() {
        let parts = cut(std::iter::repeat_n(500_000, 200), 0);
        assert_eq!(in_flight(&parts, 64 << 20, 16), 7);
        assert_eq!(in_flight(&parts, 1 << 40, 16), 16);
        assert_eq!(in_flight(&parts, 0, 16), 2);
    }

    fn leftover(id: &str, lens: &[u64]) -> Leftover {
        let part = |len: &u64| StoredPart {
            len: *len,
            sha256: String::new(),
            etag: String::new(),
        };
        Leftover {
            id: id.into(),
            parts: (1..).zip(lens.iter().map(part)).collect(),
        }
    }

    #[test]
    fn the_upload_with_the_most_matching_parts_is_gone_on_with() {
        let parts = cut(std::iter::repeat_n(1 << 19, 40), 100);
        let (len, last) = (parts[0].len, parts[2].len);
        let all = vec![
            leftover("e", &[]),
            leftover("d", &[len, len + 1]),
            leftover("c", &[len, len]),
            leftover("b", &[len, len, last + 1, 7, 7, 7]),
            leftover("f", &[1, 2, 3, 4]),
        ];
        assert_eq!(choose(all, &parts).unwrap().id, "b");
        assert_eq!(choose(vec![], &parts), None);
        let one = vec![leftover("x", &[])];
        assert_eq!(choose(one, &parts).unwrap().id, "x");
    }

    /// As `aws s3api get-object-attributes` shows them.
    #[test]
    fn checksums_are_s3s() {
        let part: [u8; 32] = Sha256::digest(b"x").into();
        assert_eq!(
            checksum(&[part]),
            "LXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE="
        );
        assert!(checksum(&[part, part]).ends_with("=-2"));
    }
}
