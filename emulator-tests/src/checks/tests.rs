//! Whole checks, before a LocalStack that answers from a table.
#![allow(clippy::unwrap_used)]

use super::*;
use emulator_protocol::http::full;
use emulator_testing::{DISABLED, KEY, TestKeys, caller, caller_of};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Mutex;
use tokio::net::TcpListener;

struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> time::OffsetDateTime {
        time::OffsetDateTime::UNIX_EPOCH
    }
}

/// Answers by account, path and query: `111111111111 /vault?policy`; what is not there is 404. Before
/// it is told, it fails as often as `failures of /vault?policy` has letters.
type Answers = Arc<Mutex<BTreeMap<String, String>>>;

async fn checks_on(answers: Answers) -> Checks {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answers = answers.clone();
            let service = hyper::service::service_fn(move |request| {
                let answers = answers.clone();
                async move { Ok::<_, Infallible>(answer(&answers, request).await) }
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    Checks::new(
        Upstream::new(address),
        Arc::new(TestKeys),
        Arc::new(FixedClock),
    )
}

async fn answer(
    answers: &Answers,
    request: http::Request<hyper::body::Incoming>,
) -> http::Response<emulator_protocol::http::Body> {
    let scope = request.headers()["authorization"]
        .to_str()
        .unwrap()
        .to_owned();
    let account = scope.split_once("Credential=").unwrap().1[..12].to_owned();
    let path = request.uri().path_and_query().unwrap().clone();
    let (name, any) = (format!("{account} {path}"), format!("* {path}"));
    let target = request
        .headers()
        .get("x-amz-target")
        .map(|it| it.to_str().unwrap().to_owned());
    request.into_body().collect().await.unwrap();
    let mut answers = answers.lock().unwrap();
    if let Some(failures) = answers.get_mut(&format!("failures of {path}"))
        && failures.pop().is_some()
    {
        let mut response = http::Response::new(full(""));
        *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
        return response;
    }
    let found = match target {
        Some(target) => answers.get(&target),
        None => answers.get(&name).or_else(|| answers.get(&any)),
    };
    let mut response = http::Response::new(full(found.cloned().unwrap_or_default()));
    if found.is_none() {
        *response.status_mut() = http::StatusCode::NOT_FOUND;
    } else if let Some(key) = answers.get(&format!("key of {name}")) {
        response.headers_mut().insert(
            "x-amz-server-side-encryption-aws-kms-key-id",
            key.parse().unwrap(),
        );
    }
    response
}

/// A bucket `vault` of account 111111111111 with this policy.
fn vault(policy: Option<&str>) -> Answers {
    let block = "<B><BlockPublicPolicy>true</BlockPublicPolicy></B>";
    let mut answers = BTreeMap::from([
        (
            "* /vault?location".to_owned(),
            "<LocationConstraint/>".to_owned(),
        ),
        (
            "111111111111 /?prefix=vault&max-buckets=1".to_owned(),
            "<L><Name>vault</Name></L>".to_owned(),
        ),
        (
            "222222222222 /?prefix=vault&max-buckets=1".to_owned(),
            "<L/>".to_owned(),
        ),
        ("* /vault?publicAccessBlock".to_owned(), block.to_owned()),
        (
            "* /vault?ownershipControls".to_owned(),
            "<O><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></O>".to_owned(),
        ),
    ]);
    if let Some(policy) = policy {
        answers.insert("* /vault?policy".to_owned(), policy.to_owned());
    }
    Arc::new(Mutex::new(answers))
}

fn request(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
    let mut builder = http::Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(()).unwrap().into_parts().0
}

async fn code(checks: &Checks, caller: &Caller, parts: &Parts, body: Option<&str>) -> String {
    let body = body.map(|body| Bytes::from(body.to_owned()));
    match checks.before(caller, "s3", parts, body.as_ref()).await {
        Ok(denied) if denied.is_empty() => "ok".to_owned(),
        Ok(_) => "some denied".to_owned(),
        Err(error) => error.code.into_owned(),
    }
}

const TLS_ONLY: &str = r#"{"Statement": [{"Sid": "TlsOnly", "Effect": "Deny", "Principal": "*",
    "Action": "s3:*", "Resource": ["arn:aws:s3:::vault", "arn:aws:s3:::vault/*"],
    "Condition": {"Bool": {"aws:SecureTransport": "false"}}}]}"#;

#[tokio::test]
async fn plain_text_is_denied_and_the_statement_named() {
    let checks = checks_on(vault(Some(TLS_ONLY))).await;
    let plain = Caller {
        secure: false,
        ..caller()
    };
    let get = request("GET", "/vault/k", &[]);
    assert_eq!(code(&checks, &caller(), &get, None).await, "ok");
    let error = checks.before(&plain, "s3", &get, None).await.unwrap_err();
    assert_eq!((error.status, &*error.code), (403, "AccessDenied"));
    assert!(
        error
            .message
            .contains("explicit deny in a resource-based policy")
    );
    assert!(error.message.contains("TlsOnly"), "{error}");
}

#[tokio::test]
async fn a_policy_is_forgotten_when_it_changes() {
    let answers = vault(None);
    let checks = checks_on(answers.clone()).await;
    let plain = Caller {
        secure: false,
        ..caller()
    };
    let get = request("GET", "/vault/k", &[]);
    assert_eq!(code(&checks, &plain, &get, None).await, "ok");
    answers
        .lock()
        .unwrap()
        .insert("* /vault?policy".to_owned(), TLS_ONLY.to_owned());
    checks.after(&caller(), "s3", &request("PUT", "/vault?policy", &[]));
    assert_eq!(code(&checks, &plain, &get, None).await, "AccessDenied");
}

#[tokio::test]
async fn what_localstack_fails_to_tell_is_asked_again() {
    for (failures, want) in [("xx", "ok"), ("xxx", "ServiceUnavailable")] {
        let answers = vault(None);
        let of = "failures of /vault?location".to_owned();
        answers.lock().unwrap().insert(of, failures.to_owned());
        let checks = checks_on(answers).await;
        let get = request("GET", "/vault/k", &[]);
        assert_eq!(code(&checks, &caller(), &get, None).await, want);
    }
}

#[tokio::test]
async fn another_account_needs_an_allow() {
    let other = caller_of("222222222222", "us-east-1");
    let get = request("GET", "/vault/k", &[]);
    let checks = checks_on(vault(None)).await;
    // Whose bucket it is was learned from its owner's call.
    assert_eq!(code(&checks, &caller(), &get, None).await, "ok");
    assert_eq!(code(&checks, &other, &get, None).await, "AccessDenied");
    let allow = r#"{"Statement": {"Effect": "Allow", "Principal": {"AWS": "222222222222"},
        "Action": ["s3:GetObject", "s3:PutBucketPolicy"],
        "Resource": ["arn:aws:s3:::vault", "arn:aws:s3:::vault/*"]}}"#;
    let checks = checks_on(vault(Some(allow))).await;
    let put = request("PUT", "/vault?policy", &[]);
    assert_eq!(code(&checks, &other, &get, None).await, "ok");
    assert_eq!(
        code(&checks, &other, &request("PUT", "/vault/k", &[]), None).await,
        "AccessDenied"
    );
    assert_eq!(
        code(&checks, &other, &put, Some("{}")).await,
        "MethodNotAllowed"
    );
}

#[tokio::test]
async fn owners_acls_and_policies() {
    let checks = checks_on(vault(None)).await;
    let public = r#"{"Statement": {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::vault/*"}}"#;
    let owner = "x-amz-expected-bucket-owner";
    for (method, uri, headers, body, want) in [
        (
            "PUT",
            "/vault/k",
            &[(owner, "111111111111")][..],
            None,
            "ok",
        ),
        (
            "PUT",
            "/vault/k",
            &[(owner, "333333333333")],
            None,
            "AccessDenied",
        ),
        (
            "PUT",
            "/vault/k",
            &[(owner, "me")],
            None,
            "InvalidBucketOwnerAWSAccountID",
        ),
        (
            "PUT",
            "/vault/k",
            &[("x-amz-acl", "public-read")],
            None,
            "AccessControlListNotSupported",
        ),
        (
            "PUT",
            "/vault/k",
            &[("x-amz-acl", "bucket-owner-full-control")],
            None,
            "ok",
        ),
        (
            "PUT",
            "/vault?acl",
            &[("x-amz-acl", "private")],
            None,
            "AccessControlListNotSupported",
        ),
        ("PUT", "/vault?policy", &[], Some("{}"), "MalformedPolicy"),
        ("PUT", "/vault?policy", &[], Some(public), "AccessDenied"),
        ("PUT", "/vault?policy", &[], Some(TLS_ONLY), "ok"),
        ("PUT", "/other/k", &[], None, "ok"),
    ] {
        let parts = request(method, uri, headers);
        assert_eq!(
            code(&checks, &caller(), &parts, body).await,
            want,
            "{method} {uri} {headers:?}"
        );
    }
}

#[tokio::test]
async fn keys_of_objects_have_to_be_usable() {
    let answers = vault(None);
    answers.lock().unwrap().insert(
        "* /vault?encryption".to_owned(),
        "<E><KMSMasterKeyID>nonesuch</KMSMasterKeyID></E>".to_owned(),
    );
    let disabled = format!("arn:aws:kms:us-east-1:111111111111:key/{DISABLED}");
    {
        let mut answers = answers.lock().unwrap();
        answers.insert("111111111111 /vault/source".to_owned(), String::new());
        answers.insert(
            "key of 111111111111 /vault/source".to_owned(),
            disabled.clone(),
        );
    }
    let checks = checks_on(answers).await;
    let sse = ("x-amz-server-side-encryption", "aws:kms");
    let id = "x-amz-server-side-encryption-aws-kms-key-id";
    for (method, uri, headers, want) in [
        ("PUT", "/vault/k", &[sse, (id, KEY)][..], "ok"),
        (
            "PUT",
            "/vault/k",
            &[sse, (id, DISABLED)],
            "KMS.DisabledException",
        ),
        (
            "PUT",
            "/vault/k",
            &[sse, (id, "nope")],
            "KMS.NotFoundException",
        ),
        (
            "POST",
            "/vault/k?uploads",
            &[sse, (id, "nope")],
            "KMS.NotFoundException",
        ),
        ("PUT", "/vault/k", &[(id, KEY)], "InvalidArgument"),
        ("PUT", "/vault/k", &[], "KMS.NotFoundException"),
        (
            "PUT",
            "/vault/k",
            &[("x-amz-server-side-encryption", "AES256")],
            "ok",
        ),
        (
            "PUT",
            "/vault/k",
            &[sse, (id, KEY), ("x-amz-copy-source", "vault/source")],
            "KMS.DisabledException",
        ),
        ("PUT", "/vault/k?uploadId=u&partNumber=1", &[], "ok"),
    ] {
        let parts = request(method, uri, headers);
        assert_eq!(
            code(&checks, &caller(), &parts, None).await,
            want,
            "{method} {uri} {headers:?}"
        );
    }
    let mut response = http::Response::new(()).into_parts().0;
    let get = request("GET", "/vault/k", &[]);
    checks
        .answer(&caller(), "s3", &get, &response)
        .await
        .unwrap();
    response.headers.insert(id, disabled.parse().unwrap());
    let error = checks
        .answer(&caller(), "s3", &get, &response)
        .await
        .unwrap_err();
    assert_eq!(&*error.code, "KMS.DisabledException");
}

#[tokio::test]
async fn keys_of_queues_have_to_be_usable() {
    let queue = "AmazonSQS.GetQueueAttributes".to_owned();
    let attributes = |key: &str| format!("{{\"Attributes\": {{\"KmsMasterKeyId\": \"{key}\"}}}}");
    let answers = Answers::default();
    answers
        .lock()
        .unwrap()
        .insert(queue.clone(), attributes("nonesuch"));
    let checks = checks_on(answers.clone()).await;
    let url = r#"{"QueueUrl": "http://h/111111111111/q"}"#;
    let send = request("POST", "/", &[("x-amz-target", "AmazonSQS.SendMessage")]);
    let form = "Action=ReceiveMessage&QueueUrl=http://h/111111111111/q";
    let code = async |parts: &Parts, body: &'static str| {
        let got = checks
            .before(&caller(), "sqs", parts, Some(&body.into()))
            .await;
        got.err().map(|error| error.code.into_owned())
    };
    assert_eq!(code(&send, url).await.as_deref(), Some("KmsNotFound"));
    let got = code(&request("POST", "/", &[]), form).await;
    assert_eq!(got.as_deref(), Some("KMS.NotFoundException"));
    answers.lock().unwrap().insert(queue, attributes(KEY));
    let set = request(
        "POST",
        "/",
        &[("x-amz-target", "AmazonSQS.SetQueueAttributes")],
    );
    checks.after(&caller(), "sqs", &set);
    assert_eq!(code(&send, url).await, None);
}

#[tokio::test]
async fn each_object_to_delete_is_judged_by_itself() {
    let policy = r#"{"Version": "2012-10-17", "Statement": [
        {"Sid": "Keep", "Effect": "Deny", "Principal": "*", "Action": "s3:DeleteObject",
         "Resource": "arn:aws:s3:::vault/kept/*"},
        {"Sid": "Past", "Effect": "Deny", "Principal": "*", "Action": "s3:DeleteObjectVersion",
         "Resource": "arn:aws:s3:::vault/*"}]}"#;
    let checks = checks_on(vault(Some(policy))).await;
    let object = |inside: &str| format!("<Object>{inside}</Object>");
    let body: String = [
        "<Key>kept/a</Key>",
        "<Key>b</Key>",
        "<Key>c</Key><VersionId>v</VersionId>",
        "<Key>kept/d</Key><VersionId>v</VersionId>",
    ]
    .map(object)
    .concat();
    let body = Bytes::from(format!("<Delete>{body}</Delete>"));
    let parts = request("POST", "/vault?delete", &[]);
    let denied = checks
        .before(&caller(), "s3", &parts, Some(&body))
        .await
        .unwrap();
    let told: Vec<_> = denied
        .iter()
        .map(|it| (it.target.key.as_str(), it.error.code.as_ref()))
        .collect();
    assert_eq!(
        told,
        [
            ("kept/a", "AccessDenied"),
            ("c", "AccessDenied"),
            ("kept/d", "AccessDenied")
        ]
    );
    let left = delete::rest(&body, &denied).unwrap();
    assert_eq!(left, "<Delete><Object><Key>b</Key></Object></Delete>");
    // What comes in chunks can't be cut.
    let parts = request(
        "POST",
        "/vault?delete",
        &[("content-encoding", "aws-chunked")],
    );
    let refused = checks.before(&caller(), "s3", &parts, Some(&body)).await;
    assert_eq!(refused.unwrap_err().code, "AccessDenied");
}

#[test]
fn only_some_bodies_are_read() {
    for (method, uri, read) in [
        ("PUT", "/b?policy", true),
        ("POST", "/b?delete", true),
        ("PUT", "/b/k", false),
        ("PUT", "/b/k?partNumber=1&uploadId=u", false),
    ] {
        let limit = Checks::body_limit("s3", &request(method, uri, &[]));
        assert_eq!(limit.is_some(), read, "{method} {uri}");
    }
}
