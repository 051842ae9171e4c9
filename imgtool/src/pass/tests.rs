use super::*;
use crate::disk::ExtentMap;
use crate::pack::{Manifest, ManifestBlocks, PackRecord, SnapshotRecord, unpack};
use crate::test_support::write;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;
use tempfile::NamedTempFile;
use testutils::oracle;

const BLOCK: u64 = BLOCK_LEN as u64;

/// Random extents over `blocks` blocks.
fn plans() -> impl Strategy<Value = (Vec<Extent>, u64)> {
    let extent = (1u64..3_000_000, 0u8..5, any::<u8>());
    (prop::collection::vec(extent, 1..12), 1u64..30).prop_map(|(parts, extra)| {
        let mut map = ExtentMap::default();
        for (len, kind, byte) in parts {
            let at = map.end();
            let source = match kind {
                0 => ExtentSource::Free,
                1 => ExtentSource::Zero,
                _ => {
                    let bytes: Arc<[u8]> = vec![byte / 2; len as usize + 3].into();
                    ExtentSource::Bytes { bytes, at: 3 }
                }
            };
            map.push(at, len, source).unwrap();
        }
        let len = map.end().next_multiple_of(BLOCK) + extra * BLOCK;
        map.push(len, 0, ExtentSource::Free).unwrap();
        (map.into_extents(), len)
    })
}

fn pack(extents: &[Extent], len: u64, jobs: usize) -> (NamedTempFile, Outcome) {
    let file = NamedTempFile::new().unwrap();
    let writer = PackWriter::new(file.as_file(), file.path().into(), 1);
    let outcome = run(Job {
        len,
        extents,
        jobs,
        raw: None,
        pack: Some(writer),
        progress: &(),
        cancel: &AtomicBool::new(false),
    })
    .unwrap();
    (file, outcome)
}

fn manifest(outcome: &Outcome, len: u64) -> Manifest {
    let pack = outcome.pack.clone().unwrap();
    Manifest {
        version: 1,
        name: "t".into(),
        identity: String::new(),
        architecture: "x86_64".into(),
        boot_modes: Vec::new(),
        size: len,
        block_size: BLOCK,
        inputs: Vec::new(),
        snapshot: SnapshotRecord::new(&outcome.blocks),
        packs: vec![PackRecord {
            digest: hex::encode(pack.digest),
            size: pack.len,
        }],
        blocks: ManifestBlocks::new(&outcome.blocks),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..Default::default() })]

    #[test]
    fn raw_image_and_unpacked_pack_are_equal_for_any_number_of_threads((extents, len) in plans()) {
        let raw = std::fs::read(write(&extents, len, 1).path()).unwrap();
        prop_assert_eq!(&raw, &std::fs::read(write(&extents, len, 3).path()).unwrap());
        let (one, outcome) = pack(&extents, len, 1);
        let (three, again) = pack(&extents, len, 3);
        let bytes = std::fs::read(one.path()).unwrap();
        prop_assert!(bytes == std::fs::read(three.path()).unwrap());
        prop_assert_eq!(&outcome.blocks.data, &again.blocks.data);

        let manifest = manifest(&outcome, len);
        let out = NamedTempFile::new().unwrap();
        unpack(&manifest, one.path(), out.as_file(), out.path(), &AtomicBool::new(false)).unwrap();
        prop_assert!(std::fs::read(out.path()).unwrap() == raw);

        // The same disk, read at odd places through the pack.
        let mut disk = pack::PackDisk::open(manifest.clone(), one.path()).unwrap();
        let mut read = Vec::new();
        for at in [0, 1, BLOCK_LEN - 3, raw.len() / 2, raw.len() - 5] {
            disk.seek(SeekFrom::Start(at as u64)).unwrap();
            read.resize(2_000_000.min(raw.len() - at), 0);
            disk.read_exact(&mut read).unwrap();
            prop_assert!(read == raw[at..at + read.len()]);
        }

        // The digest that EBS is told, from the raw bytes alone.
        let free: Vec<u64> = outcome.blocks.free.iter().flat_map(|&(f, n)| f..f + n).collect();
        let mut linear = Sha256::new();
        let mut count = 0;
        for (i, block) in raw.chunks(BLOCK_LEN).enumerate() {
            if !free.contains(&(i as u64)) {
                linear.update(Sha256::digest(block));
                count += 1;
            } else {
                prop_assert!(is_zero(block));
            }
        }
        prop_assert_eq!(&manifest.snapshot.linear_checksum, &hex::encode(linear.finalize()));
        prop_assert_eq!(manifest.snapshot.changed_blocks_count, count);
    }
}

#[test]
fn zstd_reads_a_pack() {
    let mut map = ExtentMap::default();
    let bytes: Vec<u8> = (0..3 * BLOCK_LEN as u32).map(|i| (i / 9) as u8).collect();
    map.push_bytes(0, bytes.clone(), 8 * BLOCK).unwrap();
    let (file, _) = pack(&map.into_extents(), 8 * BLOCK, 2);
    let tested = oracle(
        std::process::Command::new("zstd")
            .args(["-q", "-t"])
            .arg(file.path()),
    );
    assert!(tested.is_none_or(|o| o.status.success()));
    let Some(out) = oracle(
        std::process::Command::new("zstd")
            .arg("-dc")
            .arg(file.path()),
    ) else {
        return;
    };
    assert!(out.stdout == bytes);
}

#[test]
fn a_damaged_pack_is_refused_by_block() {
    let mut map = ExtentMap::default();
    map.push_bytes(
        0,
        (0..2 * BLOCK_LEN as u32).map(|i| (i / 9) as u8).collect(),
        2 * BLOCK,
    )
    .unwrap();
    let (file, outcome) = pack(&map.into_extents(), 2 * BLOCK, 2);
    let manifest = manifest(&outcome, 2 * BLOCK);
    let good = std::fs::read(file.path()).unwrap();
    for at in [
        outcome.blocks.data[1].offset as usize + 30,
        good.len() - 100,
    ] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        let bad_file = NamedTempFile::new().unwrap();
        std::fs::write(bad_file.path(), &bad).unwrap();
        let out = NamedTempFile::new().unwrap();
        let error = unpack(
            &manifest,
            bad_file.path(),
            out.as_file(),
            out.path(),
            &AtomicBool::new(false),
        )
        .unwrap_err();
        assert!(error.to_string().contains("block 1"), "{error}");
    }
    let out = NamedTempFile::new().unwrap();
    let stop = AtomicBool::new(true);
    let stopped = unpack(&manifest, file.path(), out.as_file(), out.path(), &stop);
    assert!(matches!(stopped, Err(PackError::Interrupted)));
}

#[test]
fn work_does_not_grow_with_free_space() {
    let mut map = ExtentMap::default();
    map.push_bytes(0, vec![1; 100], 100).unwrap();
    map.push(1 << 60, 100, ExtentSource::Zero).unwrap();
    let runs = block_runs(&map.into_extents());
    let kinds: Vec<_> = runs.iter().map(|r| r.kind).collect();
    assert_eq!(kinds, [RunKind::Content, RunKind::Free, RunKind::Zero]);
}

#[test]
fn an_error_ends_every_worker_and_is_told() {
    let mut map = ExtentMap::default();
    let source = crate::tree::Source::Memory(vec![1; 10].into());
    map.push(0, 40 * BLOCK, ExtentSource::Content { source, at: 0 })
        .unwrap();
    let file = NamedTempFile::new().unwrap();
    let writer = PackWriter::new(file.as_file(), file.path().into(), 1);
    let result = run(Job {
        len: 40 * BLOCK,
        extents: &map.into_extents(),
        jobs: 4,
        raw: None,
        pack: Some(writer),
        progress: &(),
        cancel: &AtomicBool::new(false),
    });
    assert!(matches!(result, Err(PassError::Content(_))));
}

#[test]
fn block_runs_name_every_block_once() {
    // Extents smaller than a block share one; the most demanding kind wins.
    let mut map = ExtentMap::default();
    let mut expected: BTreeMap<u64, RunKind> = BTreeMap::new();
    let kinds = [
        (0, 10, RunKind::Free),
        (10, 10, RunKind::Content),
        (20, 3 * BLOCK, RunKind::Zero),
        (20 + 3 * BLOCK, 5 * BLOCK, RunKind::Free),
    ];
    for (at, len, kind) in kinds {
        let source = match kind {
            RunKind::Free => ExtentSource::Free,
            RunKind::Zero => ExtentSource::Zero,
            RunKind::Content => ExtentSource::Bytes {
                bytes: vec![1; 10].into(),
                at: 0,
            },
        };
        map.push(at, len, source).unwrap();
        for block in at / BLOCK..(at + len).div_ceil(BLOCK) {
            let entry = expected.entry(block).or_insert(kind);
            *entry = (*entry).max(kind);
        }
    }
    let mut seen = BTreeMap::new();
    for run in block_runs(&map.into_extents()) {
        for block in run.first..run.first + run.count {
            assert!(seen.insert(block, run.kind).is_none());
        }
    }
    assert_eq!(seen, expected);
}
