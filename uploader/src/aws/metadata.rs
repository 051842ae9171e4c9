//! The instance metadata service, for a program that runs on an instance.

use super::http::{self, HttpError, Trust};
use crate::Class;
use aws_config::imds::client::error::ImdsError;
use aws_config::provider_config::ProviderConfig;
use std::error::Error;

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
            MetadataError::Http(_) | MetadataError::Refused { .. } => None,
        }
    }
}

/// The service, by version 2 of its protocol (`AWS_EC2_METADATA_SERVICE_ENDPOINT` says another
/// address).
#[derive(Clone, Debug)]
pub struct Metadata(aws_config::imds::Client);

impl Metadata {
    /// A client.
    ///
    /// # Errors
    /// There is no HTTP client.
    pub fn new() -> Result<Metadata, MetadataError> {
        let config =
            ProviderConfig::without_region().with_http_client(http::client(&Trust::default())?);
        let client = aws_config::imds::Client::builder()
            .configure(&config)
            .build();
        Ok(Metadata(client))
    }

    /// The user data, if the instance was given some.
    ///
    /// # Errors
    /// The service does not answer.
    pub async fn user_data(&self) -> Result<Option<String>, MetadataError> {
        self.get("/latest/user-data").await
    }

    /// The instance's id.
    ///
    /// # Errors
    /// The service does not answer.
    pub async fn instance_id(&self) -> Result<Option<String>, MetadataError> {
        self.get("/latest/meta-data/instance-id").await
    }

    async fn get(&self, path: &str) -> Result<Option<String>, MetadataError> {
        match self.0.get(path).await {
            Ok(text) => Ok(Some(text.into())),
            Err(ImdsError::ErrorResponse(it)) => match it.response().status().as_u16() {
                404 => Ok(None),
                status => Err(MetadataError::Refused {
                    path: path.to_owned(),
                    status,
                }),
            },
            Err(error) => Err(MetadataError::Silent(with_causes(&error))),
        }
    }
}

fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
