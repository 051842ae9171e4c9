#![allow(clippy::unwrap_used)]

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeMap;
use uploader_testutils::{self as samples, Sample};

/// What a block holds, for the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Data(u8),
    /// A block that is listed as data, and is all zero: a reader may find such.
    DataOfZeros,
    Zero,
    Free,
}

impl Content {
    fn sha256(self) -> Option<[u8; 32]> {
        match self {
            Content::Data(byte) => Some(Sha256::digest([byte]).into()),
            Content::DataOfZeros | Content::Zero => Some(*ZERO_SHA256),
            Content::Free => None,
        }
    }

    fn sample(self) -> Sample {
        match (self, self.sha256()) {
            (Content::Data(_) | Content::DataOfZeros, Some(sha256)) => {
                Sample::Data { sha256, len: FRAME }
            }
            (_, Some(_)) => Sample::Zero,
            (_, None) => Sample::Free,
        }
    }
}

const FRAME: u32 = 100;

fn manifest(disk: &[Content]) -> Manifest {
    samples::manifest(disk.iter().map(|it| it.sample()))
}

fn content() -> impl Strategy<Value = Content> {
    prop_oneof![
        4 => (0u8..3).prop_map(Content::Data),
        1 => Just(Content::DataOfZeros),
        3 => Just(Content::Zero),
        2 => Just(Content::Free),
    ]
}

proptest! {
    /// What is in the snapshot afterwards, where somebody may look, is the image; and nothing was put
    /// that was there.
    #[test]
    fn parent_and_puts_make_the_image(
        disk in vec(content(), 0..60),
        parent in proptest::option::of(vec(content(), 0..60)),
    ) {
        let ours = manifest(&disk);
        let theirs = parent.as_deref().map(manifest);
        let plan = plan(&ours, theirs.as_ref()).unwrap();

        // The parent's bytes, as the snapshot has them: nothing is known of what is free.
        let before: BTreeMap<u32, [u8; 32]> = (0..)
            .zip(parent.iter().flatten())
            .filter_map(|(index, it)| Some((index, it.sha256()?)))
            .collect();
        let mut after = before.clone();
        for put in &plan.puts {
            prop_assert_ne!(before.get(&put.index), Some(&put.sha256), "block {}", put.index);
            after.insert(put.index, put.sha256);
        }
        for (index, it) in (0u32..).zip(&disk) {
            if let Some(sha256) = it.sha256() {
                prop_assert_eq!(after.get(&index), Some(&sha256), "block {}", index);
            }
        }
        // Nothing free is put, each block once, in order, from where it is.
        prop_assert!(plan.puts.is_sorted_by(|a, b| a.index < b.index));
        let frames: BTreeMap<u64, u64> = ours.blocks.data.iter().map(|it| (it.0, it.3)).collect();
        let mut linear = Sha256::new();
        for put in &plan.puts {
            linear.update(put.sha256);
            let offset = frames.get(&put.index.into()).copied();
            prop_assert_eq!(put.frame.map(|it| it.offset), offset);
            let is_free = disk[put.index as usize] == Content::Free;
            prop_assert!(!is_free, "block {} is free", put.index);
        }
        prop_assert_eq!(plan.linear_checksum, <[u8; 32]>::from(linear.finalize()));
        if parent.is_none() {
            prop_assert_eq!(plan.puts.len() as u64, ours.snapshot.changed_blocks_count);
            prop_assert_eq!(hex::encode(plan.linear_checksum), ours.snapshot.linear_checksum);
        }
    }

    #[test]
    fn the_same_image_puts_nothing(disk in vec(content(), 0..60)) {
        let ours = manifest(&disk);
        prop_assert_eq!(plan(&ours, Some(&ours)).unwrap().puts, vec![]);
    }

    /// Numbers that nobody checked before neither panic nor allocate.
    #[test]
    fn any_numbers_are_taken_or_refused(
        size in any::<u64>(),
        data in vec((any::<u64>(), any::<u32>(), any::<u64>(), any::<u32>()), 0..4),
        zero in vec((any::<u64>(), any::<u64>()), 0..4),
        pack in any::<u64>(),
    ) {
        let mut it = manifest(&[Content::Zero]);
        it.size = size;
        it.packs[0].size = pack;
        let sha256 = "a".repeat(64);
        it.blocks.data = data
            .into_iter()
            .map(|(index, pack, offset, len)| (index, sha256.clone(), pack, offset, len))
            .collect();
        it.blocks.zero = zero;
        let _ = plan(&it, None);
        let _ = plan(&manifest(&[Content::Zero]), Some(&it));
    }
}

fn refused(change: impl FnOnce(&mut Manifest)) -> String {
    let mut it = manifest(&[
        Content::Data(1),
        Content::Zero,
        Content::Free,
        Content::Data(2),
    ]);
    assert!(plan(&it, None).is_ok());
    change(&mut it);
    let error = plan(&it, None).unwrap_err();
    assert_eq!(error.class(), Class::Input);
    error.to_string()
}

#[test]
fn a_zero_block_over_a_free_one_is_put() {
    let parent = manifest(&[Content::Free, Content::Zero]);
    let ours = manifest(&[Content::Zero, Content::Zero]);
    let puts = plan(&ours, Some(&parent)).unwrap().puts;
    assert_eq!(puts.iter().map(|it| it.index).collect::<Vec<_>>(), [0]);
    assert_eq!(puts[0].frame, None);
}

#[test]
fn what_no_image_can_be_is_refused_by_what_is_wrong() {
    for (said, wanted) in [
        (
            refused(|it| it.packs[0].digest = "../../other".into()),
            "digest of pack 0",
        ),
        (
            refused(|it| it.blocks.data[0].1 = "A".repeat(64)),
            "digest of block 0",
        ),
        (
            refused(|it| it.blocks.data[1].1 = "a".repeat(64)),
            "linear_checksum",
        ),
        (
            refused(|it| it.snapshot.changed_blocks_count = 4),
            "changed_blocks_count",
        ),
        (
            refused(|it| it.blocks.data[1].2 = 1),
            "block 3 can't be where it says: there is no pack 1",
        ),
        (
            refused(|it| it.blocks.data[1].3 = it.packs[0].size - 99),
            "block 3 can't be where it says",
        ),
        (
            refused(|it| it.blocks.data[1].3 = u64::MAX),
            "block 3 can't be where it says",
        ),
        (
            refused(|it| it.blocks.data[1].4 = u32::MAX),
            "a frame of 4294967295 bytes",
        ),
        (refused(|it| it.blocks.data[1].4 = 0), "a frame of 0 bytes"),
        (refused(|it| it.blocks.data[1].0 = 4), "block 4 is"),
        (refused(|it| it.blocks.data.reverse()), "block 0 is"),
        (refused(|it| it.blocks.zero[0].0 = 0), "block 0 is"),
        (refused(|it| it.blocks.zero[0].1 = 0), "block 1 is"),
        (refused(|it| it.blocks.zero[0].1 = u64::MAX), "block 3 is"),
        (refused(|it| it.size = u64::MAX), "the manifest's disk has"),
    ] {
        assert!(said.contains(wanted), "{said:?} has no {wanted:?}");
    }
}

#[test]
fn a_line_of_zeros_without_end_is_refused() {
    let mut it = manifest(&[Content::Zero]);
    it.size = 64 << 40;
    it.blocks.zero = vec![(0, it.size / BLOCK_LEN as u64)];
    assert_eq!(plan(&it, None), Err(PlanError::TooMany));
}
