//! An ext4 file system: its superblock, and which system it holds.

use ext4_view::{Ext4, Ext4Read};
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

use super::error::{Fault, bad};
use super::report::Ext4Report;
use super::window::Window;

/// Where the superblock is, in bytes.
const SUPERBLOCK: u64 = 1024;
const MAGIC: u16 = 0xef53;
/// `INCOMPAT_64BIT`: block counts have upper halves.
const INCOMPAT_64BIT: u32 = 0x80;
/// `/etc/os-release` is a few lines.
const MAX_OS_RELEASE: usize = 64 << 10;

/// The superblock, as far as it is read here (kernel documentation, "ext4 Data Structures and
/// Algorithms", "Super Block").
#[derive(Debug, FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Superblock {
    inodes_count: U32,
    blocks_count_lo: U32,
    r_blocks_count_lo: U32,
    free_blocks_count_lo: U32,
    free_inodes_count: U32,
    first_data_block: U32,
    log_block_size: U32,
    unused_1c: [u8; 0x38 - 0x1c],
    magic: U16,
    unused_3a: [u8; 0x60 - 0x3a],
    feature_incompat: U32,
    feature_ro_compat: U32,
    uuid: [u8; 16],
    volume_name: [u8; 16],
    unused_88: [u8; 0x150 - 0x88],
    blocks_count_hi: U32,
    r_blocks_count_hi: U32,
    free_blocks_count_hi: U32,
    unused_15c: [u8; 0x400 - 0x15c],
}

const _: () = assert!(size_of::<Superblock>() == 1024);

/// Whether a superblock is where ext4 has it.
pub(super) fn is_ext4(partition: &mut Window) -> Result<bool, Fault> {
    if partition.len() < SUPERBLOCK + 1024 {
        return Ok(false);
    }
    Ok(partition.array::<2>(SUPERBLOCK + 0x38)? == MAGIC.to_le_bytes())
}

/// Reads the superblock and the system's name. That the latter can't be read goes to `problems`,
/// prefixed with `name`.
pub(super) fn look(
    mut partition: Window,
    name: &str,
    problems: &mut Vec<String>,
) -> Result<Ext4Report, Fault> {
    let bytes = partition.array::<1024>(SUPERBLOCK)?;
    let Ok(sb) = Superblock::ref_from_bytes(&bytes) else {
        return bad("ext4: no superblock");
    };
    let block_size = match sb.log_block_size.get() {
        log @ 0..=6 => 1024u32 << log,
        log => return bad(format!("ext4: a block size of 2^(10 + {log})")),
    };
    let is_64bit = sb.feature_incompat.get() & INCOMPAT_64BIT != 0;
    let count = |lo: U32, hi: U32| {
        let hi = if is_64bit { hi.get() } else { 0 };
        u64::from(hi) << 32 | u64::from(lo.get())
    };
    let blocks = count(sb.blocks_count_lo, sb.blocks_count_hi);
    let free_blocks = count(sb.free_blocks_count_lo, sb.free_blocks_count_hi);
    if blocks
        .checked_mul(block_size.into())
        .is_none_or(|bytes| bytes > partition.len())
    {
        return bad(format!(
            "ext4: {blocks} blocks of {block_size} bytes don't fit the partition"
        ));
    }
    if free_blocks > blocks || sb.free_inodes_count.get() > sb.inodes_count.get() {
        return bad("ext4: more free blocks or inodes than there are");
    }
    let os = match os_release(partition) {
        Ok(os) => os,
        Err(why) => {
            problems.push(format!("{name}: /etc/os-release: {why}"));
            None
        }
    };
    let label = sb.volume_name.split(|&b| b == 0).next().unwrap_or_default();
    Ok(Ext4Report {
        uuid: uuid::Uuid::from_bytes(sb.uuid).to_string(),
        label: String::from_utf8_lossy(label).into_owned(),
        block_size,
        blocks,
        free_blocks,
        inodes: sb.inodes_count.get(),
        free_inodes: sb.free_inodes_count.get(),
        os,
    })
}

struct Reader(Window);

impl Ext4Read for Reader {
    fn read(
        &mut self,
        start: u64,
        dst: &mut [u8],
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync + 'static>> {
        Ok(self.0.read_at(start, dst)?)
    }
}

/// `PRETTY_NAME`, else `NAME`; `None` if the file is not there.
fn os_release(partition: Window) -> Result<Option<String>, String> {
    let fs = Ext4::load(Box::new(Reader(partition))).map_err(|e| e.to_string())?;
    let mut file = match fs.open("/etc/os-release") {
        Ok(file) => file,
        Err(ext4_view::Ext4Error::NotFound) => return Ok(None),
        Err(e) => return Err(e.to_string()),
    };
    let mut bytes = Vec::new();
    let mut block = vec![0; 4096];
    while bytes.len() < MAX_OS_RELEASE {
        match file.read_bytes(&mut block).map_err(|e| e.to_string())? {
            0 => break,
            n => bytes.extend_from_slice(block.get(..n).unwrap_or_default()),
        }
    }
    let text = String::from_utf8_lossy(&bytes);
    let value = |key: &str| {
        text.lines()
            .filter_map(|line| line.split_once('='))
            .find(|(name, _)| *name == key)
            .map(|(_, value)| value.trim_matches(['"', '\'']).to_owned())
    };
    Ok(value("PRETTY_NAME").or_else(|| value("NAME")))
}
