//! S3: bucket policies, owners, ACLs, and the keys that objects are encrypted with.
//!
//! IAM is not evaluated (LocalStack does not either): an account may do all with its own buckets
//! that their policies don't deny, its root included, which AWS would let mend a policy. Another
//! account needs an Allow.

mod bucket;
mod context;
pub mod delete;
mod operations;
mod request;

use super::kms::KnownKeys;
use super::memory::Memory;
use super::principal::Principals;
use bucket::{Accounts, Bucket};
use bytes::Bytes;
use delete::Denied;
use emulator_localstack::Upstream;
use emulator_protocol::{Account, AwsError, Caller};
use emulator_state::clock::Clock;
use http::request::Parts;
use iam_policy::{Asker, Context, Decision};
use request::{S3Request, arn};
use std::sync::Arc;

const SSE: &str = "x-amz-server-side-encryption";
const SSE_KEY: &str = "x-amz-server-side-encryption-aws-kms-key-id";

/// Judges requests to S3.
pub struct S3 {
    buckets: Memory<String, Arc<Bucket>>,
    accounts: Accounts,
    clock: Arc<dyn Clock>,
}

/// What S3's checks ask.
pub struct Around<'a> {
    pub upstream: &'a Upstream,
    pub keys: &'a KnownKeys,
    pub principals: &'a Principals,
}

impl S3 {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            buckets: Memory::new(),
            accounts: Accounts::default(),
            clock,
        }
    }

    /// How much of a request's body is needed, if any.
    pub fn body_limit(parts: &Parts) -> Option<usize> {
        match S3Request::read(parts)?.operation {
            "PutBucketPolicy" => Some(1 << 20),
            "DeleteObjects" => Some(4 << 20),
            _ => None,
        }
    }

    /// Refuses a request, or gives what has to be left out of it.
    pub async fn before(
        &self,
        around: &Around<'_>,
        caller: &Caller,
        parts: &Parts,
        body: Option<&Bytes>,
    ) -> Result<Vec<Denied>, AwsError> {
        self.accounts.saw(&caller.account);
        let Some(request) = S3Request::read(parts) else {
            return Ok(Vec::new());
        };
        if request.operation == "CreateBucket" {
            return Ok(Vec::new());
        }
        let expected = account_header(parts, "x-amz-expected-bucket-owner")?;
        let Some(bucket) = self
            .bucket(around, caller, expected.as_ref(), &request.bucket)
            .await?
        else {
            // LocalStack says that there is no such bucket.
            return Ok(Vec::new());
        };
        check_owner(&bucket, expected.as_ref())?;
        let asker = match &bucket.policy {
            Some(_) => around.principals.find(around.upstream, caller).await?,
            None => Principals::root(caller),
        };
        let now = self.clock.now();
        let context = context::of(caller, &asker, parts, &request, &bucket, now);
        let judge =
            |action: &str, resource: &str| judge(&bucket, &asker, action, resource, &context);
        if request.operation == "DeleteObjects" {
            return denied_objects(&request.bucket, parts, body, judge);
        }
        let resource = match request.operation {
            // The key is in the form.
            "PostObject" => arn(&request.bucket, Some("")),
            _ => request.arn(),
        };
        for action in request.actions(parts) {
            judge(action, &resource)?;
        }
        let about_policy = matches!(
            request.operation,
            "PutBucketPolicy" | "GetBucketPolicy" | "DeleteBucketPolicy"
        );
        if about_policy && bucket.owner.as_ref() != Some(&caller.account) {
            return Err(AwsError::new(
                "MethodNotAllowed",
                "The specified method is not allowed against this resource.",
            )
            .with_status(405));
        }
        check_acl(&bucket, &request, parts)?;
        if request.operation == "PutBucketPolicy" {
            check_new_policy(&bucket, &request.bucket, body)?;
        }
        self.check_source(around, caller, &asker, parts, &request)
            .await?;
        check_key_of_new(around, caller, &bucket, &request, parts).await?;
        Ok(Vec::new())
    }

    /// Looks at an answer before it is passed on: an object can't be read without its key.
    pub async fn answer(
        &self,
        around: &Around<'_>,
        caller: &Caller,
        request: &Parts,
        response: &http::response::Parts,
    ) -> Result<(), AwsError> {
        let Some(request) = S3Request::read(request) else {
            return Ok(());
        };
        if !matches!(
            request.operation,
            "GetObject" | "HeadObject" | "UploadPart" | "UploadPartCopy"
        ) {
            return Ok(());
        }
        let Some(key) = text(&response.headers, SSE_KEY) else {
            return Ok(());
        };
        // The object's key is in its bucket's region, whatever region the request was signed for.
        let caller = in_region_of(caller, key);
        match around.keys.usable(&caller, key).await? {
            Ok(()) => Ok(()),
            Err(fault) => Err(fault.for_s3()),
        }
    }

    /// Forgets what a request changed.
    pub fn after(&self, parts: &Parts) {
        let Some(request) = S3Request::read(parts) else {
            return;
        };
        let changes = request.key.is_none() && matches!(parts.method.as_str(), "PUT" | "DELETE");
        if changes {
            self.buckets.forget(&request.bucket);
        }
    }

    async fn bucket(
        &self,
        around: &Around<'_>,
        caller: &Caller,
        expected: Option<&Account>,
        name: &str,
    ) -> Result<Option<Arc<Bucket>>, AwsError> {
        if !bucket::is_name(name) {
            return Ok(None);
        }
        let name = name.to_owned();
        let asked = match self.buckets.get(&name) {
            Ok(bucket) => return Ok(Some(bucket)),
            Err(asked) => asked,
        };
        let found = bucket::ask(around.upstream, caller, &self.accounts, expected, &name).await?;
        let Some(found) = found.map(Arc::new) else {
            return Ok(None);
        };
        // Its owner may call later.
        if found.owner.is_some() {
            self.buckets.put(asked, name, found.clone());
        }
        Ok(Some(found))
    }

    /// A copy reads its source, and needs the source's key.
    async fn check_source(
        &self,
        around: &Around<'_>,
        caller: &Caller,
        asker: &Asker,
        parts: &Parts,
        request: &S3Request,
    ) -> Result<(), AwsError> {
        let Some(source) = &request.source else {
            return Ok(());
        };
        let expected = account_header(parts, "x-amz-source-expected-bucket-owner")?;
        let Some(bucket) = self
            .bucket(around, caller, expected.as_ref(), &source.bucket)
            .await?
        else {
            return Ok(());
        };
        check_owner(&bucket, expected.as_ref())?;
        let mut asker = asker.clone();
        if bucket.policy.is_some() {
            asker = around.principals.find(around.upstream, caller).await?;
        }
        let path = format!("/{}/{}", source.bucket, escape(&source.key));
        let (uri, action) = match &source.version {
            Some(version) => (
                format!("{path}?versionId={}", escape(version)),
                "s3:GetObjectVersion",
            ),
            None => (path, "s3:GetObject"),
        };
        // The read of the source has none of the headers that are about the copy.
        let read = http::Request::head(&uri)
            .body(())
            .map(|it| it.into_parts().0);
        let context = match read.ok().and_then(|read| {
            S3Request::read(&read).map(|it| {
                let now = self.clock.now();
                context::of(caller, &asker, &read, &it, &bucket, now)
            })
        }) {
            Some(context) => context,
            None => return Ok(()),
        };
        let resource = arn(&source.bucket, Some(&source.key));
        judge(&bucket, &asker, action, &resource, &context)?;
        let Some(key) = around.upstream.object_key(caller, &uri).await? else {
            return Ok(());
        };
        let caller = in_region_of(caller, &key);
        match around.keys.usable(&caller, &key).await? {
            Ok(()) => Ok(()),
            Err(fault) => Err(fault.for_s3()),
        }
    }
}

/// Judges each object that `DeleteObjects` names.
fn denied_objects(
    bucket: &str,
    parts: &Parts,
    body: Option<&Bytes>,
    judge: impl Fn(&str, &str) -> Result<(), AwsError>,
) -> Result<Vec<Denied>, AwsError> {
    let mut all = Vec::new();
    for target in body.map(|body| delete::targets(body)).unwrap_or_default() {
        let action = match target.version {
            Some(_) => "s3:DeleteObjectVersion",
            None => "s3:DeleteObject",
        };
        if let Err(error) = judge(action, &arn(bucket, Some(&target.key))) {
            all.push(Denied { target, error });
        }
    }
    // Nothing can be left out of a body that comes in chunks with signatures of their own.
    let in_chunks = text(&parts.headers, "content-encoding")
        .is_some_and(|encoding| encoding.contains("aws-chunked"));
    match all.first() {
        Some(denied) if in_chunks => Err(denied.error.clone()),
        _ => Ok(all),
    }
}

fn denied(message: impl Into<String>) -> AwsError {
    AwsError::new("AccessDenied", message).with_status(403)
}

/// What the bucket's policy says about one action; an account's own buckets need no Allow.
fn judge(
    bucket: &Bucket,
    asker: &Asker,
    action: &str,
    resource: &str,
    context: &Context,
) -> Result<(), AwsError> {
    let refused = |why: String| {
        denied(format!(
            "User: {} is not authorized to perform: {action} on resource: \"{resource}\" {why}",
            asker.arn
        ))
    };
    let own = bucket
        .owner
        .as_ref()
        .is_some_and(|owner| owner.as_str() == asker.account);
    let decision = match &bucket.policy {
        Some(policy) => policy.judge(asker, action, resource, context),
        None => Decision::Silent,
    };
    match decision {
        Decision::Denied(sid) => Err(refused(format!(
            "with an explicit deny in a resource-based policy (statement {sid})"
        ))),
        _ if own => Ok(()),
        Decision::Allowed if bucket.public && bucket.block.restrict => Err(refused(
            "because the bucket's policy is public and RestrictPublicBuckets is set".to_owned(),
        )),
        Decision::Allowed => Ok(()),
        Decision::Silent => Err(refused(format!(
            "because no resource-based policy allows the {action} action"
        ))),
    }
}

/// `x-amz-expected-bucket-owner` and its like.
fn account_header(parts: &Parts, name: &str) -> Result<Option<Account>, AwsError> {
    let Some(value) = parts.headers.get(name) else {
        return Ok(None);
    };
    value
        .to_str()
        .ok()
        .and_then(Account::parse)
        .map(Some)
        .ok_or_else(|| {
            AwsError::new(
                "InvalidBucketOwnerAWSAccountID",
                format!("The value of the {name} parameter must be an AWS account ID"),
            )
        })
}

fn check_owner(bucket: &Bucket, expected: Option<&Account>) -> Result<(), AwsError> {
    match expected {
        Some(_) if expected != bucket.owner.as_ref() => Err(denied("Access Denied")),
        _ => Ok(()),
    }
}

/// With the owner enforced, ACLs can't be set.
fn check_acl(bucket: &Bucket, request: &S3Request, parts: &Parts) -> Result<(), AwsError> {
    if !bucket.enforced {
        return Ok(());
    }
    let acl = text(&parts.headers, "x-amz-acl");
    let full = acl == Some("bucket-owner-full-control");
    let grants = parts
        .headers
        .keys()
        .any(|name| name.as_str().starts_with("x-amz-grant-"));
    let sets = matches!(request.operation, "PutBucketAcl" | "PutObjectAcl");
    if grants || (!full && (sets || acl.is_some())) {
        return Err(AwsError::new(
            "AccessControlListNotSupported",
            "The bucket does not allow ACLs",
        ));
    }
    Ok(())
}

fn check_new_policy(bucket: &Bucket, name: &str, body: Option<&Bytes>) -> Result<(), AwsError> {
    let text = body.ok_or_else(|| {
        AwsError::unavailable("the gateway did not read the policy that it has to judge")
    })?;
    let malformed = |error: iam_policy::Malformed| AwsError::new("MalformedPolicy", error.0);
    let new = iam_policy::parse(text).map_err(malformed)?;
    iam_policy::check_for_bucket(&new, name).map_err(malformed)?;
    if bucket.block.policy && iam_policy::is_public(&new) {
        return Err(denied(
            "User is not authorized to perform: s3:PutBucketPolicy because public policies are \
             prevented by the BlockPublicPolicy setting in S3 Block Public Access.",
        ));
    }
    Ok(())
}

/// What a new object is encrypted with has to be there.
async fn check_key_of_new(
    around: &Around<'_>,
    caller: &Caller,
    bucket: &Bucket,
    request: &S3Request,
    parts: &Parts,
) -> Result<(), AwsError> {
    if !matches!(
        request.operation,
        "PutObject" | "CopyObject" | "CreateMultipartUpload"
    ) {
        return Ok(());
    }
    let named = text(&parts.headers, SSE_KEY);
    let key = match (text(&parts.headers, SSE), named) {
        (Some(sse), None) if sse.starts_with("aws:kms") => return Ok(()),
        (Some(sse), Some(key)) if sse.starts_with("aws:kms") => key,
        (_, Some(_)) => {
            return Err(AwsError::new(
                "InvalidArgument",
                "Server Side Encryption with AWS KMS managed key requires HTTP header \
                 x-amz-server-side-encryption : aws:kms",
            ));
        }
        (Some(_), None) => return Ok(()),
        (None, None) => match &bucket.default_key {
            Some(key)
                if !parts
                    .headers
                    .contains_key("x-amz-server-side-encryption-customer-algorithm") =>
            {
                key
            }
            _ => return Ok(()),
        },
    };
    let mut caller = caller.clone();
    if let Some(region) = &bucket.region {
        caller.region = region.clone();
    }
    // A bucket's default is its owner's.
    if let (None, Some(owner)) = (named, &bucket.owner) {
        caller.account = owner.clone();
    }
    match around.keys.usable(&caller, key).await? {
        Ok(()) => Ok(()),
        Err(fault) => Err(fault.for_s3()),
    }
}

fn text<'a>(headers: &'a http::HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .filter(|value| !value.is_empty())
}

/// The caller, in the region that a key's ARN names.
fn in_region_of(caller: &Caller, key: &str) -> Caller {
    let mut caller = caller.clone();
    let region = key
        .strip_prefix("arn:")
        .and_then(|it| it.split(':').nth(2))
        .and_then(emulator_protocol::Region::parse);
    if let Some(region) = region {
        caller.region = region;
    }
    caller
}

/// A key as it stands in a path.
fn escape(key: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'/')
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'~');
    utf8_percent_encode(key, KEPT).to_string()
}
