//! What removing a vault takes, as a value.

use crate::vault::{Names, VaultError};
use serde::Serialize;
use std::fmt;

/// Most snapshots or volumes that are named as what still needs a key.
const MOST_NAMED: usize = 20;

/// What there is of a vault.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Converters that run, by instance.
    pub converters: Vec<String>,
    /// Their security groups.
    pub groups: Vec<String>,
    /// The instance profile.
    pub profile: bool,
    /// The role.
    pub role: bool,
    /// The queues, by name.
    pub queues: Vec<String>,
    /// The bucket: `Some(false)` if it is somebody else's.
    pub bucket: Option<bool>,
    /// How many versions of images are in it.
    pub images: usize,
    /// The keys: those that the aliases name, and those that init made.
    pub keys: Vec<KeyFact>,
    /// The aliases.
    pub aliases: Vec<String>,
    /// AMIs that were made from this vault.
    pub amis: Vec<String>,
}

/// A key of the vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFact {
    /// Its ARN.
    pub arn: String,
    /// Whether init made it.
    pub ours: bool,
    /// Whether it is to be deleted already.
    pub pending: bool,
    /// Snapshots and volumes that are encrypted with it.
    pub users: Vec<String>,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "remove", content = "name")]
pub enum Step {
    /// Terminate a converter's instance, and wait until it is gone.
    Converter(String),
    /// Delete the converter's security group.
    SecurityGroup(String),
    /// Delete the instance profile.
    InstanceProfile(String),
    /// Delete the role with its policies.
    Role(String),
    /// Delete a queue with its messages.
    Queue(String),
    /// End uploads, delete all versions and delete markers of all objects, then the bucket.
    Bucket(String),
    /// Schedule a key's deletion.
    Key(String),
    /// Delete an alias.
    Alias(String),
}

/// What to do, and what stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Removal {
    /// In this order.
    pub steps: Vec<Step>,
    /// In sentences.
    pub left: Vec<String>,
}

/// What removing a vault takes: who could still use it first, the keys last.
///
/// # Errors
/// There are images in it and nobody insists (`force`), or the bucket is somebody else's.
pub fn removal(
    names: &Names,
    facts: &Facts,
    force: bool,
    key_days: u8,
) -> Result<Removal, VaultError> {
    if facts.images > 0 && !force {
        return Err(VaultError::HoldsImages {
            bucket: names.bucket(),
            images: facts.images,
        });
    }
    let mut removal = Removal::default();
    let steps = &mut removal.steps;
    steps.extend(facts.converters.iter().cloned().map(Step::Converter));
    steps.extend(facts.groups.iter().cloned().map(Step::SecurityGroup));
    if facts.profile {
        steps.push(Step::InstanceProfile(names.role()));
    }
    if facts.role {
        steps.push(Step::Role(names.role()));
    }
    steps.extend(facts.queues.iter().cloned().map(Step::Queue));
    match facts.bucket {
        Some(true) => steps.push(Step::Bucket(names.bucket())),
        Some(false) => removal.left.push(format!(
            "the bucket {}, which belongs to another account",
            names.bucket()
        )),
        None => {}
    }
    for key in &facts.keys {
        let KeyFact { arn, users, .. } = key;
        if key.pending {
            removal.left.push(format!(
                "the key {arn}, whose deletion is scheduled already"
            ));
        } else if !key.ours {
            removal
                .left
                .push(format!("the key {arn}, which init did not make"));
        } else if !users.is_empty() {
            removal.left.push(format!(
                "the key {arn}: without it nobody could read what is encrypted with it ({}); once \
                 that is gone, vault remove schedules its deletion",
                some_of(users)
            ));
        } else {
            steps.push(Step::Key(arn.clone()));
            removal.left.push(format!(
                "the key {arn}, for {key_days} days (aws kms cancel-key-deletion keeps it)"
            ));
        }
    }
    steps.extend(facts.aliases.iter().cloned().map(Step::Alias));
    if !facts.amis.is_empty() {
        let amis = some_of(&facts.amis);
        removal
            .left
            .push(format!("the AMIs that were made from this vault ({amis})"));
    }
    Ok(removal)
}

fn some_of(all: &[String]) -> String {
    let mut text = all
        .iter()
        .take(MOST_NAMED)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    if all.len() > MOST_NAMED {
        text.push_str(&format!(" and {} more", all.len() - MOST_NAMED));
    }
    text
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Converter(id) => write!(f, "terminate the converter {id}"),
            Step::SecurityGroup(id) => write!(f, "delete the security group {id}"),
            Step::InstanceProfile(name) => write!(f, "delete the instance profile {name}"),
            Step::Role(name) => write!(f, "delete the role {name}"),
            Step::Queue(name) => write!(f, "delete the queue {name} with its messages"),
            Step::Bucket(name) => write!(f, "delete the bucket {name} with all versions in it"),
            Step::Key(arn) => write!(f, "schedule the deletion of the key {arn}"),
            Step::Alias(name) => write!(f, "delete the alias {name}"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names::new("image-vault", "111111111111", "eu-west-1", "aws").unwrap()
    }

    fn key(arn: &str) -> KeyFact {
        KeyFact {
            arn: arn.to_owned(),
            ours: true,
            pending: false,
            users: Vec::new(),
        }
    }

    fn all() -> Facts {
        Facts {
            converters: vec!["i-1".to_owned()],
            groups: vec!["sg-1".to_owned()],
            profile: true,
            role: true,
            queues: vec!["q".to_owned()],
            bucket: Some(true),
            images: 0,
            keys: vec![key("e"), key("s")],
            aliases: vec!["alias/image-vault".to_owned()],
            amis: Vec::new(),
        }
    }

    #[test]
    fn a_whole_vault_goes_in_order() {
        let names = names();
        let removal = removal(&names, &all(), false, 30).unwrap();
        assert_eq!(
            removal.steps,
            [
                Step::Converter("i-1".to_owned()),
                Step::SecurityGroup("sg-1".to_owned()),
                Step::InstanceProfile(names.role()),
                Step::Role(names.role()),
                Step::Queue("q".to_owned()),
                Step::Bucket(names.bucket()),
                Step::Key("e".to_owned()),
                Step::Key("s".to_owned()),
                Step::Alias("alias/image-vault".to_owned()),
            ]
        );
        assert_eq!(removal.left.len(), 2);
    }

    #[test]
    fn nothing_there_is_nothing_to_do() {
        let removal = removal(&names(), &Facts::default(), false, 30);
        assert_eq!(removal.unwrap(), Removal::default());
    }

    #[test]
    fn images_need_force() {
        let facts = Facts { images: 2, ..all() };
        let refused = removal(&names(), &facts, false, 30);
        assert!(matches!(
            refused,
            Err(VaultError::HoldsImages { images: 2, .. })
        ));
        assert!(removal(&names(), &facts, true, 30).is_ok());
    }

    #[test]
    fn keys_that_are_not_ours_or_are_needed_stay() {
        let given = KeyFact {
            ours: false,
            ..key("given")
        };
        let needed = KeyFact {
            users: vec!["snap-1".to_owned()],
            ..key("needed")
        };
        let pending = KeyFact {
            pending: true,
            ..key("pending")
        };
        let facts = Facts {
            keys: vec![given, needed, pending],
            bucket: Some(false),
            ..all()
        };
        // Not even with force.
        let removal = removal(&names(), &facts, true, 30).unwrap();
        let touched = removal
            .steps
            .iter()
            .any(|it| matches!(it, Step::Key(_) | Step::Bucket(_)));
        assert!(!touched);
        for said in ["given", "snap-1", "pending", "another account"] {
            assert!(removal.left.iter().any(|it| it.contains(said)), "{said}");
        }
    }
}
