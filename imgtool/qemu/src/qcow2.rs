//! The header of an empty qcow2 overlay (QEMU's `docs/interop/qcow2.txt`, version 3).
//!
//! An overlay is a header that names the image, an empty L1 table and the reference counts of
//! these few clusters; QEMU fills in the rest as the guest writes. Written here, it needs no
//! `qemu-img`.

/// Bytes per cluster: 2^16.
const CLUSTER: u64 = 1 << CLUSTER_BITS;
const CLUSTER_BITS: u32 = 16;
/// Bytes of the disk that one L1 entry stands for: a cluster of 8-byte L2 entries.
const PER_L1_ENTRY: u64 = CLUSTER * (CLUSTER / 8);
/// `QFI\xfb`
const MAGIC: u32 = 0x5146_49fb;
/// Bytes of the version 3 header without extensions.
const HEADER_LEN: u32 = 104;
/// Header extension: format of the backing file.
const BACKING_FORMAT: u32 = 0xe279_2aca;
/// 16-bit reference counts.
const REFCOUNT_ORDER: u32 = 4;
/// The longest name of a backing file.
const MAX_BACKING_NAME: usize = 1023;
/// The largest disk an overlay is made for: 16 TiB. One cluster of reference counts still covers
/// what is written here.
pub(super) const MAX_SIZE: u64 = 16 << 40;

/// What an overlay's header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    /// Size of the disk in bytes.
    pub(super) size: u64,
    /// Path of the image below.
    pub(super) backing: String,
}

impl Header {
    /// The bytes of an empty overlay, or why there can't be one.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, &'static str> {
        if self.backing.len() > MAX_BACKING_NAME {
            return Err("its path is longer than the 1023 bytes a qcow2 overlay can name");
        }
        if self.size > MAX_SIZE || !self.size.is_multiple_of(512) {
            return Err("the disk's size is not a multiple of 512 bytes, or is over 16 TiB");
        }
        let l1_entries = self.size.div_ceil(PER_L1_ENTRY);
        let l1_clusters = (l1_entries * 8).div_ceil(CLUSTER);
        // Clusters: header, reference count table, reference count block, L1 table.
        let clusters = 3 + l1_clusters;
        let mut bytes = Vec::new();
        bytes.extend(MAGIC.to_be_bytes());
        bytes.extend(3_u32.to_be_bytes());
        // The name comes after the header and its two extensions (16 and 8 bytes).
        bytes.extend((u64::from(HEADER_LEN) + 24).to_be_bytes());
        bytes.extend((self.backing.len() as u32).to_be_bytes());
        bytes.extend(CLUSTER_BITS.to_be_bytes());
        bytes.extend(self.size.to_be_bytes());
        bytes.extend(0_u32.to_be_bytes()); // crypt_method
        bytes.extend((l1_entries as u32).to_be_bytes());
        bytes.extend((3 * CLUSTER).to_be_bytes()); // l1_table_offset
        bytes.extend(CLUSTER.to_be_bytes()); // refcount_table_offset
        bytes.extend(1_u32.to_be_bytes()); // refcount_table_clusters
        bytes.extend([0; 4 + 8]); // nb_snapshots, snapshots_offset
        bytes.extend([0; 24]); // incompatible, compatible and autoclear features
        bytes.extend(REFCOUNT_ORDER.to_be_bytes());
        bytes.extend(HEADER_LEN.to_be_bytes());
        bytes.extend(BACKING_FORMAT.to_be_bytes());
        bytes.extend(3_u32.to_be_bytes());
        bytes.extend(*b"raw\0\0\0\0\0");
        bytes.extend([0; 8]); // the end of the extensions
        bytes.extend(self.backing.as_bytes());
        bytes.resize(CLUSTER as usize, 0);
        bytes.extend((2 * CLUSTER).to_be_bytes());
        bytes.resize(2 * CLUSTER as usize, 0);
        for _ in 0..clusters {
            bytes.extend(1_u16.to_be_bytes());
        }
        bytes.resize((clusters * CLUSTER) as usize, 0);
        Ok(bytes)
    }

    /// Reads the start of an overlay: its first cluster, or as much as there is.
    pub(super) fn parse(bytes: &[u8]) -> Option<Header> {
        let u32_at = |at: usize| {
            let field = bytes.get(at..)?.first_chunk()?;
            Some(u32::from_be_bytes(*field))
        };
        let u64_at = |at: usize| {
            let field = bytes.get(at..)?.first_chunk()?;
            Some(u64::from_be_bytes(*field))
        };
        if u32_at(0)? != MAGIC {
            return None;
        }
        let start = usize::try_from(u64_at(8)?).ok()?;
        let end = start.checked_add(u32_at(16)? as usize)?;
        Some(Header {
            size: u64_at(24)?,
            backing: String::from_utf8(bytes.get(start..end)?.to_vec()).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for size in [512, 1 << 30, 8 << 30, MAX_SIZE] {
            let header = Header {
                size,
                backing: "/a b,c/ü.img".to_string(),
            };
            let bytes = header.to_bytes().unwrap();
            assert_eq!(Header::parse(&bytes), Some(header));
        }
    }

    #[test]
    fn what_is_no_overlay_is_refused() {
        for bytes in [&b""[..], b"QFI\xfb", &[0; 65536]] {
            assert_eq!(Header::parse(bytes), None);
        }
        let too_long = Header {
            size: 512,
            backing: "x".repeat(1024),
        };
        assert!(too_long.to_bytes().is_err());
        for size in [511, MAX_SIZE + 512] {
            let header = Header {
                size,
                backing: String::new(),
            };
            assert!(header.to_bytes().is_err(), "{size}");
        }
    }

    /// QEMU's own tool is the judge, where it is installed.
    #[test]
    fn qemu_img_finds_no_fault() {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("image");
        std::fs::write(&image, [1; 1 << 20]).unwrap();
        let overlay = dir.path().join("overlay");
        let header = Header {
            size: 40 << 30,
            backing: image.to_str().unwrap().to_string(),
        };
        std::fs::write(&overlay, header.to_bytes().unwrap()).unwrap();
        let mut check = std::process::Command::new("qemu-img");
        testutils::oracle_passes(check.args(["check", "-q"]).arg(&overlay));
    }
}
