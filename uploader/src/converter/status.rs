//! What there is of a vault's converter: its AMI, its instances, and the agents that say they live.

use super::ConverterError;
use super::current::{self, Found};
use super::heartbeat::{self, Beat};
use super::instance::Instance;
use super::instances;
use crate::aws::Session;
use crate::vault::Names;
use time::OffsetDateTime;

/// All of it.
#[derive(Clone, Debug)]
pub struct Status {
    /// The AMI.
    pub ami: Found,
    /// Instances, those that are gone included as long as EC2 lists them, each with its agent's last
    /// heartbeat.
    pub instances: Vec<(Instance, Option<Beat>)>,
    /// Agents that are no such instance: processes elsewhere.
    pub others: Vec<Beat>,
}

/// Looks.
///
/// # Errors
/// AWS refuses.
pub async fn look(session: &Session, names: &Names) -> Result<Status, ConverterError> {
    let ami = current::find(session, names).await?;
    let mut others = heartbeat::all(session, names).await?;
    let mut instances = Vec::new();
    for it in instances::of_vault(session, names).await? {
        let place = others.iter().position(|beat| beat.heartbeat.id == it.id);
        let beat = place.map(|place| others.swap_remove(place));
        instances.push((it, beat));
    }
    others.sort_by(|a, b| a.heartbeat.id.cmp(&b.heartbeat.id));
    Ok(Status {
        ami,
        instances,
        others,
    })
}

/// Seconds since a heartbeat.
pub fn age(beat: &Beat, now: OffsetDateTime) -> i64 {
    (now - beat.written).whole_seconds().max(0)
}

/// Whether a version is before another: by their numbers, from the first. What is no number is 0.
pub fn is_older(version: &str, than: &str) -> bool {
    let numbers = |text: &str| -> Vec<u64> {
        // What follows a hyphen or a plus is no number of it (Semantic Versioning).
        let text = text.split(['-', '+']).next().unwrap_or_default();
        text.split('.').map(|it| it.parse().unwrap_or(0)).collect()
    };
    numbers(version) < numbers(than)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        for (version, than, older) in [
            ("0.1.0", "0.1.0", false),
            ("0.1.0", "0.2.0", true),
            ("0.9.0", "0.10.0", true),
            ("1.0.0", "0.10.0", false),
            ("0.1.0-rc.1", "0.1.1", true),
            ("x", "0.0.1", true),
        ] {
            assert_eq!(is_older(version, than), older, "{version} {than}");
        }
    }
}
