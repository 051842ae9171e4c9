//! Session tokens of IMDSv2: what they say is signed, so that none has to be remembered.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::sync::atomic::{AtomicU64, Ordering};
use time::OffsetDateTime;

/// How long a token may be good for, in seconds.
pub(super) const LIFETIMES: std::ops::RangeInclusive<u32> = 1..=21_600;
/// Bytes of a token: its end, its number, and the signature of both.
const LENGTH: usize = 8 + 8 + 32;

/// Gives tokens and knows them again.
pub(super) struct Tokens {
    mac: Hmac<Sha256>,
    given: AtomicU64,
}

impl Tokens {
    /// Tokens of one instance.
    pub(super) fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut key = [0_u8; 64];
        random.fill(&mut key);
        Self {
            mac: Hmac::new(&key.into()),
            given: AtomicU64::new(random.u64(..)),
        }
    }

    /// A token that is good for so many seconds.
    pub(super) fn give(&self, now: OffsetDateTime, seconds: u32) -> String {
        let end = now.unix_timestamp() + i64::from(seconds);
        let number = self.given.fetch_add(1, Ordering::Relaxed);
        let mut bytes = [end.to_be_bytes(), number.to_be_bytes()].concat();
        let signature = self.sign(&bytes).finalize();
        bytes.extend_from_slice(&signature.into_bytes());
        URL_SAFE.encode(bytes)
    }

    /// Whether a token was given, and is good still.
    pub(super) fn knows(&self, now: OffsetDateTime, token: &[u8]) -> bool {
        let Ok(bytes) = URL_SAFE.decode(token) else {
            return false;
        };
        let (said, signature) = match bytes.split_at_checked(16) {
            Some(parts) if bytes.len() == LENGTH => parts,
            _ => return false,
        };
        let signed = self.sign(said).verify_slice(signature).is_ok();
        let end = said.first_chunk().map_or(0, |end| i64::from_be_bytes(*end));
        signed && now.unix_timestamp() < end
    }

    fn sign(&self, bytes: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        mac.update(bytes);
        mac
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use time::Duration;
    use time::macros::datetime;

    #[test]
    fn a_token_is_good_for_its_time_and_its_instance() {
        let now = datetime!(2026-01-01 00:00:00 UTC);
        let tokens = Tokens::new(1);
        let token = tokens.give(now, 60);
        assert_ne!(token, tokens.give(now, 60));
        assert!(tokens.knows(now, token.as_bytes()));
        assert!(tokens.knows(now + Duration::seconds(59), token.as_bytes()));
        assert!(!tokens.knows(now + Duration::seconds(60), token.as_bytes()));
        assert!(!Tokens::new(2).knows(now, token.as_bytes()));
        assert!(!tokens.knows(now, b""));
        assert!(!tokens.knows(now, b"x"));
        assert!(!tokens.knows(now, &token.as_bytes()[..token.len() - 4]));
        for place in 0..token.len() {
            let mut other = token.clone().into_bytes();
            other[place] = if other[place] == b'A' { b'B' } else { b'A' };
            assert!(!tokens.knows(now, &other), "{place}");
        }
    }
}
