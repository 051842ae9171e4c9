//! Who asks, for which service.

use super::asked::Asked;
use crate::gateway::answer::{self, Context};
use crate::gateway::scope::{Identity, Scope, identify};
use emulator_protocol::http::Response;
use emulator_protocol::{Account, Caller, Region};
use http::request::Parts;
use http::{Method, header};
use time::OffsetDateTime;

/// Who asks, for which service; signatures are held against the time `now`.
pub(super) fn recognize(
    parts: Parts,
    secure: bool,
    now: OffsetDateTime,
    id: String,
) -> Result<Asked, Box<Response>> {
    let checked = identify(&parts).and_then(|identity| {
        if let Identity::Signed(scope) = &identity {
            scope.check_time(now)?;
        }
        Ok(identity)
    });
    let (caller, service) = match checked {
        Ok(Identity::Signed(scope)) => signed(scope, secure),
        Ok(Identity::Anonymous) => anonymous(&parts, secure),
        Err(refusal) => {
            let service = if refusal.service.is_empty() {
                "s3"
            } else {
                &refusal.service
            };
            let protocol = answer::protocol(service, &parts);
            let context = Context {
                protocol,
                service,
                request: &parts,
                request_id: &id,
            };
            return Err(Box::new(answer::error(&refusal.error(protocol), &context)));
        }
    };
    Ok(Asked {
        protocol: answer::protocol(&service, &parts),
        parts,
        caller,
        service,
        id,
    })
}

fn signed(scope: Scope, secure: bool) -> (Caller, String) {
    let caller = Caller {
        account: scope.account,
        region: scope.region,
        access_key: scope.access_key,
        secure,
    };
    (caller, scope.service)
}

/// Nobody: LocalStack takes such a request for the default account's. It is S3's, unless it is
/// LocalStack's own or a form of another service.
fn anonymous(parts: &Parts, secure: bool) -> (Caller, String) {
    let caller = Caller {
        account: Account::default_account(),
        region: Region::default_region(),
        access_key: String::new(),
        secure,
    };
    let form = parts.headers.get(header::CONTENT_TYPE).is_some_and(|kind| {
        kind.as_bytes()
            .starts_with(b"application/x-www-form-urlencoded")
    });
    let service = match parts.uri.path() {
        "/" if parts.method == Method::POST && form => "sts",
        path if path.starts_with("/_localstack/") => "localstack",
        _ if parts.headers.contains_key("x-amz-target") => "json",
        _ => "s3",
    };
    (caller, service.to_owned())
}
