#![allow(clippy::unwrap_used)]

use super::*;

fn read(method: &str, uri: &str, headers: &[(&str, &str)]) -> Option<(S3Request, Parts)> {
    let mut builder = http::Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    let (parts, ()) = builder.body(()).unwrap().into_parts();
    S3Request::read(&parts).map(|request| (request, parts))
}

#[test]
fn operations_and_their_actions() {
    let copy: &[_] = &[("x-amz-copy-source", "/a/b%2Fc?versionId=v")];
    for (method, uri, headers, operation, actions) in [
        ("GET", "/b", &[][..], "ListObjects", "s3:ListBucket"),
        ("HEAD", "/b/", &[], "HeadBucket", "s3:ListBucket"),
        (
            "GET",
            "/b?versions&prefix=x",
            &[],
            "ListObjectVersions",
            "s3:ListBucketVersions",
        ),
        (
            "PUT",
            "/b?policy",
            &[],
            "PutBucketPolicy",
            "s3:PutBucketPolicy",
        ),
        ("PUT", "/b", &[], "CreateBucket", "s3:CreateBucket"),
        ("POST", "/b?delete", &[], "DeleteObjects", "s3:DeleteObject"),
        ("GET", "/b/k", &[], "GetObject", "s3:GetObject"),
        (
            "GET",
            "/b/k?versionId=1",
            &[],
            "GetObject",
            "s3:GetObjectVersion",
        ),
        ("PUT", "/b/k/l", &[], "PutObject", "s3:PutObject"),
        (
            "PUT",
            "/b/k",
            &[("x-amz-tagging", "a=b")],
            "PutObject",
            "s3:PutObject s3:PutObjectTagging",
        ),
        (
            "PUT",
            "/b/k",
            &[("x-amz-grant-read", "id=1")],
            "PutObject",
            "s3:PutObject s3:PutObjectAcl",
        ),
        ("PUT", "/b/k", copy, "CopyObject", "s3:PutObject"),
        (
            "PUT",
            "/b/k?partNumber=1&uploadId=u",
            &[],
            "UploadPart",
            "s3:PutObject",
        ),
        (
            "PUT",
            "/b/k?partNumber=1&uploadId=u",
            copy,
            "UploadPartCopy",
            "s3:PutObject",
        ),
        (
            "POST",
            "/b/k?uploads",
            &[],
            "CreateMultipartUpload",
            "s3:PutObject",
        ),
        (
            "POST",
            "/b/k?uploadId=u",
            &[],
            "CompleteMultipartUpload",
            "s3:PutObject",
        ),
        (
            "GET",
            "/b/k?uploadId=u",
            &[],
            "ListParts",
            "s3:ListMultipartUploadParts",
        ),
        (
            "DELETE",
            "/b/k?uploadId=u",
            &[],
            "AbortMultipartUpload",
            "s3:AbortMultipartUpload",
        ),
        (
            "DELETE",
            "/b/k?versionId=1",
            &[],
            "DeleteObject",
            "s3:DeleteObjectVersion",
        ),
        (
            "DELETE",
            "/b?encryption",
            &[],
            "DeleteBucketEncryption",
            "s3:PutEncryptionConfiguration",
        ),
    ] {
        let (request, parts) = read(method, uri, headers).unwrap();
        assert_eq!(request.operation, operation, "{method} {uri}");
        assert_eq!(request.actions(&parts).join(" "), actions, "{method} {uri}");
    }
    assert!(read("GET", "/", &[]).is_none());
    let (request, _) = read("GET", "//b/k", &[]).unwrap();
    assert_eq!(request.arn(), "arn:aws:s3:::b/k");
}

#[test]
fn targets() {
    let (request, _) = read("PUT", "/b/k%20l%2Fm", copy_header()).unwrap();
    assert_eq!(request.arn(), "arn:aws:s3:::b/k l/m");
    let source = request.source.unwrap();
    assert_eq!((source.bucket.as_str(), source.key.as_str()), ("a", "b/c"));
    assert_eq!(source.version.as_deref(), Some("v"));
    let host = [("host", "vault.x.s3.localhost.localstack.cloud:4566")];
    let (request, _) = read("GET", "/k", &host).unwrap();
    assert_eq!(request.arn(), "arn:aws:s3:::vault.x/k");
}

fn copy_header() -> &'static [(&'static str, &'static str)] {
    &[("x-amz-copy-source", "a/b%2Fc?versionId=v")]
}
