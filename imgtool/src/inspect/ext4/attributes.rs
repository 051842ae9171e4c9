//! Extended attributes: in the inode behind its fields, and in a block of their own.

use super::acl;
use super::format::{FLAG_EA_INODE, INODE_EXTRA_SIZE, crc32c, le16, le32};
use super::{Ext4, Fault, Inode, bad};
use crate::inspect::entry::Attribute;

const MAGIC: u32 = 0xea02_0000;
/// Bytes of a block's header, and where its checksum is.
const HEADER: usize = 32;
const CHECKSUM: usize = 16;
/// Bytes of an entry before its name.
const ENTRY: usize = 16;
/// Longest value that Linux handles (`XATTR_SIZE_MAX`).
const MAX_VALUE: u32 = 64 << 10;

/// Kinds that stand for a whole name.
const ACL_ACCESS: u8 = 2;
const ACL_DEFAULT: u8 = 3;

/// What a kind of name begins with (`fs/ext4/xattr.h`).
fn prefix(kind: u8) -> Option<&'static [u8]> {
    Some(match kind {
        1 => b"user.",
        ACL_ACCESS => b"system.posix_acl_access",
        ACL_DEFAULT => b"system.posix_acl_default",
        4 => b"trusted.",
        5 => b"lustre.",
        6 => b"security.",
        7 => b"system.",
        8 => b"system.richacl",
        _ => return None,
    })
}

impl Ext4 {
    /// The extended attributes of `inode`, values in the form of the system calls.
    pub(in crate::inspect) fn attributes(
        &mut self,
        inode: &Inode,
    ) -> Result<Vec<Attribute>, Fault> {
        let mut found = Vec::new();
        let bytes = self.inode_bytes(inode.number)?;
        // Behind the last field; inodes of 128 bytes have no room.
        let start = 128 + usize::from(le16(&bytes, INODE_EXTRA_SIZE));
        if bytes.len() > 128
            && le32(&bytes, start) == MAGIC
            && let Some(area) = bytes.get(start + 4..)
        {
            self.entries(inode, area, 0, &mut found)?;
        }
        if inode.attribute_block != 0 {
            let block = self.block(inode.attribute_block)?;
            if le32(&block, 0) != MAGIC || le32(&block, 8) != 1 {
                return Err(damaged(inode));
            }
            if let Some(seed) = self.seed {
                let mut sum = crc32c(seed, &inode.attribute_block.to_le_bytes());
                sum = crc32c(sum, &block[..CHECKSUM]);
                sum = crc32c(sum, &[0; 4]);
                sum = crc32c(sum, &block[CHECKSUM + 4..]);
                if sum != le32(&block, CHECKSUM) {
                    return bad(format!(
                        "ext4: inode {}: the checksum of its attributes is wrong",
                        inode.number
                    ));
                }
            }
            self.entries(inode, &block, HEADER, &mut found)?;
        }
        Ok(found)
    }

    /// Adds the attributes whose entries begin at `at` of `area`, from whose start the places of
    /// their values are counted.
    fn entries(
        &mut self,
        inode: &Inode,
        area: &[u8],
        mut at: usize,
        found: &mut Vec<Attribute>,
    ) -> Result<(), Fault> {
        while at + 4 <= area.len() && le32(area, at) != 0 {
            let Some(entry) = area.get(at..at + ENTRY) else {
                return Err(damaged(inode));
            };
            let (name_len, kind) = (usize::from(entry[0]), entry[1]);
            let (offset, value_inode) = (usize::from(le16(entry, 2)), le32(entry, 4));
            let len = le32(entry, 8);
            at += ENTRY;
            let (Some(name), Some(prefix)) = (area.get(at..at + name_len), prefix(kind)) else {
                return Err(damaged(inode));
            };
            at = (at + name_len).next_multiple_of(4);
            if len > MAX_VALUE || name.contains(&0) {
                return Err(damaged(inode));
            }
            let value = if value_inode == 0 {
                let value = area.get(offset..offset + len as usize);
                value.ok_or_else(|| damaged(inode))?.to_vec()
            } else {
                self.value(inode, value_inode, len)?
            };
            let value = match kind {
                ACL_ACCESS | ACL_DEFAULT => acl::from_disk(&value).ok_or_else(|| damaged(inode))?,
                _ => value,
            };
            found.push(Attribute {
                name: [prefix, name].concat(),
                value,
            });
        }
        Ok(())
    }

    /// A long value, which is the content of an inode.
    fn value(&mut self, inode: &Inode, number: u32, len: u32) -> Result<Vec<u8>, Fault> {
        let holder = self.inode(number)?;
        if holder.flags & FLAG_EA_INODE == 0 || holder.size != u64::from(len) {
            return Err(damaged(inode));
        }
        self.content(&holder, len.into())
    }
}

fn damaged(inode: &Inode) -> Fault {
    Fault::Bad(format!(
        "ext4: inode {}: damaged extended attributes",
        inode.number
    ))
}
