//! The queue of requests, and the one of those that can't succeed.

use super::machine::Delivery;
use crate::aws::{AwsError, Kind, Session};
use crate::vault::Vault;
use aws_sdk_sqs::config::retry::RetryConfig;
use aws_sdk_sqs::types::{MessageAttributeValue, MessageSystemAttributeName};
use uuid::Uuid;

/// Longest reason that a dead letter carries, in characters.
const MAX_REASON: usize = 1000;
/// Longest body that is sent on. What is longer is no request, and its beginning tells enough.
const MAX_BODY: usize = 64 << 10;
/// Attribute of a dead letter: why.
pub const REASON: &str = "reason";
/// Attribute of a dead letter: the request's id.
pub const REQUEST: &str = "request";

/// A vault's two queues.
#[derive(Clone, Debug)]
pub struct Queues {
    requests: String,
    dead: String,
}

/// A message in an agent's hands.
#[derive(Clone, Debug)]
pub struct Message {
    /// What the machine sees of it.
    pub delivery: Delivery,
    receipt: String,
}

/// A queue can't be used.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// There is none.
    #[error("there is no queue {name} in {region}")]
    Missing {
        /// Its name.
        name: String,
        /// Where.
        region: String,
    },
    /// SQS refuses.
    #[error(transparent)]
    Aws(#[from] AwsError),
}

impl QueueError {
    /// Whose fault it is.
    pub fn class(&self) -> crate::Class {
        match self {
            QueueError::Missing { .. } => crate::Class::Surroundings,
            QueueError::Aws(error) => error.class(),
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            QueueError::Missing { .. } => {
                Some("uploader vault init makes what a vault lacks".to_owned())
            }
            QueueError::Aws(error) => error.hint(),
        }
    }
}

impl Queues {
    /// Those of a vault.
    ///
    /// # Errors
    /// One is missing, or SQS refuses.
    pub async fn find(vault: &Vault) -> Result<Queues, QueueError> {
        Ok(Queues {
            requests: url(vault, vault.names.queue()).await?,
            dead: url(vault, vault.names.dead_letter_queue()).await?,
        })
    }

    /// The next message, for `visibility` seconds; waits up to `wait` seconds for one.
    ///
    /// # Errors
    /// The queue is gone, or SQS refuses.
    pub async fn receive(
        &self,
        vault: &Vault,
        wait: i32,
        visibility: i32,
    ) -> Result<Option<Message>, QueueError> {
        let answer = vault
            .session
            .sqs
            .receive_message()
            .queue_url(&self.requests)
            .max_number_of_messages(1)
            .wait_time_seconds(wait)
            .visibility_timeout(visibility)
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .customize()
            .config_override(few_retries())
            .send()
            .await
            .map_err(|error| AwsError::new("sqs ReceiveMessage", error));
        let answer = match answer {
            Err(error) if error.kind == Kind::NotFound => {
                return Err(QueueError::Missing {
                    name: vault.names.queue(),
                    region: vault.names.region.clone(),
                });
            }
            answer => answer?,
        };
        let message = answer.messages.unwrap_or_default().into_iter().next();
        Ok(message.and_then(|it| {
            let count = it
                .attributes
                .as_ref()
                .and_then(|it| it.get(&MessageSystemAttributeName::ApproximateReceiveCount))
                .and_then(|it| it.parse().ok());
            Some(Message {
                delivery: Delivery {
                    body: it.body.unwrap_or_default(),
                    receives: count.unwrap_or(1),
                },
                receipt: it.receipt_handle?,
            })
        }))
    }

    /// About how many requests wait, and how many are in agents' hands.
    ///
    /// # Errors
    /// SQS refuses.
    pub async fn depth(&self, session: &Session) -> Result<(u64, u64), AwsError> {
        use aws_sdk_sqs::types::QueueAttributeName as Name;
        let answer = session
            .sqs
            .get_queue_attributes()
            .queue_url(&self.requests)
            .attribute_names(Name::ApproximateNumberOfMessages)
            .attribute_names(Name::ApproximateNumberOfMessagesNotVisible)
            .send()
            .await
            .map_err(|error| AwsError::new("sqs GetQueueAttributes", error))?;
        let attributes = answer.attributes.unwrap_or_default();
        let number = |name| attributes.get(&name).and_then(|it| it.parse().ok());
        Ok((
            number(Name::ApproximateNumberOfMessages).unwrap_or(0),
            number(Name::ApproximateNumberOfMessagesNotVisible).unwrap_or(0),
        ))
    }

    /// Where dead letters are.
    pub fn dead_url(&self) -> &str {
        &self.dead
    }

    /// Gives the message back: it comes again after that many seconds, with 0 at once. If SQS refuses,
    /// it comes again all the same, when it is hidden no longer.
    pub(super) async fn release(&self, session: &Session, message: &Message, seconds: i32) {
        if let Err(error) = self.hide(session, message, seconds).await {
            tracing::debug!(%error, "the message comes again later");
        }
    }

    /// Hides the message from others for that many seconds from now.
    pub(super) async fn hide(
        &self,
        session: &Session,
        message: &Message,
        seconds: i32,
    ) -> Result<(), AwsError> {
        session
            .sqs
            .change_message_visibility()
            .queue_url(&self.requests)
            .receipt_handle(&message.receipt)
            .visibility_timeout(seconds)
            .send()
            .await
            .map_err(|error| AwsError::new("sqs ChangeMessageVisibility", error))?;
        Ok(())
    }

    /// Takes the message from the queue: its request is done with.
    pub(super) async fn delete(
        &self,
        session: &Session,
        message: &Message,
    ) -> Result<(), AwsError> {
        session
            .sqs
            .delete_message()
            .queue_url(&self.requests)
            .receipt_handle(&message.receipt)
            .send()
            .await
            .map_err(|error| AwsError::new("sqs DeleteMessage", error))?;
        Ok(())
    }

    /// Sends the message on to the dead-letter queue, with the reason, and the id of the request if
    /// that is believed.
    pub(super) async fn dead_letter(
        &self,
        session: &Session,
        message: &Message,
        id: Option<Uuid>,
        reason: &str,
    ) -> Result<(), AwsError> {
        const OPERATION: &str = "sqs SendMessage";
        let mut call = session
            .sqs
            .send_message()
            .queue_url(&self.dead)
            .message_body(beginning(&message.delivery.body));
        let mut attributes = vec![(REASON, printable(reason))];
        attributes.extend(id.map(|id| (REQUEST, id.to_string())));
        for (name, value) in attributes {
            let value = MessageAttributeValue::builder()
                .data_type("String")
                .string_value(value)
                .build()
                .map_err(|error| AwsError::unsent(OPERATION, &error))?;
            call = call.message_attributes(name, value);
        }
        call.send()
            .await
            .map_err(|error| AwsError::new(OPERATION, error))?;
        Ok(())
    }
}

/// Whoever polls asks again by itself, and has to come round until then.
fn few_retries() -> aws_sdk_sqs::config::Builder {
    aws_sdk_sqs::Config::builder().retry_config(RetryConfig::standard().with_max_attempts(2))
}

async fn url(vault: &Vault, name: String) -> Result<String, QueueError> {
    let answer = vault
        .session
        .sqs
        .get_queue_url()
        .queue_name(&name)
        .queue_owner_aws_account_id(&vault.names.account)
        .send()
        .await
        .map_err(|error| AwsError::new("sqs GetQueueUrl", error));
    match answer {
        Ok(answer) => Ok(answer.queue_url.unwrap_or_default()),
        Err(error) if error.kind == Kind::NotFound => Err(QueueError::Missing {
            name,
            region: vault.names.region.clone(),
        }),
        Err(error) => Err(error.into()),
    }
}

/// A text that SQS takes as an attribute: not empty, without what XML has no character for.
fn printable(text: &str) -> String {
    let clean = |it: char| {
        if it.is_control() || it > '\u{fffd}' {
            ' '
        } else {
            it
        }
    };
    let text: String = text.chars().take(MAX_REASON).map(clean).collect();
    if text.trim().is_empty() {
        "unknown".to_owned()
    } else {
        text
    }
}

fn beginning(body: &str) -> &str {
    match body
        .char_indices()
        .find(|(at, it)| at + it.len_utf8() > MAX_BODY)
    {
        Some((at, _)) => &body[..at],
        None => body,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_message_holds_can_be_sent_on() {
        assert_eq!(beginning("short"), "short");
        let long = "ä".repeat(MAX_BODY);
        assert_eq!(beginning(&long).len(), MAX_BODY);
        assert_eq!(printable("a\0b\u{ffff}"), "a b ");
        assert_eq!(printable("\n"), "unknown");
        assert_eq!(printable(&"x".repeat(5000)).len(), MAX_REASON);
    }
}
