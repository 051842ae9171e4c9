//! Block tokens and page tokens: a time, and an HMAC over what the token is for.
//!
//! A block token says nothing but when it expires: what block it is for is in the request that it
//! comes with, and the HMAC does not match any other.

use super::error::validation;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use emulator_protocol::AwsError;
use emulator_state::layers::Digest;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use time::{Duration, OffsetDateTime};

/// How long a block token is good for.
pub const BLOCK_TOKEN_LIFE: Duration = Duration::days(7);
/// How long a page token is good for.
pub const PAGE_TOKEN_LIFE: Duration = Duration::minutes(60);

/// Makes and checks tokens.
pub struct Tokens {
    mac: Hmac<Sha256>,
}

/// A listing: what operation and which snapshots. A page token is good for one of them.
pub struct Listing<'a> {
    pub operation: &'static str,
    pub first: Option<&'a str>,
    pub second: &'a str,
}

impl Tokens {
    pub fn new(key: [u8; 64]) -> Self {
        Self {
            mac: Hmac::new(&key.into()),
        }
    }

    /// A token for a block with this content.
    pub fn block(
        &self,
        snapshot: &str,
        layer: &str,
        index: u32,
        digest: &Digest,
        expires: OffsetDateTime,
    ) -> String {
        let expires = expires.unix_timestamp().to_be_bytes();
        let mac = self.block_mac(snapshot, layer, index, digest, &expires);
        STANDARD.encode([&expires[..], &mac.finalize().into_bytes()].concat())
    }

    /// Checks a block's token.
    pub fn check_block(
        &self,
        token: &str,
        snapshot: &str,
        layer: &str,
        index: u32,
        digest: &Digest,
        now: OffsetDateTime,
    ) -> Result<(), AwsError> {
        let bytes = STANDARD.decode(token).unwrap_or_default();
        let Some((expires, mac)) = bytes.split_first_chunk() else {
            return Err(invalid_block_token());
        };
        self.block_mac(snapshot, layer, index, digest, expires)
            .verify_slice(mac)
            .map_err(|_| invalid_block_token())?;
        if now.unix_timestamp() > i64::from_be_bytes(*expires) {
            return Err(validation(
                "INVALID_BLOCK_TOKEN",
                "The block token has expired.",
            ));
        }
        Ok(())
    }

    fn block_mac(
        &self,
        snapshot: &str,
        layer: &str,
        index: u32,
        digest: &Digest,
        expires: &[u8; 8],
    ) -> Hmac<Sha256> {
        self.over(&[
            b"block",
            snapshot.as_bytes(),
            layer.as_bytes(),
            &index.to_be_bytes(),
            digest,
            expires,
        ])
    }

    /// A token for the rest of a listing, from this block on.
    pub fn page(&self, listing: &Listing<'_>, from: u32, now: OffsetDateTime) -> String {
        let expires = (now + PAGE_TOKEN_LIFE).unix_timestamp().to_be_bytes();
        let from = from.to_be_bytes();
        let mac = self.page_mac(listing, &from, &expires);
        STANDARD.encode([&from[..], &expires, &mac.finalize().into_bytes()].concat())
    }

    /// Where a listing goes on.
    pub fn check_page(
        &self,
        token: &str,
        listing: &Listing<'_>,
        now: OffsetDateTime,
    ) -> Result<u32, AwsError> {
        let bytes = STANDARD.decode(token).unwrap_or_default();
        let invalid = || {
            validation(
                "INVALID_PAGE_TOKEN",
                "The page token is not valid for this request.",
            )
        };
        let (from, rest) = bytes.split_first_chunk().ok_or_else(invalid)?;
        let (expires, mac) = rest.split_first_chunk().ok_or_else(invalid)?;
        self.page_mac(listing, from, expires)
            .verify_slice(mac)
            .map_err(|_| invalid())?;
        if now.unix_timestamp() > i64::from_be_bytes(*expires) {
            return Err(validation(
                "INVALID_PAGE_TOKEN",
                "The page token has expired.",
            ));
        }
        Ok(u32::from_be_bytes(*from))
    }

    fn page_mac(&self, listing: &Listing<'_>, from: &[u8; 4], expires: &[u8; 8]) -> Hmac<Sha256> {
        self.over(&[
            listing.operation.as_bytes(),
            listing.first.unwrap_or_default().as_bytes(),
            listing.second.as_bytes(),
            from,
            expires,
        ])
    }

    /// The HMAC over parts, none of which can be taken for a piece of another.
    fn over(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac
    }
}

/// The token is of another block, or of none.
pub fn invalid_block_token() -> AwsError {
    validation(
        "INVALID_BLOCK_TOKEN",
        "The block token is not valid for this block.",
    )
}
