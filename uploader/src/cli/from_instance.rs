//! What an agent on an instance is told: by its user data, and not by a command line.

use super::Failure;
use super::aws_args::Place;
use cli_support::say;
use std::time::Duration;
use uploader::agent::queue::QueueError;
use uploader::agent::{AgentError, Ready};
use uploader::aws::{AwsError, Kind, Metadata, Options, Session};
use uploader::fleet::userdata::UserData;
use uploader::vault::Vault;

/// Pauses between tries: a network that is just coming up, and a role that EC2 has just learnt of,
/// take moments. Five minutes in all; then the instance ends, as it is of no use.
const PAUSES: [u64; 9] = [1, 2, 4, 8, 15, 30, 60, 90, 90];

/// The kernel's routes, as text.
const ROUTES: &str = "/proc/net/route";
/// How often they are looked at.
const LOOK: Duration = Duration::from_millis(5);
/// How long there may be none before the metadata service is asked all the same.
const UNROUTED: Duration = Duration::from_secs(5);

/// What an agent on an instance has to know.
pub(crate) struct OnInstance {
    /// The vault, and clients.
    pub(crate) place: Place,
    /// Seconds without a request after which it ends.
    pub(crate) idle: u32,
    /// The instance's id.
    pub(crate) id: String,
}

/// Reads the user data and who the instance is.
pub(crate) async fn on_instance() -> Result<OnInstance, Failure> {
    let metadata = Metadata::new()?;
    until_routed().await;
    let credentials = metadata.credentials();
    let mut pauses = PAUSES.into_iter();
    let (text, identity) = loop {
        let said = async { tokio::try_join!(metadata.user_data(), metadata.identity()) };
        match (said.await, pauses.next()) {
            (Ok((text, identity)), _) => break (text.unwrap_or_default(), identity),
            (Err(error), None) => return Err(Failure::from(error)),
            (Err(error), Some(pause)) => wait(&error, pause).await,
        }
    };
    let data = UserData::parse(&text)?;
    let options = Options {
        profile: None,
        region: Some(data.region),
        endpoint_url: data.endpoint_url,
        ca_bundle: None,
        ca: data.ca,
    };
    let session = Session::on_instance(&options, credentials, &identity)?;
    let vault = Vault::new(session, &data.vault)?;
    Ok(OnInstance {
        place: Place::new(vault),
        idle: data.idle_seconds,
        id: identity.instance,
    })
}

/// Waits until the kernel knows a way out: the program is started while the network comes up.
async fn until_routed() {
    // The first line says what is in the others.
    let routed = || !std::fs::read_to_string(ROUTES).is_ok_and(|it| it.lines().nth(1).is_none());
    let wait = async {
        while !routed() {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(UNROUTED, wait).await.ok();
}

/// Finds what an agent needs, once AWS knows the role.
pub(crate) async fn ready(place: &Place) -> Result<Ready, AgentError> {
    let mut pauses = PAUSES.into_iter();
    loop {
        match (Ready::find(&place.vault).await, pauses.next()) {
            (Ok(ready), _) => return Ok(ready),
            (Err(error), Some(pause)) if may_pass(&error) => wait(&error, pause).await,
            (Err(error), _) => return Err(error),
        }
    }
}

/// Whether it may help to wait.
fn may_pass(error: &AgentError) -> bool {
    let of_aws = |error: &AwsError| error.is_transient() || error.kind == Kind::Credentials;
    match error {
        AgentError::Aws(error) | AgentError::Queue(QueueError::Aws(error)) => of_aws(error),
        AgentError::NoKey { .. } | AgentError::KeyState { .. } | AgentError::Queue(_) => false,
    }
}

async fn wait(error: &dyn std::fmt::Display, seconds: u64) {
    say!("uploader: {error}; again in {seconds} s");
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}
