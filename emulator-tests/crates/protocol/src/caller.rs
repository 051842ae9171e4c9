//! Who calls, and for which region.

use serde::{Deserialize, Serialize};
use std::fmt;

/// An account's number: twelve digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Account(String);

impl Account {
    /// The account of access keys that name none, as in LocalStack.
    pub fn default_account() -> Self {
        Self("000000000000".to_owned())
    }

    /// `None` unless `text` is twelve ASCII digits.
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| Self(text.to_owned()))
    }

    /// `None` if the number has more than twelve digits.
    pub fn from_number(number: u64) -> Option<Self> {
        Self::parse(&format!("{number:012}"))
    }

    /// The twelve digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A region's name, `us-east-1`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Region(String);

impl Region {
    /// The region of requests that name none, as in LocalStack.
    pub fn default_region() -> Self {
        Self("us-east-1".to_owned())
    }

    /// `None` unless `text` looks like a region's name: lower-case letters, digits and hyphens.
    pub fn parse(text: &str) -> Option<Self> {
        let fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        (!text.is_empty() && text.len() <= 32 && text.bytes().all(fine))
            .then(|| Self(text.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The principal of one request, read from its SigV4 credential scope.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The account that the access key belongs to.
    pub account: Account,
    /// The region in the credential scope.
    pub region: Region,
    /// The access key's id, as sent; empty if nobody signed the request.
    pub access_key: String,
    /// Whether the request came over TLS.
    pub secure: bool,
}
