//! `GetConsoleOutput`.

use crate::ec2::call::{Answer, Call};
use crate::ec2::lookup;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use emulator_protocol::{AwsError, Xml};

/// Most bytes of an answer: the console's end.
const MOST: usize = 64 * 1024;

/// `GetConsoleOutput`.
pub(super) async fn output(call: &Call<'_>) -> Answer {
    let id = call.params.required("InstanceId")?;
    let latest = call.params.bool("Latest")?.unwrap_or_default();
    let instance = call
        .services
        .store
        .read(|world| lookup::instance(world, call.caller, id).cloned())?;
    if latest && !instance.nitro {
        return Err(AwsError::new(
            "UnsupportedOperation",
            "This instance type does not support retrieving the latest console logs. You can \
             retrieve the latest console logs only from instances built on the Nitro System.",
        ));
    }
    call.dry_run()?;
    let text = call.services.machines.console(&instance).await?;
    let end = &text[text.len().saturating_sub(MOST)..];
    let mut xml = Xml::new();
    xml.leaf("instanceId", id)
        .time("timestamp", call.now)
        .leaf("output", STANDARD.encode(end));
    Ok(xml)
}
