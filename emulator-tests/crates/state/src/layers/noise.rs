//! What a block of an encrypted snapshot reads as that was never put.

use super::BLOCK_LEN;
use sha2::{Digest as _, Sha256};

/// The same for the same root layer and index, different for any other, and nothing that
/// compresses: on AWS nobody's ciphertext is decrypted with the snapshot's key.
pub fn block(root: &str, index: u32) -> Vec<u8> {
    let digest = Sha256::new()
        .chain_update(root)
        .chain_update(index.to_le_bytes())
        .finalize();
    let seed = digest
        .iter()
        .take(8)
        .fold(0, |seed, byte| seed << 8 | u64::from(*byte));
    let mut block = vec![0; BLOCK_LEN];
    fastrand::Rng::with_seed(seed).fill(&mut block);
    block
}
