//! The instance metadata service, for a program that runs on an instance.

use super::http::{self, HttpError};
use crate::Class;
use aws_config::imds::client::error::ImdsError;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use error_class::Chain;
use serde::Deserialize;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::JoinHandle;

/// It is not there, or does not answer.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// No HTTP client.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// It can't be asked.
    #[error("the instance metadata service does not answer: {0}")]
    Silent(String),
    /// It refuses.
    #[error("the instance metadata service refuses {path}: status {status}")]
    Refused {
        /// What was asked for.
        path: String,
        /// HTTP's status.
        status: u16,
    },
    /// It does not say whose instance this is.
    #[error("the instance metadata service does not say who this is: {0}")]
    Nobody(String),
}

impl MetadataError {
    /// Whose fault it is.
    pub fn class(&self) -> Class {
        Class::Surroundings
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            MetadataError::Silent(_) => {
                Some("--from-instance is for a program that runs on an instance".to_owned())
            }
            MetadataError::Http(_) | MetadataError::Refused { .. } | MetadataError::Nobody(_) => {
                None
            }
        }
    }
}

/// Who the instance is: of its identity document, what is needed, and the partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The account's number.
    pub account: String,
    /// The instance's id.
    pub instance: String,
    /// The region that it is in.
    pub region: String,
    /// `aws`, or another partition.
    pub partition: String,
}

/// `dynamic/instance-identity/document`; there is more in it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    account_id: String,
    instance_id: String,
    region: String,
}

impl Identity {
    fn parse(document: &str, partition: &str) -> Result<Identity, MetadataError> {
        let document: Document = serde_json::from_str(document)
            .map_err(|error| MetadataError::Nobody(format!("its identity document: {error}")))?;
        let Document {
            account_id: account,
            instance_id: instance,
            region,
        } = document;
        if account.len() != 12 || !account.bytes().all(|it| it.is_ascii_digit()) {
            return Err(MetadataError::Nobody(format!("account {account:?}")));
        }
        let is_word = |it: u8| it.is_ascii_lowercase() || it == b'-';
        if partition.is_empty() || !partition.bytes().all(is_word) {
            return Err(MetadataError::Nobody(format!("partition {partition:?}")));
        }
        Ok(Identity {
            account,
            instance,
            region,
            partition: partition.to_owned(),
        })
    }

    /// The instance's ARN.
    pub fn arn(&self) -> String {
        let Identity {
            account,
            instance,
            region,
            partition,
        } = self;
        format!("arn:{partition}:ec2:{region}:{account}:instance/{instance}")
    }
}

/// The service, by version 2 of its protocol (`AWS_EC2_METADATA_SERVICE_ENDPOINT` says another
/// address).
#[derive(Clone, Debug)]
pub struct Metadata {
    client: aws_config::imds::Client,
    config: ProviderConfig,
}

impl Metadata {
    /// A client.
    ///
    /// # Errors
    /// There is no HTTP client.
    pub fn new() -> Result<Metadata, MetadataError> {
        let config = ProviderConfig::without_region().with_http_client(http::plain_client()?);
        let client = aws_config::imds::Client::builder()
            .configure(&config)
            .build();
        Ok(Metadata { client, config })
    }

    /// The user data, if the instance was given some.
    ///
    /// # Errors
    /// The service does not answer.
    pub async fn user_data(&self) -> Result<Option<String>, MetadataError> {
        self.get("/latest/user-data").await
    }

    /// Who the instance is.
    ///
    /// # Errors
    /// The service does not answer, or does not say.
    pub async fn identity(&self) -> Result<Identity, MetadataError> {
        let (document, partition) = tokio::try_join!(
            self.get("/latest/dynamic/instance-identity/document"),
            self.get("/latest/meta-data/services/partition"),
        )?;
        Identity::parse(
            &document.unwrap_or_default(),
            &partition.unwrap_or_default(),
        )
    }

    /// The credentials of the instance's role, and the next ones before they expire. The first are
    /// asked for at once, while the caller is busy with something else.
    pub fn credentials(&self) -> RoleCredentials {
        let provider = Arc::new(
            ImdsCredentialsProvider::builder()
                .configure(&self.config)
                .imds_client(self.client.clone())
                .build(),
        );
        let first = tokio::spawn({
            let provider = provider.clone();
            async move { provider.provide_credentials().await }
        });
        RoleCredentials {
            first: Mutex::new(Some(first)),
            provider,
        }
    }

    async fn get(&self, path: &str) -> Result<Option<String>, MetadataError> {
        match self.client.get(path).await {
            Ok(text) => Ok(Some(text.into())),
            Err(ImdsError::ErrorResponse(it)) => match it.response().status().as_u16() {
                404 => Ok(None),
                status => Err(MetadataError::Refused {
                    path: path.to_owned(),
                    status,
                }),
            },
            Err(error) => Err(MetadataError::Silent(Chain(&error).to_string())),
        }
    }
}

/// Credentials of an instance's role.
#[derive(Debug)]
pub struct RoleCredentials {
    /// Those that are on their way.
    first: Mutex<Option<JoinHandle<Result<Credentials, CredentialsError>>>>,
    provider: Arc<ImdsCredentialsProvider>,
}

impl RoleCredentials {
    async fn next(&self) -> Result<Credentials, CredentialsError> {
        let first = self
            .first
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        // A role may be known a moment later than its instance.
        if let Some(first) = first
            && let Ok(Ok(credentials)) = first.await
        {
            return Ok(credentials);
        }
        self.provider.provide_credentials().await
    }
}

impl ProvideCredentials for RoleCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.next())
    }

    fn fallback_on_interrupt(&self) -> Option<Credentials> {
        self.provider.fallback_on_interrupt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = r#"{"accountId": "111122223333", "architecture": "x86_64",
        "instanceId": "i-0123456789abcdef0", "region": "eu-west-1", "version": "2017-09-30"}"#;

    #[test]
    fn an_instance_is_known_by_its_document() {
        let identity = Identity::parse(DOCUMENT, "aws").unwrap();
        assert_eq!(identity.account, "111122223333");
        let arn = "arn:aws:ec2:eu-west-1:111122223333:instance/i-0123456789abcdef0";
        assert_eq!(identity.arn(), arn);
    }

    #[test]
    fn what_is_no_identity_is_refused() {
        let other = DOCUMENT.replace("111122223333", "root");
        for (document, partition, why) in [
            ("", "aws", "identity document"),
            ("{}", "aws", "accountId"),
            (other.as_str(), "aws", "account \"root\""),
            (DOCUMENT, "", "partition"),
            (DOCUMENT, "<html>", "partition"),
        ] {
            let error = Identity::parse(document, partition).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
        }
    }
}
