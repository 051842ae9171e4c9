//! EC2 images, snapshots, volumes and instances, by the EC2 query protocol.

mod absent;
mod call;
mod filter;
mod images;
mod in_use;
mod instances;
mod lookup;
mod page;
mod regions;
mod settings;
mod snapshots;
mod tag_specification;
mod tags;
mod volumes;

use crate::services::Services;
use call::{Answer, Call};
use emulator_protocol::{Caller, Params};

/// Answers an action that is our own; `None` for one that is LocalStack's.
pub async fn handle(services: &Services, caller: &Caller, params: &Params) -> Option<Answer> {
    let call = Call {
        services,
        caller,
        params,
        now: services.clock.now(),
    };
    let action = params.get("Action")?;
    if let Err(error) = crate::ebs::expire(services) {
        return Some(Err(error));
    }
    instances::settle(&call);
    // Each module knows its own actions.
    if let Some(answer) = images::handle(&call, action).await {
        return Some(answer);
    }
    if let Some(answer) = snapshots::handle(&call, action).await {
        return Some(answer);
    }
    if let Some(answer) = volumes::handle(&call, action).await {
        return Some(answer);
    }
    if let Some(answer) = instances::handle(&call, action).await {
        return Some(answer);
    }
    if let Some(answer) = tags::handle(&call, action).await {
        return Some(answer);
    }
    if let Some(answer) = regions::handle(&call, action) {
        return Some(answer);
    }
    if let Some(answer) = settings::handle(&call, action).await {
        return Some(answer);
    }
    if let Err(refused) = in_use::check(&call, action).await {
        return Some(Err(refused));
    }
    absent::check(&call, action).err().map(Err)
}
