//! What there is of a vault's converter: its AMI, its instances, and the agents that say they live.

use crate::agent::heartbeat::{self, Beat};
use crate::aws::AwsError;
use crate::aws::ec2::instances::{self, Instance};
use crate::converter_ami::ConverterError;
use crate::converter_ami::current::{self, Found};
use crate::converter_ami::tags::CONVERTER;
use crate::vault::Vault;
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
pub async fn look(vault: &Vault) -> Result<Status, ConverterError> {
    let ami = current::find(vault).await?;
    let mut others = heartbeat::all(vault).await?;
    let mut instances = Vec::new();
    for it in of_vault(vault).await? {
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

/// All of a vault's converters by launch time, those that are gone included for the hour or so that
/// EC2 lists them.
///
/// # Errors
/// EC2 refuses.
pub async fn of_vault(vault: &Vault) -> Result<Vec<Instance>, AwsError> {
    instances::with_tag(&vault.session, CONVERTER, &vault.names.vault).await
}

/// Seconds since a heartbeat.
pub fn age(beat: &Beat, now: OffsetDateTime) -> i64 {
    (now - beat.written).whole_seconds().max(0)
}
