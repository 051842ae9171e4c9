//! A request on its way.

use crate::gateway::answer::{self, Context};
use crate::gateway::scope::{Fault, Refusal};
use emulator_protocol::http::{Body, Request, Response};
use emulator_protocol::{AwsError, Caller, Protocol};
use http::request::Parts;
use http::{HeaderName, HeaderValue};
use sha2::{Digest, Sha256};

/// A request on its way: everything but its body.
pub(super) struct Asked {
    pub(super) parts: Parts,
    pub(super) caller: Caller,
    pub(super) service: String,
    pub(super) protocol: Protocol,
    pub(super) id: String,
}

impl Asked {
    pub(super) fn refuse(&self, error: &AwsError) -> Response {
        let context = Context {
            protocol: self.protocol,
            service: &self.service,
            request: &self.parts,
            request_id: &self.id,
        };
        answer::error(error, &context)
    }

    pub(super) fn refusal(&self, fault: Fault, message: &str) -> AwsError {
        Refusal::new(fault, &self.service, message).error(self.protocol)
    }

    /// The same with another body, whose length and digest are its own.
    pub(super) fn with_content(&self, content: &[u8]) -> Self {
        use base64::Engine;
        let mut parts = self.parts.clone();
        let stale: Vec<HeaderName> = parts
            .headers
            .keys()
            .filter(|name| {
                let name = name.as_str();
                matches!(
                    name,
                    "content-length" | "content-md5" | "x-amz-content-sha256"
                ) || name.starts_with("x-amz-checksum-")
                    || name.starts_with("x-amz-sdk-checksum-")
            })
            .cloned()
            .collect();
        for name in stale {
            parts.headers.remove(name);
        }
        let digest = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(content));
        let digest = HeaderValue::from_str(&digest).ok();
        let name = HeaderName::from_static("x-amz-checksum-sha256");
        parts.headers.extend(digest.map(|digest| (name, digest)));
        Self {
            parts,
            caller: self.caller.clone(),
            service: self.service.clone(),
            protocol: self.protocol,
            id: self.id.clone(),
        }
    }

    /// A request of the same head.
    pub(super) fn with_body(&self, body: Body) -> Request {
        let mut request = Request::new(body);
        *request.method_mut() = self.parts.method.clone();
        *request.uri_mut() = self.parts.uri.clone();
        *request.headers_mut() = self.parts.headers.clone();
        request
    }
}
