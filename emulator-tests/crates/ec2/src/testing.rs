//! Services on an empty state.

use crate::ebs::State;
use crate::machines::Records;
use crate::services::Services;
use emulator_protocol::{AwsError, Caller, Params};
use emulator_state::clock::Clock;
use emulator_testing::{TestClock, TestKeys, TestNetwork, state};
use std::sync::Arc;
use tempfile::TempDir;
use time::Duration;

/// Services on an empty state.
pub struct World {
    pub services: Services,
    pub clock: Arc<TestClock>,
    pub network: Arc<TestNetwork>,
    pub dir: TempDir,
}

pub fn world() -> World {
    let state = state();
    World {
        services: Services {
            ebs: State::open(state.dir.path(), &state.ids, state.clock.now()).unwrap(),
            store: state.store,
            layers: state.layers,
            clock: state.clock.clone(),
            ids: state.ids,
            keys: Arc::new(TestKeys),
            network: state.network.clone(),
            machines: Arc::new(Records),
            settle: Duration::seconds(1),
        },
        clock: state.clock,
        network: state.network,
        dir: state.dir,
    }
}

impl World {
    /// Calls an EC2 action with a form, and gives the XML inside the response element.
    pub async fn ec2(&self, caller: &Caller, form: &str) -> Result<String, AwsError> {
        let params = Params::parse(form.as_bytes())?;
        crate::ec2::handle(&self.services, caller, &params)
            .await
            .unwrap_or_else(|| panic!("{form} is not our own action"))
            .map(|xml| xml.as_str().to_owned())
    }
}
