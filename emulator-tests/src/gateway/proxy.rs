//! Passing requests on to LocalStack, as they are.

use super::body;
use emulator_localstack::Upstream;
use emulator_protocol::AwsError;
use emulator_protocol::http::{Request, Response};
use http::{HeaderMap, HeaderName, header};
use std::time::Duration;
use tokio::time::timeout;

/// Headers between two neighbours only (RFC 9110 section 7.6.1). `Expect` is one of them here: we
/// have told the client to go on ourselves.
const HOP_BY_HOP: &[&str] = &[
    "connection",
    "expect",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// The way to LocalStack.
pub(super) struct Proxy {
    upstream: Upstream,
    /// How long it may take to begin an answer.
    answers_within: Duration,
}

impl Proxy {
    pub(super) fn new(upstream: Upstream, answers_within: Duration) -> Self {
        Self {
            upstream,
            answers_within,
        }
    }

    /// LocalStack's answer.
    pub(super) async fn pass(&self, mut request: Request) -> Result<Response, AwsError> {
        strip(request.headers_mut());
        let (head, sent) = request.into_parts();
        let (sent, hold) = body::held(sent);
        let request = Request::from_parts(head, sent);
        let mut response = timeout(self.answers_within, self.upstream.send(request))
            .await
            .map_err(|_| {
                AwsError::unavailable(format!(
                    "LocalStack at {} did not answer in {} s",
                    self.upstream.address(),
                    self.answers_within.as_secs()
                ))
            })??;
        // Also if it comes early: no more of the request is of use.
        hold.take_away();
        strip(response.headers_mut());
        Ok(response)
    }
}

fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        // Whoever names these would change what the request says, not how it travels.
        .filter(|name| {
            ![header::HOST, header::CONTENT_LENGTH, header::AUTHORIZATION].contains(name)
        })
        .collect();
    for name in HOP_BY_HOP {
        headers.remove(*name);
    }
    for name in named {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn only_what_is_between_neighbours_is_left_out() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Mine, host"),
            ("x-mine", "1"),
            ("host", "b.s3.localhost.localstack.cloud"),
            ("expect", "100-continue"),
            ("te", "trailers"),
            ("x-amz-trailer", "x-amz-checksum-crc32"),
            ("content-encoding", "aws-chunked"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        strip(&mut headers);
        let mut left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["content-encoding", "host", "x-amz-trailer"]);
    }
}
