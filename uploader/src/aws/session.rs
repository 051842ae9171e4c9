//! Who calls, where, and the clients to do it with.

use super::http::{self, Trust};
use super::{AwsError, Bucket, HttpError, Identity, Kind, LazyClient, RoleCredentials};
use crate::Class;
use aws_config::identity::IdentityCache;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_sdk_sts::config::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use std::path::PathBuf;
use std::time::Duration;

/// Longest time of one attempt of a call, until its answer begins: a connection that was cut without
/// a word is found out, and the next attempt has another. A poll of SQS waits 20 seconds itself.
const ATTEMPT: Duration = Duration::from_secs(60);
/// The same of the EBS direct API, where a block is sent on what may be a narrow link. Whoever puts
/// many has a shorter one.
const EBS_ATTEMPT: Duration = Duration::from_secs(180);
/// Longest time until there is a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// What a caller says of AWS; what is `None` is found by the SDK's default chain (environment,
/// profile, SSO, instance role).
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// A profile of `~/.aws/config`. Its credentials are the ones that count, whatever the
    /// environment has: who names a profile means that one.
    pub profile: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// Where all services answer, instead of AWS.
    pub endpoint_url: Option<String>,
    /// PEM certificates to trust, instead of the system's (`AWS_CA_BUNDLE`).
    pub ca_bundle: Option<PathBuf>,
    /// PEM certificates to trust, instead of the system's: the text.
    pub ca: Option<String>,
}

/// No session.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody said which region.
    #[error("no region is set")]
    NoRegion,
    /// No HTTP client.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// A profile gives no credentials, or none that AWS takes.
    #[error("profile {profile}")]
    Profile {
        /// Its name.
        profile: String,
        /// Why.
        #[source]
        cause: AwsError,
    },
    /// AWS does not know the caller.
    #[error(transparent)]
    Aws(#[from] AwsError),
}

impl ConnectError {
    /// Whose fault it is.
    pub fn class(&self) -> Class {
        match self {
            ConnectError::NoRegion | ConnectError::Http(_) => Class::Surroundings,
            ConnectError::Profile { cause, .. } => cause.class(),
            ConnectError::Aws(error) => error.class(),
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            ConnectError::NoRegion => Some("give --region, or set AWS_REGION".to_owned()),
            ConnectError::Http(_) => Some("AWS_CA_BUNDLE names the file".to_owned()),
            // AWS was not even asked.
            ConnectError::Profile { cause, .. } if cause.code.is_empty() => Some(
                "if it is a profile of SSO, sign in with aws sso login; else see to it in \
                 ~/.aws/config (aws configure list-profiles says which there are)"
                    .to_owned(),
            ),
            ConnectError::Profile { cause, .. } => cause.hint(),
            ConnectError::Aws(error) => error.hint(),
        }
    }
}

/// Clients for one account and region; clones share connections.
#[derive(Clone, Debug)]
pub struct Session {
    /// The account's number.
    pub account: String,
    /// The region.
    pub region: String,
    /// `aws`, or another partition, from the caller's ARN.
    pub partition: String,
    /// Who calls.
    pub caller_arn: String,
    /// S3: asked of through [`Session::bucket`], so that no call goes to another account's bucket.
    pub(super) s3: LazyClient<aws_sdk_s3::Client>,
    /// EC2.
    pub ec2: LazyClient<aws_sdk_ec2::Client>,
    /// The EBS direct API. It does not retry: whoever puts blocks has a budget of its own.
    pub ebs: LazyClient<aws_sdk_ebs::Client>,
    /// KMS.
    pub kms: LazyClient<aws_sdk_kms::Client>,
    /// SQS.
    pub sqs: LazyClient<aws_sdk_sqs::Client>,
    /// IAM.
    pub iam: LazyClient<aws_sdk_iam::Client>,
}

impl Session {
    /// Finds credentials and region, and asks AWS who that is.
    ///
    /// # Errors
    /// There are none, or AWS does not take them.
    pub async fn connect(options: &Options) -> Result<Session, ConnectError> {
        let config = load(options).await?;
        let region = config
            .region()
            .map(ToString::to_string)
            .filter(|region| !region.is_empty())
            .ok_or(ConnectError::NoRegion)?;
        let identity = aws_sdk_sts::Client::new(&config)
            .get_caller_identity()
            .send()
            .await
            .map_err(|error| AwsError::new("sts GetCallerIdentity", error))
            .map_err(|error| no_caller(options, error))?;
        let (Some(account), Some(caller_arn)) = (identity.account, identity.arn) else {
            return Err(AwsError {
                operation: "sts GetCallerIdentity",
                kind: Kind::Refused,
                code: String::new(),
                message: "the answer names no account".to_owned(),
            }
            .into());
        };
        let partition = caller_arn
            .split(':')
            .nth(1)
            .filter(|it| !it.is_empty())
            .unwrap_or("aws")
            .to_owned();
        Ok(Session::new(config, account, region, partition, caller_arn))
    }

    /// With the credentials of an instance's role. Who that is, the instance's metadata service has
    /// said: nobody else is asked, and whether the credentials are any good shows at the first call.
    ///
    /// The configuration is made here, and not by the SDK's loader: there are no profiles and no
    /// environment to look at, which takes a slow processor longer than all that is needed.
    ///
    /// # Errors
    /// There is no HTTP client.
    pub fn on_instance(
        options: &Options,
        credentials: RoleCredentials,
        identity: &Identity,
    ) -> Result<Session, ConnectError> {
        let region = options.region.as_ref().unwrap_or(&identity.region);
        let mut config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region.clone()))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            // Shared, as the loader's is: without it, each service asks for credentials of its own.
            .identity_cache(IdentityCache::lazy().build())
            .http_client(http_client(options)?)
            .retry_config(retries())
            .timeout_config(timeouts(ATTEMPT));
        config.set_endpoint_url(options.endpoint_url.clone());
        Ok(Session::new(
            config.build(),
            identity.account.clone(),
            region.clone(),
            identity.partition.clone(),
            identity.arn(),
        ))
    }

    /// With a configuration that somebody has, of an account and region that are known.
    pub fn new(
        config: SdkConfig,
        account: String,
        region: String,
        partition: String,
        caller_arn: String,
    ) -> Session {
        // Clones of a configuration share what is in it.
        let with = || config.clone();
        Session {
            account,
            region,
            partition,
            caller_arn,
            s3: LazyClient::new({
                let config = with();
                move || {
                    // A bucket as part of the host's name needs a name server that plays along:
                    // AWS's does.
                    let s3 = aws_sdk_s3::config::Builder::from(&config)
                        .force_path_style(config.endpoint_url().is_some());
                    aws_sdk_s3::Client::from_conf(s3.build())
                }
            }),
            ebs: LazyClient::new({
                let config = with();
                move || {
                    let ebs = aws_sdk_ebs::config::Builder::from(&config)
                        .retry_config(RetryConfig::disabled())
                        .timeout_config(timeouts(EBS_ATTEMPT));
                    aws_sdk_ebs::Client::from_conf(ebs.build())
                }
            }),
            ec2: LazyClient::new({
                let config = with();
                move || aws_sdk_ec2::Client::new(&config)
            }),
            kms: LazyClient::new({
                let config = with();
                move || aws_sdk_kms::Client::new(&config)
            }),
            sqs: LazyClient::new({
                let config = with();
                move || aws_sdk_sqs::Client::new(&config)
            }),
            iam: LazyClient::new(move || aws_sdk_iam::Client::new(&config)),
        }
    }

    /// The bucket `name`, which has to belong to the account `owner`.
    pub fn bucket(&self, name: String, owner: &str) -> Bucket {
        Bucket::new(&self.s3, name, owner)
    }
}

/// Whose credentials are no good, where somebody said whose are to be taken.
fn no_caller(options: &Options, cause: AwsError) -> ConnectError {
    match &options.profile {
        Some(profile) if cause.kind == Kind::Credentials => ConnectError::Profile {
            profile: profile.clone(),
            cause,
        },
        _ => cause.into(),
    }
}

/// The configuration, and whose credentials are in it.
async fn load(options: &Options) -> Result<SdkConfig, ConnectError> {
    let config = loader(options)?.load().await;
    Ok(match &options.profile {
        Some(profile) => {
            let credentials = of_profile(profile, &config);
            config
                .into_builder()
                .credentials_provider(credentials)
                .build()
        }
        None => config,
    })
}

/// The credentials of one profile: its keys, process, role or SSO session. The SDK's default chain
/// would take those of the environment first, and so another account's vault without a word.
fn of_profile(profile: &str, config: &SdkConfig) -> SharedCredentialsProvider {
    let mut base = ProviderConfig::without_region().with_region(config.region().cloned());
    if let Some(http) = config.http_client() {
        base = base.with_http_client(http);
    }
    let provider = ProfileFileCredentialsProvider::builder()
        .configure(&base)
        .profile_name(profile)
        .build();
    SharedCredentialsProvider::new(provider)
}

fn loader(options: &Options) -> Result<ConfigLoader, ConnectError> {
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http_client(options)?)
        .retry_config(retries())
        .timeout_config(timeouts(ATTEMPT));
    if let Some(profile) = &options.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(region) = &options.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(url) = &options.endpoint_url {
        loader = loader.endpoint_url(url);
    }
    Ok(loader)
}

fn http_client(options: &Options) -> Result<SharedHttpClient, HttpError> {
    http::client(&Trust {
        bundle: options.ca_bundle.as_deref(),
        pem: options.ca.as_deref(),
    })
}

fn retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(6)
}

fn timeouts(attempt: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(attempt)
        .build()
}
