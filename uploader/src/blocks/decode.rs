//! From a frame to a block that is what the manifest says, in memory that is used again.

use super::plan::ZERO_SHA256;
use bytes::Bytes;
use imgtool::pass::BLOCK_LEN;
use sha2::{Digest, Sha256};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use zstd::bulk::Decompressor;
use zstd::zstd_safe;

/// The one block of zeros, which all puts of zeros share.
static ZEROS: LazyLock<Bytes> = LazyLock::new(|| vec![0; BLOCK_LEN].into());

/// A block of zeros, and its digest.
pub(crate) fn zeros() -> (Bytes, [u8; 32]) {
    (ZEROS.clone(), *ZERO_SHA256)
}

/// Whether a block's content is what the manifest says.
pub(crate) fn has_digest(block: &[u8], sha256: &[u8; 32]) -> bool {
    <[u8; 32]>::from(Sha256::digest(block)) == *sha256
}

/// Memory of blocks and zstd's contexts, kept for the next: a fresh block is 128 page faults.
#[derive(Clone, Default)]
pub(crate) struct Decoders {
    free: Arc<Mutex<Free>>,
}

#[derive(Default)]
struct Free {
    blocks: Vec<Box<[u8]>>,
    contexts: Vec<Decompressor<'static>>,
}

/// A block's memory, which goes back when the last who has it lets go.
struct Block {
    // Taken in `drop`, and only there.
    memory: Option<Box<[u8]>>,
    home: Decoders,
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        self.memory.as_deref().unwrap_or_default()
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if let Some(memory) = self.memory.take() {
            self.home.with(|free| free.blocks.push(memory));
        }
    }
}

impl Decoders {
    fn with<T>(&self, what: impl FnOnce(&mut Free) -> T) -> T {
        what(&mut self.free.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The block in `frame`, if it is just one frame of one block. Else what is wrong. Never more
    /// than a block of memory is written, whatever the frame says. Whether it is the right block,
    /// [`has_digest`] says, or EBS, which is told the digest and computes it anyway.
    pub(crate) fn decode(&self, frame: &[u8]) -> Result<Bytes, String> {
        check_header(frame)?;
        let mut block = Block {
            memory: Some(self.memory()),
            home: self.clone(),
        };
        let mut context = match self.with(|free| free.contexts.pop()) {
            Some(context) => context,
            None => Decompressor::new().map_err(|error| format!("no zstd context: {error}"))?,
        };
        let memory = block.memory.as_deref_mut().unwrap_or_default();
        let decoded = context.decompress_to_buffer(frame, memory);
        self.with(|free| free.contexts.push(context));
        match decoded {
            Err(error) => Err(format!("its frame does not decompress ({error})")),
            Ok(BLOCK_LEN) => Ok(Bytes::from_owner(block)),
            Ok(len) => Err(format!("its frame holds {len} bytes, and says {BLOCK_LEN}")),
        }
    }

    /// Memory of a block, for whoever fills it.
    fn memory(&self) -> Box<[u8]> {
        self.with(|free| free.blocks.pop())
            .unwrap_or_else(|| vec![0; BLOCK_LEN].into())
    }
}

/// The frame's own header: zstd writes no further than the buffer, but says only "too small".
fn check_header(frame: &[u8]) -> Result<(), String> {
    match zstd_safe::get_frame_content_size(frame) {
        Ok(Some(len)) if len == BLOCK_LEN as u64 => {}
        Ok(Some(len)) => {
            return Err(format!(
                "its frame holds {len} bytes, where a block has {BLOCK_LEN}"
            ));
        }
        Ok(None) => return Err("its frame does not say how much it holds".to_owned()),
        Err(_) => return Err("no zstd frame is there".to_owned()),
    }
    match zstd_safe::find_frame_compressed_size(frame) {
        Ok(len) if len == frame.len() => Ok(()),
        Ok(len) => Err(format!(
            "its frame is {len} bytes long, and the manifest says {}",
            frame.len()
        )),
        Err(_) => Err("its frame is cut short, or is none".to_owned()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn block(seed: u64) -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(seed);
        // Compresses to about half.
        (0..BLOCK_LEN)
            .map(|at| if at % 2 == 0 { 7 } else { random.u8(..) })
            .collect()
    }

    fn sha256(data: &[u8]) -> [u8; 32] {
        Sha256::digest(data).into()
    }

    fn frame(data: &[u8]) -> Vec<u8> {
        zstd::bulk::compress(data, 3).unwrap()
    }

    #[test]
    fn a_frame_becomes_its_block_in_memory_that_is_used_again() {
        let decoders = Decoders::default();
        for seed in 0..5 {
            let data = block(seed);
            let got = decoders.decode(&frame(&data)).unwrap();
            assert_eq!(got, data);
        }
        decoders.with(|free| {
            assert_eq!((free.blocks.len(), free.contexts.len()), (1, 1));
        });
    }

    #[test]
    fn what_is_no_frame_of_one_block_is_refused_by_what_it_is() {
        let data = block(1);
        let good = frame(&data);
        // 512 MiB in 50 KiB.
        let bomb = frame(&vec![0; 512 << 20]);
        assert!(bomb.len() < 60_000);
        let short = frame(&data[..BLOCK_LEN - 1]);
        let mut unsized_frame = Vec::new();
        zstd::stream::copy_encode(&*data, &mut unsized_frame, 3).unwrap();
        let halves = [frame(&data[..BLOCK_LEN / 2]), frame(&data[BLOCK_LEN / 2..])].concat();
        let longer = [&good[..], b"more"].concat();
        for (bytes, why) in [
            (&bomb[..], "holds 536870912 bytes"),
            (&short, "holds 524287 bytes"),
            (&unsized_frame, "does not say how much"),
            (&halves, "holds 262144 bytes"),
            (&longer, "bytes long, and the manifest says"),
            (&good[..good.len() - 1], "cut short"),
            (b"", "no zstd frame"),
            (b"PK\x03\x04 something else", "no zstd frame"),
            // A skippable frame, as a pack's seek table is.
            (b"\x5e\x2a\x4d\x18\x04\0\0\0abcd", "holds 0 bytes"),
        ] {
            let error = Decoders::default().decode(bytes).unwrap_err();
            assert!(error.contains(why), "{error:?} has no {why:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// One changed byte anywhere, and there is no block, or one with another digest.
        #[test]
        fn a_changed_frame_is_never_a_block(at in any::<prop::sample::Index>(), flip in 1u8..) {
            let data = block(3);
            let mut bytes = frame(&data);
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            // A bit that means nothing may be flipped: then it is the same block.
            if let Ok(got) = Decoders::default().decode(&bytes) {
                prop_assert_eq!(has_digest(&got, &sha256(&data)), got == data);
            }
        }
    }
}
