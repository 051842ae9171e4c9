//! `CompleteSnapshot`.

use super::call::Call;
use super::error::{disk, parameter};
use super::{answer, keys, request, snapshots};
use emulator_protocol::AwsError;
use emulator_protocol::http::Response;
use emulator_state::layers::{BLOCK_LEN, Digest, Sealed};
use emulator_state::world::{Change, Snapshot, SnapshotState};
use http::HeaderMap;
use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    status: &'static str,
}

/// What the caller says was written.
#[derive(Clone)]
struct Claim {
    count: u32,
    linear: Option<Digest>,
}

pub async fn handle(call: &Call<'_>, id: &str, headers: &HeaderMap) -> Result<Response, AwsError> {
    let claim = Claim::read(headers)?;
    let snapshot = snapshots::pending(call, id)?;
    keys::check(call, snapshot.kms_key.as_deref(), false).await?;
    let layer = match snapshot.layers.first() {
        Some(layer) => call.services.layers.layer(layer),
        None => Err(std::io::ErrorKind::NotFound.into()),
    }
    .map_err(|error| disk(&error))?;

    let sealing = {
        let (layer, id) = (layer.clone(), id.to_owned());
        tokio::task::spawn_blocking(move || layer.seal(|found| claim.judge(&id, found)))
    };
    // A refusal changes nothing: the snapshot stays pending.
    sealing
        .await
        .map_err(|error| AwsError::unavailable(format!("The snapshot was not sealed: {error}")))?
        .map_err(|error| disk(&error))??;

    let full_size = match full_size(call, &snapshot).await {
        Ok(size) => size,
        Err(error) => {
            layer.unseal();
            return Err(error);
        }
    };

    let at = call.now + call.services.settle;
    let state = SnapshotState::Completed { at };
    let status = state.name(call.now);
    let written = call.services.store.write(|world, changes| {
        // Deleted or timed out since.
        let snapshot = world
            .snapshots
            .get(id)
            .filter(|it| it.state == SnapshotState::Pending)
            .ok_or_else(|| snapshots::not_pending(id, "gone"))?;
        changes.push(Change::Snapshot(Snapshot {
            state,
            full_size,
            ..snapshot.clone()
        }));
        Ok(())
    });
    if let Err(error) = written {
        layer.unseal();
        return Err(error);
    }
    answer::json(202, &Answer { status })
}

/// Bytes of all blocks that a snapshot has, its parents' among them.
async fn full_size(call: &Call<'_>, snapshot: &Snapshot) -> Result<u64, AwsError> {
    let (all, stack) = (call.services.layers.clone(), snapshot.layers.clone());
    let count = move || -> std::io::Result<u64> {
        let mut bytes = 0;
        for block in all.written(&stack, 0) {
            block?;
            bytes += BLOCK_LEN as u64;
        }
        Ok(bytes)
    };
    tokio::task::spawn_blocking(count)
        .await
        .map_err(|error| AwsError::unavailable(format!("The snapshot was not sealed: {error}")))?
        .map_err(|error| disk(&error))
}

impl Claim {
    fn read(headers: &HeaderMap) -> Result<Self, AwsError> {
        let count = request::number_header(headers, "x-amz-ChangedBlocksCount")?;
        let checksum = request::header(headers, "x-amz-Checksum")?;
        for (name, value) in [
            ("x-amz-Checksum-Algorithm", "SHA256"),
            ("x-amz-Checksum-Aggregation-Method", "LINEAR"),
        ] {
            match request::header(headers, name)? {
                Some(text) => request::only(name, text, value)?,
                None if checksum.is_some() => {
                    return Err(parameter(format!(
                        "The header {name} is missing: x-amz-Checksum needs it."
                    )));
                }
                None => {}
            }
        }
        Ok(Self {
            count,
            linear: checksum.map(request::checksum).transpose()?,
        })
    }

    fn judge(&self, id: &str, found: Result<(u32, Digest), Sealed>) -> Result<(), AwsError> {
        let (count, linear) = found.map_err(|Sealed| snapshots::not_pending(id, "completed"))?;
        if count != self.count {
            return Err(parameter(format!(
                "x-amz-ChangedBlocksCount is {}, but {count} blocks were written.",
                self.count
            )));
        }
        if self.linear.is_some_and(|claimed| claimed != linear) {
            return Err(parameter(
                "x-amz-Checksum is not the LINEAR SHA-256 of the blocks that were written.",
            ));
        }
        Ok(())
    }
}
