//! Whether a region's AMI is made there or copied: a pure function of what is known.

use serde::Serialize;
use std::fmt;

/// How an AMI gets into a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// The vault there gets the image, and a converter there makes the AMI.
    Convert,
    /// EC2 copies the first region's AMI.
    Copy,
}

/// What is known of a region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Whether there is a vault.
    pub vault: bool,
    /// Whether a converter is there, or can be launched.
    pub converter: bool,
    /// Bytes that the vault there lacks of the image.
    pub missing: u64,
    /// Bytes of its packs: about as many are put, or copied.
    pub size: u64,
    /// Bytes a second that reach a vault from here, as the first region's push has shown.
    pub rate: Option<u64>,
}

/// How, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// How.
    pub via: Via,
    /// In words.
    pub why: String,
}

/// Where nothing was sent that would show it: 80 Mbit/s.
const USUAL_RATE: u64 = 10_000_000;
/// What a copy takes before it copies, in seconds; AWS promises nothing.
const COPY_START: u64 = 120;
/// What it copies a second then.
const COPY_RATE: u64 = 50_000_000;
/// What a converter takes that has to be launched first, in seconds.
const CONVERT_START: u64 = 60;
/// What it puts a second, at EBS's limit of about 1,000 blocks of 512 KiB.
const CONVERT_RATE: u64 = 250_000_000;

/// Chooses; `forced` is what `--via` says.
pub fn choose(facts: &Facts, forced: Option<Via>) -> Choice {
    let choice = |via, why: &str| Choice {
        via,
        why: why.to_owned(),
    };
    if let Some(via) = forced {
        return choice(via, "as --via says");
    }
    if !facts.vault {
        return choice(Via::Copy, "there is no vault");
    }
    if !facts.converter {
        return choice(Via::Copy, "the vault there has no converter");
    }
    if facts.missing == 0 {
        let why = "the vault there has the image, and a conversion costs less than a transfer";
        return choice(Via::Convert, why);
    }
    // A gigabyte costs about 1 cent as blocks that are put, and 2 between regions. So a copy is for
    // those who would wait too long for the image to get there.
    let rate = facts.rate.unwrap_or(USUAL_RATE).max(1);
    let convert = facts.missing / rate + CONVERT_START + facts.size / CONVERT_RATE;
    let copy = COPY_START + facts.size / COPY_RATE;
    let mib = facts.missing.div_ceil(1 << 20);
    let times = format!("about {convert} s with {mib} MiB to send, a copy about {copy} s");
    match convert <= copy {
        true => choice(Via::Convert, &format!("cheaper, and not slower: {times}")),
        false => choice(Via::Copy, &format!("faster: a conversion takes {times}")),
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Via::Convert => "convert",
            Via::Copy => "copy",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn a_region_gets_its_ami_the_cheaper_way_unless_that_is_slow() {
        let all = Facts {
            vault: true,
            converter: true,
            missing: 100 << 20,
            size: 2 * GIB,
            rate: None,
        };
        for (facts, via, why) in [
            (all, Via::Convert, "cheaper"),
            (Facts { missing: 0, ..all }, Via::Convert, "has the image"),
            (
                Facts {
                    vault: false,
                    ..all
                },
                Via::Copy,
                "no vault",
            ),
            (
                Facts {
                    converter: false,
                    ..all
                },
                Via::Copy,
                "no converter",
            ),
            (
                Facts {
                    missing: 4 * GIB,
                    size: 8 * GIB,
                    ..all
                },
                Via::Copy,
                "faster",
            ),
            (
                Facts {
                    missing: 4 * GIB,
                    size: 8 * GIB,
                    rate: Some(500_000_000),
                    ..all
                },
                Via::Convert,
                "cheaper",
            ),
            (
                Facts {
                    rate: Some(0),
                    ..all
                },
                Via::Copy,
                "faster",
            ),
        ] {
            let choice = choose(&facts, None);
            assert_eq!(choice.via, via, "{facts:?}");
            assert!(choice.why.contains(why), "{}", choice.why);
        }
        let forced = choose(&Facts::default(), Some(Via::Convert));
        assert_eq!(
            (forced.via, forced.why.as_str()),
            (Via::Convert, "as --via says")
        );
    }
}
