//! What AWS's own service models say about requests: names, types, required members, enums and
//! limits. The tables are made from botocore's by `model/extract.py`.

mod ebs;
mod ec2;

pub use ebs::{check_ebs, check_ebs_body};
pub use ec2::{check_ec2, names_ours, own_actions, strange_actions};

use super::AwsError;
use regex::Regex;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

/// A service's requests.
#[derive(Debug, Deserialize)]
struct Model {
    /// The shape of each operation's request.
    inputs: BTreeMap<String, String>,
    shapes: BTreeMap<String, Shape>,
    /// Other actions whose requests have a member for the id of an image, a snapshot, a volume or
    /// an instance (EC2).
    #[serde(default)]
    strange: BTreeSet<String>,
}

/// One type.
#[derive(Debug, Deserialize)]
struct Shape {
    #[serde(rename = "type")]
    kind: Kind,
    /// Members of a structure by their names on the wire.
    #[serde(default)]
    members: BTreeMap<String, Member>,
    /// What a list is of.
    member: Option<String>,
    #[serde(default, rename = "enum")]
    values: Vec<String>,
    /// Least length of a string, number of items of a list, or value of a number.
    min: Option<i64>,
    max: Option<i64>,
    pattern: Option<Pattern>,
}

/// What a string has to match, compiled when it is first needed: for a small call that is much of
/// its work.
#[derive(Debug, Deserialize)]
#[serde(from = "String")]
struct Pattern {
    text: String,
    compiled: OnceLock<Option<Regex>>,
}

impl From<String> for Pattern {
    fn from(text: String) -> Self {
        Self {
            text,
            compiled: OnceLock::new(),
        }
    }
}

impl Pattern {
    fn matches(&self, text: &str) -> bool {
        // The service matches all of the value.
        let whole = || Regex::new(&format!(r"\A(?:{})\z", self.text)).ok();
        let compiled = self.compiled.get_or_init(whole);
        compiled.as_ref().is_some_and(|it| it.is_match(text))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Structure,
    List,
    String,
    Integer,
    Long,
    Boolean,
    Timestamp,
    Blob,
}

#[derive(Debug, Deserialize)]
struct Member {
    shape: String,
    #[serde(default)]
    required: bool,
    /// Where the EBS direct API has it: `uri`, `querystring`, `header`, `payload`, or the body.
    #[serde(rename = "in")]
    place: Option<String>,
}

impl Model {
    fn input(&self, operation: &str) -> Option<&Shape> {
        self.shape(self.inputs.get(operation)?)
    }

    fn shape(&self, name: &str) -> Option<&Shape> {
        self.shapes.get(name)
    }
}

/// Why a value is not of its type.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wrong {
    Type(&'static str),
    NotOneOf,
    Length,
    Range,
    Pattern,
}

impl Wrong {
    fn why(&self, shape: &Shape) -> String {
        let limits = || match (shape.min, shape.max) {
            (Some(min), Some(max)) => format!("from {min} to {max}"),
            (Some(min), None) => format!("at least {min}"),
            (None, Some(max)) => format!("at most {max}"),
            (None, None) => "within the limits".to_owned(),
        };
        match self {
            Self::Type(what) => format!("expecting {what}"),
            Self::NotOneOf if shape.values.len() <= 24 => {
                format!("expecting one of {}", shape.values.join(", "))
            }
            Self::NotOneOf => "it is none of the values that the model has".to_owned(),
            Self::Length => format!("its length has to be {}", limits()),
            Self::Range => format!("it has to be {}", limits()),
            Self::Pattern => format!(
                "it does not match the pattern {}",
                shape.pattern.as_ref().map_or("", |pattern| &pattern.text)
            ),
        }
    }
}

impl Shape {
    /// Whether a number is inside the limits.
    fn has(&self, number: i64) -> bool {
        self.min.is_none_or(|min| number >= min) && self.max.is_none_or(|max| number <= max)
    }

    /// Looks at a value that is written as text.
    fn check_text(&self, text: &str) -> Result<(), Wrong> {
        match self.kind {
            Kind::String => {
                let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
                if !self.has(length) {
                    return Err(Wrong::Length);
                }
                if !self.values.is_empty() && !self.values.iter().any(|value| value == text) {
                    return Err(Wrong::NotOneOf);
                }
                self.check_pattern(text)
            }
            Kind::Integer => {
                let number: i32 = text.parse().map_err(|_| Wrong::Type("an integer"))?;
                self.has(number.into()).then_some(()).ok_or(Wrong::Range)
            }
            Kind::Long => {
                let number: i64 = text.parse().map_err(|_| Wrong::Type("an integer"))?;
                self.has(number).then_some(()).ok_or(Wrong::Range)
            }
            Kind::Boolean => (text.eq_ignore_ascii_case("true")
                || text.eq_ignore_ascii_case("false"))
            .then_some(())
            .ok_or(Wrong::Type("true or false")),
            Kind::Timestamp => is_time(text)
                .then_some(())
                .ok_or(Wrong::Type("a time as 2026-01-31T23:59:59Z")),
            Kind::Blob => {
                use base64::Engine;
                base64::engine::general_purpose::STANDARD
                    .decode(text)
                    .map(drop)
                    .map_err(|_| Wrong::Type("base64"))
            }
            Kind::Structure | Kind::List => Err(Wrong::Type("a structure")),
        }
    }

    fn check_pattern(&self, text: &str) -> Result<(), Wrong> {
        let fine = self.pattern.as_ref().is_none_or(|it| it.matches(text));
        fine.then_some(()).ok_or(Wrong::Pattern)
    }
}

/// A time as EC2 takes it: ISO 8601 with or without fractions and offset, or a date.
fn is_time(text: &str) -> bool {
    use time::format_description::well_known::Iso8601;
    time::OffsetDateTime::parse(text, &Iso8601::DEFAULT).is_ok()
        || time::PrimitiveDateTime::parse(text, &Iso8601::DATE_TIME).is_ok()
        || time::Date::parse(text, &Iso8601::DATE).is_ok()
}

/// The table can't be read: never, as a test says.
fn no_table() -> AwsError {
    AwsError::unavailable("the table of the service model can't be read")
}

#[cfg(test)]
mod tests;
