//! Buckets and objects, as LocalStack's S3 has them.

use super::Upstream;
use bytes::Bytes;
use emulator_protocol::{AwsError, Caller, Region, xml_text};
use http::StatusCode;

/// The header that names the KMS key of an object.
const OBJECT_KEY: &str = "x-amz-server-side-encryption-aws-kms-key-id";

/// How a bucket is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketConfiguration {
    /// Where it is; `None` if that is no region's name.
    pub region: Option<Region>,
    /// Its policy, as it was put.
    pub policy: Option<Bytes>,
    /// The key that objects are encrypted with where a request says nothing of encryption.
    pub default_key: Option<String>,
    /// `BlockPublicPolicy` of its public access block.
    pub block_public_policy: bool,
    /// `RestrictPublicBuckets` of its public access block.
    pub restrict_public_buckets: bool,
    /// Whether ACLs are off: the owner owns everything.
    pub owner_enforced: bool,
}

impl Upstream {
    /// How the bucket of this name is set up; `None` if there is none. The name has to be one that
    /// can stand in a path.
    ///
    /// # Errors
    /// [`AwsError::unavailable`] if LocalStack does not answer, or with an error.
    pub async fn bucket(
        &self,
        caller: &Caller,
        name: &str,
    ) -> Result<Option<BucketConfiguration>, AwsError> {
        let get = async |what: &'static str| {
            let uri = format!("/{name}?{what}");
            self.look(caller, "s3", &uri).await
        };
        let (location, policy, encryption, block, ownership) = tokio::try_join!(
            get("location"),
            get("policy"),
            get("encryption"),
            get("publicAccessBlock"),
            get("ownershipControls"),
        )?;
        let Some(location) = found(location, "location")? else {
            return Ok(None);
        };
        let policy = found(policy, "policy")?;
        let region = match xml_text::text(&location, "LocationConstraint").as_deref() {
            None | Some("") => Region::parse("us-east-1"),
            Some("EU") => Region::parse("eu-west-1"),
            Some(region) => Region::parse(region),
        };
        let block = found(block, "publicAccessBlock")?.unwrap_or_default();
        let is_set = |name| xml_text::text(&block, name).as_deref() == Some("true");
        let encryption = found(encryption, "encryption")?.unwrap_or_default();
        let ownership = found(ownership, "ownershipControls")?.unwrap_or_default();
        Ok(Some(BucketConfiguration {
            region,
            policy,
            default_key: xml_text::text(&encryption, "KMSMasterKeyID")
                .filter(|key| !key.is_empty()),
            block_public_policy: is_set("BlockPublicPolicy"),
            restrict_public_buckets: is_set("RestrictPublicBuckets"),
            owner_enforced: xml_text::text(&ownership, "ObjectOwnership").as_deref()
                == Some("BucketOwnerEnforced"),
        }))
    }

    /// Whether a bucket is the caller's. LocalStack tells all accounts of every bucket and gives all
    /// of them one canonical id, but lists to each its own.
    ///
    /// # Errors
    /// [`AwsError::unavailable`] if LocalStack does not answer.
    pub async fn owns_bucket(&self, caller: &Caller, name: &str) -> Result<bool, AwsError> {
        let uri = format!("/?prefix={name}&max-buckets=1");
        let (status, body) = self.look(caller, "s3", &uri).await?;
        let mut listed = xml_text::texts(&body, "Name").into_iter();
        Ok(status.is_success() && listed.any(|bucket| bucket == name))
    }

    /// The KMS key that the object at this path and query is encrypted with, if it is with one.
    ///
    /// # Errors
    /// [`AwsError::unavailable`] if LocalStack does not answer.
    pub async fn object_key(&self, caller: &Caller, uri: &str) -> Result<Option<String>, AwsError> {
        let headers = self.head(caller, "s3", http::Request::head(uri)).await?;
        let key = headers.get(OBJECT_KEY).and_then(|key| key.to_str().ok());
        Ok(key.filter(|key| !key.is_empty()).map(str::to_owned))
    }
}

/// An answer's body; `None` if there is no such thing.
fn found((status, body): (StatusCode, Bytes), what: &str) -> Result<Option<Bytes>, AwsError> {
    if status.is_success() {
        return Ok(Some(body));
    }
    if status == StatusCode::NOT_FOUND {
        return Ok(None);
    }
    Err(AwsError::unavailable(format!(
        "LocalStack answers {status} when asked for a bucket's {what}"
    )))
}
