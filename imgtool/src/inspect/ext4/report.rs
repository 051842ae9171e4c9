//! What `inspect` shows of an ext4 file system: its superblock, and which system it holds.

use zerocopy::FromBytes;
use zerocopy::little_endian::U32;

use super::format::{INCOMPAT_64BIT, SUPERBLOCK, Superblock};
use super::{Ext4, Fault, Window, bad, geometry};
use crate::inspect::report::Ext4Report;

/// `/etc/os-release` is a few lines.
const MAX_OS_RELEASE: u64 = 64 << 10;

/// Reads the superblock and the system's name. That the latter can't be read goes to `problems`,
/// prefixed with `name`.
pub(in crate::inspect) fn look(
    mut partition: Window,
    name: &str,
    problems: &mut Vec<String>,
) -> Result<Ext4Report, Fault> {
    let bytes = partition.array::<1024>(SUPERBLOCK)?;
    let Ok(sb) = Superblock::ref_from_bytes(&bytes) else {
        return bad("ext4: no superblock");
    };
    let (block_size, blocks) = geometry(sb, partition.len())?;
    let is_64bit = sb.feature_incompat.get() & INCOMPAT_64BIT != 0;
    let count = |lo: U32, hi: U32| {
        let hi = if is_64bit { hi.get() } else { 0 };
        u64::from(hi) << 32 | u64::from(lo.get())
    };
    let free_blocks = count(sb.free_blocks_count_lo, sb.free_blocks_count_hi);
    if free_blocks > blocks || sb.free_inodes_count.get() > sb.inodes_count.get() {
        return bad("ext4: more free blocks or inodes than there are");
    }
    let os = match os_release(partition) {
        Ok(os) => os,
        Err(fault) => {
            problems.push(format!("{name}: /etc/os-release: {fault}"));
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

/// `PRETTY_NAME`, else `NAME`; `None` if the file is not there.
fn os_release(partition: Window) -> Result<Option<String>, Fault> {
    let mut fs = Ext4::open(partition)?;
    let Ok(found) = fs.find(b"/etc/os-release", true)? else {
        return Ok(None);
    };
    let bytes = fs.content(&found.inode, MAX_OS_RELEASE)?;
    let text = String::from_utf8_lossy(&bytes);
    let value = |key: &str| {
        text.lines()
            .filter_map(|line| line.split_once('='))
            .find(|(name, _)| *name == key)
            .map(|(_, value)| value.trim_matches(['"', '\'']).to_owned())
    };
    Ok(value("PRETTY_NAME").or_else(|| value("NAME")))
}
