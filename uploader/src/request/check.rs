//! Whether a request's fields can be what they say, and whether it is this agent's to carry out.

use super::{Request, VERSION};
use crate::vault::Names;
use time::{Duration, OffsetDateTime};

/// How far the clocks of requester and agent may be apart.
pub const MAX_SKEW: Duration = Duration::minutes(5);
/// Longest that a request may be good for. What became of it has to be remembered for longer, so
/// that it is not carried out twice.
pub const MAX_LIFE: Duration = Duration::days(7);
/// Most tags of a requester: with the agent's own, EC2 takes 50.
const MAX_TAGS: usize = 40;
/// Longest key and value of a tag: EBS's limits, which are below EC2's.
const MAX_TAG_KEY: usize = 127;
const MAX_TAG_VALUE: usize = 255;
/// Longest description of an AMI, and longest version: a tag's value.
const MAX_TEXT: usize = 255;

/// A field that can't be what it says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request's {field} {value:?} {why}")]
pub struct FormError {
    /// Its name.
    pub field: &'static str,
    /// What it says, or the start of it.
    pub value: String,
    /// The rule.
    pub why: &'static str,
}

/// A request that is in order, and not to be carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is for elsewhere.
    #[error("the request is for the {what} {wanted}, and this agent's is {own}")]
    Elsewhere {
        /// `account`, `region` or `vault`.
        what: &'static str,
        /// The request's.
        wanted: String,
        /// The agent's.
        own: String,
    },
    /// Too late.
    #[error("the request expired at {0}")]
    Expired(OffsetDateTime),
    /// It comes from the future.
    #[error("the request was issued at {issued}, and it is {now}: is a clock wrong?")]
    Future {
        /// When it says that it was signed.
        issued: OffsetDateTime,
        /// The agent's time.
        now: OffsetDateTime,
    },
    /// It would be good for longer than anybody remembers it.
    #[error("the request is good for {0}, and {MAX_LIFE} is the most")]
    LongLife(Duration),
}

/// Where an agent works: what a request has to name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whereabouts {
    /// The account.
    pub account: String,
    /// The region.
    pub region: String,
    /// The vault's name.
    pub vault: String,
}

impl From<&Names> for Whereabouts {
    fn from(names: &Names) -> Whereabouts {
        Whereabouts {
            account: names.account.clone(),
            region: names.region.clone(),
            vault: names.vault.clone(),
        }
    }
}

impl Request {
    /// Checks every field's form.
    ///
    /// # Errors
    /// Names the field.
    pub fn check(&self) -> Result<(), FormError> {
        if self.version != VERSION {
            return Err(wrong("version", &self.version.to_string(), "is not known"));
        }
        let is_account = self.account.len() == 12 && digits(&self.account);
        field(is_account, "account", &self.account, "is not 12 digits")?;
        field(
            is_region(&self.region),
            "region",
            &self.region,
            "is no region",
        )?;
        let vault = Names::new(&self.vault, &self.account, &self.region, "aws");
        field(vault.is_ok(), "vault", &self.vault, "is no vault's name")?;
        let name = self.image.name.parse::<imgtool::spec::Name>();
        let why = "is not 1 to 63 of A-Z a-z 0-9 . _ - with a letter or digit first";
        field(name.is_ok(), "image.name", &self.image.name, why)?;
        check_ami_name(&self.ami_name())?;
        for (name, text) in [
            ("ami.description", &self.ami.description),
            ("ami.version", &self.ami.version),
        ] {
            let Some(text) = text else { continue };
            let fits = !text.is_empty() && text.chars().count() <= MAX_TEXT && plain(text);
            field(fits, name, text, "is not 1 to 255 printable characters")?;
        }
        let count = self.ami.tags.len();
        field(
            count <= MAX_TAGS,
            "ami.tags",
            &count.to_string(),
            "are more than 40 tags",
        )?;
        for (key, value) in &self.ami.tags {
            check_tag(key, value)?;
        }
        if let Some(arn) = &self.ami.kms_key {
            check_key_arn(arn, &self.region)?;
        }
        let order = self.issued < self.expires;
        field(
            order,
            "expires",
            &self.expires.to_string(),
            "is not after issued",
        )
    }

    /// Whether this agent is to carry it out now.
    ///
    /// # Errors
    /// Says why not.
    pub fn admit(&self, own: &Whereabouts, now: OffsetDateTime) -> Result<(), Refusal> {
        for (what, wanted, own) in [
            ("account", &self.account, &own.account),
            ("region", &self.region, &own.region),
            ("vault", &self.vault, &own.vault),
        ] {
            if wanted != own {
                return Err(Refusal::Elsewhere {
                    what,
                    wanted: wanted.clone(),
                    own: own.clone(),
                });
            }
        }
        if self.issued > now.saturating_add(MAX_SKEW) {
            return Err(Refusal::Future {
                issued: self.issued,
                now,
            });
        }
        if self.expires <= now {
            return Err(Refusal::Expired(self.expires));
        }
        let life = self.expires - self.issued;
        if life > MAX_LIFE {
            return Err(Refusal::LongLife(life));
        }
        Ok(())
    }
}

/// EC2's rule for the name of an AMI.
fn check_ami_name(name: &str) -> Result<(), FormError> {
    let allowed = |it: u8| it.is_ascii_alphanumeric() || b"()[] ./-'@_".contains(&it);
    let fits = (3..=128).contains(&name.len()) && name.bytes().all(allowed);
    let why = "is not 3 to 128 of letters, digits, spaces and ( ) [ ] . / - ' @ _";
    // EC2 trims them, and then looks for another name than the one it was given.
    let trimmed = name.trim() == name;
    field(fits && trimmed, "ami.name", name, why)
}

/// The rules of EC2 and EBS for a tag, and ours: `image-vault:` is the agent's.
///
/// # Errors
/// Names the tag.
pub fn check_tag(key: &str, value: &str) -> Result<(), FormError> {
    let fits = (1..=MAX_TAG_KEY).contains(&key.chars().count()) && plain(key);
    field(fits, "tag", key, "is not 1 to 127 printable characters")?;
    let prefix = key.to_ascii_lowercase();
    let reserved = prefix.starts_with("aws:") || prefix.starts_with("image-vault:");
    field(
        !reserved,
        "tag",
        key,
        "begins with aws: or image-vault:, which are reserved",
    )?;
    let fits = value.chars().count() <= MAX_TAG_VALUE && plain(value);
    field(
        fits,
        "tag's value",
        value,
        "is not at most 255 printable characters",
    )
}

/// A key's ARN, of this region.
///
/// # Errors
/// It is something else.
pub fn check_key_arn(arn: &str, region: &str) -> Result<(), FormError> {
    let parts: Vec<&str> = arn.split(':').collect();
    let fits = arn.len() <= 256
        && matches!(parts.as_slice(), ["arn", partition, "kms", of, account, key]
            if partition.starts_with("aws")
                && *of == region
                && account.len() == 12
                && digits(account)
                && key.strip_prefix("key/").is_some_and(is_key_id));
    let why = "is not the ARN of a KMS key of the request's region";
    field(fits, "ami.kms_key", arn, why)
}

fn is_key_id(id: &str) -> bool {
    (1..=64).contains(&id.len())
        && id
            .bytes()
            .all(|it| it.is_ascii_alphanumeric() || it == b'-')
}

fn is_region(region: &str) -> bool {
    (5..=32).contains(&region.len())
        && region
            .bytes()
            .all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-')
}

fn digits(text: &str) -> bool {
    text.bytes().all(|it| it.is_ascii_digit())
}

fn plain(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

fn field(fits: bool, name: &'static str, value: &str, why: &'static str) -> Result<(), FormError> {
    if fits {
        Ok(())
    } else {
        Err(wrong(name, value, why))
    }
}

fn wrong(field: &'static str, value: &str, why: &'static str) -> FormError {
    FormError {
        field,
        // Enough to recognize it, whatever somebody sent.
        value: value.chars().take(80).collect(),
        why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{AmiSpec, ImageRef};

    const NOW: OffsetDateTime = time::macros::datetime!(2026-05-01 12:00 UTC);

    fn request() -> Request {
        let names = Names::new("image-vault", "123456789012", "eu-west-1", "aws").unwrap();
        let image = ImageRef {
            name: "web".to_owned(),
            digest: "ab".repeat(32).parse().unwrap(),
        };
        let life = Duration::hours(24);
        Request::new(&names, image, AmiSpec::default(), NOW, life, [7; 16])
    }

    fn own() -> Whereabouts {
        Whereabouts {
            account: "123456789012".into(),
            region: "eu-west-1".into(),
            vault: "image-vault".into(),
        }
    }

    /// What is wrong with a request after `change`.
    fn refused(change: impl FnOnce(&mut Request)) -> &'static str {
        let mut request = request();
        change(&mut request);
        request.check().unwrap_err().field
    }

    #[test]
    fn a_request_as_it_is_made_is_in_order() {
        let request = request();
        request.check().unwrap();
        request.admit(&own(), NOW).unwrap();
        assert_eq!(request.ami_name(), "web-abababab-07070707");
    }

    #[test]
    fn every_field_is_checked_and_named() {
        assert_eq!(refused(|it| it.version = 2), "version");
        assert_eq!(refused(|it| it.account = "12345678901x".into()), "account");
        assert_eq!(refused(|it| it.region = "eu/west".into()), "region");
        assert_eq!(refused(|it| it.vault = "../other".into()), "vault");
        assert_eq!(refused(|it| it.image.name = "a/../b".into()), "image.name");
        for name in ["ab", "a\nb c", &"x".repeat(129), "näme", " lead", "trail "] {
            assert_eq!(
                refused(|it| it.ami.name = Some(name.into())),
                "ami.name",
                "{name}"
            );
        }
        let long = "x".repeat(256);
        for text in ["", "a\0", &long] {
            let field = refused(|it| it.ami.description = Some(text.into()));
            assert_eq!(field, "ami.description");
            let field = refused(|it| it.ami.version = Some(text.into()));
            assert_eq!(field, "ami.version");
        }
        for key in [
            "",
            "aws:x",
            "AWS:x",
            "image-vault:digest",
            &"k".repeat(128),
            "a\u{7f}",
        ] {
            let field = refused(|it| _ = it.ami.tags.insert(key.into(), String::new()));
            assert_eq!(field, "tag", "{key}");
        }
        let field = refused(|it| _ = it.ami.tags.insert("k".into(), long.clone()));
        assert_eq!(field, "tag's value");
        let field = refused(|it| {
            it.ami.tags = (0..41)
                .map(|it| (format!("k{it}"), String::new()))
                .collect();
        });
        assert_eq!(field, "ami.tags");
        for arn in [
            "alias/other",
            "arn:aws:kms:us-east-1:123456789012:key/1",
            "arn:aws:kms:eu-west-1:123456789012:alias/other",
            "arn:aws:kms:eu-west-1:123456789012:key/../x",
            "arn:aws:s3:eu-west-1:123456789012:key/1",
        ] {
            assert_eq!(
                refused(|it| it.ami.kms_key = Some(arn.into())),
                "ami.kms_key",
                "{arn}"
            );
        }
        assert_eq!(refused(|it| it.expires = it.issued), "expires");
    }

    #[test]
    fn a_request_for_elsewhere_or_another_time_is_not_admitted() {
        let refusal = |change: fn(&mut Request), now| {
            let mut request = request();
            change(&mut request);
            request.admit(&own(), now).unwrap_err().to_string()
        };
        let elsewhere = [
            refusal(|it| it.account = "000000000000".into(), NOW),
            refusal(|it| it.region = "us-east-1".into(), NOW),
            refusal(|it| it.vault = "other".into(), NOW),
        ];
        for (text, what) in elsewhere.iter().zip(["account", "region", "vault"]) {
            assert!(text.contains(what), "{text}");
        }
        let day = Duration::hours(24);
        assert!(refusal(|_| (), NOW + day).contains("expired"));
        assert!(refusal(|_| (), NOW - Duration::seconds(301)).contains("clock"));
        assert!(
            request()
                .admit(&own(), NOW - Duration::seconds(299))
                .is_ok()
        );
        let text = refusal(|it| it.expires += Duration::days(7), NOW);
        assert!(text.contains("the most"), "{text}");
    }
}
