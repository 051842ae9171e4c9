//! The manifest: canonical JSON that names an image's identity, every block, and where its bytes
//! are.
//!
//! Canonical means: the fields in the order of these structs, no white space, a line end at the
//! end; the same image gives the same bytes.

use crate::block::{BLOCK_LEN, BlockMap};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Version of the format.
pub const VERSION: u32 = 1;

/// Where the manifest of a pack is: beside it, with `.json` appended to its name.
pub fn manifest_path(pack: &Path) -> PathBuf {
    let mut name = pack.as_os_str().to_os_string();
    name.push(".json");
    name.into()
}

/// What an image is, and where its blocks are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this format: 1.
    pub version: u32,
    /// Name of the image.
    pub name: String,
    /// The digest that every identifier in the image is derived from: 64 hexadecimal digits.
    pub identity: String,
    /// `x86_64`.
    pub architecture: String,
    /// How the image boots: `bios`, `uefi` or both.
    pub boot_modes: Vec<String>,
    /// Size of the disk in bytes.
    pub size: u64,
    /// Bytes per block: 524288.
    pub block_size: u64,
    /// What the image was made from, in the order of the build.
    pub inputs: Vec<InputRecord>,
    /// What a snapshot of the image is to have.
    pub snapshot: SnapshotRecord,
    /// The packs that hold blocks of the image.
    pub packs: Vec<PackRecord>,
    /// Every block.
    pub blocks: ManifestBlocks,
}

/// Something an image was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputRecord {
    /// What it was for: `application`, `add`, `kernel`, `modules` or `stub`.
    pub role: String,
    /// What it is: `directory`, `tar`, `deb`, and so on.
    pub kind: String,
    /// SHA-256 of a file, in hexadecimal digits. A directory has one only in a locked build: its
    /// content is otherwise known by the blocks it became.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sha256: Option<String>,
}

/// What `CompleteSnapshot` of the EBS direct API is to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnapshotRecord {
    /// Blocks to write: those with data and those that are zero.
    pub changed_blocks_count: u64,
    /// SHA-256 over the raw SHA-256 digests of those blocks in index order
    /// (`x-amz-ChecksumAggregationMethod: LINEAR`), in hexadecimal digits.
    pub linear_checksum: String,
}

/// A pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackRecord {
    /// SHA-256 over each frame's length (4 bytes, little-endian) and its block's SHA-256, in order:
    /// 64 hexadecimal digits.
    pub digest: String,
    /// Its size in bytes.
    pub size: u64,
}

/// Every block of an image: each index is in just one of the lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestBlocks {
    /// `[index, SHA-256, pack, offset, length]`, ascending by index: the block's frame is that many
    /// bytes of that pack, from that offset.
    pub data: Vec<(u64, String, u32, u64, u32)>,
    /// `[first index, count]`: zeros that are content.
    pub zero: Vec<(u64, u64)>,
    /// `[first index, count]`: space that no reader may look at.
    pub free: Vec<(u64, u64)>,
}

/// SHA-256 of a block of zeros.
static ZERO_BLOCK: LazyLock<[u8; 32]> = LazyLock::new(|| Sha256::digest(vec![0; BLOCK_LEN]).into());

impl ManifestBlocks {
    /// The blocks of a finished pass, all in pack 0.
    pub fn new(blocks: &BlockMap) -> ManifestBlocks {
        let data = blocks.data.iter();
        ManifestBlocks {
            data: data
                .map(|b| (b.index, hex::encode(b.sha256), 0, b.offset, b.len))
                .collect(),
            zero: blocks.zero.clone(),
            free: blocks.free.clone(),
        }
    }
}

impl SnapshotRecord {
    /// What a snapshot of all blocks that are data or zero has.
    pub fn new(blocks: &BlockMap) -> SnapshotRecord {
        let data = blocks.data.iter().map(|block| (block.index, block.sha256));
        SnapshotRecord::of(data, &blocks.zero)
    }

    /// That of these blocks with data, ascending, and these runs of zeros.
    pub fn of(
        data: impl IntoIterator<Item = (u64, [u8; 32])>,
        zero: &[(u64, u64)],
    ) -> SnapshotRecord {
        let mut hash = Sha256::new();
        let mut count = 0;
        let mut zeros = zero
            .iter()
            .flat_map(|&(first, n)| first..first + n)
            .peekable();
        for (index, sha256) in data {
            while zeros.next_if(|&zero| zero < index).is_some() {
                hash.update(*ZERO_BLOCK);
                count += 1;
            }
            hash.update(sha256);
            count += 1;
        }
        for _ in zeros {
            hash.update(*ZERO_BLOCK);
            count += 1;
        }
        SnapshotRecord {
            changed_blocks_count: count,
            linear_checksum: hex::encode(hash.finalize()),
        }
    }
}
