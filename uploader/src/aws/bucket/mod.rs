//! A bucket, and the account that has to own it.
//!
//! Bucket names are global: one that follows from an account's number can be taken by anybody before
//! that account makes it, or after it was deleted. So every call says whose the bucket has to be, and S3
//! refuses it if it is another's. A [`Session`](super::Session) shows its client of S3 to nobody but this
//! module: there is no call that does not say so, but for the one that makes the bucket.

mod objects;

pub use objects::{Body, Condition, GetError, Head, ListedObject, Object};

use super::{AwsError, Kind, LazyClient};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::operation::create_bucket::builders::CreateBucketFluentBuilder;

/// A bucket of S3 that belongs to a known account; clones share connections.
#[derive(Clone, Debug)]
pub struct Bucket {
    client: LazyClient<Client>,
    name: String,
    owner: String,
}

/// Whose a bucket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// There is no bucket of this name.
    Nobody,
    /// The account that has to own it.
    Us,
    /// Another account, or this one does not let the caller look.
    SomebodyElse,
}

impl Bucket {
    pub(super) fn new(client: &LazyClient<Client>, name: String, owner: &str) -> Bucket {
        Bucket {
            client: client.clone(),
            name,
            owner: owner.to_owned(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same bucket, whose calls fail at the first error: for callers with a retry policy of their
    /// own.
    #[must_use]
    pub fn without_retries(&self) -> Bucket {
        let config = self.client.config().to_builder();
        let config = config.retry_config(RetryConfig::disabled()).build();
        Bucket {
            client: Client::from_conf(config).into(),
            ..self.clone()
        }
    }

    /// A call that makes the bucket. It can't say whose that is: S3 refuses a name that is taken.
    pub fn create_bucket(&self) -> CreateBucketFluentBuilder {
        self.client.create_bucket().bucket(&self.name)
    }

    /// Whether the account has the bucket.
    ///
    /// # Errors
    /// It is another account's, or S3 does not let the caller look.
    pub async fn exists(&self) -> Result<bool, AwsError> {
        let answer = self.head_bucket().send().await;
        match answer.map_err(|error| self.error("s3 HeadBucket", error)) {
            Ok(_) => Ok(true),
            Err(error) if error.kind == Kind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whose the bucket is.
    ///
    /// # Errors
    /// S3 does not answer, or does not take the caller's credentials.
    pub async fn owner(&self) -> Result<Owner, AwsError> {
        match self.exists().await {
            Ok(true) => Ok(Owner::Us),
            Ok(false) => Ok(Owner::Nobody),
            Err(error) if error.kind == Kind::Denied => Ok(Owner::SomebodyElse),
            Err(error) => Err(error),
        }
    }
}

/// Gives [`Bucket`] a method for each of these calls of S3: the SDK's builder, with the bucket's name and
/// owner in it.
macro_rules! calls {
    ($($call:ident: $builder:ident,)*) => {
        impl Bucket {
            $(
                #[doc = concat!("A `", stringify!($call), "` of S3 on this bucket, to be completed and sent.")]
                pub fn $call(&self) -> aws_sdk_s3::operation::$call::builders::$builder {
                    self.client
                        .$call()
                        .bucket(&self.name)
                        .expected_bucket_owner(&self.owner)
                }
            )*
        }
    };
}

// Objects.
calls! {
    get_object: GetObjectFluentBuilder,
    head_object: HeadObjectFluentBuilder,
    put_object: PutObjectFluentBuilder,
    delete_object: DeleteObjectFluentBuilder,
    delete_objects: DeleteObjectsFluentBuilder,
    list_objects_v2: ListObjectsV2FluentBuilder,
    list_object_versions: ListObjectVersionsFluentBuilder,
}

// Uploads in parts.
calls! {
    create_multipart_upload: CreateMultipartUploadFluentBuilder,
    upload_part: UploadPartFluentBuilder,
    complete_multipart_upload: CompleteMultipartUploadFluentBuilder,
    abort_multipart_upload: AbortMultipartUploadFluentBuilder,
    list_multipart_uploads: ListMultipartUploadsFluentBuilder,
    list_parts: ListPartsFluentBuilder,
}

// The bucket itself.
calls! {
    head_bucket: HeadBucketFluentBuilder,
    delete_bucket: DeleteBucketFluentBuilder,
    get_public_access_block: GetPublicAccessBlockFluentBuilder,
    put_public_access_block: PutPublicAccessBlockFluentBuilder,
    get_bucket_ownership_controls: GetBucketOwnershipControlsFluentBuilder,
    put_bucket_ownership_controls: PutBucketOwnershipControlsFluentBuilder,
    get_bucket_encryption: GetBucketEncryptionFluentBuilder,
    put_bucket_encryption: PutBucketEncryptionFluentBuilder,
    get_bucket_versioning: GetBucketVersioningFluentBuilder,
    put_bucket_versioning: PutBucketVersioningFluentBuilder,
    get_bucket_lifecycle_configuration: GetBucketLifecycleConfigurationFluentBuilder,
    put_bucket_lifecycle_configuration: PutBucketLifecycleConfigurationFluentBuilder,
    get_bucket_policy: GetBucketPolicyFluentBuilder,
    put_bucket_policy: PutBucketPolicyFluentBuilder,
    get_bucket_tagging: GetBucketTaggingFluentBuilder,
    put_bucket_tagging: PutBucketTaggingFluentBuilder,
}
