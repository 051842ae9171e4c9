//! Who signed a request, for which service and region.
//!
//! Signatures are not computed again (LocalStack hands out access keys whose secrets nobody keeps),
//! but a request has to be signed in form: what is missing or malformed is refused as AWS does.

mod credential;
mod query;
mod refusal;
mod signature;
#[cfg(test)]
mod tests;
mod times;

pub(crate) use refusal::{Fault, Refusal};
pub(crate) use signature::Scope;

use credential::Credential;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, Method, header};
use query::Query;
use times::header_time;

/// Who a request says it is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// Signed, in form.
    Signed(Scope),
    /// Not signed by AWS's algorithms.
    Anonymous,
}

/// Reads who signed a request, from `Authorization` or from the URL.
pub(crate) fn identify(request: &Parts) -> Result<Identity, Refusal> {
    let mut headers = request.headers.get_all(AUTHORIZATION).iter();
    let query = Query::of(request);
    let Some(header) = headers.next() else {
        return match query {
            Some(query) => query.scope().map(Identity::Signed),
            None => anonymous(request),
        };
    };
    let incomplete = |message: &str| Err(Refusal::new(Fault::Incomplete, "", message));
    if headers.next().is_some() || query.is_some() {
        return incomplete("Only one auth mechanism allowed");
    }
    let Ok(header) = header.to_str() else {
        return incomplete("Authorization header is not ASCII");
    };
    let (algorithm, fields) = header.split_once(' ').unwrap_or((header, ""));
    match algorithm {
        "AWS4-HMAC-SHA256" | "AWS4-ECDSA-P256-SHA256" => {
            signed(request, algorithm, fields).map(Identity::Signed)
        }
        "AWS" => Err(Refusal::version_2()),
        _ if algorithm.starts_with("AWS4-") => {
            incomplete("Unsupported AWS 'algorithm' in the Authorization header")
        }
        _ => Ok(Identity::Anonymous),
    }
}

/// A request that nobody signed, unless it is one that has to be.
fn anonymous(request: &Parts) -> Result<Identity, Refusal> {
    let service = unsigned_service(request);
    if service.is_empty() {
        return Ok(Identity::Anonymous);
    }
    let message = "Request is missing Authentication Token";
    Err(Refusal::new(Fault::Missing, service, message))
}

/// The service that an unsigned request is for, as far as it takes none unsigned; else empty.
fn unsigned_service(request: &Parts) -> &'static str {
    let text = |name: &str| {
        request
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let host = text(header::HOST.as_str());
    let target = text("x-amz-target");
    let query = request.uri.query().unwrap_or_default();
    let is_ec2 = form_urlencoded::parse(query.as_bytes())
        .any(|(name, value)| name == "Version" && value == "2016-11-15");
    match () {
        () if host.starts_with("ec2.") || is_ec2 => "ec2",
        () if host.starts_with("ebs.") => "ebs",
        () if target.starts_with("TrentService.") => "kms",
        () if target.starts_with("AmazonSQS.") => "sqs",
        () if target.starts_with("AmazonSSM.") => "ssm",
        () => "",
    }
}

/// Whether a form that nobody signed is for EC2.
pub(crate) fn is_unsigned_ec2_form(request: &Parts, body: &[u8]) -> bool {
    request.method == Method::POST
        && form_urlencoded::parse(body)
            .any(|(name, value)| name == "Version" && value == "2016-11-15")
}

/// A signature in the `Authorization` header.
fn signed(request: &Parts, algorithm: &str, fields: &str) -> Result<Scope, Refusal> {
    let (mut credential, mut signed_headers, mut signature) = (None, None, None);
    for field in fields.split(',') {
        let (name, value) = field.trim().split_once('=').unwrap_or((field, ""));
        let place = match name {
            "Credential" => &mut credential,
            "SignedHeaders" => &mut signed_headers,
            "Signature" => &mut signature,
            _ => continue,
        };
        if place.replace(value).is_some() {
            let message = format!("Authorization header has '{name}' twice");
            return Err(Refusal::new(Fault::Incomplete, "", message));
        }
    }
    let scope = Credential::parse(
        credential.unwrap_or_default(),
        algorithm,
        text(&request.headers, "x-amz-region-set"),
    )?;
    let incomplete = |message: String| Err(Refusal::new(Fault::Incomplete, scope.service, message));
    for (name, value) in [("SignedHeaders", signed_headers), ("Signature", signature)] {
        if value.is_none_or(str::is_empty) {
            return incomplete(format!("Authorization header requires '{name}' parameter."));
        }
    }
    let Some(time) = header_time(&request.headers) else {
        return incomplete(
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
                .to_owned(),
        );
    };
    scope.at(time, None)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}
