//! Images of blocks that are made up, as imgtool writes them.

use imgtool::pack::{Manifest, ManifestBlocks, PackRecord, SnapshotRecord};
use imgtool::pass::BLOCK_LEN;
use sha2::{Digest, Sha256};
use uploader::blocks::{BlockPlan, plan};

/// What a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// Content of this number: half noise, so that it compresses to half.
    Data(u64),
    Zero,
    Free,
}

pub struct Image {
    pub manifest: Manifest,
    pub pack: Vec<u8>,
}

pub fn content(number: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(number);
    let mut block = vec![0; BLOCK_LEN];
    random.fill(&mut block[..BLOCK_LEN / 2]);
    block
}

/// Some of everything: 60 blocks, of which 40 are data.
pub fn mixed() -> Vec<Block> {
    let kind = |n| match n % 6 {
        4 => Block::Zero,
        5 => Block::Free,
        _ => Block::Data(n),
    };
    (0..60).map(kind).collect()
}

impl Image {
    pub fn new(blocks: &[Block]) -> Image {
        let frame = |number| zstd::bulk::compress(&content(number), 1).unwrap();
        Image::with_frames(blocks, frame)
    }

    /// With these frames for the blocks' content: the manifest says that they are right.
    pub fn with_frames(blocks: &[Block], frame: impl Fn(u64) -> Vec<u8>) -> Image {
        let mut pack = Vec::new();
        let (mut names, mut linear) = (Sha256::new(), Sha256::new());
        let mut all = ManifestBlocks {
            data: Vec::new(),
            zero: Vec::new(),
            free: Vec::new(),
        };
        let mut count = 0;
        for (index, block) in (0..).zip(blocks) {
            let sha256 = match block {
                Block::Free => {
                    all.free.push((index, 1));
                    continue;
                }
                Block::Zero => {
                    all.zero.push((index, 1));
                    Sha256::digest(vec![0; BLOCK_LEN])
                }
                Block::Data(number) => {
                    let (sha256, frame) = (Sha256::digest(content(*number)), frame(*number));
                    let len = u32::try_from(frame.len()).unwrap();
                    let entry = (index, hex::encode(sha256), 0, pack.len() as u64, len);
                    all.data.push(entry);
                    names.update(len.to_le_bytes());
                    names.update(sha256);
                    pack.extend(frame);
                    sha256
                }
            };
            linear.update(sha256);
            count += 1;
        }
        let manifest = Manifest {
            version: 1,
            name: "web".into(),
            identity: "1".repeat(64),
            architecture: "x86_64".into(),
            boot_modes: vec!["uefi".into()],
            size: (blocks.len() * BLOCK_LEN) as u64,
            block_size: BLOCK_LEN as u64,
            inputs: Vec::new(),
            snapshot: SnapshotRecord {
                changed_blocks_count: count,
                linear_checksum: hex::encode(linear.finalize()),
            },
            packs: vec![PackRecord {
                digest: hex::encode(names.finalize()),
                size: pack.len() as u64,
            }],
            blocks: all,
        };
        Image { manifest, pack }
    }

    pub fn plan(&self) -> BlockPlan {
        plan(&self.manifest, None).unwrap()
    }
}
