//! What the volume types allow: the API reference of `CreateVolume`, and "Amazon EBS volume types"
//! for the ratios.

use emulator_protocol::AwsError;
use std::ops::RangeInclusive;

/// A volume type's limits.
struct Kind {
    name: &'static str,
    /// GiB.
    size: RangeInclusive<i64>,
    /// What may be provisioned, if anything.
    iops: Option<RangeInclusive<i64>>,
    /// Most operations a second for a GiB.
    ratio: i64,
}

const KINDS: [Kind; 7] = [
    kind("gp2", 1..=16_384, None, 0),
    kind("gp3", 1..=65_536, Some(3_000..=80_000), 500),
    kind("io1", 4..=16_384, Some(100..=64_000), 50),
    kind("io2", 4..=65_536, Some(100..=256_000), 1_000),
    kind("st1", 125..=16_384, None, 0),
    kind("sc1", 125..=16_384, None, 0),
    kind("standard", 1..=1_024, None, 0),
];

const fn kind(
    name: &'static str,
    size: RangeInclusive<i64>,
    iops: Option<RangeInclusive<i64>>,
    ratio: i64,
) -> Kind {
    Kind {
        name,
        size,
        iops,
        ratio,
    }
}

/// MiB a second of a gp3 volume.
const THROUGHPUT: RangeInclusive<i64> = 125..=2_000;

/// What a volume gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Provision {
    /// GiB.
    pub size: u32,
    /// `gp3`.
    pub kind: String,
    /// Operations a second: provisioned, or the baseline of a gp2 volume.
    pub iops: Option<u32>,
    /// MiB a second (gp3).
    pub throughput: Option<u32>,
}

/// What a volume gets that is asked for so, with the defaults of its type.
///
/// # Errors
/// `UnknownVolumeType`, `InvalidParameterValue`, `InvalidParameterCombination`,
/// `MissingParameter`.
pub(crate) fn provision(
    kind: &str,
    size: i64,
    iops: Option<i64>,
    throughput: Option<i64>,
) -> Result<Provision, AwsError> {
    let Some(limits) = KINDS.iter().find(|it| it.name == kind) else {
        return Err(AwsError::new(
            "UnknownVolumeType",
            format!("Unsupported volume type '{kind}' for volume creation."),
        ));
    };
    if size < *limits.size.start() {
        return Err(value(format!(
            "Volume of {size}GiB is too small for volume type {kind}; minimum is {}GiB.",
            limits.size.start()
        )));
    }
    if size > *limits.size.end() {
        return Err(value(format!(
            "Volume of {size}GiB is too large for volume type {kind}; maximum is {}GiB.",
            limits.size.end()
        )));
    }
    let operations = operations(limits, size, iops)?;
    let throughput = throughput_of(kind, operations, throughput)?;
    Ok(Provision {
        size: narrow(size),
        kind: kind.to_owned(),
        iops: operations.map(narrow),
        throughput: throughput.map(narrow),
    })
}

fn operations(limits: &Kind, size: i64, asked: Option<i64>) -> Result<Option<i64>, AwsError> {
    let kind = limits.name;
    let Some(range) = &limits.iops else {
        if asked.is_some() {
            return Err(AwsError::new(
                "InvalidParameterCombination",
                format!("The parameter iops is not supported for {kind} volumes."),
            ));
        }
        return Ok((kind == "gp2").then(|| (size * 3).clamp(100, 16_000)));
    };
    let Some(iops) = asked else {
        if kind == "gp3" {
            return Ok(Some(*range.start()));
        }
        return Err(AwsError::new(
            "MissingParameter",
            format!("The parameter iops must be specified for {kind} volumes."),
        ));
    };
    if iops < *range.start() {
        return Err(value(format!(
            "Volume iops of {iops} is too low; minimum is {}.",
            range.start()
        )));
    }
    if iops > *range.end() {
        return Err(value(format!(
            "Volume iops of {iops} is too high; maximum is {}.",
            range.end()
        )));
    }
    // Every gp3 volume has the least that can be provisioned, however small it is.
    let free = kind == "gp3" && iops == *range.start();
    if !free && iops > size * limits.ratio {
        return Err(value(format!(
            "Iops to volume size ratio of {:.6} is too high; maximum is {}",
            iops as f64 / size as f64,
            limits.ratio
        )));
    }
    Ok(Some(iops))
}

fn throughput_of(
    kind: &str,
    iops: Option<i64>,
    asked: Option<i64>,
) -> Result<Option<i64>, AwsError> {
    if kind != "gp3" {
        if asked.is_some() {
            return Err(AwsError::new(
                "InvalidParameterCombination",
                "throughput can only be specified for volumeType gp3.",
            ));
        }
        return Ok(None);
    }
    let throughput = asked.unwrap_or(*THROUGHPUT.start());
    if !THROUGHPUT.contains(&throughput) {
        return Err(value(format!(
            "Throughput of {throughput} MiB/s is out of range; it is from {} to {} MiB/s.",
            THROUGHPUT.start(),
            THROUGHPUT.end()
        )));
    }
    // 0.25 MiB/s for an operation a second.
    if iops.is_some_and(|iops| throughput * 4 > iops) {
        return Err(value(format!(
            "Throughput (MiBps) to iops ratio of {:.6} is too high; maximum is 0.250000.",
            throughput as f64 / iops.unwrap_or(1) as f64
        )));
    }
    Ok(Some(throughput))
}

fn value(message: String) -> AwsError {
    AwsError::new("InvalidParameterValue", message)
}

/// Of a number that was found to be within limits that are far below `u32`'s.
fn narrow(number: i64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const VALUE: &str = "InvalidParameterValue";
    const COMBINATION: &str = "InvalidParameterCombination";

    #[test]
    fn each_type_has_its_limits() {
        for (kind, size, iops, throughput, code) in [
            ("gp2", 0, None, None, VALUE),
            ("gp2", -1, None, None, VALUE),
            ("gp2", 16_385, None, None, VALUE),
            ("gp2", i64::MAX, None, None, VALUE),
            ("gp2", 1, Some(3_000), None, COMBINATION),
            ("gp2", 1, None, Some(125), COMBINATION),
            ("gp3", 65_537, None, None, VALUE),
            ("gp3", 1, Some(2_999), None, VALUE),
            ("gp3", 1, Some(3_001), None, VALUE),
            ("gp3", 1_000, Some(80_001), None, VALUE),
            ("gp3", 1, None, Some(124), VALUE),
            ("gp3", 1, None, Some(751), VALUE),
            ("gp3", 1_000, Some(80_000), Some(2_001), VALUE),
            ("io1", 3, Some(100), None, VALUE),
            ("io1", 4, None, None, "MissingParameter"),
            ("io1", 4, Some(99), None, VALUE),
            ("io1", 4, Some(201), None, VALUE),
            ("io1", 10_000, Some(64_001), None, VALUE),
            ("io1", 4, Some(100), Some(125), COMBINATION),
            ("io2", 4, Some(4_001), None, VALUE),
            ("io2", 65_537, Some(100), None, VALUE),
            ("st1", 124, None, None, VALUE),
            ("sc1", 16_385, None, None, VALUE),
            ("sc1", 125, Some(100), None, COMBINATION),
            ("standard", 1_025, None, None, VALUE),
            ("gp4", 1, None, None, "UnknownVolumeType"),
            ("", 1, None, None, "UnknownVolumeType"),
        ] {
            let error = provision(kind, size, iops, throughput).unwrap_err();
            assert_eq!(error.code, code, "{kind} {size} {iops:?} {throughput:?}");
        }
    }

    #[test]
    fn what_is_not_said_is_the_types_default() {
        for (kind, size, iops, throughput, gets) in [
            ("gp2", 1, None, None, (Some(100), None)),
            ("gp2", 100, None, None, (Some(300), None)),
            ("gp2", 16_384, None, None, (Some(16_000), None)),
            ("gp3", 1, None, None, (Some(3_000), Some(125))),
            ("gp3", 1, Some(3_000), Some(750), (Some(3_000), Some(750))),
            (
                "gp3",
                65_536,
                Some(80_000),
                Some(2_000),
                (Some(80_000), Some(2_000)),
            ),
            ("io1", 4, Some(200), None, (Some(200), None)),
            ("io2", 256, Some(256_000), None, (Some(256_000), None)),
            ("st1", 125, None, None, (None, None)),
            ("standard", 1_024, None, None, (None, None)),
        ] {
            let got = provision(kind, size, iops, throughput).unwrap();
            assert_eq!((got.iops, got.throughput), gets, "{kind} {size}");
            assert_eq!(i64::from(got.size), size);
        }
    }
}
