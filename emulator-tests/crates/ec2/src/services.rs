//! What every handler is given.

use crate::ebs::state::State;
use crate::machines::Machines;
use emulator_backend::{Keys, Network};
use emulator_state::clock::Clock;
use emulator_state::ids::Ids;
use emulator_state::layers::Layers;
use emulator_state::world::Store;
use std::sync::Arc;
use time::Duration;

/// The state and the surroundings of the services that are our own.
pub struct Services {
    /// Records: images, snapshots, volumes, instances, settings.
    pub store: Arc<Store>,
    /// Bytes of snapshots and volumes.
    pub layers: Layers,
    /// What the EBS direct API keeps beside the records.
    pub ebs: State,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Identifiers.
    pub ids: Ids,
    /// KMS.
    pub keys: Arc<dyn Keys>,
    /// Subnets, security groups and what else instances need of LocalStack.
    pub network: Arc<dyn Network>,
    /// What runs instances.
    pub machines: Arc<dyn Machines>,
    /// How long a state that passes by itself lasts (pending, creating): clients that don't wait
    /// for what they made are found out.
    pub settle: Duration,
}
