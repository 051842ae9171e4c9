//! What is in a region already: a vault, and an AMI as it would be made now.
//!
//! Tags are what AMIs are found by, and anybody may set them who may tag. So an AMI counts only if a
//! vault's record says that it was made for the request that it is tagged with.

use super::Source;
use crate::agent::journal::{self, JournalError};
use crate::agent::record::{Phase, Record};
use crate::agent::{AgentError, tags, vault_key};
use crate::aws::{AwsError, Kind, ec2};
use crate::request::{AmiSpec, ImageRef};
use crate::vault::Vault;
use aws_sdk_ec2::types::{Image, ImageState};
use uuid::Uuid;

/// A region's vault, whose records are believed, and what is wanted there.
#[derive(Clone, Debug)]
pub struct RegionVault {
    /// The vault.
    pub vault: Vault,
    /// What an AMI is to be like there.
    pub ami: AmiSpec,
}

/// An AMI that is as it would be made now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct There {
    /// The AMI.
    pub ami: String,
    /// Its root's snapshot.
    pub snapshot: String,
    /// Its name.
    pub name: String,
    /// The request that it was made for, there or where it was copied from.
    pub request: Uuid,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It is available.
    There(There),
    /// A copy of this AMI is under way.
    Coming(Source),
}

/// Looks for an AMI of `image` in a region, made there or copied from one of the others. One that a
/// vault's record does not confirm does not count, nor does one that was asked for with another key.
///
/// # Errors
/// AWS does not answer here. Of the others, and of what the caller may not see, there is a warning.
pub async fn find(
    here: &RegionVault,
    image: &ImageRef,
    others: &[RegionVault],
) -> Result<Option<Found>, AwsError> {
    let digest = image.digest.to_string();
    let wanted = vec![
        ec2::tag_filter(tags::VAULT, &here.vault.names.vault),
        ec2::tag_filter(tags::IMAGE, &image.name),
        ec2::tag_filter(tags::DIGEST, &digest),
    ];
    let images = match ec2::own_images(&here.vault.session, wanted).await {
        Err(error) if error.kind == Kind::Denied => {
            tracing::warn!(%error, "whether an AMI is there already is not known");
            return Ok(None);
        }
        images => images?,
    };
    let of = |it: &Image| Candidate::of(it, image, &here.ami);
    let mut candidates: Vec<Candidate> = images.iter().filter_map(of).collect();
    // The newest, and copies under way only if nothing else is there.
    candidates.sort_by(|a, b| (b.is_available, &b.created).cmp(&(a.is_available, &a.created)));
    for candidate in candidates {
        if let Some(record) = record(here, image, &candidate.there.request).await?
            && candidate.is_available
            && record.ami.as_ref() == Some(&candidate.there.ami)
        {
            return Ok(Some(Found::There(candidate.there)));
        }
        let elsewhere = |it: &&RegionVault| it.vault.names.region != here.vault.names.region;
        for other in others.iter().filter(elsewhere) {
            let record = match record(other, image, &candidate.there.request).await {
                Ok(record) => record,
                Err(error) => {
                    let region = &other.vault.names.region;
                    tracing::warn!(%error, region, "its vault can't be asked about a copy");
                    None
                }
            };
            let Some(ami) = record.and_then(|it| candidate.original(&it)) else {
                continue;
            };
            let there = candidate.there;
            return Ok(Some(match candidate.is_available {
                true => Found::There(there),
                false => Found::Coming(Source {
                    region: other.vault.names.region.clone(),
                    ami,
                    name: there.name,
                    request: there.request,
                }),
            }));
        }
    }
    Ok(None)
}

/// An AMI whose tags say that it is as it would be made now.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Candidate {
    there: There,
    is_available: bool,
    created: String,
    /// What it is a copy of, if EC2 says so.
    source: Option<String>,
}

impl Candidate {
    fn of(found: &Image, image: &ImageRef, asked: &AmiSpec) -> Option<Candidate> {
        let tag = |key: &str| ec2::tag(found.tags(), key);
        let request: Uuid = tag(tags::REQUEST)?.parse().ok()?;
        let name = match &asked.name {
            Some(name) => name.clone(),
            None => image.ami_name(&request),
        };
        let is_available = match found.state()? {
            ImageState::Available => true,
            ImageState::Pending => false,
            _ => return None,
        };
        let description = asked.description.as_deref();
        let is_as_asked = found.name() == Some(&name)
            && tag(tags::VERSION) == asked.version.as_deref()
            && (description.is_none() || description == found.description())
            && asked
                .tags
                .iter()
                .all(|(key, value)| tag(key) == Some(value));
        is_as_asked.then_some(Candidate {
            is_available,
            created: found.creation_date().unwrap_or_default().to_owned(),
            source: found.source_image_id().map(str::to_owned),
            there: There {
                ami: found.image_id()?.to_owned(),
                snapshot: ec2::root_snapshot(found).unwrap_or_default().to_owned(),
                name,
                request,
            },
        })
    }

    /// The AMI that it is a copy of, if that is the one of this record of another region's vault.
    fn original(&self, record: &Record) -> Option<String> {
        let original = record.ami.clone()?;
        let source = self.source.as_ref();
        let is_it = record.ami_name == self.there.name && source.is_none_or(|it| *it == original);
        is_it.then_some(original)
    }
}

/// The vault's record of a request that is finished, was of this image, and with the key that would
/// be taken now.
async fn record(
    RegionVault { vault, ami }: &RegionVault,
    image: &ImageRef,
    request: &Uuid,
) -> Result<Option<Record>, AwsError> {
    let record = match journal::read(vault, request).await {
        Ok(Some(stored)) => stored.record,
        Ok(None) => return Ok(None),
        Err(JournalError::Aws(error)) => return unknown(error),
        Err(error @ JournalError::Broken { .. }) => {
            tracing::warn!(%error, "an AMI is not confirmed");
            return Ok(None);
        }
    };
    let Some(start) = &record.start else {
        return Ok(None);
    };
    if record.phase != Phase::Finished || record.image != *image {
        return Ok(None);
    }
    let key = match &ami.kms_key {
        Some(key) => key.clone(),
        None => match vault_key(vault).await {
            Ok(key) => key,
            Err(AgentError::Aws(error)) => return unknown(error),
            // Then none is made, either.
            Err(error) => {
                tracing::warn!(%error, "an AMI is not confirmed");
                return Ok(None);
            }
        },
    };
    Ok((start.kms_key == key).then_some(record))
}

/// What is not there confirms nothing, nor does what the caller may not see.
fn unknown(error: AwsError) -> Result<Option<Record>, AwsError> {
    match error.kind {
        Kind::NotFound => Ok(None),
        Kind::Denied => {
            tracing::warn!(%error, "an AMI is not confirmed");
            Ok(None)
        }
        _ => Err(error),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use aws_sdk_ec2::types::Tag;
    use time::macros::datetime;

    const REQUEST: &str = "07070707-0707-4707-8707-070707070707";
    const NAME: &str = "web-abababab-07070707";

    fn image() -> ImageRef {
        ImageRef {
            name: "web".to_owned(),
            digest: "ab".repeat(32).parse().unwrap(),
        }
    }

    /// An AMI as a converter makes it, with more tags.
    fn made(name: &str, state: ImageState, more: &[(&str, &str)]) -> Image {
        let tags = [(tags::REQUEST, REQUEST), ("Name", name)];
        let tags = tags.iter().chain(more);
        let tags = tags.map(|(key, value)| Tag::builder().key(*key).value(*value).build());
        Image::builder()
            .image_id("ami-1")
            .name(name)
            .description("web ab…")
            .state(state)
            .set_tags(Some(tags.collect()))
            .build()
    }

    fn asked(change: impl FnOnce(&mut AmiSpec)) -> AmiSpec {
        let mut asked = AmiSpec::default();
        change(&mut asked);
        asked
    }

    #[test]
    fn an_ami_counts_that_has_what_is_asked_for() {
        let is_it = |it: &Image, asked: &AmiSpec| Candidate::of(it, &image(), asked).is_some();
        let available = |more| made(NAME, ImageState::Available, more);
        let (plain, version) = (available(&[]), available(&[(tags::VERSION, "1.4")]));
        let any = AmiSpec::default();
        let named = asked(|it| it.name = Some("web-1.4".into()));
        let versioned = asked(|it| it.version = Some("1.4".into()));
        let tagged = asked(|it| _ = it.tags.insert("team".into(), "shop".into()));
        let described = asked(|it| it.description = Some("web ab…".into()));
        let otherwise = asked(|it| it.description = Some("the shop".into()));

        assert!(is_it(&plain, &any));
        // Somebody else's name is not one that was left out.
        assert!(!is_it(&made("web-1.4", ImageState::Available, &[]), &any));
        assert!(is_it(&made("web-1.4", ImageState::Available, &[]), &named));
        assert!(!is_it(&plain, &named));
        assert!(is_it(&version, &versioned));
        assert!(!is_it(&plain, &versioned) && !is_it(&version, &any));
        // A tag more is its owner's; one less, or of another value, is not what is asked for.
        assert!(is_it(
            &available(&[("team", "shop"), ("seen", "1")]),
            &tagged
        ));
        assert!(!is_it(&plain, &tagged) && !is_it(&available(&[("team", "x")]), &tagged));
        assert!(is_it(&plain, &described) && !is_it(&plain, &otherwise));
        for gone in [
            ImageState::Failed,
            ImageState::Deregistered,
            ImageState::Disabled,
        ] {
            assert!(!is_it(&made(NAME, gone, &[]), &any));
        }
        let coming = made(NAME, ImageState::Pending, &[]);
        assert!(!Candidate::of(&coming, &image(), &any).unwrap().is_available);
    }

    #[test]
    fn a_copy_is_of_the_ami_that_the_record_names() {
        let at = datetime!(2026-05-01 12:00 UTC);
        let names =
            crate::vault::Names::new("image-vault", "123456789012", "us-east-1", "aws").unwrap();
        let request = crate::request::Request::new(
            &names,
            image(),
            AmiSpec::default(),
            at,
            crate::request::DEFAULT_LIFE,
            [7; 16],
        );
        let record = Record::new(&request, &[0; 32], at);
        let record = record.finished("ami-0".into(), "snap-0".into());
        let is_copy = |state, source: Option<&str>, record: &Record| {
            let mut found = made(NAME, state, &[]);
            found.source_image_id = source.map(str::to_owned);
            let candidate = Candidate::of(&found, &image(), &AmiSpec::default()).unwrap();
            candidate.original(record).is_some()
        };
        let available = || ImageState::Available;
        assert!(is_copy(available(), Some("ami-0"), &record));
        // Older copies do not say what they are of.
        assert!(is_copy(available(), None, &record));
        assert!(is_copy(ImageState::Pending, Some("ami-0"), &record));
        assert!(!is_copy(available(), Some("ami-9"), &record));
        let other = Record {
            ami_name: "web-1.4".into(),
            ..record.clone()
        };
        assert!(!is_copy(available(), Some("ami-0"), &other));
        let without = Record {
            ami: None,
            ..record
        };
        assert!(!is_copy(available(), Some("ami-0"), &without));
    }
}
