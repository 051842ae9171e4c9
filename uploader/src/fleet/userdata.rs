//! What a converter's instance is told when it is launched: user data, a small JSON text. Whoever
//! launches writes it, and the instance reads it from the metadata service. In between it can be
//! changed by whoever may change instances: the reader believes nothing that it has not checked.

use crate::vault::{NameError, Names};
use serde::{Deserialize, Serialize};

/// Version of the format.
pub const VERSION: u32 = 1;
/// Longest user data that EC2 takes, before it is encoded.
pub const MAX_LEN: usize = 16 << 10;
/// Longest time without a request: a week.
const MAX_IDLE: u32 = 7 * 24 * 3600;
/// Longest URL.
const MAX_URL: usize = 1024;

/// What the agent on an instance has to know, and can't find out there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserData {
    /// Version of this format: 1.
    pub version: u32,
    /// The vault's name.
    pub vault: String,
    /// The region.
    pub region: String,
    /// Seconds without a request after which the instance ends itself.
    pub idle_seconds: u32,
    /// Where all services answer, instead of AWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_url: Option<String>,
    /// Certificates, in PEM form, that are trusted instead of the image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
}

/// User data can't be what a converter is told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserDataError {
    /// There is none.
    #[error("the instance has no user data")]
    Missing,
    /// It is longer than EC2 takes.
    #[error("the user data has {len} bytes, and EC2 takes {MAX_LEN}")]
    TooLong {
        /// So many bytes.
        len: usize,
    },
    /// It is not in form.
    #[error("the user data is not a converter's: {0}")]
    Form(String),
    /// It is another version's.
    #[error("user data of version {0}, and only {VERSION} is known")]
    Version(u32),
    /// A field can't have this value.
    #[error("user data: {field}: {why}")]
    Field {
        /// Which.
        field: &'static str,
        /// Why not.
        why: String,
    },
}

impl UserDataError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            UserDataError::Missing => Some(
                "uploader convert and uploader publish launch converters with what they need"
                    .to_owned(),
            ),
            UserDataError::Version(_) => Some(
                "uploader converter bootstrap makes an AMI of the version that launches it"
                    .to_owned(),
            ),
            UserDataError::TooLong { .. } => {
                Some("give fewer certificates: those that sign the endpoint's".to_owned())
            }
            UserDataError::Form(_) | UserDataError::Field { .. } => None,
        }
    }
}

impl UserData {
    /// What a converter of this vault is told.
    pub fn new(names: &Names, idle_seconds: u32) -> UserData {
        UserData {
            version: VERSION,
            vault: names.vault.clone(),
            region: names.region.clone(),
            idle_seconds,
            endpoint_url: None,
            ca: None,
        }
    }

    /// The text, as EC2 is given it (which wants it in base64).
    ///
    /// # Errors
    /// A field can't be, or all together are too long.
    pub fn to_text(&self) -> Result<String, UserDataError> {
        self.check()?;
        let text = serde_json::to_string(self);
        let text = text.map_err(|error| UserDataError::Form(error.to_string()))?;
        match text.len() <= MAX_LEN {
            true => Ok(text),
            false => Err(UserDataError::TooLong { len: text.len() }),
        }
    }

    /// Reads it.
    ///
    /// # Errors
    /// It is too long, not in form, of another version, or says what can't be.
    pub fn parse(text: &str) -> Result<UserData, UserDataError> {
        if text.trim().is_empty() {
            return Err(UserDataError::Missing);
        }
        if text.len() > MAX_LEN {
            return Err(UserDataError::TooLong { len: text.len() });
        }
        let form = |error: serde_json::Error| UserDataError::Form(error.to_string());
        // The version first: another's fields are not this one's mistakes.
        #[derive(Deserialize)]
        struct Any {
            version: u32,
        }
        let Any { version } = serde_json::from_str(text).map_err(form)?;
        if version != VERSION {
            return Err(UserDataError::Version(version));
        }
        let data: UserData = serde_json::from_str(text).map_err(form)?;
        data.check()?;
        Ok(data)
    }

    fn check(&self) -> Result<(), UserDataError> {
        let refused = |field, why: String| Err(UserDataError::Field { field, why });
        if self.version != VERSION {
            return Err(UserDataError::Version(self.version));
        }
        if let Err(error @ NameError(_)) = Names::new(&self.vault, "", "", "") {
            return refused("vault", error.to_string());
        }
        let in_region = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-';
        if !(1..=32).contains(&self.region.len()) || !self.region.bytes().all(in_region) {
            return refused("region", format!("{:?} is no region", self.region));
        }
        if !(1..=MAX_IDLE).contains(&self.idle_seconds) {
            return refused("idle_seconds", format!("1 to {MAX_IDLE}"));
        }
        if let Some(url) = &self.endpoint_url {
            check_url(url).or_else(|why| refused("endpoint_url", format!("{url:?}: {why}")))?;
        }
        if let Some(ca) = &self.ca {
            check_ca(ca).or_else(|why| refused("ca", why.to_owned()))?;
        }
        Ok(())
    }
}

fn check_url(url: &str) -> Result<(), &'static str> {
    let rest = url.strip_prefix("https://").or(url.strip_prefix("http://"));
    let Some(rest) = rest else {
        return Err("a URL that begins with https:// or http:// is wanted");
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if host.is_empty() || host.starts_with(':') {
        return Err("it names no host");
    }
    if host.contains('@') {
        return Err("a user name or password has no place in it");
    }
    if url.len() > MAX_URL || !url.bytes().all(|it| it.is_ascii_graphic()) {
        return Err("too long, or with characters that no URL has");
    }
    Ok(())
}

fn check_ca(ca: &str) -> Result<(), &'static str> {
    if ca.contains("PRIVATE KEY-----") {
        return Err("there is a private key in it, which everybody on the instance could read");
    }
    let begins = ca.matches("-----BEGIN CERTIFICATE-----").count();
    let ends = ca.matches("-----END CERTIFICATE-----").count();
    match begins == ends && begins > 0 {
        true => Ok(()),
        false => Err("no certificates in PEM form"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CA: &str = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";

    fn all() -> UserData {
        UserData {
            version: VERSION,
            vault: "image-vault".into(),
            region: "eu-west-1".into(),
            idle_seconds: 3600,
            endpoint_url: Some("https://aws.example:4566/x".into()),
            ca: Some(CA.into()),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let names = Names::new("image-vault", "1", "eu-west-1", "aws").unwrap();
        let least = UserData::new(&names, 60);
        assert_eq!(
            least.to_text().unwrap(),
            r#"{"version":1,"vault":"image-vault","region":"eu-west-1","idle_seconds":60}"#
        );
        for data in [least, all()] {
            assert_eq!(UserData::parse(&data.to_text().unwrap()).unwrap(), data);
        }
    }

    #[test]
    fn what_can_not_be_is_refused_by_field() {
        type Change = fn(&mut UserData);
        let cases: &[(Change, &str)] = &[
            (|it| it.version = 2, "version 2"),
            (|it| it.vault = "../x".into(), "vault: "),
            (|it| it.region = String::new(), "region: "),
            (|it| it.region = "eu west".into(), "region: "),
            (|it| it.region = "x".repeat(33), "region: "),
            (|it| it.idle_seconds = 0, "idle_seconds: "),
            (|it| it.idle_seconds = u32::MAX, "idle_seconds: "),
            (
                |it| it.endpoint_url = Some("ftp://x".into()),
                "endpoint_url: ",
            ),
            (
                |it| it.endpoint_url = Some("https://".into()),
                "names no host",
            ),
            (
                |it| it.endpoint_url = Some("https:///x".into()),
                "names no host",
            ),
            (
                |it| it.endpoint_url = Some("http://:80".into()),
                "names no host",
            ),
            (
                |it| it.endpoint_url = Some("http://a:b@c".into()),
                "user name",
            ),
            (
                |it| it.endpoint_url = Some("http://a b".into()),
                "no URL has",
            ),
            (
                |it| it.endpoint_url = Some(format!("http://{}", "a".repeat(2000))),
                "too long",
            ),
            (|it| it.ca = Some("hello".into()), "ca: no certificates"),
            (
                |it| it.ca = Some(format!("{CA}-----BEGIN CERTIFICATE-----")),
                "ca: no",
            ),
            (
                |it| it.ca = Some(format!("{CA}-----BEGIN EC PRIVATE KEY-----")),
                "private key",
            ),
        ];
        for (change, why) in cases {
            let mut data = all();
            change(&mut data);
            let error = data.to_text().unwrap_err().to_string();
            assert!(error.contains(why), "{error:?} has no {why:?}");
            let text = serde_json::to_string(&data).unwrap();
            assert_eq!(UserData::parse(&text).unwrap_err().to_string(), error);
        }
        let mut long = all();
        long.ca = Some(CA.repeat(MAX_LEN / CA.len()));
        assert!(matches!(long.to_text(), Err(UserDataError::TooLong { .. })));
    }

    #[test]
    fn what_is_no_user_data_is_refused_by_what_it_is() {
        for (text, why) in [
            ("", "no user data"),
            ("  \n", "no user data"),
            ("#!/bin/sh\nrm -rf /", "not a converter's"),
            ("{}", "missing field `version`"),
            ("{\"version\": 7, \"more\": true}", "version 7"),
            ("{\"version\": 1}", "missing field `vault`"),
            ("[1]", "not a converter's"),
        ] {
            let error = UserData::parse(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text:?}: {error:?} has no {why:?}");
        }
        let more = all().to_text().unwrap().replacen('{', "{\"shell\":1,", 1);
        let error = UserData::parse(&more).unwrap_err().to_string();
        assert!(error.contains("shell"), "{error}");
        let long = " ".repeat(MAX_LEN) + &all().to_text().unwrap();
        assert!(matches!(
            UserData::parse(&long),
            Err(UserDataError::TooLong { .. })
        ));
        // Brackets as deep as it may be long.
        assert!(UserData::parse(&"[".repeat(MAX_LEN)).is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,200}", at in any::<prop::sample::Index>(), with in any::<char>()) {
            let _ = UserData::parse(&text);
            let mut good: Vec<char> = all().to_text().unwrap().chars().collect();
            let at = at.index(good.len());
            good[at] = with;
            if let Ok(data) = UserData::parse(&good.into_iter().collect::<String>()) {
                // What is believed can be passed on.
                prop_assert!(data.to_text().is_ok());
            }
        }
    }
}
