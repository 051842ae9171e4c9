//! What an agent does when there is nothing to do: it deletes snapshots that its kind left behind.
//!
//! An agent can be killed between starting a snapshot and writing down which, while another goes on
//! with the same request. Nobody knows that snapshot then, but for its tags. And a request's message
//! can be gone from the queue before the request has come to its end: because nobody was there to
//! take it for as long as the queue keeps it, or because it came too often.

use super::executor::Agent;
use super::journal::Written;
use super::record::{Phase, Record, Stored};
use super::{heartbeat, journal, tagged, tags};
use crate::ami::snapshots::Deleted;
use crate::ami::{FoundImage, ImageState, images, snapshots};
use crate::aws::AwsError;
use crate::vault::REQUEST_SECONDS;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// How long a record may stay as it is until its message is gone for sure. The message was sent
/// before the record was written; who took it at the last moment has a day to go on.
const ABANDONED: Duration = Duration::seconds(REQUEST_SECONDS as i64 + 86_400);
/// Why a request failed whose message is gone.
const GONE: &str = "nobody brought it to its end as long as the queue kept it";

/// Deletes snapshots of requests that are finished or failed, where no image needs them. Gives what
/// was deleted. Requests that nobody can take any more fail with it, unless their AMI is there.
///
/// # Errors
/// EC2 or S3 refuses.
pub async fn sweep(agent: &Agent) -> Result<Vec<String>, AwsError> {
    let vault = &agent.vault;
    heartbeat::sweep(vault, (agent.clock)()).await?;
    let mut deleted = Vec::new();
    for snapshot in tagged::with_tag(vault, tags::VAULT, &vault.names.vault).await? {
        let (Some(id), Some(request)) = (snapshot.snapshot_id(), tagged::request_of(&snapshot))
        else {
            continue;
        };
        let Some(record) = settled(agent, &request).await? else {
            continue;
        };
        let is_kept = match record.phase {
            Phase::Working | Phase::Failing => true,
            Phase::Finished => record.snapshot.as_deref() == Some(id),
            Phase::Failed => record.left.iter().any(|it| it.contains(id)),
        };
        if is_kept {
            continue;
        }
        match snapshots::delete(&vault.session, id).await {
            Ok(Deleted::Gone) => deleted.push(id.to_owned()),
            answer => tracing::debug!(?answer, snapshot = id, "not deleted"),
        }
    }
    Ok(deleted)
}

/// A request's record, brought to its end if nobody else will.
async fn settled(agent: &Agent, request: &Uuid) -> Result<Option<Record>, AwsError> {
    let vault = &agent.vault;
    let Stored { record, etag } = match journal::read(vault, request).await {
        Ok(Some(stored)) => stored,
        // Without a record nobody knows what it is for: it stays, with its tags.
        Ok(None) | Err(journal::JournalError::Broken { .. }) => return Ok(None),
        Err(journal::JournalError::Aws(error)) => return Err(error),
    };
    if !is_abandoned(&record, (agent.clock)()) {
        return Ok(Some(record));
    }
    let Ok(found) = images::find(&vault.session, &record.ami_name).await else {
        return Ok(None);
    };
    let record = Record {
        updated: (agent.clock)(),
        ..ended(record, found)
    };
    let vault_key = &agent.machine.vault_key;
    match journal::write(vault, vault_key, &record, Some(etag)).await {
        Ok(Written::Done(_)) => Ok(Some(record)),
        answer => {
            tracing::debug!(?answer, %request, "not written: the next look decides");
            Ok(None)
        }
    }
}

/// Whether the message of a request that has not come to its end is gone.
fn is_abandoned(record: &Record, now: OffsetDateTime) -> bool {
    !record.is_final() && now - record.updated > ABANDONED
}

/// The end of a request that was abandoned: if its image was registered, that is its AMI.
fn ended(record: Record, found: Option<FoundImage>) -> Record {
    let own = record.id.to_string();
    let is_own = |it: &FoundImage| {
        it.request.as_deref() == Some(own.as_str()) && it.state != ImageState::Failed
    };
    match found.filter(is_own) {
        Some(image) => record.finished(image.id, image.snapshot),
        None => {
            let reason = match record.reason.as_ref().or(record.trouble.as_ref()) {
                Some(why) => format!("{GONE}: {why}"),
                None => GONE.to_owned(),
            };
            record.failing(&reason).failed(&[])
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::request::{AmiSpec, DEFAULT_LIFE, ImageRef, Request};
    use crate::vault::Names;

    const NOW: OffsetDateTime = time::macros::datetime!(2026-05-01 12:00 UTC);

    fn record() -> Record {
        let names = Names::new("image-vault", "123456789012", "eu-west-1", "aws").unwrap();
        let image = ImageRef {
            name: "web".to_owned(),
            digest: "ab".repeat(32).parse().unwrap(),
        };
        let spec = AmiSpec::default();
        let request = Request::new(&names, image, spec, NOW, DEFAULT_LIFE, [7; 16]);
        Record::new(&request, &[1; 32], NOW)
    }

    #[test]
    fn a_request_is_abandoned_once_its_message_is_gone() {
        let queue = Duration::seconds(REQUEST_SECONDS.into());
        assert!(!is_abandoned(&record(), NOW + queue));
        assert!(is_abandoned(&record(), NOW + queue + Duration::days(2)));
        assert!(is_abandoned(
            &record().failing("x"),
            NOW + queue + Duration::days(2)
        ));
        let finished = record().finished("ami-1".to_owned(), "snap-1".to_owned());
        assert!(!is_abandoned(&finished, NOW + Duration::days(1000)));
    }

    #[test]
    fn its_image_decides_how_it_ends() {
        let found = |request: &str, state| FoundImage {
            id: "ami-1".to_owned(),
            snapshot: "snap-1".to_owned(),
            request: Some(request.to_owned()),
            state,
        };
        let own = record().id.to_string();
        let phase = |found| ended(record(), found).phase;
        assert_eq!(phase(None), Phase::Failed);
        let other = found("another", ImageState::Available);
        assert_eq!(phase(Some(other)), Phase::Failed);
        let broken = found(&own, ImageState::Failed);
        assert_eq!(phase(Some(broken)), Phase::Failed);
        let it = ended(record(), Some(found(&own, ImageState::Available)));
        assert_eq!(
            (it.phase, it.ami.as_deref()),
            (Phase::Finished, Some("ami-1"))
        );
        let it = ended(record().troubled("a quota"), None);
        assert!(it.reason.unwrap().ends_with(": a quota"));
    }
}
