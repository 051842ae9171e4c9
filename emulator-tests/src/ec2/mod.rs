//! EC2 images, snapshots, volumes and instances, by the EC2 query protocol.

pub mod filter;
pub mod lookup;
pub mod page;
pub mod tag_specification;

mod absent;
mod images;
mod in_use;
mod instances;
mod regions;
mod settings;
mod snapshots;
mod tags;
mod volumes;

pub use instances::{Bootable, Machines, PowerOff, Records};

use crate::aws::{AwsError, Caller, Params, Xml};
use crate::services::Services;
use time::OffsetDateTime;

/// One call of an action.
pub struct Call<'a> {
    /// State and surroundings.
    pub services: &'a Services,
    /// Who calls.
    pub caller: &'a Caller,
    /// The action's parameters.
    pub params: &'a Params,
    /// The time of the call.
    pub now: OffsetDateTime,
}

impl Call<'_> {
    /// Ends a call that only asks whether it would be allowed (`DryRun`): after everything is
    /// checked, before anything is changed.
    ///
    /// # Errors
    /// `DryRunOperation` (412) if `DryRun` is true; `InvalidParameterValue` if it is no boolean.
    pub fn dry_run(&self) -> Result<(), AwsError> {
        if self.params.bool("DryRun")? == Some(true) {
            return Err(AwsError::new(
                "DryRunOperation",
                "Request would have succeeded, but DryRun flag is set.",
            )
            .with_status(412));
        }
        Ok(())
    }
}

/// An action's answer: what is inside `<…Response>`, after the request's id.
pub type Answer = Result<Xml, AwsError>;

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
