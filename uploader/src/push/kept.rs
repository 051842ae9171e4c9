//! Frames that were made once, for those who need them again: as many as there is room for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// Most bytes of frames that are kept.
const ROOM: usize = 128 << 20;

/// Frames of a disk's blocks. Pushes to several vaults share them.
#[derive(Debug, Default)]
pub(super) struct Kept(Mutex<Frames>);

#[derive(Debug, Default)]
struct Frames {
    /// By index of their block, with its SHA-256.
    frames: HashMap<u64, ([u8; 32], Arc<[u8]>)>,
    bytes: usize,
}

impl Kept {
    /// The frame of a block, if one is kept of this content.
    pub(super) fn get(&self, index: u64, sha256: &[u8; 32]) -> Option<Arc<[u8]>> {
        let frames = locked(&self.0);
        let (of, frame) = frames.frames.get(&index)?;
        (of == sha256).then(|| frame.clone())
    }

    /// Keeps the frame of a block in the place of an earlier one, if there is room.
    pub(super) fn put(&self, index: u64, sha256: [u8; 32], frame: &[u8]) {
        let mut frames = locked(&self.0);
        let before = frames.frames.get(&index).map_or(0, |(_, it)| it.len());
        let bytes = frames.bytes - before + frame.len();
        if bytes <= ROOM {
            frames.bytes = bytes;
            frames.frames.insert(index, (sha256, frame.into()));
        }
    }
}

/// A lock; nothing that it guards is left half done by a panic.
pub(super) fn locked<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_of_the_content_that_was_asked_for() {
        let kept = Kept::default();
        kept.put(7, [1; 32], b"one");
        assert_eq!(kept.get(7, &[1; 32]).as_deref(), Some(&b"one"[..]));
        assert_eq!(kept.get(7, &[2; 32]), None);
        assert_eq!(kept.get(8, &[1; 32]), None);
        kept.put(7, [2; 32], b"two");
        assert_eq!(kept.get(7, &[1; 32]), None);
        assert_eq!(kept.get(7, &[2; 32]).as_deref(), Some(&b"two"[..]));
    }

    #[test]
    fn there_is_room_for_so_much_and_no_more() {
        let kept = Kept::default();
        let quarter = vec![0; ROOM / 4];
        for index in 0..5 {
            kept.put(index, [0; 32], &quarter);
        }
        let is_kept = |index| kept.get(index, &[0; 32]).is_some();
        assert!((0..4).all(is_kept) && !is_kept(4));
        // What takes another's place needs no more room than it has more.
        kept.put(0, [1; 32], &quarter[1..]);
        kept.put(5, [0; 32], b"1");
        kept.put(6, [0; 32], b"1");
        assert!(kept.get(0, &[1; 32]).is_some() && is_kept(5) && !is_kept(6));
    }
}
