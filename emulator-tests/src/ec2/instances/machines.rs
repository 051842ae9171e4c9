//! What runs instances.

use crate::aws::AwsError;
use crate::keys::BoxFuture;
use crate::world::Instance;

/// Runs instances, whose records are written before it is told.
pub trait Machines: Send + Sync {
    /// The instance was launched, or started again: its volumes are attached.
    fn start<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Result<(), AwsError>>;

    /// The instance has to power off; with `force` without being asked.
    fn stop<'a>(
        &'a self,
        instance: &'a Instance,
        force: bool,
    ) -> BoxFuture<'a, Result<(), AwsError>>;

    /// The instance has to boot again.
    fn reboot<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Result<(), AwsError>>;

    /// The instance has to power off, and its volumes may go.
    fn terminate<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Result<(), AwsError>>;

    /// What the instance wrote to its serial console.
    fn console<'a>(&'a self, instance: &'a Instance) -> BoxFuture<'a, Result<Vec<u8>, AwsError>>;
}

/// Runs nothing: records pass through their states in time, and consoles stay empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct Records;

impl Machines for Records {
    fn start<'a>(&'a self, _instance: &'a Instance) -> BoxFuture<'a, Result<(), AwsError>> {
        Box::pin(async { Ok(()) })
    }

    fn stop<'a>(
        &'a self,
        _instance: &'a Instance,
        _force: bool,
    ) -> BoxFuture<'a, Result<(), AwsError>> {
        Box::pin(async { Ok(()) })
    }

    fn reboot<'a>(&'a self, _instance: &'a Instance) -> BoxFuture<'a, Result<(), AwsError>> {
        Box::pin(async { Ok(()) })
    }

    fn terminate<'a>(&'a self, _instance: &'a Instance) -> BoxFuture<'a, Result<(), AwsError>> {
        Box::pin(async { Ok(()) })
    }

    fn console<'a>(&'a self, _instance: &'a Instance) -> BoxFuture<'a, Result<Vec<u8>, AwsError>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

/// What runs instances now.
pub fn machines() -> &'static dyn Machines {
    &Records
}
