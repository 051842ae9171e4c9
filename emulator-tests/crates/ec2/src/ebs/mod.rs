//! The EBS direct API, by REST and JSON: snapshots written and read block by block.

mod answer;
mod call;
mod changed;
mod complete;
mod error;
mod get;
mod keys;
mod list;
mod page;
mod put;
mod request;
mod snapshots;
mod start;
pub(crate) mod state;
mod token;

pub use snapshots::expire;
pub use state::State;

use crate::services::Services;
use call::Call;
use emulator_protocol::http::{Request, Response};
use emulator_protocol::model::check_ebs;
use emulator_protocol::operation::EbsOperation;
use emulator_protocol::{AwsError, Caller};
use request::Query;

/// Answers a request that was signed for the service `ebs`.
///
/// # Errors
/// As the API's reference has them; the gateway writes them down.
pub async fn handle(
    services: &Services,
    caller: &Caller,
    request: Request,
) -> Result<Response, AwsError> {
    let (head, body) = request.into_parts();
    let call = Call {
        services,
        caller,
        now: services.clock.now(),
    };
    let operation = EbsOperation::of(&head.method, head.uri.path())
        .ok_or_else(|| error::unknown_operation(head.method.as_str(), head.uri.path()))?;
    check_ebs(&operation, &head)?;
    let query = Query::parse(head.uri.query());
    match &operation {
        EbsOperation::StartSnapshot => start::handle(&call, body).await,
        EbsOperation::CompleteSnapshot { snapshot } => {
            complete::handle(&call, snapshot, &head.headers).await
        }
        EbsOperation::PutSnapshotBlock { snapshot, index } => {
            put::handle(&call, snapshot, index, &head.headers, body).await
        }
        EbsOperation::GetSnapshotBlock { snapshot, index } => {
            get::handle(&call, snapshot, index, &query).await
        }
        EbsOperation::ListSnapshotBlocks { snapshot } => {
            list::handle(&call, snapshot, &query).await
        }
        EbsOperation::ListChangedBlocks { second_snapshot } => {
            changed::handle(&call, second_snapshot, &query).await
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod testing;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
