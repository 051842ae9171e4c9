//! Manifests for the tests of `uploader`. They are of imgtool's types, which `testutils` has to do
//! without.

use imgtool::pack::{Manifest, ManifestBlocks, PackDigest, PackRecord, SnapshotRecord, seek_table};
use imgtool::pass::BLOCK_LEN;

/// A block of an image.
#[derive(Clone, Copy, Debug)]
pub enum Sample {
    /// Its content's digest, and the length of its frame.
    Data {
        /// SHA-256 of the content.
        sha256: [u8; 32],
        /// Bytes of the frame.
        len: u32,
    },
    /// Zeros that are content.
    Zero,
    /// Space that no reader may look at.
    Free,
}

/// A manifest as imgtool writes it: one pack, with a frame for each block that is data.
pub fn manifest(samples: impl IntoIterator<Item = Sample>) -> Manifest {
    let mut blocks = ManifestBlocks {
        data: Vec::new(),
        zero: Vec::new(),
        free: Vec::new(),
    };
    let (mut data, mut lens, mut end) = (Vec::new(), Vec::new(), 0);
    let mut digest = PackDigest::default();
    let mut count = 0;
    for (index, sample) in (0..).zip(samples) {
        count += 1;
        let runs = match sample {
            Sample::Data { sha256, len } => {
                digest.frame(len, &sha256);
                data.push((index, sha256));
                blocks.data.push((index, hex::encode(sha256), 0, end, len));
                lens.push(len);
                end += u64::from(len);
                continue;
            }
            Sample::Zero => &mut blocks.zero,
            Sample::Free => &mut blocks.free,
        };
        match runs.last_mut() {
            Some((first, len)) if *first + *len == index => *len += 1,
            _ => runs.push((index, 1)),
        }
    }
    let table = seek_table(&lens).unwrap_or_default();
    Manifest {
        version: 1,
        name: "web".into(),
        identity: "1".repeat(64),
        architecture: "x86_64".into(),
        boot_modes: vec!["uefi".into()],
        size: count * BLOCK_LEN as u64,
        block_size: BLOCK_LEN as u64,
        inputs: Vec::new(),
        snapshot: SnapshotRecord::of(data, &blocks.zero),
        packs: vec![PackRecord {
            digest: hex::encode(digest.finish()),
            size: end + table.len() as u64,
        }],
        blocks,
    }
}
