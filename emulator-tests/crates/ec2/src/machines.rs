//! What runs instances.

use async_trait::async_trait;
use emulator_protocol::AwsError;
use emulator_state::layers::Blank;
use emulator_state::world::Instance;

/// What decides whether an instance can be booted.
#[derive(Clone, Copy, Debug)]
pub struct Bootable<'a> {
    /// `x86_64`.
    pub architecture: &'a str,
    /// `hvm`.
    pub virtualization: &'a str,
    /// The root volume's layers.
    pub layers: &'a [String],
    /// What a block of it reads as that no layer has.
    pub blank: Blank,
}

/// How an instance is made to power off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PowerOff {
    /// It is asked, and has time.
    Ask,
    /// It is asked, and has little time (`Force`).
    Force,
    /// It is not asked (`SkipOsShutdown`).
    Cut,
}

/// Runs instances, whose records are written before it is told.
///
/// Only of instances whose record says that they are booted something is to be done. Of those it
/// also writes the states that follow.
#[async_trait]
pub trait Machines: Send + Sync {
    /// Whether an instance of this kind is to be booted.
    fn boots(&self, what: Bootable<'_>) -> bool;

    /// The instance was launched, or started again: its volumes are attached.
    async fn start(&self, instance: &Instance) -> Result<(), AwsError>;

    /// The instance has to power off. One that does so already may be told again, and otherwise.
    async fn stop(&self, instance: &Instance, how: PowerOff) -> Result<(), AwsError>;

    /// The instance has to boot again.
    async fn reboot(&self, instance: &Instance) -> Result<(), AwsError>;

    /// The instance has to power off, and its volumes may go.
    async fn terminate(&self, instance: &Instance, how: PowerOff) -> Result<(), AwsError>;

    /// What the instance wrote to its serial console.
    async fn console(&self, instance: &Instance) -> Result<Vec<u8>, AwsError>;

    /// Brings what the guests have written to these volumes so far into layers that they write to
    /// no more: snapshots are about to be made of them.
    fn settle_volumes(&self, volumes: &[String]) -> Result<(), AwsError>;

    /// The instance is listed no more.
    fn forget(&self, instance: &str);
}

/// Runs nothing: records pass through their states in time, and consoles stay empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct Records;

#[async_trait]
impl Machines for Records {
    fn boots(&self, _what: Bootable<'_>) -> bool {
        false
    }

    async fn start(&self, _instance: &Instance) -> Result<(), AwsError> {
        Ok(())
    }

    async fn stop(&self, _instance: &Instance, _how: PowerOff) -> Result<(), AwsError> {
        Ok(())
    }

    async fn reboot(&self, _instance: &Instance) -> Result<(), AwsError> {
        Ok(())
    }

    async fn terminate(&self, _instance: &Instance, _how: PowerOff) -> Result<(), AwsError> {
        Ok(())
    }

    async fn console(&self, _instance: &Instance) -> Result<Vec<u8>, AwsError> {
        Ok(Vec::new())
    }

    fn settle_volumes(&self, _volumes: &[String]) -> Result<(), AwsError> {
        Ok(())
    }

    fn forget(&self, _instance: &str) {}
}
