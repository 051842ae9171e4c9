//! Inodes: what a file is, but for its names.

use zerocopy::FromBytes;

use super::format::{
    FLAG_EXTENTS, FLAG_INLINE_DATA, INODE_CHECKSUM_HI, INODE_CHECKSUM_LO, INODE_EXTRA_SIZE,
    INODE_MTIME_EXTRA, RawInode, crc32c, le16, le32,
};
use super::{Ext4, Fault, bad};
use crate::inspect::entry::{Device, FileKind};

/// Bytes of the longest target of a symbolic link that Linux follows (`PATH_MAX`, less the NUL).
const MAX_TARGET: u64 = 4095;

/// An inode that was checked.
#[derive(Debug, Clone)]
pub(in crate::inspect) struct Inode {
    /// Its number, from 1.
    pub(in crate::inspect) number: u32,
    pub(in crate::inspect) kind: FileKind,
    /// Permissions, set-user-ID, set-group-ID and sticky bit.
    pub(in crate::inspect) mode: u16,
    pub(in crate::inspect) uid: u32,
    pub(in crate::inspect) gid: u32,
    /// Bytes.
    pub(in crate::inspect) size: u64,
    /// Names it has; of a directory also its own and its directories'. 1 if there are too many.
    pub(in crate::inspect) links: u16,
    /// Seconds since 1970.
    pub(in crate::inspect) mtime: i64,
    /// Nanoseconds after that.
    pub(in crate::inspect) mtime_nanoseconds: u32,
    pub(super) flags: u32,
    /// Extents, or what else the kind has there.
    pub(super) block: [u8; 60],
    /// Where the checksums of what belongs to it start from.
    pub(super) seed: Option<u32>,
    /// The block with its extended attributes, 0 if there is none.
    pub(super) attribute_block: u64,
}

impl Ext4 {
    /// The inode `number`.
    pub(in crate::inspect) fn inode(&mut self, number: u32) -> Result<Inode, Fault> {
        let bytes = self.inode_bytes(number)?;
        self.parse(number, &bytes)
    }

    /// All bytes of the inode `number`, unchecked.
    pub(super) fn inode_bytes(&mut self, number: u32) -> Result<Vec<u8>, Fault> {
        let Some(index) = number.checked_sub(1).filter(|_| number <= self.inodes) else {
            return bad(format!("ext4: there is no inode {number}"));
        };
        let table = self.inode_table(index / self.inodes_per_group)?;
        let size = u64::from(self.inode_size);
        let at = u64::from(index % self.inodes_per_group) * size;
        let (block_size, blocks) = (u64::from(self.block_size), self.blocks);
        let at = table
            .checked_mul(block_size)
            .and_then(|start| start.checked_add(at))
            .filter(|at| table > 0 && *at / block_size < blocks);
        let Some(at) = at else {
            return bad(format!("ext4: inode {number} is not in the file system"));
        };
        let mut bytes = vec![0; usize::from(self.inode_size)];
        self.volume.read_at(at, &mut bytes)?;
        Ok(bytes)
    }

    fn parse(&self, number: u32, bytes: &[u8]) -> Result<Inode, Fault> {
        let Ok((raw, _)) = RawInode::ref_from_prefix(bytes) else {
            return bad(format!("ext4: inode {number} is cut short"));
        };
        // Fields behind the first 128 bytes are there if this says so.
        let extra = usize::from(le16(bytes, INODE_EXTRA_SIZE));
        let has = |field_end: usize| 128 + extra >= field_end && bytes.len() >= field_end;
        let seed = self.seed.map(|seed| {
            let seed = crc32c(seed, &number.to_le_bytes());
            crc32c(seed, &raw.generation.get().to_le_bytes())
        });
        if let Some(seed) = seed {
            let mut sum = crc32c(seed, &bytes[..INODE_CHECKSUM_LO]);
            sum = crc32c(sum, &[0; 2]);
            sum = crc32c(sum, &bytes[INODE_CHECKSUM_LO + 2..128]);
            let has_upper = has(INODE_CHECKSUM_HI + 2);
            let (mut expected, mut mask) = (u32::from(raw.checksum_lo.get()), 0xffff);
            if let Some(rest) = bytes.get(128..).filter(|rest| !rest.is_empty()) {
                let mut rest = rest.to_vec();
                if has_upper {
                    expected |= u32::from(le16(bytes, INODE_CHECKSUM_HI)) << 16;
                    mask = u32::MAX;
                    rest[INODE_CHECKSUM_HI - 128..INODE_CHECKSUM_HI - 126].fill(0);
                }
                sum = crc32c(sum, &rest);
            }
            if sum & mask != expected {
                return bad(format!("ext4: the checksum of inode {number} is wrong"));
            }
        }
        let mode = raw.mode.get();
        let kind = match mode & 0xf000 {
            0x1000 => FileKind::Fifo,
            0x2000 => FileKind::CharacterDevice,
            0x4000 => FileKind::Directory,
            0x6000 => FileKind::BlockDevice,
            0x8000 => FileKind::File,
            0xa000 => FileKind::Symlink,
            0xc000 => FileKind::Socket,
            _ => {
                return bad(format!(
                    "ext4: inode {number} is in use, and its mode {mode:#o} is none"
                ));
            }
        };
        let long = kind == FileKind::File || self.large_directories;
        let upper = if long { raw.size_hi.get() } else { 0 };
        let halves = |lo: u16, hi: u16| u32::from(hi) << 16 | u32::from(lo);
        // The seconds are signed, and have two bits more.
        let mut mtime = i64::from(raw.mtime.get().cast_signed());
        let mut mtime_nanoseconds = 0;
        if has(INODE_MTIME_EXTRA + 4) {
            let extra = le32(bytes, INODE_MTIME_EXTRA);
            mtime += i64::from(extra & 3) << 32;
            mtime_nanoseconds = Some(extra >> 2).filter(|n| *n < 1_000_000_000).unwrap_or(0);
        }
        let attribute_block_hi = if self.is_64bit {
            raw.file_acl_hi.get()
        } else {
            0
        };
        Ok(Inode {
            number,
            kind,
            mode: mode & 0o7777,
            uid: halves(raw.uid_lo.get(), raw.uid_hi.get()),
            gid: halves(raw.gid_lo.get(), raw.gid_hi.get()),
            size: u64::from(upper) << 32 | u64::from(raw.size_lo.get()),
            links: raw.links_count.get(),
            mtime,
            mtime_nanoseconds,
            flags: raw.flags.get(),
            block: raw.block,
            seed,
            attribute_block: u64::from(attribute_block_hi) << 32 | u64::from(raw.file_acl_lo.get()),
        })
    }

    /// Where a symbolic link leads.
    pub(in crate::inspect) fn target(&mut self, inode: &Inode) -> Result<Vec<u8>, Fault> {
        let number = inode.number;
        if inode.size == 0 || inode.size > MAX_TARGET {
            return bad(format!(
                "ext4: inode {number}: a link's target of {} bytes",
                inode.size
            ));
        }
        let target = match inode.block.get(..inode.size as usize) {
            Some(target) if inode.flags & FLAG_EXTENTS == 0 => target.to_vec(),
            _ => self.content(inode, MAX_TARGET)?,
        };
        if target.contains(&0) {
            return bad(format!("ext4: inode {number}: a link's target with a NUL"));
        }
        Ok(target)
    }

    /// The first bytes of a file or link, at most `limit`.
    pub(super) fn content(&mut self, inode: &Inode, limit: u64) -> Result<Vec<u8>, Fault> {
        let number = inode.number;
        if !matches!(inode.kind, FileKind::File | FileKind::Symlink) {
            return bad(format!("ext4: inode {number} is not a file"));
        }
        let len = inode.size.min(limit);
        let block_size = u64::from(self.block_size);
        let mut content = vec![0; len.next_multiple_of(block_size) as usize];
        for run in self.runs(inode, len.div_ceil(block_size))? {
            if !run.written {
                continue;
            }
            for n in 0..u64::from(run.len) {
                let at = (u64::from(run.logical) + n) * block_size;
                let range = at as usize..(at + block_size) as usize;
                let Some(place) = content.get_mut(range) else {
                    break;
                };
                place.copy_from_slice(&self.block(run.physical + n)?);
            }
        }
        content.truncate(len as usize);
        Ok(content)
    }
}

impl Inode {
    /// The numbers of a device, as Linux has them in one of two forms.
    pub(in crate::inspect) fn device(&self) -> Device {
        match le32(&self.block, 0) {
            0 => {
                let new = le32(&self.block, 4);
                Device {
                    major: new >> 8 & 0xfff,
                    minor: new & 0xff | new >> 12 & 0xfff00,
                }
            }
            old => Device {
                major: old >> 8 & 0xff,
                minor: old & 0xff,
            },
        }
    }

    /// Whether its content is where extents say.
    pub(super) fn check_extents(&self) -> Result<(), Fault> {
        if self.flags & FLAG_EXTENTS == 0 || self.flags & FLAG_INLINE_DATA != 0 {
            return bad(format!(
                "ext4: inode {}: content that is not in extents, which is not read here",
                self.number
            ));
        }
        Ok(())
    }
}
