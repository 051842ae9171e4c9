//! Where a vault is not as it should be, and what to change: both are values, so that they can be
//! shown, tested and done.

use super::Names;
use super::state::{Part, Setting, State};
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt;

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// Of what.
    pub part: Part,
    /// What it is called.
    pub name: String,
    /// What about it; `None`: it is not there at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub setting: Option<Setting>,
    /// How it should be.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub wanted: Value,
    /// How it is; nothing if it was never set.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub found: Value,
}

/// One call that makes a vault more as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Makes a part.
    Create(Part),
    /// Sets something of a part that is there.
    Set(Part, Setting, Value),
}

/// All that is not as it should be.
pub fn drift(names: &Names, wanted: &State, found: &State) -> Vec<Drift> {
    let mut all = Vec::new();
    for (part, settings) in wanted.parts() {
        let drift = |setting, wanted: Value, found: Value| Drift {
            part,
            name: part.name(names),
            setting,
            wanted,
            found,
        };
        let Some(there) = found.get(part) else {
            all.push(drift(None, Value::Null, Value::Null));
            continue;
        };
        let mut drifts: Vec<Drift> = settings
            .iter()
            .map(|(setting, wanted)| {
                let found = there.get(setting).cloned().unwrap_or_default();
                drift(Some(*setting), wanted.clone(), found)
            })
            .filter(|it| !it.is_nothing())
            .collect();
        // Of somebody else's bucket, or a key that can't be used, the rest does not matter.
        if drifts.iter().any(|it| !it.can_be_mended()) {
            drifts.retain(|it| !it.can_be_mended());
        }
        all.extend(drifts);
    }
    all
}

/// What to change, in the order in which to do it.
///
/// # Errors
/// What is beyond a change: somebody else's bucket, a key that is disabled. Then nothing is to be
/// changed at all.
pub fn changes(wanted: &State, drifts: &[Drift]) -> Result<Vec<Change>, Vec<Drift>> {
    let obstacles: Vec<Drift> = drifts
        .iter()
        .filter(|it| !it.can_be_mended())
        .cloned()
        .collect();
    if !obstacles.is_empty() {
        return Err(obstacles);
    }
    let mut changes = Vec::new();
    for drift in drifts {
        let part = drift.part;
        match drift.setting {
            Some(setting) => changes.push(Change::Set(part, setting, drift.wanted.clone())),
            None => {
                changes.push(Change::Create(part));
                let settings = wanted.get(part).into_iter().flatten();
                changes.extend(
                    settings
                        .filter(|(it, _)| it.can_be_set() && !part.is_made_with(**it))
                        .map(|(setting, value)| Change::Set(part, *setting, value.clone())),
                );
            }
        }
    }
    Ok(changes)
}

impl Change {
    /// What it is about.
    pub fn part(&self) -> Part {
        match self {
            Change::Create(part) | Change::Set(part, ..) => *part,
        }
    }

    /// As JSON.
    pub fn to_json(&self, names: &Names) -> Value {
        let name = self.part().name(names);
        match self {
            Change::Create(part) => json!({"change": "create", "part": part, "name": name}),
            Change::Set(part, setting, value) => json!({
                "change": "set", "part": part, "name": name, "setting": setting, "value": value,
            }),
        }
    }

    /// As a sentence without a subject: "create the bucket …".
    pub fn to_text(&self, names: &Names) -> String {
        let name = self.part().name(names);
        match self {
            Change::Create(part) => format!("create the {part} {name}"),
            Change::Set(part, setting, value) => {
                let value = short(value);
                format!("set the {setting} of the {part} {name}{value}")
            }
        }
    }
}

/// A value where it is short enough for a line; `--json` shows all of it.
fn short(value: &Value) -> String {
    match value {
        Value::String(text) => format!(": {text}"),
        Value::Bool(_) | Value::Number(_) => format!(": {value}"),
        Value::Array(_) | Value::Object(_) if value.to_string().len() <= 60 => format!(": {value}"),
        _ => String::new(),
    }
}

impl Drift {
    fn is_nothing(&self) -> bool {
        self.setting
            .is_some_and(|it| it.is_same(&self.wanted, &self.found))
    }

    /// Whether init mends it.
    pub fn can_be_mended(&self) -> bool {
        self.setting.is_none_or(Setting::can_be_set)
    }

    /// What a person has to do where no change does it.
    pub fn hint(&self) -> Option<String> {
        let arn = || self.wanted.as_str().unwrap_or_default();
        match self.setting? {
            Setting::Owner => Some(
                "names of buckets are taken in all of AWS: give another --vault, or ask its owner"
                    .to_owned(),
            ),
            Setting::KeyArn => Some(format!(
                "a vault keeps the key that its objects are encrypted with: leave out --kms-key, \
                 or make another vault with --vault (wanted here: {})",
                arn()
            )),
            Setting::KeyKind => {
                Some("--kms-key takes a symmetric customer managed key of this account".to_owned())
            }
            Setting::KeyState if self.found == "PendingDeletion" => Some(format!(
                "aws kms cancel-key-deletion and aws kms enable-key, on the key behind {}, bring \
                 it back",
                self.name
            )),
            Setting::KeyState => Some(format!(
                "aws kms enable-key, on the key behind {}, makes it usable again",
                self.name
            )),
            _ => None,
        }
    }
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Drift {
            part,
            name,
            wanted,
            found,
            ..
        } = self;
        let Some(setting) = self.setting else {
            return write!(f, "the {part} {name} is missing");
        };
        if setting == Setting::Owner {
            return write!(f, "the {part} {name} belongs to another account");
        }
        write!(f, "the {setting} of the {part} {name} ")?;
        if found.is_null() {
            return write!(f, "is not set");
        }
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let (found, wanted) = (text(found), text(wanted));
        if found.len() + wanted.len() <= 160 {
            write!(f, "is {found}, not {wanted}")
        } else {
            write!(f, "is not as init made it")
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::desired::{Keys, desired, unmade};
    use super::super::policy::KeyArns;
    use super::super::state::Settings;
    use super::*;

    fn names() -> Names {
        Names::new("image-vault", "111111111111", "eu-west-1", "aws").unwrap()
    }

    fn wanted() -> State {
        let names = names();
        let keys = Keys {
            arns: KeyArns {
                encryption: unmade(&names, Part::EncryptionKey),
                signing: unmade(&names, Part::SigningKey),
            },
            given: false,
        };
        desired(&names, &keys)
    }

    /// A state but for one part, which is as said.
    fn with(part: Part, settings: Settings) -> State {
        let mut state = wanted();
        state.put(part, settings);
        state
    }

    #[test]
    fn nothing_drifts_from_itself() {
        assert_eq!(drift(&names(), &wanted(), &wanted()), []);
        assert_eq!(changes(&wanted(), &[]), Ok(vec![]));
    }

    #[test]
    fn from_nothing_all_is_made_and_set_in_order() {
        let drifts = drift(&names(), &wanted(), &State::default());
        assert_eq!(drifts.len(), Part::ALL.len());
        let changes = changes(&wanted(), &drifts).unwrap();
        let created: Vec<Part> = changes
            .iter()
            .filter(|it| matches!(it, Change::Create(_)))
            .map(Change::part)
            .collect();
        assert_eq!(created, Part::ALL);
        let bucket: Vec<Setting> = changes
            .iter()
            .filter_map(|it| match it {
                Change::Set(Part::Bucket, setting, _) => Some(*setting),
                _ => None,
            })
            .collect();
        // Nobody may look before anything is in it, and the policy comes last.
        assert_eq!(bucket.first(), Some(&Setting::PublicAccess));
        assert_eq!(bucket.last(), Some(&Setting::Policy));
        assert!(!bucket.contains(&Setting::Owner));
    }

    #[test]
    fn each_setting_that_drifts_is_one_change() {
        for (part, settings) in wanted().parts() {
            for (setting, value) in settings {
                let mut other = settings.clone();
                other.insert(*setting, json!("other"));
                let drifts = drift(&names(), &wanted(), &with(part, other));
                let [one] = &drifts[..] else {
                    panic!("{part} {setting}: {drifts:?}");
                };
                assert_eq!((one.part, one.setting), (part, Some(*setting)));
                let got = changes(&wanted(), &drifts);
                if setting.can_be_set() {
                    assert_eq!(got, Ok(vec![Change::Set(part, *setting, value.clone())]));
                } else {
                    assert!(one.hint().is_some(), "{setting}");
                    assert_eq!(got, Err(drifts));
                }
                let mut without = settings.clone();
                without.remove(setting);
                let drifts = drift(&names(), &wanted(), &with(part, without));
                assert_eq!(drifts.len(), 1, "{part} {setting}");
                assert!(drifts[0].found.is_null());
            }
        }
    }

    #[test]
    fn one_obstacle_and_nothing_is_changed() {
        let mut settings = wanted().get(Part::Bucket).unwrap().clone();
        settings.insert(Setting::Owner, Value::Null);
        let mut found = State::default();
        found.put(Part::Bucket, settings);
        let drifts = drift(&names(), &wanted(), &found);
        let obstacles = changes(&wanted(), &drifts).unwrap_err();
        assert_eq!(obstacles.len(), 1);
        assert_eq!(
            obstacles[0].to_string(),
            "the bucket image-vault-111111111111-eu-west-1 belongs to another account"
        );
    }

    #[test]
    fn policies_that_say_the_same_do_not_drift() {
        let mut settings = wanted().get(Part::Queue).unwrap().clone();
        let policy = settings.get_mut(&Setting::Policy).unwrap();
        for statement in policy["Statement"].as_array_mut().unwrap() {
            statement["Principal"] = json!({"AWS": ["*"]});
            statement["Resource"] = statement["Resource"][0].clone();
        }
        assert_eq!(drift(&names(), &wanted(), &with(Part::Queue, settings)), []);
    }
}
