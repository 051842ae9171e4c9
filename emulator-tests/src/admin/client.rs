//! A client of the emulator's own questions, under `/_emulator/`.

use super::messages::{Advance, Clock, Fresh, Status};
use crate::gateway::fault::{Counted, Rule};
use bytes::Bytes;
use emulator_protocol::Account;
use emulator_protocol::http::{Body, empty, full, read_at_most};
use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// Most bytes of an answer.
const MOST_ANSWER: usize = 16 << 20;

/// What the emulator refuses.
#[derive(Deserialize)]
struct Refused {
    message: String,
}

/// Why the emulator did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// It can't be asked.
    #[error("the emulator at {address} does not answer")]
    Unreachable {
        /// Where it should be.
        address: SocketAddr,
        /// Why.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It refuses, and says why.
    #[error("{0}")]
    Refused(String),
    /// What answers is no emulator of this version.
    #[error("what answers at {address} is no emulator of this version ({status})")]
    Foreign {
        /// Where it is.
        address: SocketAddr,
        /// What it answered.
        status: StatusCode,
    },
}

/// A client of an emulator.
pub struct Admin {
    address: SocketAddr,
    client: Client<HttpConnector, Body>,
}

impl Admin {
    /// Of the emulator at this address.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            client: Client::builder(TokioExecutor::new()).build(HttpConnector::new()),
        }
    }

    /// Where it is and how it is.
    ///
    /// # Errors
    /// It can't be asked.
    pub async fn status(&self) -> Result<Status, AdminError> {
        self.ask(Method::GET, "status", None).await
    }

    /// The number of an account that nobody has yet.
    ///
    /// # Errors
    /// It can't be asked, or can't write down that the number is taken.
    pub async fn fresh_account(&self) -> Result<Account, AdminError> {
        let fresh: Fresh = self.ask(Method::POST, "accounts", None).await?;
        Ok(fresh.account)
    }

    /// The services' time.
    ///
    /// # Errors
    /// It can't be asked.
    pub async fn clock(&self) -> Result<Clock, AdminError> {
        self.ask(Method::GET, "clock", None).await
    }

    /// Puts the services' clock forward, for good.
    ///
    /// # Errors
    /// It can't be asked; backwards or by more than a century.
    pub async fn advance(&self, seconds: i64) -> Result<Clock, AdminError> {
        let advance = Advance {
            advance_seconds: seconds,
        };
        self.ask(Method::POST, "clock", Some(json(&advance)?)).await
    }

    /// The fault rules in force, in the order in which they are tried.
    ///
    /// # Errors
    /// It can't be asked.
    pub async fn faults(&self) -> Result<Vec<Counted>, AdminError> {
        self.ask(Method::GET, "faults", None).await
    }

    /// Adds a fault rule.
    ///
    /// # Errors
    /// It can't be asked, or it can't be a rule.
    pub async fn add_fault(&self, rule: &Rule) -> Result<Counted, AdminError> {
        self.ask(Method::POST, "faults", Some(json(rule)?)).await
    }

    /// Removes the fault rule of this id; gives its last counts.
    ///
    /// # Errors
    /// It can't be asked, or there is no such rule.
    pub async fn remove_fault(&self, id: &str) -> Result<Vec<Counted>, AdminError> {
        if id.is_empty()
            || !id
                .bytes()
                .all(|it| it.is_ascii_alphanumeric() || it == b'-')
        {
            return Err(AdminError::Refused(format!("There is no fault rule {id}")));
        }
        self.ask(Method::DELETE, &format!("faults/{id}"), None)
            .await
    }

    /// Removes all fault rules; gives their last counts.
    ///
    /// # Errors
    /// It can't be asked.
    pub async fn clear_faults(&self) -> Result<Vec<Counted>, AdminError> {
        self.ask(Method::DELETE, "faults", None).await
    }

    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<T, AdminError> {
        let address = self.address;
        let body = self.open(method, path, body).await?;
        let body =
            read_at_most(body, MOST_ANSWER)
                .await
                .map_err(|error| AdminError::Unreachable {
                    address,
                    cause: error.into(),
                })?;
        serde_json::from_slice(&body).map_err(|_| AdminError::Foreign {
            address,
            status: StatusCode::OK,
        })
    }

    /// Asks, and gives the answer's body if it is no refusal.
    pub(super) async fn open(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<Body, AdminError> {
        let address = self.address;
        let unreachable = |cause| AdminError::Unreachable { address, cause };
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{address}/_emulator/{path}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(body.map_or_else(empty, full))
            .map_err(|error| unreachable(error.into()))?;
        let response = self
            .client
            .request(request)
            .await
            .map_err(|error| unreachable(error.into()))?;
        let status = response.status();
        let body = response.into_body().map_err(Into::into).boxed();
        if status.is_success() {
            return Ok(body);
        }
        let body = read_at_most(body, MOST_ANSWER)
            .await
            .map_err(|error| unreachable(error.into()))?;
        let foreign = AdminError::Foreign { address, status };
        match serde_json::from_slice::<Refused>(&body) {
            Ok(refused) => Err(AdminError::Refused(refused.message)),
            Err(_) => Err(foreign),
        }
    }
}

pub(super) fn json(value: &impl Serialize) -> Result<Bytes, AdminError> {
    serde_json::to_vec(value)
        .map(Bytes::from)
        .map_err(|error| AdminError::Refused(error.to_string()))
}
