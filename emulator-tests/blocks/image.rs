//! Images of blocks that are made up, as imgtool writes them.

use imgtool::pack::{Manifest, seek_table};
use imgtool::pass::BLOCK_LEN;
use sha2::{Digest, Sha256};
use uploader::blocks::{BlockPlan, plan};
use uploader_testutils::{Sample, manifest};

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
        let (mut pack, mut lens) = (Vec::new(), Vec::new());
        let samples: Vec<Sample> = blocks
            .iter()
            .map(|block| match block {
                Block::Free => Sample::Free,
                Block::Zero => Sample::Zero,
                Block::Data(number) => {
                    let frame = frame(*number);
                    let len = u32::try_from(frame.len()).unwrap();
                    pack.extend(frame);
                    lens.push(len);
                    let sha256 = Sha256::digest(content(*number)).into();
                    Sample::Data { sha256, len }
                }
            })
            .collect();
        pack.extend(seek_table(&lens).unwrap());
        Image {
            manifest: manifest(samples),
            pack,
        }
    }

    pub fn plan(&self) -> BlockPlan {
        plan(&self.manifest, None).unwrap()
    }
}
