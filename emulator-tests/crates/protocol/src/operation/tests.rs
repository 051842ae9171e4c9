#![allow(clippy::unwrap_used)]

use super::*;

fn named(service: &str, line: &str, headers: &[(&str, &str)], body: &str) -> Option<String> {
    let (method, uri) = line.split_once(' ').unwrap();
    let mut request = http::Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    of(
        service,
        &parts,
        Some(&Bytes::copy_from_slice(body.as_bytes())),
    )
}

#[test]
fn rest_operations_are_named_by_method_path_and_query() {
    for (service, line, operation) in [
        ("ebs", "POST /snapshots", "StartSnapshot"),
        (
            "ebs",
            "POST /snapshots/completion/snap-1",
            "CompleteSnapshot",
        ),
        ("ebs", "PUT /snapshots/snap-1/blocks/7", "PutSnapshotBlock"),
        (
            "ebs",
            "GET /snapshots/snap-1/blocks/7?blockToken=x",
            "GetSnapshotBlock",
        ),
        ("ebs", "GET /snapshots/snap-1/blocks", "ListSnapshotBlocks"),
        (
            "ebs",
            "GET /snapshots/snap-1/changedblocks",
            "ListChangedBlocks",
        ),
        ("ebs", "PUT /snapshots", ""),
        ("ebs", "GET /snapshots/a/b/c/d", ""),
        ("s3", "GET /", "ListBuckets"),
        ("s3", "PUT /b", "CreateBucket"),
        ("s3", "PUT /b/", "CreateBucket"),
        ("s3", "HEAD /b", "HeadBucket"),
        ("s3", "DELETE /b", "DeleteBucket"),
        ("s3", "GET /b", "ListObjects"),
        ("s3", "GET /b?list-type=2&prefix=x", "ListObjectsV2"),
        ("s3", "GET /b?versions", "ListObjectVersions"),
        ("s3", "GET /b?location", "GetBucketLocation"),
        ("s3", "POST /b", "PostObject"),
        ("s3", "POST /b?delete", "DeleteObjects"),
        ("s3", "PUT /b?policy", "PutBucketPolicy"),
        ("s3", "DELETE /b?policy", "DeleteBucketPolicy"),
        ("s3", "PUT /b?encryption=", "PutBucketEncryption"),
        ("s3", "PUT /b/k", "PutObject"),
        ("s3", "PUT /b/k/with/slashes", "PutObject"),
        ("s3", "GET /b/k", "GetObject"),
        ("s3", "GET /b/k?versionId=1", "GetObject"),
        ("s3", "HEAD /b/k", "HeadObject"),
        ("s3", "DELETE /b/k", "DeleteObject"),
        ("s3", "PUT /b/k?tagging", "PutObjectTagging"),
        ("s3", "PUT /b/k?legal-hold", "PutObjectLegalHold"),
        ("s3", "POST /b/k?uploads", "CreateMultipartUpload"),
        ("s3", "PUT /b/k?partNumber=1&uploadId=u", "UploadPart"),
        ("s3", "POST /b/k?uploadId=u", "CompleteMultipartUpload"),
        ("s3", "DELETE /b/k?uploadId=u", "AbortMultipartUpload"),
        ("s3", "GET /b/k?uploadId=u", "ListParts"),
        ("s3", "PATCH /b/k", ""),
    ] {
        let expected = (!operation.is_empty()).then(|| operation.to_owned());
        assert_eq!(named(service, line, &[], ""), expected, "{line}");
    }
}

#[test]
fn headers_and_hosts_count() {
    let copy = [("x-amz-copy-source", "/b/k")];
    assert_eq!(named("s3", "PUT /b/k", &copy, "").unwrap(), "CopyObject");
    assert_eq!(
        named("s3", "PUT /b/k?partNumber=1&uploadId=u", &copy, "").unwrap(),
        "UploadPartCopy"
    );
    for (host, line, operation) in [
        (
            "b.s3.localhost.localstack.cloud:4566",
            "PUT /k",
            "PutObject",
        ),
        ("b.s3.eu-west-1.amazonaws.com", "PUT /", "CreateBucket"),
        ("a.dotted.b.s3.amazonaws.com", "GET /a/b", "GetObject"),
        ("s3.amazonaws.com", "PUT /b", "CreateBucket"),
        ("s3.x.s3.amazonaws.com", "PUT /k", "PutObject"),
        ("127.0.0.1:4566", "PUT /b", "CreateBucket"),
    ] {
        let named = named("s3", line, &[("host", host)], "");
        assert_eq!(named.unwrap(), operation, "{host} {line}");
    }
}

#[test]
fn the_rest_is_named_by_target_or_action() {
    let target = [("x-amz-target", "TrentService.DescribeKey")];
    assert_eq!(
        named("kms", "POST /", &target, "{}").unwrap(),
        "DescribeKey"
    );
    assert_eq!(
        named("ec2", "POST /", &[], "Version=1&Action=Run%49nstances").unwrap(),
        "RunInstances"
    );
    assert_eq!(
        named("sts", "GET /?Action=GetCallerIdentity", &[], "").unwrap(),
        "GetCallerIdentity"
    );
    assert_eq!(named("ec2", "POST /", &[], "\u{0}\u{1}=%ff%"), None);
    assert_eq!(named("kms", "POST /", &[("x-amz-target", "")], ""), None);
}

#[test]
fn buckets_and_keys_are_decoded() {
    let (parts, ()) = http::Request::get("/bucket/a%2Fb%20c/d")
        .body(())
        .unwrap()
        .into_parts();
    let target = s3_target(&parts);
    assert_eq!(target.0.unwrap(), "bucket");
    assert_eq!(target.1.unwrap(), "a/b c/d");
}

#[test]
fn whatever_localstack_takes_for_s3_is_s3() {
    for (service, is) in [
        ("s3", true),
        ("s3express", true),
        ("s3-object-lambda", true),
        ("s3-outposts", true),
        ("s3-control", true),
        ("s3-", true),
        ("s3tables", false),
        ("s3vectors", false),
        ("S3", false),
        ("", false),
    ] {
        assert_eq!(is_s3(service), is, "{service}");
    }
}
