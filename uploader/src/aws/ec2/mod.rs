//! What EC2 knows: each question once, with its pages and with what "not there" looks like.
//!
//! A look-up by id gives `None` for what EC2 does not know: it is gone, it was never there, or it was
//! made a moment ago, for EC2 shows a new thing some seconds late. Who waits for a thing that must come
//! asks again; for everybody else it is not there.

mod images;
pub mod instances;
mod network;
mod snapshots;

pub use images::{image, own_image, own_images, root_snapshot};
pub use network::{default_vpc, offers_type, security_groups, subnet, subnets};
pub use snapshots::{own_snapshots, snapshot, volumes};

use super::AwsError;
use aws_sdk_ec2::types::{Filter, Tag};

/// A filter that lets through what has any of these values.
pub fn filter(name: &str, values: &[&str]) -> Filter {
    let values = values.iter().map(|value| escaped(value)).collect();
    Filter::builder()
        .name(name)
        .set_values(Some(values))
        .build()
}

/// A filter that lets through what has this tag.
pub fn tag_filter(key: &str, value: &str) -> Filter {
    filter(&format!("tag:{key}"), &[value])
}

/// The value of a tag.
pub fn tag<'a>(tags: &'a [Tag], key: &str) -> Option<&'a str> {
    tags.iter().find(|tag| tag.key() == Some(key))?.value()
}

/// A value that stands for itself only: in filters, some characters stand for others.
fn escaped(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for character in value.chars() {
        if matches!(character, '*' | '?' | '\\') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// The answer to a question about one id; `None` where EC2 says that there is nothing of that id.
fn known<T>(answer: Result<T, AwsError>) -> Result<Option<T>, AwsError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.is_no_such_id() || error.code == "InvalidAMIID.Unavailable" => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::Kind;

    #[test]
    fn a_value_with_a_filters_signs_is_only_itself() {
        assert_eq!(escaped("a*b?c\\d"), r"a\*b\?c\\d");
        assert_eq!(escaped("web 1.4 (x)"), "web 1.4 (x)");
    }

    #[test]
    fn what_nothing_can_have_the_id_of_is_not_there() {
        let answer = |code: &str, kind| {
            known::<()>(Err(AwsError {
                operation: "ec2 DescribeImages",
                kind,
                code: code.to_owned(),
                message: String::new(),
            }))
        };
        for (code, kind) in [
            ("InvalidAMIID.NotFound", Kind::NotFound),
            ("InvalidAMIID.Unavailable", Kind::Refused),
            ("InvalidAMIID.Malformed", Kind::Refused),
            ("InvalidSnapshotID.Malformed", Kind::Refused),
        ] {
            assert!(matches!(answer(code, kind), Ok(None)), "{code}");
        }
        assert!(answer("UnauthorizedOperation", Kind::Denied).is_err());
        assert!(answer("RequestLimitExceeded", Kind::Throttled).is_err());
        assert!(matches!(known(Ok(())), Ok(Some(()))));
    }
}
