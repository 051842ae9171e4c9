//! `/_emulator/`: the emulator's own questions, in JSON. [`crate::admin`] is its client.
//!
//! Whoever can connect may ask, and that is only this machine; but a page in a browser on this
//! machine may not, nor one that got here under a name of its own, nor an instance.

mod instances;

pub(super) use instances::Instances;

use super::answer::plain_json;
use super::at_work::AtWork;
use super::fault::{Book, Rule};
use super::read::read;
use super::state::State;
use crate::admin::messages::{Advance, Clock, Fresh, Status};
use emulator_protocol::AwsError;
use emulator_protocol::http::{Body, Response};
use emulator_state::clock::{Clock as _, SystemClock};
use http::request::Parts;
use http::{Method, StatusCode, header};
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

const PREFIX: &str = "/_emulator/";
/// The farthest that the clock is put forward: a hundred years.
const MOST_AHEAD: i64 = 100 * 366 * 24 * 3600;

/// Whether a request is for the emulator itself.
pub(super) fn is_for(request: &Parts) -> bool {
    request.uri.path().starts_with(PREFIX)
}

/// Whether a request is about the emulator or LocalStack, not AWS. LocalStack decodes paths before
/// it looks at them.
pub(super) fn is_of_this_host(request: &Parts) -> bool {
    let path = percent_decode_str(request.uri.path()).decode_utf8_lossy();
    path.split('/')
        .find(|segment| !segment.is_empty())
        .is_some_and(|first| first == "_emulator" || first.starts_with("_localstack"))
}

/// The answer to an instance that asks what only this host may.
pub(super) fn refuse_guest() -> Response {
    let message = "Only programs on the emulator's host may ask this, not its instances";
    plain_json(
        StatusCode::FORBIDDEN.as_u16(),
        &json!({ "code": "Forbidden", "message": message }),
    )
}

/// Answers these questions.
pub(super) struct Control {
    pub(super) address: SocketAddr,
    pub(super) localstack: SocketAddr,
    pub(super) ca_bundle: PathBuf,
    /// The services' clock, which can be put forward.
    pub(super) clock: Arc<SystemClock>,
    pub(super) state: State,
    pub(super) faults: Arc<Book>,
    pub(super) at_work: Arc<AtWork>,
    pub(super) instances: Instances,
}

impl Control {
    /// Answers one.
    pub(super) async fn answer(&self, request: &Parts, body: Body) -> Response {
        match self.perform(request, body).await {
            Ok(response) => response,
            Err(error) => plain_json(
                error.status,
                &json!({ "code": error.code, "message": error.message }),
            ),
        }
    }

    async fn perform(&self, request: &Parts, body: Body) -> Result<Response, AwsError> {
        refuse_browsers(request)?;
        let path = request.uri.path().strip_prefix(PREFIX).unwrap_or_default();
        let (what, id) = match path.split_once('/') {
            Some((what, id)) => (what, Some(id)),
            None => (path, None),
        };
        let ok = StatusCode::OK.as_u16();
        match (request.method.as_str(), what, id) {
            ("GET", "status", None) => Ok(plain_json(ok, &self.status())),
            ("GET", "faults", None) => Ok(plain_json(ok, &self.faults.list())),
            ("POST", "faults", None) => {
                let rule: Rule = json_of(body).await?;
                Ok(plain_json(ok, &self.faults.add(rule)?))
            }
            ("DELETE", "faults", id) => Ok(plain_json(ok, &self.faults.remove(id)?)),
            ("POST", "accounts", None) => Ok(plain_json(
                ok,
                &Fresh {
                    account: self.state.account()?,
                },
            )),
            ("GET", "instances", None) => Ok(plain_json(ok, &instances::list(&self.instances))),
            ("GET", "instances", Some(id)) if id.ends_with("/console") => {
                let id = id.trim_end_matches("/console");
                let piece = instances::console(&self.instances, id, request.uri.query())?;
                Ok(plain_json(ok, &piece))
            }
            ("GET", "instances", Some(id)) if id.ends_with("/ports") => {
                let id = id.trim_end_matches("/ports");
                Ok(plain_json(
                    ok,
                    &instances::ports(&self.instances, id).await?,
                ))
            }
            ("POST", "forwards", None) => {
                instances::forward(&self.instances, json_of(body).await?).await
            }
            ("GET", "clock", None) => Ok(plain_json(ok, &self.clock())),
            ("POST", "clock", None) => {
                let by: Advance = json_of(body).await?;
                self.advance(by.advance_seconds)?;
                Ok(plain_json(ok, &self.clock()))
            }
            _ => Err(AwsError::new(
                "NotFound",
                format!("There is no {} {}", request.method, request.uri.path()),
            )
            .with_status(404)),
        }
    }

    fn status(&self) -> Status {
        let clock = self.clock();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            address: self.address,
            localstack: self.localstack,
            ca_bundle: self.ca_bundle.clone(),
            now: clock.now,
            ahead_seconds: clock.ahead_seconds,
            faults: self.faults.list().len(),
            at_work: self.at_work.counts(),
            guests: self.instances.guests.as_ref().map(|it| it.limits().guests),
        }
    }

    fn clock(&self) -> Clock {
        Clock {
            now: self.clock.now(),
            ahead_seconds: self.state.ahead_seconds(),
        }
    }

    fn advance(&self, seconds: i64) -> Result<(), AwsError> {
        let farthest = MOST_AHEAD - self.state.ahead_seconds();
        if !(0..=farthest).contains(&seconds) {
            let message = format!("The clock can be put forward by 0 to {farthest} seconds");
            return Err(AwsError::new("InvalidAdvance", message));
        }
        self.state.advance(seconds)?;
        self.clock.advance(time::Duration::seconds(seconds));
        Ok(())
    }
}

async fn json_of<T: DeserializeOwned>(body: Body) -> Result<T, AwsError> {
    let body = read(body).await?;
    serde_json::from_slice(&body)
        .map_err(|error| AwsError::new("InvalidRequest", error.to_string()))
}

/// A page that a browser shows can send requests here, but not without saying where it is from,
/// and not with a host's name that is ours.
fn refuse_browsers(request: &Parts) -> Result<(), AwsError> {
    let headers = &request.headers;
    let from_page = headers.contains_key(header::ORIGIN)
        || headers.contains_key("sec-fetch-site")
        || request.method == Method::OPTIONS;
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .and_then(|host| host.parse::<http::uri::Authority>().ok());
    let ours = host.is_some_and(|host| {
        matches!(
            host.host(),
            "localhost" | "127.0.0.1" | "[::1]" | "localhost.localstack.cloud"
        )
    });
    if from_page || !ours {
        let message = "Only programs on this machine may ask this, by the name of localhost";
        return Err(AwsError::new("Forbidden", message).with_status(403));
    }
    Ok(())
}
