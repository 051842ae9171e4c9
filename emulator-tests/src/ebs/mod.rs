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
mod state;
mod token;

pub use snapshots::expire;
pub use state::State;

use crate::aws::model::check_ebs;
use crate::aws::operation;
use crate::aws::{AwsError, Caller};
use crate::http::{Request, Response};
use crate::services::Services;
use call::Call;
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
    if let Some(operation) = operation::of("ebs", &head, None) {
        check_ebs(&operation, &head)?;
    }
    let query = Query::parse(head.uri.query());
    let path = head.uri.path();
    let parts: Vec<&str> = path
        .strip_prefix('/')
        .unwrap_or(path)
        .trim_end_matches('/')
        .split('/')
        .collect();
    match (head.method.as_str(), parts.as_slice()) {
        ("POST", ["snapshots"]) => start::handle(&call, body).await,
        ("POST", ["snapshots", "completion", id]) => {
            complete::handle(&call, id, &head.headers).await
        }
        ("PUT", ["snapshots", id, "blocks", index]) => {
            put::handle(&call, id, index, &head.headers, body).await
        }
        ("GET", ["snapshots", id, "blocks", index]) => get::handle(&call, id, index, &query).await,
        ("GET", ["snapshots", id, "blocks"]) => list::handle(&call, id, &query).await,
        ("GET", ["snapshots", id, "changedblocks"]) => changed::handle(&call, id, &query).await,
        (method, _) => Err(error::unknown_operation(method, path)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod testing;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
