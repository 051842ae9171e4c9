//! What every action is given and gives.

use crate::services::Services;
use emulator_protocol::{AwsError, Caller, Params, Xml};
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
