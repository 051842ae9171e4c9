//! Signatures, good and bad.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use emulator_protocol::Protocol;
use time::Duration;
use time::macros::datetime;

const GOOD: &str = "AWS4-HMAC-SHA256 Credential=111111111111/20260131/us-east-1/ec2/aws4_request, \
                    SignedHeaders=host;x-amz-date, Signature=00ff";
const DATE: &str = "20260131T120000Z";

fn identified(uri: &str, headers: &[(&str, &str)]) -> Result<Identity, Refusal> {
    let mut request = http::Request::get(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    identify(&request.body(()).unwrap().into_parts().0)
}

fn scope(uri: &str, headers: &[(&str, &str)]) -> Scope {
    match identified(uri, headers).unwrap() {
        Identity::Signed(scope) => scope,
        Identity::Anonymous => panic!("{uri} is anonymous"),
    }
}

#[test]
fn a_scope_is_read_from_the_header() {
    let it = scope("/", &[("authorization", GOOD), ("x-amz-date", DATE)]);
    assert_eq!(it.account.as_str(), "111111111111");
    assert_eq!(it.region.as_str(), "us-east-1");
    assert_eq!(it.service, "ec2");
    // Without spaces, and with the date in `Date`.
    let tight = GOOD.replace(", ", ",");
    let date = "Sat, 31 Jan 2026 12:00:00 GMT";
    assert_eq!(scope("/", &[("authorization", &tight), ("date", date)]), it);
}

#[test]
fn a_scope_is_read_from_the_url() {
    let uri = "/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=test%2F20260131%2F\
               eu-west-1%2Fs3%2Faws4_request&X-Amz-Date=20260131T120000Z&X-Amz-Expires=60&\
               X-Amz-SignedHeaders=host&X-Amz-Signature=00";
    let it = scope(uri, &[]);
    assert_eq!(it.account.as_str(), "000000000000");
    assert_eq!(it.region.as_str(), "eu-west-1");
    assert!(it.check_time(datetime!(2026-01-31 12:01:00 UTC)).is_ok());
    let over = it
        .check_time(datetime!(2026-01-31 12:01:01 UTC))
        .unwrap_err();
    let error = over.error(Protocol::RestXml);
    assert_eq!((error.code.as_ref(), error.status), ("AccessDenied", 403));
    for bad in [
        uri.replace("&X-Amz-Expires=60", ""),
        uri.replace("Expires=60", "Expires=604801"),
        uri.replace("Expires=60", "Expires=-1"),
        uri.replace("Expires=60", "Expires=99999999999999999999"),
        uri.replace("&X-Amz-Signature=00", ""),
        uri.replace("X-Amz-Date=2026", "X-Amz-Date=2025"),
        format!("{uri}&X-Amz-Credential=a"),
        uri.replace("AWS4-HMAC-SHA256", "AWS3"),
    ] {
        assert!(identified(&bad, &[]).is_err(), "{bad}");
    }
    assert!(identified(uri, &[("authorization", GOOD)]).is_err());
}

#[test]
fn a_signature_for_several_regions_names_the_first() {
    let header = "AWS4-ECDSA-P256-SHA256 Credential=test/20260131/s3/aws4_request, \
                  SignedHeaders=host, Signature=00";
    for (set, region) in [("eu-west-1,us-west-2", "eu-west-1"), ("*", "us-east-1")] {
        let headers = [
            ("authorization", header),
            ("x-amz-date", DATE),
            ("x-amz-region-set", set),
        ];
        assert_eq!(scope("/", &headers).region.as_str(), region);
    }
}

#[test]
fn what_is_malformed_is_refused_as_the_fault_it_is() {
    for (from, to, fault) in [
        ("Credential=", "credential=", Fault::Incomplete),
        (", Signature=00ff", "", Fault::Incomplete),
        ("00ff", "", Fault::Incomplete),
        ("SignedHeaders=host;x-amz-date, ", "", Fault::Incomplete),
        ("/ec2/", "/", Fault::Incomplete),
        ("/ec2/", "/a/b/", Fault::Incomplete),
        ("/ec2/", "//", Fault::Invalid),
        ("/ec2/", "/ec2\u{7f}/", Fault::Incomplete),
        ("us-east-1", "US_EAST", Fault::Invalid),
        ("us-east-1", "", Fault::Invalid),
        ("us-east-1", "us-east-9", Fault::Invalid),
        ("us-east-1", "us-gov-west-1", Fault::Invalid),
        ("20260131/", "20260130/", Fault::Invalid),
        ("aws4_request", "aws5", Fault::Invalid),
        ("=111111111111", "=1111111111112", Fault::AccessKey),
        ("=111111111111", "=", Fault::AccessKey),
        (
            "Signature=",
            "Credential=a/20260131/b/c/aws4_request, Signature=",
            Fault::Incomplete,
        ),
        ("AWS4-HMAC-SHA256", "AWS4-HMAC-MD5", Fault::Incomplete),
        ("AWS4-HMAC-SHA256", "AWS", Fault::Incomplete),
    ] {
        let header = GOOD.replacen(from, to, 1);
        let mut request = http::Request::get("/").header("x-amz-date", DATE);
        let Ok(value) = http::HeaderValue::from_bytes(header.as_bytes()) else {
            continue;
        };
        request = request.header("authorization", value);
        let parts = request.body(()).unwrap().into_parts().0;
        assert_eq!(identify(&parts).unwrap_err().fault, fault, "{header}");
    }
    for date in ["", "yesterday", "20260131", "20261331T000000Z"] {
        let headers = [("authorization", GOOD), ("x-amz-date", date)];
        assert_eq!(
            identified("/", &headers).unwrap_err().fault,
            Fault::Incomplete
        );
    }
    let twice = [
        ("authorization", GOOD),
        ("authorization", GOOD),
        ("x-amz-date", DATE),
    ];
    assert!(identified("/", &twice).is_err());
}

#[test]
fn a_signature_is_good_for_fifteen_minutes() {
    let it = scope("/", &[("authorization", GOOD), ("x-amz-date", DATE)]);
    let signed = datetime!(2026-01-31 12:00 UTC);
    for (off, good) in [
        (0, true),
        (900, true),
        (-900, true),
        (901, false),
        (-901, false),
    ] {
        let refused = it.check_time(signed + Duration::seconds(off));
        assert_eq!(refused.is_ok(), good, "{off}");
        if let Err(refusal) = refused {
            assert_eq!(refusal.error(Protocol::Ec2).code, "RequestExpired");
            assert_eq!(
                refusal.error(Protocol::Json).code,
                "InvalidSignatureException"
            );
            assert_eq!(
                refusal.error(Protocol::RestXml).code,
                "RequestTimeTooSkewed"
            );
        }
    }
}

#[test]
fn only_what_has_to_be_signed_is_missed() {
    for (uri, headers, anonymous) in [
        ("/_localstack/health", vec![], true),
        ("/bucket/key", vec![], true),
        ("/", vec![("authorization", "Bearer x")], true),
        ("/", vec![("host", "ec2.us-east-1.amazonaws.com")], false),
        (
            "/snapshots",
            vec![("host", "ebs.us-east-1.amazonaws.com")],
            false,
        ),
        ("/?Action=DescribeImages&Version=2016-11-15", vec![], false),
        ("/", vec![("x-amz-target", "TrentService.CreateKey")], false),
    ] {
        assert_eq!(
            identified(uri, &headers).is_ok(),
            anonymous,
            "{uri} {headers:?}"
        );
    }
}
