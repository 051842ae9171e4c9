//! Answers and errors, as each of AWS's protocols writes them.

use emulator_protocol::http::{Response, empty, full};
use emulator_protocol::operation::is_s3;
use emulator_protocol::{AwsError, Protocol, Xml};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use serde_json::json;

/// The namespace of EC2's answers.
const EC2_NAMESPACE: &str = "http://ec2.amazonaws.com/doc/2016-11-15/";
const XML: &str = "text/xml;charset=UTF-8";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const S3_REQUEST_ID: HeaderName = HeaderName::from_static("x-amz-request-id");

/// How a service writes its answers to this request.
pub(crate) fn protocol(service: &str, request: &Parts) -> Protocol {
    match service {
        "ec2" => Protocol::Ec2,
        "ebs" => Protocol::RestJson,
        _ if is_s3(service) => Protocol::RestXml,
        _ if request.headers.contains_key("x-amz-target") => Protocol::Json,
        "iam"
        | "sts"
        | "sqs"
        | "sns"
        | "cloudformation"
        | "autoscaling"
        | "monitoring"
        | "rds"
        | "elasticloadbalancing"
        | "email" => Protocol::Query,
        _ => Protocol::RestJson,
    }
}

/// What an error's writing depends on.
pub(crate) struct Context<'a> {
    pub(crate) protocol: Protocol,
    pub(crate) service: &'a str,
    pub(crate) request: &'a Parts,
    pub(crate) request_id: &'a str,
}

/// An answer of EC2: `<ActionResponse>` around what a handler has to say.
pub(crate) fn ec2(action: &str, xml: &Xml, request_id: &str) -> Response {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<{action}Response xmlns=\"{EC2_NAMESPACE}\">\
         <requestId>{request_id}</requestId>{}</{action}Response>",
        xml.as_str()
    );
    let mut response = written(200, XML, text);
    identify(response.headers_mut(), REQUEST_ID, request_id);
    response
}

/// An error, in the words of the request's protocol.
pub(crate) fn error(error: &AwsError, context: &Context<'_>) -> Response {
    let id = context.request_id;
    let mut response = match context.protocol {
        Protocol::Ec2 => {
            let mut xml = Xml::new();
            xml.node("Response", |xml| {
                xml.node("Errors", |xml| {
                    xml.node("Error", |xml| {
                        xml.leaf("Code", &error.code)
                            .leaf("Message", &error.message);
                    });
                })
                .leaf("RequestID", id);
            });
            written(error.status, XML, document(&xml))
        }
        Protocol::Query => {
            let mut xml = Xml::new();
            xml.node("ErrorResponse", |xml| {
                xml.node("Error", |xml| {
                    xml.leaf("Type", fault_of(error.status))
                        .leaf("Code", &error.code)
                        .leaf("Message", &error.message);
                })
                .leaf("RequestId", id);
            });
            written(error.status, "text/xml", document(&xml))
        }
        Protocol::RestXml => {
            let mut xml = Xml::new();
            xml.node("Error", |xml| {
                xml.leaf("Code", &error.code)
                    .leaf("Message", &error.message)
                    .leaf("Resource", context.request.uri.path())
                    .leaf("RequestId", id)
                    .leaf("HostId", id);
            });
            written(error.status, "application/xml", document(&xml))
        }
        Protocol::RestJson => {
            let mut body = json!({ "Message": error.message });
            if let Some(reason) = error.reason {
                body["Reason"] = reason.into();
            }
            written(error.status, "application/json", body.to_string())
        }
        Protocol::Json => {
            let kind = if content_type(context.request).ends_with("1.0") {
                "application/x-amz-json-1.0"
            } else {
                "application/x-amz-json-1.1"
            };
            let body = json!({ "__type": error.code, "message": error.message });
            written(error.status, kind, body.to_string())
        }
    };
    let headers = response.headers_mut();
    if matches!(context.protocol, Protocol::RestJson | Protocol::Json) {
        let code = HeaderValue::from_str(&error.code).ok();
        headers.extend(code.map(|code| (HeaderName::from_static("x-amzn-errortype"), code)));
    }
    if context.service == "sqs" && context.protocol == Protocol::Json {
        // SQS spoke the query protocol once; its clients still look for that code.
        let code = format!("{};{}", error.code, fault_of(error.status));
        let code = HeaderValue::from_str(&code).ok();
        headers.extend(code.map(|code| (HeaderName::from_static("x-amzn-query-error"), code)));
    }
    if context.protocol == Protocol::RestXml {
        identify(headers, S3_REQUEST_ID, id);
    } else {
        identify(headers, REQUEST_ID, id);
    }
    if context.request.method == Method::HEAD {
        headers.remove(header::CONTENT_LENGTH);
        *response.body_mut() = empty();
    }
    response
}

/// Gives an answer of our own the id of its request, unless it has one.
pub(crate) fn with_request_id(mut response: Response, request_id: &str) -> Response {
    if !response.headers().contains_key(&REQUEST_ID) {
        identify(response.headers_mut(), REQUEST_ID, request_id);
    }
    response
}

/// An answer of S3's.
pub(crate) fn s3(document: impl Into<bytes::Bytes>, request_id: &str) -> Response {
    let mut response = Response::new(full(document));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/xml"),
    );
    identify(headers, S3_REQUEST_ID, request_id);
    response
}

/// JSON that is no AWS protocol's.
pub(crate) fn plain_json(status: u16, value: &impl serde::Serialize) -> Response {
    let text = serde_json::to_string(value).unwrap_or_default();
    written(status, "application/json", text)
}

/// `Sender` or `Receiver`.
fn fault_of(status: u16) -> &'static str {
    if status < 500 { "Sender" } else { "Receiver" }
}

fn content_type(request: &Parts) -> &str {
    request
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

fn document(xml: &Xml) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}",
        xml.as_str()
    )
}

fn written(status: u16, kind: &'static str, text: String) -> Response {
    let mut response = Response::new(full(text));
    *response.status_mut() =
        http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::SERVICE_UNAVAILABLE);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn identify(headers: &mut HeaderMap, name: HeaderName, request_id: &str) {
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(name, id);
    }
}
