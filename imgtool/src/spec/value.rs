//! The values of a spec, each valid once it exists. Flags and `image.toml` go through the same
//! types, so that both refuse the same things with the same words.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;

/// A value that a field can't have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?}: {why}")]
pub struct ValueError {
    value: String,
    why: String,
}

impl ValueError {
    pub(super) fn new(value: impl Into<String>, why: impl Into<String>) -> ValueError {
        ValueError {
            value: value.into(),
            why: why.into(),
        }
    }
}

/// A text with a rule: `$check` says why it is not valid, or gives its normal form.
macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = ValueError;

            fn try_from(text: String) -> Result<$name, ValueError> {
                let check: fn(&str) -> Result<String, &'static str> = $check;
                match check(&text) {
                    Ok(normal) => Ok($name(normal)),
                    Err(why) => Err(ValueError::new(text, why)),
                }
            }
        }

        impl FromStr for $name {
            type Err = ValueError;

            fn from_str(text: &str) -> Result<$name, ValueError> {
                text.to_owned().try_into()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.0
            }
        }
    };
}

text!(
    /// The image's name: 1 to 63 of `A-Z a-z 0-9 . _ -`, the first a letter or a digit.
    Name,
    |text| {
        let valid = text.len() <= 63
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        if valid {
            Ok(text.to_owned())
        } else {
            Err("a name is 1 to 63 of A-Z a-z 0-9 . _ - and starts with a letter or a digit")
        }
    }
);

text!(
    /// A host name (RFC 1123): labels of letters, digits and inner hyphens, joined by dots; 63
    /// characters at most (Linux keeps 64).
    Hostname,
    |text| {
        let label = |label: &str| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        if text.len() <= 63 && text.split('.').all(label) {
            Ok(text.to_owned())
        } else {
            Err(
                "a host name is 1 to 63 of A-Z a-z 0-9 - in parts joined by dots, none of which \
                 starts or ends with a hyphen",
            )
        }
    }
);

text!(
    /// An ext4 volume label: 1 to 16 printable ASCII characters.
    Label,
    |text| {
        if (1..=16).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
            Ok(text.to_owned())
        } else {
            Err("a label is 1 to 16 printable ASCII characters without spaces")
        }
    }
);

text!(
    /// Words for the kernel's command line: printable ASCII, 1024 bytes at most. (The kernel's
    /// own limit, 2048 on x86, is for these and imgtool's words together.)
    Cmdline,
    |text| {
        if text.len() > 1024 {
            Err("longer than 1024 bytes")
        } else if text.bytes().all(|b| (0x20..0x7f).contains(&b)) {
            Ok(text.to_owned())
        } else {
            Err("the kernel's command line is one line of printable ASCII")
        }
    }
);

text!(
    /// The name of an environment variable: no `=`, no white space, no control characters.
    EnvName,
    |text| {
        if text.is_empty() {
            Err("an environment variable without a name")
        } else if text
            .chars()
            .any(|c| c == '=' || c.is_whitespace() || c.is_control())
        {
            Err("an environment variable's name has no '=', white space or control characters")
        } else {
            Ok(text.to_owned())
        }
    }
);

text!(
    /// The value of an environment variable: anything but NUL.
    EnvValue,
    |text| {
        if text.contains('\0') {
            Err("an environment variable's value can't hold a NUL byte")
        } else {
            Ok(text.to_owned())
        }
    }
);

text!(
    /// Who runs the application: `USER`, `UID`, `USER:GROUP` or `UID:GID`. Names are looked up in
    /// the image's `/etc/passwd` and `/etc/group`.
    User,
    |text| {
        let part = |part: &str| {
            !part.is_empty()
                && part.len() <= 32
                && !part.starts_with(['-', '.'])
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'$'))
                // u32::MAX is "no change" to setresuid(2), so no user has it.
                && (!part.bytes().all(|b| b.is_ascii_digit())
                    || part.parse::<u32>().is_ok_and(|id| id < u32::MAX))
        };
        let mut parts = text.splitn(2, ':');
        if parts.all(part) {
            Ok(text.to_owned())
        } else {
            Err("a user is USER, UID, USER:GROUP or UID:GID")
        }
    }
);

text!(
    /// An absolute path in the image, without `..`; kept without doubled or trailing slashes.
    GuestPath,
    |text| {
        if !text.starts_with('/') {
            return Err("a path in the image is absolute: it starts with /");
        }
        if text.contains('\0') {
            return Err("a path can't hold a NUL byte");
        }
        if text.len() > 4095 {
            return Err("a path is at most 4095 bytes");
        }
        let mut path = String::new();
        for name in text.split('/').filter(|n| !n.is_empty() && *n != ".") {
            if name == ".." {
                return Err("a path in the image has no `..`");
            }
            if name.len() > 255 {
                return Err("a name longer than 255 bytes, which ext4 can't hold");
            }
            path.push('/');
            path.push_str(name);
        }
        if path.is_empty() {
            path.push('/');
        }
        Ok(path)
    }
);

/// `NAME=VALUE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvVar {
    /// The variable's name.
    pub name: EnvName,
    /// Its value.
    pub value: EnvValue,
}

impl FromStr for EnvVar {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<EnvVar, ValueError> {
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| ValueError::new(text, "an environment variable is NAME=VALUE"))?;
        Ok(EnvVar {
            name: name.parse()?,
            value: value.parse()?,
        })
    }
}

/// `SRC:DST`: a file or directory of the host and its absolute path in the image. The last `:/`
/// is the one that separates, so a source may have colons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addition {
    /// Path on the host.
    pub source: PathBuf,
    /// Path in the image, not `/` itself.
    pub target: GuestPath,
}

impl FromStr for Addition {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Addition, ValueError> {
        let (source, target) = text
            .rfind(":/")
            .map(|at| (&text[..at], &text[at + 1..]))
            .filter(|(source, _)| !source.is_empty())
            .ok_or_else(|| {
                ValueError::new(
                    text,
                    "an addition is SRC:DST, where DST is an absolute path",
                )
            })?;
        Ok(Addition {
            source: source.into(),
            target: addition_target(target.parse()?)?,
        })
    }
}

/// Refuses `/`: an addition is put at a path, it doesn't replace the root directory.
pub(super) fn addition_target(target: GuestPath) -> Result<GuestPath, ValueError> {
    if target.as_str() == "/" {
        return Err(ValueError::new(
            "/",
            "an addition goes to a path below /, not to / itself",
        ));
    }
    Ok(target)
}

/// What firmware the image boots under.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Firmware {
    /// BIOS and UEFI.
    #[default]
    Hybrid,
    /// BIOS only; needs no UEFI stub.
    Bios,
    /// UEFI only.
    Uefi,
}

/// Who owns the files of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OwnerPolicy {
    /// Root owns everything.
    Root,
    /// Owners stay what they are in the input.
    Keep,
}

/// `FromStr`, `Display` and the list of names of an enum of plain words.
macro_rules! words {
    ($name:ident, $what:literal, $($word:literal => $variant:ident),+) => {
        impl $name {
            /// The words, in the order in which help lists them.
            pub const WORDS: &[&str] = &[$($word),+];

            /// The word.
            pub fn word(self) -> &'static str {
                match self {
                    $($name::$variant => $word),+
                }
            }
        }

        impl FromStr for $name {
            type Err = ValueError;

            fn from_str(text: &str) -> Result<$name, ValueError> {
                match text {
                    $($word => Ok($name::$variant),)+
                    _ => Err(ValueError::new(
                        text,
                        format!(concat!($what, " is one of {}"), $name::WORDS.join(", ")),
                    )),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.word())
            }
        }
    };
}

words!(Firmware, "firmware", "hybrid" => Hybrid, "bios" => Bios, "uefi" => Uefi);
words!(OwnerPolicy, "owner", "root" => Root, "keep" => Keep);

#[cfg(test)]
mod tests {
    use super::*;

    fn refused<T: FromStr<Err = ValueError> + fmt::Debug>(texts: &[&str]) {
        for text in texts {
            assert!(text.parse::<T>().is_err(), "{text:?}");
        }
    }

    fn accepted<T: FromStr<Err = ValueError> + fmt::Debug>(texts: &[&str]) {
        for text in texts {
            text.parse::<T>().unwrap();
        }
    }

    #[test]
    fn each_value_keeps_its_rule() {
        let long = "a".repeat(64);
        accepted::<Name>(&["a", "server-1.0_x", &long[..63]]);
        refused::<Name>(&["", "-a", ".a", "a b", "a/b", "ä", &long]);
        accepted::<Hostname>(&["a", "web-1.example", &long[..63]]);
        refused::<Hostname>(&["", "-a", "a-", "a..b", "a_b", "a.", &long]);
        accepted::<Label>(&["root", "0123456789abcdef"]);
        refused::<Label>(&["", "a b", "0123456789abcdefg", "ä"]);
        accepted::<Cmdline>(&["", "quiet panic=5", &"x".repeat(1024)]);
        refused::<Cmdline>(&["a\nb", "a\0", "ä", "\t", &"x".repeat(1025)]);
        accepted::<EnvVar>(&["A=", "A=b=c", "discovery.type=single", "A=two\nlines"]);
        refused::<EnvVar>(&["A", "=b", "A B=c", "A=\0", "A\n=b"]);
        accepted::<User>(&["root", "0", "1000:1000", "www-data:www-data", "4294967294"]);
        refused::<User>(&["", ":", "a:", ":a", "a:b:c", "a b", "4294967295", "-1"]);
        accepted::<GuestPath>(&["/", "/a", "/a/../b".replace("..", "c").as_str()]);
        refused::<GuestPath>(&["", "a", "./a", "/a/../b", "/..", "/a\0"]);
        refused::<Firmware>(&["", "BIOS", "efi"]);
    }

    #[test]
    fn a_guest_path_has_one_spelling() {
        for (text, path) in [("//a///b/", "/a/b"), ("/./a/.", "/a"), ("//", "/")] {
            assert_eq!(text.parse::<GuestPath>().unwrap().as_str(), path);
        }
    }

    #[test]
    fn an_addition_splits_at_the_last_colon_before_an_absolute_path() {
        for (text, source, target) in [
            ("a:/b", "a", "/b"),
            ("a:b:/c", "a:b", "/c"),
            ("/a:/b:c", "/a", "/b:c"),
        ] {
            let addition: Addition = text.parse().unwrap();
            assert_eq!(addition.source, PathBuf::from(source));
            assert_eq!(addition.target.as_str(), target);
        }
        refused::<Addition>(&["", "a", "a:b", ":/b", "a:/", "a:/../b", "a:/./"]);
    }

    #[test]
    fn words_round_trip() {
        for word in Firmware::WORDS {
            assert_eq!(word.parse::<Firmware>().unwrap().word(), *word);
        }
        for word in OwnerPolicy::WORDS {
            assert_eq!(word.parse::<OwnerPolicy>().unwrap().word(), *word);
        }
    }
}
