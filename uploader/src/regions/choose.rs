//! Which regions make an AMI of their own, and which get a copy: a pure function of what the regions
//! have.

use serde::Serialize;
use std::fmt;

/// How an AMI gets into a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// The vault there gets the image, and a converter there makes the AMI.
    Convert,
    /// EC2 copies the AMI of a region that converts.
    Copy,
}

/// What a region has to make an AMI with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Whether there is a vault.
    pub vault: bool,
    /// Whether a converter runs there, or there is an image to launch one of.
    pub converter: bool,
}

/// How, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// How.
    pub via: Via,
    /// In words.
    pub why: &'static str,
}

/// Chooses for each region: it converts where it has a vault and a converter, and gets a copy
/// elsewhere; `forced` is what `--via` says instead.
///
/// There is no choice (`None`) for the first region that converts, of which the others get their
/// copies. Where none would convert, that is the first of all: somebody has to, and if it lacks
/// something, its failure says what.
pub fn choose(regions: &[Capabilities], forced: Option<Via>) -> Vec<Option<Choice>> {
    let choices = regions.iter().map(|region| match forced {
        Some(via) => Choice {
            via,
            why: "as --via says",
        },
        None => by_rule(region),
    });
    let choices: Vec<Choice> = choices.collect();
    let converts = |choice: &Choice| choice.via == Via::Convert;
    let source = choices.iter().position(converts).unwrap_or(0);
    let all = choices.into_iter().enumerate();
    all.map(|(at, choice)| (at != source).then_some(choice))
        .collect()
}

fn by_rule(region: &Capabilities) -> Choice {
    let (via, why) = if !region.vault {
        (Via::Copy, "there is no vault")
    } else if !region.converter {
        (Via::Copy, "the vault there has no converter")
    } else {
        (Via::Convert, "there is a vault with a converter")
    };
    Choice { via, why }
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

    const BOTH: Capabilities = Capabilities {
        vault: true,
        converter: true,
    };
    const VAULT: Capabilities = Capabilities {
        vault: true,
        converter: false,
    };
    const NOTHING: Capabilities = Capabilities {
        vault: false,
        converter: false,
    };

    /// What was chosen for each; nothing for the one that is copied.
    fn chosen(regions: &[Capabilities], forced: Option<Via>) -> Vec<Option<(Via, &'static str)>> {
        let choices = choose(regions, forced);
        let both = |choice: Choice| (choice.via, choice.why);
        choices.into_iter().map(|it| it.map(both)).collect()
    }

    #[test]
    fn a_region_with_vault_and_converter_converts_and_any_other_gets_a_copy() {
        assert_eq!(
            chosen(&[BOTH, BOTH, VAULT, NOTHING], None),
            [
                None,
                Some((Via::Convert, "there is a vault with a converter")),
                Some((Via::Copy, "the vault there has no converter")),
                Some((Via::Copy, "there is no vault")),
            ]
        );
    }

    #[test]
    fn the_first_region_that_converts_is_the_one_that_is_copied() {
        let copy = Some((Via::Copy, "there is no vault"));
        let convert = Some((Via::Convert, "there is a vault with a converter"));
        assert_eq!(
            chosen(&[NOTHING, BOTH, BOTH], None),
            [copy, None, convert],
            "the order decides nothing else"
        );
    }

    #[test]
    fn where_no_region_can_convert_the_first_one_tries() {
        for first in [NOTHING, VAULT] {
            let choices = chosen(&[first, VAULT, NOTHING], None);
            assert_eq!(choices[0], None);
            assert!(choices[1..].iter().flatten().all(|it| it.0 == Via::Copy));
        }
        assert_eq!(chosen(&[NOTHING], None), [None]);
        assert_eq!(chosen(&[], None), []);
    }

    #[test]
    fn what_is_forced_is_done_whatever_the_regions_have() {
        for regions in [[BOTH, BOTH], [NOTHING, NOTHING], [NOTHING, BOTH]] {
            for via in [Via::Convert, Via::Copy] {
                let forced = chosen(&regions, Some(via));
                assert_eq!(forced, [None, Some((via, "as --via says"))], "{regions:?}");
            }
        }
    }
}
