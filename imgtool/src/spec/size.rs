//! Sizes as people write them.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer, Visitor};

use super::ValueError;

/// The largest disk: 64 TiB, the largest EBS volume.
pub const MAX_DISK: u64 = 64 << 40;

const SECTOR: u64 = 512;

/// A number of bytes: `8GiB` (1024³), `8GB` (1000³), `512MiB`, or plain bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// How large the disk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// As large as the content needs, plus free room in the root file system.
    Fit {
        /// Bytes of free room.
        extra: u64,
    },
    /// Exactly this many bytes, a multiple of 512.
    Exact(u64),
}

impl Default for Size {
    fn default() -> Size {
        Size::Fit { extra: 0 }
    }
}

impl FromStr for ByteSize {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<ByteSize, ValueError> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        if number.is_empty() {
            return Err(ValueError::new(
                text,
                "a size is a whole number and a unit, as in 8GiB",
            ));
        }
        let factor: u64 = match unit.trim_start() {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            "TiB" => 1 << 40,
            "kB" | "KB" => 1000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "TB" => 1_000_000_000_000,
            short @ ("K" | "M" | "G" | "T" | "k" | "m" | "g" | "t") => {
                let short = short.to_ascii_uppercase();
                return Err(ValueError::new(
                    text,
                    format!(
                        "an ambiguous unit: write {short}iB (powers of 1024) or {short}B \
                         (powers of 1000)"
                    ),
                ));
            }
            _ => {
                return Err(ValueError::new(
                    text,
                    "an unknown unit: B, KiB, MiB, GiB and TiB are powers of 1024, kB, MB, GB \
                     and TB powers of 1000",
                ));
            }
        };
        number
            .parse::<u64>()
            .ok()
            .and_then(|n| n.checked_mul(factor))
            .filter(|&n| n <= MAX_DISK)
            .map(ByteSize)
            .ok_or_else(|| ValueError::new(text, "more than 64TiB, the largest EBS volume"))
    }
}

impl fmt::Display for ByteSize {
    /// In the largest binary unit that divides it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (shift, unit) in [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")] {
            let one = 1u64 << shift;
            if self.0 >= one && self.0.is_multiple_of(one) {
                return write!(f, "{}{unit}", self.0 / one);
            }
        }
        write!(f, "{}B", self.0)
    }
}

impl FromStr for Size {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Size, ValueError> {
        if let Some(extra) = text.strip_prefix('+') {
            return Ok(Size::Fit {
                extra: extra.parse::<ByteSize>()?.0,
            });
        }
        if text == "fit" {
            return Ok(Size::default());
        }
        exact(text.parse::<ByteSize>()?.0).map_err(|why| ValueError::new(text, why))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Size::Fit { extra: 0 } => f.write_str("fit"),
            Size::Fit { extra } => write!(f, "+{}", ByteSize(*extra)),
            Size::Exact(bytes) => ByteSize(*bytes).fmt(f),
        }
    }
}

fn exact(bytes: u64) -> Result<Size, &'static str> {
    if bytes == 0 {
        Err("a disk of no bytes")
    } else if !bytes.is_multiple_of(SECTOR) {
        Err("not a multiple of 512 bytes, a disk's sector")
    } else {
        Ok(Size::Exact(bytes))
    }
}

struct SizeVisitor;

impl Visitor<'_> for SizeVisitor {
    type Value = Size;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a size such as \"8GiB\", \"+1GiB\" or a number of bytes")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Size, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<Size, E> {
        ByteSizeVisitor
            .visit_i64(bytes)
            .and_then(|b| exact(b.0).map_err(E::custom))
    }
}

struct ByteSizeVisitor;

impl Visitor<'_> for ByteSizeVisitor {
    type Value = ByteSize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a size such as \"8GiB\" or a number of bytes")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteSize, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<ByteSize, E> {
        bytes.to_string().parse().map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Size, D::Error> {
        deserializer.deserialize_any(SizeVisitor)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ByteSize, D::Error> {
        deserializer.deserialize_any(ByteSizeVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_people_write_are_understood() {
        for (text, size) in [
            ("8GiB", Size::Exact(8 << 30)),
            ("8 GiB", Size::Exact(8 << 30)),
            ("1TB", Size::Exact(1_000_000_000_000)),
            ("64TiB", Size::Exact(MAX_DISK)),
            ("1048576", Size::Exact(1 << 20)),
            ("512B", Size::Exact(512)),
            ("+1GiB", Size::Fit { extra: 1 << 30 }),
            ("+1000", Size::Fit { extra: 1000 }),
            ("fit", Size::Fit { extra: 0 }),
        ] {
            assert_eq!(text.parse::<Size>().unwrap(), size, "{text}");
            assert_eq!(size.to_string().parse::<Size>().unwrap(), size, "{text}");
        }
    }

    #[test]
    fn sizes_that_mean_nothing_or_two_things_are_refused_with_the_reason() {
        for (text, why) in [
            ("", "whole number"),
            ("+", "whole number"),
            ("-1GiB", "whole number"),
            ("1.5GiB", "unknown unit"),
            ("8G", "write GiB (powers of 1024) or GB"),
            ("8m", "write MiB"),
            ("8GIB", "unknown unit"),
            ("0", "no bytes"),
            ("1000", "512"),
            ("65TiB", "64TiB"),
            ("18446744073709551616", "64TiB"),
            ("18446744073709551615TiB", "64TiB"),
        ] {
            let error = text.parse::<Size>().unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
