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

/// Bytes a second that reach a vault from here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rate {
    /// Nothing is sent that would show it.
    #[default]
    Unknown,
    /// So many, as the first region's push shows so far. Those under way are not counted, so it may
    /// turn out to be more.
    AtLeast(u64),
    /// So many, as that push has shown.
    Shown(u64),
}

/// What is known of a region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Whether there is a vault.
    pub vault: bool,
    /// Whether a converter is there, or can be launched.
    pub converter: bool,
    /// Whether the first region has an AMI to copy, or may come to have one.
    pub source: bool,
    /// Bytes that the vault there lacks of the image.
    pub missing: u64,
    /// Bytes of its packs: about as many are put, or copied.
    pub size: u64,
    /// How fast the missing ones get there.
    pub rate: Rate,
}

/// How, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// How.
    pub via: Via,
    /// In words, with what is assumed.
    pub why: String,
}

/// Where nothing was sent that would show it: 80 Mbit/s.
const USUAL_RATE: u64 = 10 * MB;
/// What a copy takes before it copies, in seconds; AWS promises nothing.
const COPY_START: u64 = 120;
/// What it copies a second then.
const COPY_RATE: u64 = 50 * MB;
/// What a converter takes that has to be launched first, in seconds.
const CONVERT_START: u64 = 60;
/// What it puts a second, at EBS's limit of about 1,000 blocks of 512 KiB.
const CONVERT_RATE: u64 = 250 * MB;
const MB: u64 = 1_000_000;

/// Chooses; `forced` is what `--via` says. None where it is not known yet: a copy would be there
/// sooner, unless the rate turns out to be higher than it seems.
pub fn choose(facts: &Facts, forced: Option<Via>) -> Option<Choice> {
    let choice = |via, why: &str| {
        let why = why.to_owned();
        Some(Choice { via, why })
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
    if !facts.source {
        return choice(Via::Convert, "the first region has no AMI to copy");
    }
    if facts.missing == 0 {
        let why = "the vault there has the image, and a conversion costs less than a transfer";
        return choice(Via::Convert, why);
    }
    // A gigabyte costs about 1 cent as blocks that are put, and 2 between regions. So a copy is for
    // those who would wait too long for the image to get there.
    let (rate, source) = match facts.rate {
        Rate::Unknown => (USUAL_RATE, "an assumed"),
        Rate::AtLeast(rate) | Rate::Shown(rate) => (rate, "the first region's"),
    };
    let convert = (facts.missing / rate.max(1))
        .saturating_add(CONVERT_START)
        .saturating_add(facts.size / CONVERT_RATE);
    let copy = COPY_START + facts.size / COPY_RATE;
    let times = format!(
        "about {convert} s with {} MiB to send at {source} {:.1} MB/s ({CONVERT_START} s for a \
         converter to start and {} MB/s into the snapshot are assumed), a copy about {copy} s \
         ({COPY_START} s and then {} MB/s are assumed)",
        facts.missing.div_ceil(1 << 20),
        rate as f64 / MB as f64,
        CONVERT_RATE / MB,
        COPY_RATE / MB,
    );
    match (convert <= copy, facts.rate) {
        (true, _) => choice(Via::Convert, &format!("cheaper, and not slower: {times}")),
        (false, Rate::AtLeast(_)) => None,
        (false, _) => choice(Via::Copy, &format!("faster: a conversion takes {times}")),
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
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;
    const ALL: Facts = Facts {
        vault: true,
        converter: true,
        source: true,
        missing: 100 << 20,
        size: 2 * GIB,
        rate: Rate::Unknown,
    };
    /// Too much for a slow way.
    const MUCH: Facts = Facts {
        missing: 4 * GIB,
        size: 8 * GIB,
        ..ALL
    };

    #[test]
    fn a_region_gets_its_ami_the_cheaper_way_unless_that_is_slow() {
        let rate = |rate, facts| Facts { rate, ..facts };
        for (facts, via, why) in [
            (ALL, Via::Convert, "cheaper"),
            (Facts { missing: 0, ..ALL }, Via::Convert, "has the image"),
            (
                Facts {
                    vault: false,
                    ..ALL
                },
                Via::Copy,
                "no vault",
            ),
            (
                Facts {
                    converter: false,
                    ..ALL
                },
                Via::Copy,
                "no converter",
            ),
            (
                Facts {
                    source: false,
                    ..MUCH
                },
                Via::Convert,
                "no AMI to copy",
            ),
            (MUCH, Via::Copy, "faster"),
            (rate(Rate::Shown(500 * MB), MUCH), Via::Convert, "cheaper"),
            (rate(Rate::Shown(0), ALL), Via::Copy, "faster"),
        ] {
            let choice = choose(&facts, None).unwrap();
            assert_eq!(choice.via, via, "{facts:?}");
            assert!(choice.why.contains(why), "{}", choice.why);
        }
        let forced = choose(&Facts::default(), Some(Via::Convert)).unwrap();
        assert_eq!(
            (forced.via, forced.why.as_str()),
            (Via::Convert, "as --via says")
        );
    }

    /// A rate that may still rise is enough for a conversion, and no reason for a copy.
    #[test]
    fn a_copy_waits_until_the_rate_is_known() {
        let with = |rate| choose(&Facts { rate, ..MUCH }, None).map(|it| it.via);
        assert_eq!(with(Rate::AtLeast(500 * MB)), Some(Via::Convert));
        for slow in [0, MB] {
            assert_eq!(with(Rate::AtLeast(slow)), None);
            assert_eq!(with(Rate::Shown(slow)), Some(Via::Copy));
        }
        // Where the rate decides nothing, it is not waited for.
        let without = |change: fn(&mut Facts)| {
            let mut facts = Facts {
                rate: Rate::AtLeast(0),
                ..MUCH
            };
            change(&mut facts);
            choose(&facts, None).map(|it| it.via)
        };
        assert_eq!(without(|it| it.vault = false), Some(Via::Copy));
        assert_eq!(without(|it| it.converter = false), Some(Via::Copy));
        assert_eq!(without(|it| it.missing = 0), Some(Via::Convert));
        assert_eq!(without(|it| it.source = false), Some(Via::Convert));
    }

    /// Whoever reads the reason sees which numbers are guesses.
    #[test]
    fn the_reason_says_what_it_assumes() {
        assert_eq!(
            choose(&ALL, None).unwrap().why,
            "cheaper, and not slower: about 78 s with 100 MiB to send at an assumed 10.0 MB/s (60 s \
             for a converter to start and 250 MB/s into the snapshot are assumed), a copy about 162 s \
             (120 s and then 50 MB/s are assumed)"
        );
        let slow = Facts {
            rate: Rate::Shown(1_240_000),
            ..MUCH
        };
        let why = choose(&slow, None).unwrap().why;
        let begin = "faster: a conversion takes about 3557 s with 4096 MiB to send at the first \
                     region's 1.2 MB/s (";
        assert!(why.starts_with(begin), "{why}");
    }
}
