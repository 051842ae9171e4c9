//! What an agent does when there is nothing to do: it deletes snapshots that its kind left behind.
//!
//! An agent can be killed between starting a snapshot and writing down which, while another goes on
//! with the same request. Nobody knows that snapshot then, but for its tags.

use super::action::Event;
use super::record::Phase;
use super::{journal, snapshots, tags};
use crate::agent::executor::Agent;
use crate::aws::AwsError;
use crate::converter::heartbeat;

/// Deletes snapshots of requests that are finished or failed, where no image needs them. Gives what
/// was deleted.
///
/// # Errors
/// EC2 or S3 refuses.
pub async fn sweep(agent: &Agent) -> Result<Vec<String>, AwsError> {
    let Agent { session, names, .. } = agent;
    heartbeat::sweep(session, names, (agent.clock)()).await?;
    let mut deleted = Vec::new();
    for snapshot in snapshots::tagged(session, names, tags::VAULT, &names.vault).await? {
        let (Some(id), Some(request)) = (snapshot.snapshot_id(), snapshots::request_of(&snapshot))
        else {
            continue;
        };
        let record = match journal::read(session, names, &request).await {
            Ok(Some(stored)) => stored.record,
            // Without a record nobody knows what it is for: it stays, with its tags.
            Ok(None) | Err(journal::JournalError::Broken { .. }) => continue,
            Err(journal::JournalError::Aws(error)) => return Err(error),
        };
        let is_kept = match record.phase {
            Phase::Working | Phase::Failing => true,
            Phase::Finished => record.snapshot.as_deref() == Some(id),
            Phase::Failed => record.left.iter().any(|it| it.contains(id)),
        };
        if is_kept {
            continue;
        }
        match snapshots::delete(session, id).await {
            Event::Deleted => deleted.push(id.to_owned()),
            event => tracing::debug!(?event, snapshot = id, "not deleted"),
        }
    }
    Ok(deleted)
}
