//! Keys that S3, SQS and SSM use: remembered, and what is wrong with one in the words of each.

use super::memory::Memory;
use async_trait::async_trait;
use emulator_backend::{Key, KeyFault, Keys, Unusable, usable_key};
use emulator_protocol::{AwsError, Caller};
use std::sync::Arc;

/// Keys as last heard of.
pub struct KnownKeys {
    keys: Arc<dyn Keys>,
    known: Memory<(String, String, String), Option<Key>>,
}

/// Why a key can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There is none of that name.
    Missing(String),
    /// Its ARN is of another region.
    Elsewhere(String),
    /// It is disabled.
    Disabled(String),
    /// It is pending deletion, or in another state in which it can't be used.
    State(String),
    /// It does not encrypt.
    Usage(String),
}

impl KnownKeys {
    pub fn new(keys: Arc<dyn Keys>) -> Self {
        Self {
            keys,
            known: Memory::new(),
        }
    }

    /// Forgets all: some key changed.
    pub fn clear(&self) {
        self.known.clear();
    }

    /// Whether the key that `id` names for this caller in this region can encrypt and decrypt.
    /// The inner error is why not, the outer one that KMS could not be asked.
    pub async fn usable(&self, caller: &Caller, id: &str) -> Result<Result<(), Fault>, AwsError> {
        // AWS's own keys are made when they are first used.
        if id.starts_with("alias/aws/") {
            return Ok(Ok(()));
        }
        if let Some(region) = id.strip_prefix("arn:").and_then(|it| it.split(':').nth(2))
            && region != caller.region.as_str()
        {
            return Ok(Err(Fault::Elsewhere(region.to_owned())));
        }
        let fault = match usable_key(self, caller, id).await {
            Ok(_) => return Ok(Ok(())),
            Err(KeyFault::Unknown(error)) => return Err(error),
            Err(KeyFault::NotFound(id)) => Fault::Missing(arn(caller, &id)),
            Err(KeyFault::Unusable { arn, why }) => match why {
                Unusable::Disabled => Fault::Disabled(arn),
                Unusable::PendingDeletion | Unusable::NotEnabled => Fault::State(arn),
                Unusable::NotSymmetric => Fault::Usage(arn),
            },
        };
        Ok(Err(fault))
    }
}

#[async_trait]
impl Keys for KnownKeys {
    async fn find(&self, caller: &Caller, id: &str) -> Result<Option<Key>, AwsError> {
        let name = (
            caller.account.to_string(),
            caller.region.to_string(),
            id.to_owned(),
        );
        let asked = match self.known.get(&name) {
            Ok(key) => return Ok(key),
            Err(asked) => asked,
        };
        let key = self.keys.find(caller, id).await?;
        self.known.put(asked, name, key.clone());
        Ok(key)
    }
}

/// The ARN that a key of this name would have.
fn arn(caller: &Caller, id: &str) -> String {
    if id.starts_with("arn:") {
        return id.to_owned();
    }
    let (kind, id) = match id.strip_prefix("alias/") {
        Some(alias) => ("alias", alias),
        None => ("key", id),
    };
    format!(
        "arn:aws:kms:{}:{}:{kind}/{id}",
        caller.region, caller.account
    )
}

impl Fault {
    /// What KMS says.
    pub fn message(&self) -> String {
        match self {
            Self::Missing(arn) => match arn.split_once(":alias/") {
                Some((_, alias)) => format!("Alias alias/{alias} is not found: {arn}"),
                None => format!("Key '{arn}' does not exist"),
            },
            Self::Elsewhere(region) => format!("Invalid arn {region}"),
            Self::Disabled(arn) => format!("{arn} is disabled."),
            Self::State(arn) => format!("{arn} is pending deletion."),
            Self::Usage(arn) => {
                format!("{arn} key usage is not valid: it is no symmetric encryption key.")
            }
        }
    }

    /// In S3's words.
    pub fn for_s3(&self) -> AwsError {
        let code = match self {
            Self::Missing(_) | Self::Elsewhere(_) => "KMS.NotFoundException",
            Self::Disabled(_) => "KMS.DisabledException",
            Self::State(_) => "KMS.KMSInvalidStateException",
            Self::Usage(_) => "KMS.InvalidKeyUsageException",
        };
        AwsError::new(code, self.message())
    }

    /// In SQS's words: the exception's name by the JSON protocol, the older code by the query
    /// protocol.
    pub fn for_sqs(&self, json: bool) -> AwsError {
        let (name, code) = match self {
            Self::Missing(_) | Self::Elsewhere(_) => ("KmsNotFound", "KMS.NotFoundException"),
            Self::Disabled(_) => ("KmsDisabled", "KMS.DisabledException"),
            Self::State(_) => ("KmsInvalidState", "KMS.InvalidStateException"),
            Self::Usage(_) => ("KmsInvalidKeyUsage", "KMS.InvalidKeyUsageException"),
        };
        AwsError::new(if json { name } else { code }, self.message())
    }

    /// In SSM's words.
    pub fn for_ssm(&self) -> AwsError {
        AwsError::new("InvalidKeyId", self.message())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use emulator_testing::{DISABLED, KEY, TestKeys, caller};

    #[tokio::test]
    async fn keys_that_can_not_be_used() {
        let keys = KnownKeys::new(Arc::new(TestKeys));
        let here = "arn:aws:kms:us-east-1:111111111111:key/";
        for (id, s3, sqs) in [
            (KEY.to_owned(), None, None),
            (format!("{here}{KEY}"), None, None),
            ("alias/aws/s3".to_owned(), None, None),
            (
                "nonesuch".to_owned(),
                Some("KMS.NotFoundException"),
                Some("KmsNotFound"),
            ),
            (
                format!("arn:aws:kms:eu-west-1:111111111111:key/{KEY}"),
                Some("KMS.NotFoundException"),
                Some("KmsNotFound"),
            ),
            (
                DISABLED.to_owned(),
                Some("KMS.DisabledException"),
                Some("KmsDisabled"),
            ),
        ] {
            let fault = keys.usable(&caller(), &id).await.unwrap().err();
            let code = |error: AwsError| error.code.into_owned();
            assert_eq!(
                fault.as_ref().map(|it| code(it.for_s3())).as_deref(),
                s3,
                "{id}"
            );
            let by_sqs = fault.as_ref().map(|it| code(it.for_sqs(true)));
            assert_eq!(by_sqs.as_deref(), sqs, "{id}");
        }
    }
}
