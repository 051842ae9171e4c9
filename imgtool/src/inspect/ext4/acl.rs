//! POSIX access control lists: ext4 stores them in a form of its own.

use super::format::{le16, le32};

/// Tags of entries that have an id: a named user and a named group.
const WITH_ID: [u16; 2] = [0x02, 0x08];
/// The others: the owner, the group, the mask, and everybody else.
const WITHOUT_ID: [u16; 4] = [0x01, 0x04, 0x10, 0x20];

/// From what ext4 has on disk (`fs/ext4/acl.h`) to what `setxattr(2)` takes
/// (`linux/posix_acl_xattr.h`), where the version is 2 instead of 1 and every entry has an id.
/// `None` if the value is not such a list.
pub(super) fn from_disk(value: &[u8]) -> Option<Vec<u8>> {
    let (version, mut entries) = value.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*version) != 1 {
        return None;
    }
    let mut list = 2u32.to_le_bytes().to_vec();
    while !entries.is_empty() {
        let tag = le16(entries, 0);
        let (entry, rest) = if WITH_ID.contains(&tag) {
            entries.split_at_checked(8)?
        } else if WITHOUT_ID.contains(&tag) {
            entries.split_at_checked(4)?
        } else {
            return None;
        };
        list.extend_from_slice(&entry[..4]);
        let id = if entry.len() == 8 { le32(entry, 4) } else { !0 };
        list.extend_from_slice(&id.to_le_bytes());
        entries = rest;
    }
    Some(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_without_an_id_get_none() {
        let disk = [
            &[1, 0, 0, 0][..],
            &[0x01, 0, 7, 0],
            &[0x02, 0, 5, 0, 0xe8, 3, 0, 0],
            &[0x20, 0, 4, 0],
        ]
        .concat();
        let value = [
            &[2, 0, 0, 0][..],
            &[0x01, 0, 7, 0, 255, 255, 255, 255],
            &[0x02, 0, 5, 0, 0xe8, 3, 0, 0],
            &[0x20, 0, 4, 0, 255, 255, 255, 255],
        ]
        .concat();
        assert_eq!(from_disk(&disk), Some(value));
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for value in [
            &[][..],
            &[2, 0, 0, 0],
            &[1, 0, 0, 0, 1],
            &[1, 0, 0, 0, 2, 0, 5, 0],
            &[1, 0, 0, 0, 9, 9, 0, 0],
        ] {
            assert_eq!(from_disk(value), None, "{value:?}");
        }
    }
}
