//! Layers that nothing is made of any more.

use crate::services::Services;
use emulator_state::world::World;
use std::collections::BTreeSet;

/// Layers of the snapshots and volumes `gone` that no other snapshot or volume has. Asked in the
/// transaction that removes the records, so that nobody takes the layers up in between.
pub(crate) fn unnamed_layers(world: &World, gone: &[&str]) -> Vec<String> {
    let (mut theirs, mut others) = (BTreeSet::new(), BTreeSet::new());
    let snapshots = world.snapshots.values().map(|it| (&it.id, &it.layers));
    let volumes = world.volumes.values().map(|it| (&it.id, &it.layers));
    for (id, layers) in snapshots.chain(volumes) {
        let side = if gone.contains(&id.as_str()) {
            &mut theirs
        } else {
            &mut others
        };
        side.extend(layers);
    }
    theirs.difference(&others).map(|it| (*it).clone()).collect()
}

/// Removes layers, after the transaction that removed their records. What can't be removed is
/// left over, which costs room on the disk and nothing else.
pub(crate) fn remove_layers(services: &Services, layers: &[String]) {
    for id in layers {
        if let Err(error) = services.layers.remove(id) {
            tracing::warn!(layer = id, %error, "a layer is left over");
        }
    }
}
