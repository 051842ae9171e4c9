//! What EC2's handlers ask of guests.

use super::disk::Disk;
use super::record::End;
use super::{Entered, Guests, Order, life};
use async_trait::async_trait;
use emulator_ec2::{Bootable, Machines, PowerOff};
use emulator_protocol::AwsError;
use emulator_state::world::{Instance, InstanceState};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Bytes of a sector.
const SECTOR: usize = 512;

/// Whether a disk that begins so has something to boot: a boot sector's signature, which a GPT's
/// protective MBR has too.
fn has_boot_sector(start: &[u8]) -> bool {
    start.get(SECTOR - 2..SECTOR) == Some(&[0x55, 0xaa])
}

impl Guests {
    /// Gives an order to an instance's machine; if it has none, what should come of it has come.
    fn order(&self, instance: &Instance, order: Order) {
        let given = self
            .inner
            .lock()
            .of
            .get(&instance.id)
            .is_some_and(|live| live.orders.send(order).is_ok());
        if !given {
            self.inner.ended(&instance.id, &End::Asked);
        }
    }

    /// Whether an instance still waits for its machine.
    fn has_to_boot(&self, instance: &str) -> bool {
        self.inner.setup.storage.store.read(|world| {
            world
                .instances
                .get(instance)
                .is_some_and(|it| matches!(it.state, InstanceState::Booting { .. }))
        })
    }
}

#[async_trait]
impl Machines for Guests {
    fn boots(&self, what: Bootable<'_>) -> bool {
        if what.architecture != "x86_64" || what.virtualization != "hvm" || what.layers.is_empty() {
            return false;
        }
        let layers = &self.inner.setup.storage.layers;
        // What was never put is not read: noise has no signature, and zeros neither.
        match layers.find(what.layers, 0) {
            Ok(Some((layer, _))) => layers
                .read(layer, 0)
                .is_ok_and(|block| has_boot_sector(&block)),
            Ok(None) => false,
            Err(error) => {
                tracing::warn!(%error, "a volume's first block can't be read");
                false
            }
        }
    }

    async fn start(&self, instance: &Instance) -> Result<(), AwsError> {
        if !instance.has_machine() {
            return Ok(());
        }
        let (orders, given) = mpsc::unbounded_channel();
        match self.inner.enter(&instance.id, orders) {
            Entered::New => {}
            Entered::Already => return Ok(()),
            Entered::Closing => {
                self.inner.ended(&instance.id, &End::Emulator);
                return Ok(());
            }
        }
        // The record could be seen before there was anyone to give an order to.
        if !self.has_to_boot(&instance.id) {
            self.inner.remove(&instance.id);
            self.inner.left();
            self.inner.ended(&instance.id, &End::Asked);
            return Ok(());
        }
        // What its console shows from now on is of this run.
        self.inner.drop_console(&instance.id);
        let (inner, instance) = (Arc::clone(&self.inner), instance.clone());
        tokio::spawn(async move {
            // In a task of its own, so that a panic is an end, too.
            let ran = tokio::spawn(life::run(Arc::clone(&inner), instance.clone(), given));
            if ran.await.is_err() {
                inner.remove(&instance.id);
                inner.ended(&instance.id, &End::Died("a panic".to_owned()));
            }
            inner.left();
        });
        Ok(())
    }

    async fn stop(&self, instance: &Instance, how: PowerOff) -> Result<(), AwsError> {
        if instance.has_machine() {
            self.order(instance, Order::PowerOff { how, last: false });
        }
        Ok(())
    }

    async fn reboot(&self, instance: &Instance) -> Result<(), AwsError> {
        let lives = self.inner.lock();
        if let Some(live) = lives.of.get(&instance.id) {
            // One that has just ended can't boot again.
            let _ = live.orders.send(Order::Reboot);
        }
        Ok(())
    }

    async fn terminate(&self, instance: &Instance, how: PowerOff) -> Result<(), AwsError> {
        if instance.has_machine() {
            self.order(instance, Order::PowerOff { how, last: true });
        }
        Ok(())
    }

    async fn console(&self, instance: &Instance) -> Result<Vec<u8>, AwsError> {
        Guests::console(self, &instance.id, 0)
            .map(|piece| piece.bytes)
            .map_err(|error| AwsError::unavailable(error.to_string()))
    }

    fn settle_volumes(&self, volumes: &[String]) -> Result<(), AwsError> {
        let disks: Vec<Arc<Disk>> = self
            .inner
            .lock()
            .of
            .values()
            .flat_map(|it| &it.disks)
            .filter(|disk| volumes.iter().any(|id| id == disk.volume()))
            .map(Arc::clone)
            .collect();
        Disk::settle(&disks)
    }

    fn forget(&self, instance: &str) {
        self.inner.consoles().remove(instance);
        let dir = self.inner.setup.dir.join(instance);
        if let Err(error) = std::fs::remove_dir_all(&dir)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(dir = %dir.display(), %error, "a console is left over");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::has_boot_sector;

    #[test]
    fn a_boot_sector_has_its_signature() {
        let mut start = vec![0; 1024];
        assert!(!has_boot_sector(&start));
        start[510..512].copy_from_slice(&[0x55, 0xaa]);
        assert!(has_boot_sector(&start));
        assert!(!has_boot_sector(&start[..511]));
    }
}
