//! What is garbage: pure.

use crate::aws::ListedObject;
use serde::Serialize;
use std::collections::BTreeSet;
use time::{Duration, OffsetDateTime};

/// The shortest age at which a request's record may go: SQS keeps a message for 14 days at most, so
/// nothing can come of a request that is older.
pub const LEAST_RECORD_AGE: Duration = Duration::days(15);
/// How old what is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GcLimits {
    /// Packs younger than this stay, whoever names them.
    pub packs: Duration,
    /// Records of requests younger than this stay.
    pub records: Duration,
}

/// What can go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Garbage {
    /// The object.
    pub key: String,
    /// What it is.
    pub kind: GarbageKind,
    /// Its length, in bytes.
    pub size: u64,
    /// When it was written.
    #[serde(with = "time::serde::rfc3339")]
    pub written: OffsetDateTime,
}

/// Kinds of garbage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum GarbageKind {
    /// A pack that no manifest names.
    Pack,
    /// The record of a request that is over.
    Record,
}

/// Which of these objects can go. `named` are the digests of packs that manifests name.
pub fn garbage(
    packs: &[ListedObject],
    records: &[ListedObject],
    named: &BTreeSet<String>,
    now: OffsetDateTime,
    limits: &GcLimits,
) -> Vec<Garbage> {
    let of = |kind, object: &ListedObject| Garbage {
        key: object.key.clone(),
        kind,
        size: object.size,
        written: object.written,
    };
    let is_unnamed = |object: &&ListedObject| {
        // What is no pack by its name was put there by somebody else, and is theirs.
        digest_of(&object.key).is_some_and(|digest| !named.contains(digest))
            && now - object.written >= limits.packs
    };
    let is_old = |object: &&ListedObject| {
        object.key.ends_with(".json")
            && now - object.written >= limits.records.max(LEAST_RECORD_AGE)
    };
    let packs = packs.iter().filter(is_unnamed);
    let records = records.iter().filter(is_old);
    packs
        .map(|it| of(GarbageKind::Pack, it))
        .chain(records.map(|it| of(GarbageKind::Record, it)))
        .collect()
}

/// The digest in a pack's key.
pub(super) fn digest_of(key: &str) -> Option<&str> {
    let digest = key.strip_prefix("packs/")?;
    let is_digest = digest.len() == 64
        && digest
            .bytes()
            .all(|it| it.is_ascii_digit() || (b'a'..=b'f').contains(&it));
    is_digest.then_some(digest)
}

#[cfg(test)]
mod tests {
    use super::super::super::Names;
    use super::*;

    const NOW: OffsetDateTime = time::macros::datetime!(2026-11-20 12:00 UTC);
    const LIMITS: GcLimits = GcLimits {
        packs: Duration::days(7),
        records: Duration::days(90),
    };

    fn object(key: &str, days: i64) -> ListedObject {
        ListedObject {
            key: key.to_owned(),
            size: 1,
            written: NOW - Duration::days(days),
        }
    }

    fn pack(digit: char, days: i64) -> ListedObject {
        object(&Names::pack_key(&digit.to_string().repeat(64)), days)
    }

    fn keys(packs: &[ListedObject], records: &[ListedObject], limits: &GcLimits) -> Vec<String> {
        let named = BTreeSet::from(["a".repeat(64)]);
        garbage(packs, records, &named, NOW, limits)
            .into_iter()
            .map(|it| it.key)
            .collect()
    }

    #[test]
    fn only_packs_that_nobody_names_and_that_are_old_enough() {
        let packs = [
            pack('a', 100),
            pack('b', 100),
            pack('c', 7),
            pack('d', 6),
            // Of a clock that is ahead.
            pack('e', -1),
            object("packs/notes.txt", 100),
            object("packs/", 100),
        ];
        assert_eq!(
            keys(&packs, &[], &LIMITS),
            [pack('b', 0).key, pack('c', 0).key]
        );
    }

    #[test]
    fn records_outlive_their_messages() {
        let records = [
            object("requests/old.json", 91),
            object("requests/young.json", 89),
            object("requests/other", 91),
        ];
        assert_eq!(keys(&[], &records, &LIMITS), ["requests/old.json"]);
        let at_once = GcLimits {
            records: Duration::ZERO,
            ..LIMITS
        };
        let records = [object("requests/1.json", 15), object("requests/2.json", 14)];
        assert_eq!(keys(&[], &records, &at_once), ["requests/1.json"]);
    }
}
