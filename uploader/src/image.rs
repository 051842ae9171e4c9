//! Which image: a digest of what its disk holds, whatever packs hold it.

use imgtool::pack::Manifest;
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

/// SHA-256 of an image's content: the manifest but for where blocks are kept. The same disk of the
/// same name has the same digest, whether its blocks are in one pack or in those of earlier
/// versions. docs/vault.md has the exact bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageDigest([u8; 32]);

impl ImageDigest {
    /// That of a manifest. Every digest in it has to have been checked for its form, as
    /// [`imgtool::pack::parse_manifest`] does.
    pub fn of(manifest: &Manifest) -> ImageDigest {
        let mut hash = Sha256::new();
        // Each text with its length: two lists of texts never give the same bytes.
        let mut text = |text: &str| {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        };
        text("image digest 1");
        text(&manifest.name);
        text(&manifest.identity);
        text(&manifest.architecture);
        text(&manifest.boot_modes.join(","));
        let number = |hash: &mut Sha256, number: u64| hash.update(number.to_le_bytes());
        number(&mut hash, manifest.size);
        number(&mut hash, manifest.block_size);
        number(&mut hash, manifest.blocks.data.len() as u64);
        for (index, digest, ..) in &manifest.blocks.data {
            number(&mut hash, *index);
            hash.update(digest);
        }
        for runs in [&manifest.blocks.zero, &manifest.blocks.free] {
            number(&mut hash, runs.len() as u64);
            for (first, count) in runs {
                number(&mut hash, *first);
                number(&mut hash, *count);
            }
        }
        ImageDigest(hash.finalize().into())
    }
}

impl fmt::Display for ImageDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for ImageDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Not 64 hexadecimal digits in lower case.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an image's digest: 64 hexadecimal digits in lower case")]
pub struct NotADigest(pub String);

impl FromStr for ImageDigest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<ImageDigest, NotADigest> {
        let mut bytes = [0; 32];
        let lower = !text.bytes().any(|it| it.is_ascii_uppercase());
        match hex::decode_to_slice(text, &mut bytes) {
            Ok(()) if lower => Ok(ImageDigest(bytes)),
            _ => Err(NotADigest(text.to_owned())),
        }
    }
}

impl serde::Serialize for ImageDigest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for ImageDigest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<ImageDigest, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
