//! What the instance metadata service tells of an instance: its record, and its role.

use crate::imds::{Facts, Metadata, RoleStatus, Roles};
use async_trait::async_trait;
use emulator_protocol::AwsError;
use emulator_state::world::Store;
use std::sync::Arc;

/// An instance, as its metadata service is told of it.
pub(super) struct OfInstance {
    pub(super) store: Arc<Store>,
    pub(super) roles: Roles,
    pub(super) instance: String,
    pub(super) subnet_cidr: String,
    pub(super) vpc_cidr: Option<String>,
}

#[async_trait]
impl Metadata for OfInstance {
    fn facts(&self) -> Option<Facts> {
        self.store.read(|world| {
            let instance = world.instances.get(&self.instance)?.clone();
            let devices = world
                .volumes
                .values()
                .filter_map(|volume| volume.attachment.as_ref())
                .filter(|it| it.instance == self.instance)
                .map(|it| it.device.clone())
                .collect();
            Some(Facts {
                instance,
                devices,
                subnet_cidr: self.subnet_cidr.clone(),
                vpc_cidr: self.vpc_cidr.clone(),
            })
        })
    }

    async fn role(&self) -> Result<RoleStatus, AwsError> {
        let instance = self
            .store
            .read(|world| world.instances.get(&self.instance).cloned());
        match instance {
            Some(instance) => self.roles.status(&instance).await,
            None => Ok(RoleStatus::NoProfile),
        }
    }
}
