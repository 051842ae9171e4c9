//! Whether a manifest can be one. Who made it is unknown: everything that a reader relies on is
//! checked here, in time and memory that grow with its text only (and with the disk's size, which
//! has a limit).

use super::Manifest;
use super::manifest::{SnapshotRecord, VERSION};
use crate::block::BLOCK_LEN;
use crate::spec::Name;

/// The largest disk: what the largest EBS volume holds.
pub const MAX_SIZE: u64 = 64 << 40;
/// What an image can boot on, as manifests write it.
const BOOT_MODES: [&[&str]; 3] = [&["bios"], &["uefi"], &["bios", "uefi"]];

/// Bytes of the longest frame: one that is longer than its block uncompressed is no frame of ours.
pub fn longest_frame() -> usize {
    zstd::zstd_safe::compress_bound(BLOCK_LEN)
}

/// Says what is wrong with a manifest.
pub(super) fn check(manifest: &Manifest) -> Result<(), String> {
    head(manifest)?;
    every_block_once(manifest)?;
    packs(manifest)?;
    let data = manifest.blocks.data.iter();
    let data = data.filter_map(|(index, sha256, ..)| Some((*index, digest(sha256)?)));
    let snapshot = SnapshotRecord::of(data, &manifest.blocks.zero);
    if snapshot.changed_blocks_count != manifest.snapshot.changed_blocks_count {
        return Err("snapshot.changed_blocks_count: not what the blocks give".into());
    }
    if snapshot.linear_checksum != manifest.snapshot.linear_checksum {
        return Err("snapshot.linear_checksum: not what the blocks give".into());
    }
    Ok(())
}

fn head(manifest: &Manifest) -> Result<(), String> {
    let block = BLOCK_LEN as u64;
    if manifest.version != VERSION {
        return Err(format!(
            "version {}, and only {VERSION} is known",
            manifest.version
        ));
    }
    if manifest.block_size != block || !manifest.size.is_multiple_of(block) {
        return Err("size and block_size have to be multiples of 524288".into());
    }
    if !(1..=MAX_SIZE).contains(&manifest.size) {
        return Err(format!(
            "size: a disk has at least one block and at most {MAX_SIZE} bytes"
        ));
    }
    manifest
        .name
        .parse::<Name>()
        .map_err(|error| format!("name: {error}"))?;
    if !is_digest(&manifest.identity) {
        return Err("identity: not 64 hexadecimal digits in lower case".into());
    }
    if manifest.architecture != "x86_64" {
        return Err(format!(
            "architecture: {:?} is not x86_64",
            manifest.architecture
        ));
    }
    if !BOOT_MODES.iter().any(|modes| manifest.boot_modes == *modes) {
        return Err("boot_modes: bios, uefi, or both in this order".into());
    }
    Ok(())
}

/// Every block index has to be in just one list, in order.
fn every_block_once(manifest: &Manifest) -> Result<(), String> {
    let blocks = &manifest.blocks;
    if !blocks.data.is_sorted_by(|a, b| a.0 < b.0) {
        return Err("the data blocks are not in the order of the disk".into());
    }
    let in_order = |runs: &[(u64, u64)]| runs.is_sorted_by(|a, b| a.0 < b.0);
    if !in_order(&blocks.zero) || !in_order(&blocks.free) {
        return Err("the runs of blocks are not in the order of the disk".into());
    }
    let data = blocks.data.iter().map(|b| (b.0, 1));
    let mut runs: Vec<(u64, u64)> = data
        .chain(blocks.zero.iter().copied())
        .chain(blocks.free.iter().copied())
        .collect();
    runs.sort_unstable();
    let mut next = 0u64;
    for (first, count) in runs {
        if first != next || count == 0 {
            return Err(format!("block {next} is not listed just once"));
        }
        next = first
            .checked_add(count)
            .ok_or("a block index is out of range")?;
    }
    let listed = manifest.size / BLOCK_LEN as u64;
    if next != listed {
        return Err(format!("{next} blocks listed for a disk of {listed}"));
    }
    Ok(())
}

/// Packs and blocks have digests, and every frame lies in the pack that it is said to be in.
fn packs(manifest: &Manifest) -> Result<(), String> {
    for (n, pack) in manifest.packs.iter().enumerate() {
        if !is_digest(&pack.digest) {
            return Err(format!(
                "packs[{n}].digest: not 64 hexadecimal digits in lower case"
            ));
        }
    }
    let longest = longest_frame();
    for (index, sha256, pack, offset, len) in &manifest.blocks.data {
        if !is_digest(sha256) {
            return Err(format!(
                "block {index}: its digest is not 64 hexadecimal digits in lower case"
            ));
        }
        let Some(pack) = manifest.packs.get(*pack as usize) else {
            return Err(format!(
                "block {index} is in pack {pack}, which is not listed"
            ));
        };
        if *len == 0 || *len as usize > longest {
            return Err(format!(
                "block {index}: a frame of {len} bytes, where {longest} are the most"
            ));
        }
        if offset
            .checked_add(u64::from(*len))
            .is_none_or(|end| end > pack.size)
        {
            return Err(format!(
                "block {index}: its frame lies behind the pack's end"
            ));
        }
    }
    Ok(())
}

fn is_digest(text: &str) -> bool {
    digest(text).is_some()
}

/// The bytes of a digest in its one spelling.
fn digest(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let lower = !text.bytes().any(|b| b.is_ascii_uppercase());
    (lower && hex::decode_to_slice(text, &mut bytes).is_ok()).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::{ManifestBlocks, PackRecord};
    use sha2::{Digest, Sha256};

    /// A disk of data, zeros and free space.
    fn good() -> Manifest {
        let sha256 = [7; 32];
        let zero = vec![(1, 2)];
        Manifest {
            version: VERSION,
            name: "web".into(),
            identity: "0".repeat(64),
            architecture: "x86_64".into(),
            boot_modes: vec!["bios".into(), "uefi".into()],
            size: 4 * BLOCK_LEN as u64,
            block_size: BLOCK_LEN as u64,
            inputs: Vec::new(),
            snapshot: SnapshotRecord::of([(0, sha256)], &zero),
            packs: vec![PackRecord {
                digest: "a".repeat(64),
                size: 100,
            }],
            blocks: ManifestBlocks {
                data: vec![(0, hex::encode(sha256), 0, 10, 90)],
                zero,
                free: vec![(3, 1)],
            },
        }
    }

    #[test]
    fn a_snapshot_is_summed_up_in_index_order() {
        let zero = Sha256::digest(vec![0; BLOCK_LEN]);
        let mut sum = Sha256::new();
        for digest in [&[7; 32], &*zero, &*zero] {
            sum.update(digest);
        }
        let snapshot = good().snapshot;
        assert_eq!(snapshot.changed_blocks_count, 3);
        assert_eq!(snapshot.linear_checksum, hex::encode(sum.finalize()));
        assert_eq!(check(&good()), Ok(()));
    }

    /// One change each, and what the refusal names.
    #[test]
    fn what_is_not_right_is_named() {
        type Change = fn(&mut Manifest);
        let cases: &[(Change, &str)] = &[
            (|m| m.name = "../x".into(), "name"),
            (|m| m.name = String::new(), "name"),
            (|m| m.identity = "A".repeat(64), "identity"),
            (|m| m.architecture = "arm64".into(), "architecture"),
            (
                |m| m.boot_modes = vec!["uefi".into(), "bios".into()],
                "boot_modes",
            ),
            (|m| m.boot_modes.clear(), "boot_modes"),
            (|m| m.size = 0, "size"),
            (|m| m.size = 1 << 63, "size"),
            (
                |m| m.packs[0].digest = "../../etc/passwd".into(),
                "packs[0].digest",
            ),
            (|m| m.packs[0].digest = "A".repeat(64), "packs[0].digest"),
            (|m| m.packs[0].size = 99, "block 0: its frame lies behind"),
            (
                |m| m.blocks.data[0].3 = u64::MAX,
                "block 0: its frame lies behind",
            ),
            (|m| m.blocks.data[0].4 = u32::MAX, "4294967295"),
            (|m| m.blocks.data[0].4 = 0, "a frame of 0 bytes"),
            (
                |m| m.blocks.data[0].1 = "0".repeat(63),
                "block 0: its digest",
            ),
            (
                |m| m.blocks.data[0].1 = "F".repeat(64),
                "block 0: its digest",
            ),
            (|m| m.blocks.data[0].1 = "0".repeat(64), "snapshot"),
            (|m| m.snapshot.changed_blocks_count = 2, "snapshot"),
            (|m| m.snapshot.linear_checksum.clear(), "snapshot"),
            (|m| m.blocks.zero = vec![(2, 1), (1, 1)], "order"),
        ];
        for (change, names) in cases {
            let mut manifest = good();
            change(&mut manifest);
            let refused = check(&manifest).unwrap_err();
            assert!(
                refused.contains(names),
                "{refused:?} does not name {names:?}"
            );
        }
    }
}
