//! Who answers what, in which words.

use super::host::{Host, signature_at, signed_lines};
use base64::Engine;
use emulator_protocol::http::empty;
use emulator_tests::gateway::{Config, Gateway, GatewayError, Limits};
use http::Request;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use time::{Duration, OffsetDateTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

#[tokio::test]
async fn what_is_not_ours_goes_to_localstack_as_it_is() {
    let host = Host::start().await;
    let headers = [
        ("host", "b.s3.localhost.localstack.cloud:4566"),
        ("x-amz-meta-a", "1"),
        ("content-encoding", "aws-chunked"),
    ];
    let answer = host
        .call_with("s3", "PUT /key%20a?x=%2F", &headers, "body")
        .await
        .unwrap();
    assert_eq!(
        (answer.status.as_u16(), answer.body.as_str()),
        (200, "here")
    );
    assert_eq!(answer.headers["x-from"], "behind");
    let seen = host.behind.last();
    assert_eq!(
        (seen.method.as_str(), seen.path.as_str()),
        ("PUT", "/key%20a?x=%2F")
    );
    assert_eq!(seen.length, 4);
    for (name, value) in headers {
        assert_eq!(seen.headers[name], value, "{name}");
    }
    // Another action of EC2, other services, LocalStack's own.
    host.call("ec2", "POST /", "Action=DescribeVpcs&Version=2016-11-15")
        .await;
    host.call("sts", "POST /", "Action=GetCallerIdentity").await;
    host.get_unsigned("/_localstack/health", &[]).await;
    assert_eq!(host.behind.last().path, "/_localstack/health");
    assert_eq!(host.behind.count(), 4);
}

#[tokio::test]
async fn ebs_is_answered_here() {
    let host = Host::start().await;
    let answer = host.call("ebs", "PATCH /nowhere", "").await;
    assert!(answer.status.is_client_error(), "{answer:?}");
    assert!(
        answer.headers.contains_key("x-amzn-errortype"),
        "{answer:?}"
    );
    assert!(
        answer.headers.contains_key("x-amzn-requestid"),
        "{answer:?}"
    );
    assert_eq!(host.behind.count(), 0);
}

#[tokio::test]
async fn errors_are_written_in_the_words_of_each_protocol() {
    let host = Host::start().await;
    let old = OffsetDateTime::now_utc() - Duration::minutes(16);
    for (service, headers, status, expected) in [
        (
            "ec2",
            vec![],
            400,
            "<Response><Errors><Error><Code>RequestExpired</Code>",
        ),
        (
            "s3",
            vec![],
            403,
            "<Error><Code>RequestTimeTooSkewed</Code>",
        ),
        ("ebs", vec![], 403, "{\"Message\":\"Signature not current"),
        (
            "sts",
            vec![],
            403,
            "<ErrorResponse><Error><Type>Sender</Type><Code>SignatureDoesNotMatch",
        ),
        (
            "kms",
            vec![
                ("x-amz-target", "TrentService.ListKeys"),
                ("content-type", "application/x-amz-json-1.1"),
            ],
            400,
            "{\"__type\":\"InvalidSignatureException\"",
        ),
    ] {
        let mut request = Request::post(format!("http://{}/", host.address));
        for (name, value) in signature_at(service, old) {
            request = request.header(name, value);
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let answer = host.send(request.body(empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status.as_u16(), status, "{service}");
        assert!(answer.body.contains(expected), "{service}: {}", answer.body);
    }
    // HEAD has no body to say it in.
    let mut request = Request::head(format!("http://{}/b/k", host.address));
    for (name, value) in signature_at("s3", old) {
        request = request.header(name, value);
    }
    let answer = host.send(request.body(empty()).unwrap()).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (403, ""));
    assert_eq!(host.behind.count(), 0);
}

#[tokio::test]
async fn what_has_to_be_signed_is_missed() {
    let host = Host::start().await;
    let answer = host
        .get_unsigned("/?Action=DescribeImages&Version=2016-11-15", &[])
        .await;
    assert_eq!(answer.status.as_u16(), 403);
    assert!(
        answer.body.contains("MissingAuthenticationToken"),
        "{answer:?}"
    );
    let answer = host.call("ec2", "POST /", "Version=2016-11-15").await;
    assert!(
        answer.body.contains("<Code>MissingAction</Code>"),
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_body_is_the_one_that_was_signed() {
    let host = Host::start().await;
    let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    for (body, status) in [("abc", 200), ("abd", 400)] {
        let headers = [
            ("x-amz-content-sha256", digest),
            ("x-amz-target", "TrentService.ListKeys"),
        ];
        let answer = host
            .call_with("kms", "POST /", &headers, body)
            .await
            .unwrap();
        assert_eq!(answer.status.as_u16(), status, "{answer:?}");
    }
}

#[tokio::test]
async fn presigned_urls_are_good_until_they_are_over() {
    let host = Host::start().await;
    let url = |age: Duration| {
        let [(_, authorization), (_, time)] = signature_at("s3", OffsetDateTime::now_utc() - age);
        let credential = authorization
            .split_once("Credential=")
            .and_then(|(_, rest)| rest.split_once(','))
            .map(|(credential, _)| credential.replace('/', "%2F"))
            .unwrap();
        format!(
            "/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential}&X-Amz-Date={time}\
             &X-Amz-Expires=3600&X-Amz-SignedHeaders=host&X-Amz-Signature=00"
        )
    };
    // Older than a signature in a header may be.
    let answer = host.get_unsigned(&url(Duration::minutes(50)), &[]).await;
    assert_eq!(
        (answer.status.as_u16(), answer.body.as_str()),
        (200, "here")
    );
    let answer = host.get_unsigned(&url(Duration::minutes(61)), &[]).await;
    assert_eq!(answer.status.as_u16(), 403);
    assert!(answer.body.contains("Request has expired"), "{answer:?}");
}

#[tokio::test]
async fn tls_and_plain_http_share_a_port() {
    let host = Host::start().await;
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(&host.ca_bundle).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tls = TlsConnector::from(Arc::new(config));
    for (name, good) in [
        ("localhost", true),
        ("127.0.0.1", true),
        ("bucket.s3.localhost.localstack.cloud", true),
        ("ec2.eu-central-1.amazonaws.com", true),
        ("bucket.s3.us-east-1.amazonaws.com", true),
        ("bucket.s3.dualstack.us-east-1.amazonaws.com", true),
        ("s3.dualstack.us-east-1.amazonaws.com", true),
        ("111122223333.s3-control.us-east-1.amazonaws.com", true),
        ("ec2.us-east-1.api.aws", true),
        ("sts.amazonaws.com", true),
        // As on AWS.
        ("a.dotted.bucket.s3.us-east-1.amazonaws.com", false),
        ("example.com", false),
    ] {
        let stream = TcpStream::connect(host.address).await.unwrap();
        let name_of = ServerName::try_from(name).unwrap();
        let connected = tls.connect(name_of, stream).await;
        assert_eq!(connected.is_ok(), good, "{name}");
        let Ok(mut stream) = connected else { continue };
        let request = format!(
            "GET /_localstack/health HTTP/1.1\r\nhost: {name}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        // By a service's own name, it has to be signed.
        assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
    }
    assert_eq!(
        host.get_unsigned("/_localstack/health", &[]).await.body,
        "here"
    );
}

#[tokio::test]
async fn only_loopback_and_only_one_gateway_for_a_directory() {
    let host = Host::start().await;
    let config = |listen: &str| Config {
        listen: listen.parse().unwrap(),
        localstack: host.behind.address,
        data: host.data.path().to_owned(),
        seed: 1,
        guests: None,
        keep: false,
    };
    assert!(matches!(
        Gateway::bind(config("0.0.0.0:0")).await.err().unwrap(),
        GatewayError::NotLoopback(_)
    ));
    assert!(matches!(
        Gateway::bind(config("127.0.0.1:0")).await.err().unwrap(),
        GatewayError::InUse(_)
    ));
    let bundle = std::fs::read(&host.ca_bundle).unwrap();
    let data = host.stop().await;
    let again = Host::start_on(data, Limits::default()).await;
    assert_eq!(std::fs::read(&again.ca_bundle).unwrap(), bundle);
}

#[tokio::test]
async fn the_emulators_own_questions_are_not_for_pages() {
    let host = Host::start().await;
    let admin = host.admin();
    let status = admin.status().await.unwrap();
    assert_eq!(status.address, host.address);
    assert_eq!(status.localstack, host.behind.address);
    let first = admin.fresh_account().await.unwrap();
    assert_ne!(admin.fresh_account().await.unwrap(), first);
    for (headers, status) in [
        (vec![("origin", "http://127.0.0.1:3000")], 403),
        (vec![("sec-fetch-site", "same-origin")], 403),
        (vec![("host", "rebound.example.com")], 403),
        (vec![("host", "127.0.0.1.example.com:80")], 403),
        (vec![("host", "localhost:4566")], 200),
        (vec![], 200),
    ] {
        let answer = host.get_unsigned("/_emulator/status", &headers).await;
        assert_eq!(answer.status.as_u16(), status, "{headers:?}");
    }
    assert_eq!(
        host.get_unsigned("/_emulator/none", &[])
            .await
            .status
            .as_u16(),
        404
    );
}

#[tokio::test]
async fn the_clock_is_put_forward_for_services_and_not_for_signatures() {
    let host = Host::start().await;
    let admin = host.admin();
    let before = admin.clock().await.unwrap();
    let after = admin.advance(7200).await.unwrap();
    assert_eq!(after.ahead_seconds, 7200);
    assert!(after.now - before.now >= Duration::hours(2));
    assert!(admin.advance(-1).await.is_err());
    assert!(admin.advance(i64::MAX).await.is_err());
    let answer = host.call("s3", "GET /b/k", "").await;
    assert_eq!(answer.status.as_u16(), 200);
    // It stays so.
    let again = Host::start_on(host.stop().await, Limits::default()).await;
    assert_eq!(again.admin().clock().await.unwrap().ahead_seconds, 7200);
}

#[tokio::test]
async fn a_region_that_is_none_is_refused_in_the_words_of_each_protocol() {
    let host = Host::start().await;
    for (service, status, code) in [
        ("ec2", 401, "AuthFailure"),
        ("s3", 400, "AuthorizationHeaderMalformed"),
        ("ebs", 403, "InvalidSignatureException"),
        ("sts", 403, "SignatureDoesNotMatch"),
    ] {
        let mut request = Request::get(format!("http://{}/", host.address));
        for (name, value) in signature_at(service, OffsetDateTime::now_utc()) {
            request = request.header(name, value.replace("us-east-1", "us-east-9"));
        }
        let answer = host.send(request.body(empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status.as_u16(), status, "{service}");
        let told = answer.headers.get("x-amzn-errortype");
        let told = told.map_or(answer.body.as_str(), |code| code.to_str().unwrap());
        assert!(told.contains(code), "{service}: {answer:?}");
    }
    assert_eq!(host.behind.count(), 0);
}

#[tokio::test]
async fn denied_objects_are_left_out_of_a_deletion() {
    let host = Host::start().await;
    let object = |key: &str| format!("<Object><Key>{key}</Key></Object>");
    let all = |keys: &[&str]| {
        let objects: String = keys.iter().map(|key| object(key)).collect();
        format!("<Delete>{objects}</Delete>")
    };
    let headers = [("content-md5", "AAAA"), ("x-amz-checksum-crc32", "AAAA")];
    let delete = async |keys: &[&str]| {
        let line = "POST /vault?delete";
        host.call_with("s3", line, &headers, all(keys))
            .await
            .unwrap()
    };
    let answer = delete(&["kept/a", "gone"]).await;
    let error = "<Error><Key>kept/a</Key><Code>AccessDenied</Code>";
    assert_eq!(answer.status.as_u16(), 200);
    for told in ["<Deleted><Key>gone</Key></Deleted>", error] {
        assert!(answer.body.contains(told), "{answer:?}");
    }
    let seen = host.behind.last();
    let left = all(&["gone"]);
    assert_eq!(seen.length, left.len() as u64);
    let digest = Sha256::digest(&left);
    assert_eq!(seen.sha256, hex::encode(digest));
    assert_eq!(
        seen.headers["x-amz-checksum-sha256"],
        base64::engine::general_purpose::STANDARD.encode(digest)
    );
    for (stale, _) in headers {
        assert!(!seen.headers.contains_key(stale), "{stale}");
    }
    // With nothing left there is nothing to ask.
    let before = host.behind.count();
    let answer = delete(&["kept/a"]).await;
    assert_eq!(answer.status.as_u16(), 200);
    assert!(answer.body.contains(error), "{answer:?}");
    assert_eq!(host.behind.count(), before);
}

#[tokio::test]
async fn what_was_changed_is_forgotten_if_the_client_is_gone() {
    let host = Host::start().await;
    let asked = || {
        let seen = host.behind.seen.lock().unwrap();
        let policies = seen.iter().filter(|it| it.path == "/vault?policy");
        policies.count()
    };
    for _ in 0..2 {
        host.call("s3", "GET /vault/a", "").await;
        assert_eq!(asked(), 1);
    }
    let mut stream = TcpStream::connect(host.address).await.unwrap();
    let head = format!(
        "PUT /vault?tagging HTTP/1.1\r\nhost: x\r\n{}content-length: 0\r\n\r\n",
        signed_lines("s3")
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let wait = || tokio::time::sleep(std::time::Duration::from_millis(10));
    while host.behind.last().path != "/vault?tagging" {
        wait().await;
    }
    drop(stream);
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    host.call("s3", "GET /vault/a", "").await;
    assert_eq!(asked(), 2);
}
