//! Dead letters: looked at, and left where they are.

use super::queue::{Queues, REASON, REQUEST};
use crate::aws::{AwsError, Session};
use crate::request::Envelope;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use std::collections::BTreeMap;
use time::OffsetDateTime;
use uuid::Uuid;

/// Most letters that are looked at.
const MAX_LETTERS: usize = 500;
/// A queue gives what it likes, in any order: after so many looks with nothing new, that was all.
const MAX_STALE: u32 = 3;
/// Most looks.
const MAX_LOOKS: u32 = 200;

/// A message that could not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// SQS's id of it.
    pub message: String,
    /// The request that it is. Where the agent could not say, it is what the message itself says,
    /// which anybody may have written.
    pub request: Option<Uuid>,
    /// Why.
    pub reason: String,
    /// When it came here.
    pub sent: Option<OffsetDateTime>,
}

/// What lies in the dead-letter queue, oldest first.
///
/// # Errors
/// SQS refuses.
pub async fn peek(session: &Session, queues: &Queues) -> Result<Vec<DeadLetter>, AwsError> {
    let mut found: BTreeMap<String, DeadLetter> = BTreeMap::new();
    let mut stale = 0;
    for _ in 0..MAX_LOOKS {
        let answer = session
            .sqs
            .receive_message()
            .queue_url(queues.dead_url())
            .max_number_of_messages(10)
            // At once visible again: nothing is taken.
            .visibility_timeout(0)
            .wait_time_seconds(0)
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
            .send()
            .await
            .map_err(|error| AwsError::new("sqs ReceiveMessage", error))?;
        let before = found.len();
        for message in answer.messages.unwrap_or_default() {
            if let Some(letter) = read(&message) {
                found.insert(letter.message.clone(), letter);
            }
        }
        stale = if found.len() == before { stale + 1 } else { 0 };
        if stale >= MAX_STALE || found.len() >= MAX_LETTERS {
            break;
        }
    }
    let mut letters: Vec<DeadLetter> = found.into_values().collect();
    letters.sort_by_key(|it| it.sent);
    Ok(letters)
}

fn read(message: &Message) -> Option<DeadLetter> {
    let attribute = |name: &str| {
        let attributes = message.message_attributes.as_ref()?;
        attributes.get(name)?.string_value.clone()
    };
    let body = message.body.as_deref().unwrap_or_default();
    let said = || Envelope::open(body).ok().map(|it| it.request.id);
    let sent = message
        .attributes
        .as_ref()
        .and_then(|it| it.get(&MessageSystemAttributeName::SentTimestamp))
        .and_then(|it| it.parse::<i64>().ok())
        .and_then(|it| OffsetDateTime::from_unix_timestamp(it / 1000).ok());
    Some(DeadLetter {
        message: message.message_id.clone()?,
        request: attribute(REQUEST)
            .and_then(|it| Uuid::try_parse(&it).ok())
            .or_else(said),
        reason: attribute(REASON)
            .unwrap_or_else(|| "it was received too often, and no agent said why".to_owned()),
        sent,
    })
}
