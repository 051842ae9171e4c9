//! POSIX access control lists: ext4 stores them in a form of its own.

/// From what `getxattr(2)` returns to what ext4 has on disk.
///
/// The system call's form (`linux/posix_acl_xattr.h`) has version 2 and 8 bytes per entry (tag,
/// permissions, id). On disk (`fs/ext4/acl.h`) the version is 1, and an entry has an id only where
/// its tag means one: 8 bytes for a named user or group, 4 for the others. `None` if the value is
/// not such a list.
pub fn to_disk(value: &[u8]) -> Option<Vec<u8>> {
    const USER: u16 = 0x02;
    const GROUP: u16 = 0x08;
    const WITHOUT_ID: [u16; 4] = [0x01, 0x04, 0x10, 0x20];

    let (version, entries) = value.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*version) != 2 {
        return None;
    }
    let (entries, []) = entries.as_chunks::<8>() else {
        return None;
    };
    let mut out = 1u32.to_le_bytes().to_vec();
    for entry in entries {
        let tag = u16::from_le_bytes([entry[0], entry[1]]);
        match tag {
            USER | GROUP => out.extend_from_slice(entry),
            tag if WITHOUT_ID.contains(&tag) => out.extend_from_slice(&entry[..4]),
            _ => return None,
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_without_an_id_lose_it() {
        let value = [
            &[2, 0, 0, 0][..],
            &[0x01, 0, 7, 0, 255, 255, 255, 255],
            &[0x02, 0, 5, 0, 0xe8, 3, 0, 0],
            &[0x20, 0, 4, 0, 255, 255, 255, 255],
        ]
        .concat();
        let disk = [
            &[1, 0, 0, 0][..],
            &[0x01, 0, 7, 0],
            &[0x02, 0, 5, 0, 0xe8, 3, 0, 0],
            &[0x20, 0, 4, 0],
        ]
        .concat();
        assert_eq!(to_disk(&value), Some(disk));
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for value in [
            &[][..],
            &[1, 0, 0, 0],
            &[2, 0, 0, 0, 1],
            &[2, 0, 0, 0, 9, 9, 0, 0, 0, 0, 0, 0],
        ] {
            assert_eq!(to_disk(value), None, "{value:?}");
        }
    }
}
