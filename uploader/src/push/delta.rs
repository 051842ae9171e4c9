//! What the vault lacks: a pure function of an image's manifest and those of earlier versions.

use imgtool::pack::{Manifest, PackDigest, PackRecord, seek_table};
use std::collections::HashMap;

/// A frame that is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Index of its block on the disk.
    pub index: u64,
    /// The block's SHA-256.
    pub sha256: [u8; 32],
    /// Where it is in the pack that is read.
    pub offset: u64,
    /// Its length.
    pub len: u32,
}

/// Where a frame is in the vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    /// Which of the known packs.
    pack: usize,
    offset: u64,
    len: u32,
}

/// Blocks that the vault has, by digest.
#[derive(Debug, Default)]
pub struct Known {
    packs: Vec<PackRecord>,
    places: HashMap<[u8; 32], Place>,
}

impl Known {
    /// Adds the blocks of a stored manifest, as far as they are in packs that can be used. What is
    /// known already stays where it is.
    pub fn add(&mut self, manifest: &Manifest, usable: impl Fn(&PackRecord) -> bool) {
        let packs: Vec<Option<usize>> = manifest
            .packs
            .iter()
            .map(|pack| usable(pack).then(|| self.pack(pack)))
            .collect();
        for (_, sha256, pack, offset, len) in &manifest.blocks.data {
            let Some(Some(pack)) = packs.get(*pack as usize) else {
                continue;
            };
            let place = Place {
                pack: *pack,
                offset: *offset,
                len: *len,
            };
            self.places.entry(bytes(sha256)).or_insert(place);
        }
    }

    /// Whether the vault has a block with this digest.
    pub fn has(&self, sha256: &[u8; 32]) -> bool {
        self.places.contains_key(sha256)
    }

    fn pack(&mut self, pack: &PackRecord) -> usize {
        let found = self.packs.iter().position(|it| it == pack);
        found.unwrap_or_else(|| {
            self.packs.push(pack.clone());
            self.packs.len() - 1
        })
    }
}

/// What a push sends, and what it then stores.
#[derive(Debug)]
pub struct Delta {
    /// The manifest as it is stored: it names the new pack, if there is one, and those of earlier
    /// versions.
    pub manifest: Manifest,
    /// The pack to send; none if the vault has every block.
    pub pack: Option<NewPack>,
    /// Packs of earlier versions that the manifest refers to.
    pub reused: Vec<PackRecord>,
}

/// A pack to send.
#[derive(Debug)]
pub struct NewPack {
    /// Its digest and size.
    pub record: PackRecord,
    /// Its frames in order.
    pub frames: Vec<Frame>,
    /// What follows them.
    pub table: Vec<u8>,
}

impl NewPack {
    /// The pack of these frames, in this order.
    pub fn new(frames: Vec<Frame>) -> NewPack {
        let mut digest = PackDigest::default();
        let mut size = 0;
        for frame in &frames {
            digest.frame(frame.len, &frame.sha256);
            size += u64::from(frame.len);
        }
        let lens: Vec<u32> = frames.iter().map(|frame| frame.len).collect();
        let table = seek_table(&lens).unwrap_or_default();
        NewPack {
            record: PackRecord {
                digest: hex::encode(digest.finish()),
                size: size + table.len() as u64,
            },
            frames,
            table,
        }
    }
}

/// Decides which blocks of `manifest`, whose digests have been checked for their form, are sent.
/// Frames keep their bytes, so a pack that is all new stays the pack that it is.
pub fn plan(mut manifest: Manifest, known: &Known) -> Delta {
    let frames: Vec<Frame> = manifest
        .blocks
        .data
        .iter()
        .map(|(index, sha256, _, offset, len)| Frame {
            index: *index,
            sha256: bytes(sha256),
            offset: *offset,
            len: *len,
        })
        .filter(|frame| !known.has(&frame.sha256))
        .collect();
    let pack = (!frames.is_empty()).then(|| NewPack::new(frames));
    let mut packs: Vec<PackRecord> = pack.iter().map(|pack| pack.record.clone()).collect();
    // Place of each known pack in the new manifest's list, in the order of first use.
    let mut places: HashMap<usize, usize> = HashMap::new();
    let mut end = 0;
    for (_, sha256, pack, offset, len) in &mut manifest.blocks.data {
        match known.places.get(&bytes(sha256)) {
            Some(place) => {
                let at = *places.entry(place.pack).or_insert_with(|| {
                    packs.push(known.packs[place.pack].clone());
                    packs.len() - 1
                });
                // A manifest of at most some million blocks has no more packs.
                *pack = at as u32;
                *offset = place.offset;
                *len = place.len;
            }
            None => {
                *pack = 0;
                *offset = end;
                end += u64::from(*len);
            }
        }
    }
    let reused = packs[usize::from(pack.is_some())..].to_vec();
    manifest.packs = packs;
    Delta {
        manifest,
        pack,
        reused,
    }
}

/// A digest whose form has been checked.
pub(super) fn bytes(sha256: &str) -> [u8; 32] {
    let mut bytes = [0; 32];
    // What is no digest is that of no block, and is found out when the block is read.
    let _ = hex::decode_to_slice(sha256, &mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use uploader_testutils::{self as samples, Sample};

    /// A manifest of blocks with these contents.
    fn manifest(contents: &[u8]) -> Manifest {
        samples::manifest(contents.iter().map(|content| Sample::Data {
            sha256: [*content; 32],
            len: 100 + u32::from(*content),
        }))
    }

    fn digests(manifest: &Manifest) -> Vec<(u64, String)> {
        let data = manifest.blocks.data.iter();
        data.map(|block| (block.0, block.1.clone())).collect()
    }

    #[test]
    fn a_pack_that_is_all_new_stays_as_it_is() {
        let first = manifest(&[1, 2, 3]);
        let delta = plan(first.clone(), &Known::default());
        assert_eq!(delta.manifest, first);
        assert_eq!(
            delta.pack.map(|pack| pack.record),
            Some(first.packs[0].clone())
        );
        assert!(delta.reused.is_empty());
    }

    #[test]
    fn only_new_blocks_are_sent_and_all_are_found() {
        let (first, second) = (manifest(&[1, 2, 3, 4]), manifest(&[1, 9, 3, 3, 8]));
        let mut known = Known::default();
        known.add(&first, |_| true);
        let delta = plan(second.clone(), &known);
        let pack = delta.pack.unwrap();
        assert_eq!(
            pack.frames.iter().map(|it| it.index).collect::<Vec<_>>(),
            [1, 4]
        );
        assert_eq!(delta.reused, first.packs);
        assert_eq!(
            delta.manifest.packs,
            [pack.record.clone(), first.packs[0].clone()]
        );
        assert_eq!(digests(&delta.manifest), digests(&second));
        let places: Vec<_> = delta
            .manifest
            .blocks
            .data
            .iter()
            .map(|b| (b.2, b.3))
            .collect();
        let third = first.blocks.data[2].3;
        let len = u64::from(pack.frames[0].len);
        assert_eq!(places, [(1, 0), (0, 0), (1, third), (1, third), (0, len)]);
        // The image is the same, wherever its blocks are.
        assert_eq!(
            crate::image::ImageDigest::of(&delta.manifest),
            crate::image::ImageDigest::of(&second)
        );
        // A third version refers to both packs.
        known.add(&delta.manifest, |_| true);
        let delta = plan(manifest(&[9, 4, 7]), &known);
        assert_eq!(delta.reused, [pack.record, first.packs[0].clone()]);
        assert_eq!(delta.pack.unwrap().frames.len(), 1);
    }

    #[test]
    fn nothing_new_makes_no_pack() {
        let mut known = Known::default();
        known.add(&manifest(&[1, 2, 3]), |_| true);
        let delta = plan(manifest(&[3, 1]), &known);
        assert!(delta.pack.is_none());
        assert_eq!(delta.manifest.packs.len(), 1);
        assert_eq!(delta.reused, delta.manifest.packs);
    }

    #[test]
    fn blocks_of_packs_that_are_gone_are_sent() {
        let mut known = Known::default();
        known.add(&manifest(&[1, 2]), |_| false);
        assert_eq!(
            plan(manifest(&[1, 2]), &known).pack.unwrap().frames.len(),
            2
        );
    }
}
