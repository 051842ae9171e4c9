//! The pack: an image's content as a seekable zstd file, and the manifest that says what is where.
//!
//! A pack holds one zstd frame per block of content, in disk order, and behind them the seek table
//! of the "Zstandard Seekable Format" 0.1.0 (`contrib/seekable_format` of zstd): a skippable frame,
//! so that any `zstd -d` reads the file. Zero and free blocks are in the manifest only.

mod check;
mod disk;
mod error;
mod manifest;
mod reader;
mod writer;

pub use check::{MAX_SIZE, longest_frame};
pub use disk::PackDisk;
pub use error::PackError;
pub use manifest::{InputRecord, Manifest, ManifestBlocks, PackRecord, SnapshotRecord};
pub use manifest::{VERSION as MANIFEST_VERSION, manifest_path};
pub use reader::{parse_manifest, read_manifest, unpack};
pub use writer::{PackDigest, PackSummary, PackWriter, compressor, frame, seek_table};

/// zstd's default level, and ours.
pub const DEFAULT_LEVEL: i32 = 3;

/// Magic number of a skippable frame (RFC 8878, 3.1.2), with the nibble that the seekable format
/// uses.
const SKIPPABLE_MAGIC: u32 = 0x184d_2a5e;
/// `Seekable_Magic_Number`, the file's last four bytes.
const SEEKABLE_MAGIC: u32 = 0x8f92_eab1;
