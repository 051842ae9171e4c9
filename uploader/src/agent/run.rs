//! The agent as a process: message after message.

use super::action::Action;
use super::executor::{Agent, Ended};
use super::queue::{QueueError, Queues};
use super::sweep::sweep;
use crate::Class;
use crate::aws::{AwsError, Kind, Session};
use crate::vault::Names;
use aws_sdk_kms::types::KeyState;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Longest that one call waits for a message, in seconds: SQS's limit.
const LONG_POLL: i64 = 20;
/// Seconds between two looks for what was left behind.
const SWEEP_EVERY: i64 = 3600;
/// Longest pause after a queue did not answer, in seconds.
const MAX_PAUSE: u64 = 60;

/// When an agent ends by itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Until {
    /// After so many seconds without a message.
    pub idle: Option<u32>,
    /// After one message.
    pub once: bool,
}

/// What there is to say of an agent's work.
#[derive(Debug)]
pub enum Told<'a> {
    /// It is about to do this.
    Action(&'a Action),
    /// It is done with a message.
    Ended(&'a Ended),
    /// It deleted what was left behind.
    Swept(&'a [String]),
    /// The queue does not answer; it is asked again.
    Trouble(&'a AwsError),
}

/// An agent can't work.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The vault's key is not there.
    #[error("there is no key {alias} in {region}")]
    NoKey {
        /// Its alias.
        alias: String,
        /// Where.
        region: String,
    },
    /// It is there, and can't be used.
    #[error("the vault's key {alias} ({arn}) is {state}")]
    KeyState {
        /// Its alias.
        alias: String,
        /// Its ARN.
        arn: String,
        /// `Disabled`, `PendingDeletion`, ….
        state: String,
    },
    /// A queue.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// AWS refuses.
    #[error(transparent)]
    Aws(#[from] AwsError),
}

impl AgentError {
    /// Whose fault it is.
    pub fn class(&self) -> Class {
        match self {
            AgentError::NoKey { .. } | AgentError::KeyState { .. } => Class::Surroundings,
            AgentError::Queue(error) => error.class(),
            AgentError::Aws(error) => error.class(),
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            AgentError::NoKey { .. } => {
                Some("uploader vault init makes what a vault lacks".to_owned())
            }
            AgentError::KeyState { .. } => Some(
                "aws kms enable-key, or cancel-key-deletion; what is in the vault can't be read \
                 without it"
                    .to_owned(),
            ),
            AgentError::Queue(error) => error.hint(),
            AgentError::Aws(error) => error.hint(),
        }
    }
}

/// ARN of the key that encrypts a vault.
///
/// # Errors
/// It is not there, can't be used, or KMS refuses.
pub async fn vault_key(session: &Session, names: &Names) -> Result<String, AgentError> {
    let alias = names.encryption_alias();
    let answer = session
        .kms
        .describe_key()
        .key_id(&alias)
        .send()
        .await
        .map_err(|error| AwsError::new("kms DescribeKey", error));
    let no_key = || AgentError::NoKey {
        alias: alias.clone(),
        region: names.region.clone(),
    };
    let answer = match answer {
        Err(error) if error.kind == Kind::NotFound => return Err(no_key()),
        answer => answer?,
    };
    let key = answer.key_metadata.ok_or_else(no_key)?;
    let arn = key.arn().ok_or_else(no_key)?;
    match key.key_state() {
        None | Some(KeyState::Enabled) => Ok(arn.to_owned()),
        Some(state) => Err(AgentError::KeyState {
            arn: arn.to_owned(),
            state: state.as_str().to_owned(),
            alias,
        }),
    }
}

/// Takes messages from the queue until `until` or `cancel` says stop.
///
/// # Errors
/// The queue is gone, or AWS does not take the caller's credentials.
pub async fn run(
    agent: &Agent,
    until: Until,
    told: &(dyn Fn(Told<'_>) + Send + Sync),
    cancel: &CancellationToken,
) -> Result<(), AgentError> {
    let Agent { session, names, .. } = agent;
    let queues = Queues::find(session, names).await?;
    let visibility = i32::try_from(agent.visibility).unwrap_or(i32::MAX);
    let mut last_message = (agent.clock)();
    let mut last_sweep = None;
    let mut pause = 1;
    while !cancel.is_cancelled() {
        let now = (agent.clock)();
        let idle = (now - last_message).whole_seconds();
        let patience = until.idle.map(|it| i64::from(it) - idle);
        if patience.is_some_and(|it| it <= 0) {
            sweep_and_tell(agent, told).await;
            break;
        }
        let wait = patience.unwrap_or(LONG_POLL).clamp(1, LONG_POLL);
        // The first look is short: then there is time to look around.
        let wait = if last_sweep.is_none() {
            0
        } else {
            i32::try_from(wait).unwrap_or(1)
        };
        let received = tokio::select! {
            biased;
            received = queues.receive(session, names, wait, visibility) => received,
            () = cancel.cancelled() => break,
        };
        match received {
            Ok(Some(message)) => {
                pause = 1;
                let action = |action: &Action| told(Told::Action(action));
                let ended = agent.work(&queues, &message, &action, cancel).await;
                told(Told::Ended(&ended));
                last_message = (agent.clock)();
                if until.once {
                    break;
                }
            }
            Ok(None) => {
                pause = 1;
                let since = |it| (now - it) >= time::Duration::seconds(SWEEP_EVERY);
                if last_sweep.is_none_or(since) {
                    sweep_and_tell(agent, told).await;
                    last_sweep = Some(now);
                }
            }
            Err(QueueError::Aws(error)) if error.is_transient() => {
                told(Told::Trouble(&error));
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_secs(pause)) => {}
                    () = cancel.cancelled() => break,
                }
                pause = (pause * 2).min(MAX_PAUSE);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

async fn sweep_and_tell(agent: &Agent, told: &(dyn Fn(Told<'_>) + Send + Sync)) {
    match sweep(agent).await {
        Ok(deleted) if deleted.is_empty() => {}
        Ok(deleted) => told(Told::Swept(&deleted)),
        // It is done again later, and by others.
        Err(error) => told(Told::Trouble(&error)),
    }
}
