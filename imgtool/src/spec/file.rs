//! `image.toml`.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::locate::from_toml;
use super::{
    ByteSize, Cmdline, EnvName, EnvValue, Firmware, GuestPath, Hostname, Label, Name, OwnerPolicy,
    Restart, Size, SpecError, User,
};

/// No spec that a person wrote is larger.
const MAX_FILE: u64 = 1 << 20;

/// `image.toml`, as written. Every field is optional; `docs/image-toml.md` is its manual. Host
/// paths are relative to the file's directory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpecFile {
    /// The application: ELF, directory, archive or container image.
    pub input: Option<PathBuf>,
    /// The image's name.
    pub name: Option<Name>,
    /// Host name until instance metadata or DHCP says another.
    pub hostname: Option<Hostname>,
    /// How large the disk is.
    pub size: Option<Size>,
    /// Bytes that the unpacked input may have at most.
    pub max_size: Option<ByteSize>,
    /// What firmware the image boots under.
    pub firmware: Option<Firmware>,
    /// Kernel: a Debian package or a bzImage.
    pub kernel: Option<PathBuf>,
    /// Directory of kernel modules.
    pub modules: Option<PathBuf>,
    /// UEFI stub: a Debian package or a PE file.
    pub stub: Option<PathBuf>,
    /// What is appended to the kernel's command line.
    pub cmdline: Option<Cmdline>,
    /// Who owns the files.
    pub owner: Option<OwnerPolicy>,
    /// Every time in the image: seconds since 1970.
    pub timestamp: Option<u32>,
    /// Whether root's partition and file system grow to the end of the disk at boot.
    pub grow: Option<bool>,
    /// Volume label of the root file system.
    pub label: Option<Label>,
    /// The image's own init takes over as PID 1; nothing below can be given with it.
    pub init: Option<GuestPath>,
    /// Replaces the container image's entry point, and drops its command.
    pub entrypoint: Option<Vec<String>>,
    /// Replaces the container image's command.
    pub command: Option<Vec<String>>,
    /// Who runs the application.
    pub user: Option<User>,
    /// Working directory.
    pub working_directory: Option<GuestPath>,
    /// When a finished application is started again.
    pub restart: Option<Restart>,
    /// Whether the application starts when the network is up, and not before.
    pub wait_for_network: Option<bool>,
    /// Environment variables, added to the container image's.
    #[serde(default)]
    pub env: BTreeMap<EnvName, EnvValue>,
    /// Files and directories of the host to add, in order.
    #[serde(default)]
    pub add: Vec<AddEntry>,
}

/// One `[[add]]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddEntry {
    /// File or directory of the host.
    pub source: PathBuf,
    /// Its absolute path in the image, below `/`.
    #[serde(deserialize_with = "below_root")]
    pub target: GuestPath,
}

fn below_root<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<GuestPath, D::Error> {
    let target = GuestPath::deserialize(deserializer)?;
    super::value::addition_target(target).map_err(serde::de::Error::custom)
}

/// Parses `image.toml`. Errors name `name`, the line, the field and the nearest known one.
pub fn parse(text: &str, name: &Path) -> Result<SpecFile, SpecError> {
    from_toml(text, name)
}

/// Reads and parses the `image.toml` at `path`.
pub fn load(path: &Path) -> Result<SpecFile, SpecError> {
    parse(&read_text(path)?, path)
}

/// A text file of at most [`MAX_FILE`] bytes.
pub(super) fn read_text(path: &Path) -> Result<String, SpecError> {
    let mut text = String::new();
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(MAX_FILE + 1).read_to_string(&mut text));
    match read {
        Ok(_) if text.len() as u64 > MAX_FILE => Err(SpecError::TooLarge {
            path: path.to_owned(),
            limit: MAX_FILE,
        }),
        Ok(_) => Ok(text),
        Err(source) => Err(SpecError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_line_field_and_reason() {
        for (text, message, hint) in [
            (
                "name = \"a\"\nsise = 1\n",
                "image.toml:2: sise: unknown field",
                Some("did you mean `size`?"),
            ),
            (
                "banana = 1",
                "image.toml:1: banana: unknown field",
                Some("known fields: input, name, "),
            ),
            (
                "\n\nsize = \"8G\"",
                "image.toml:3: size: \"8G\": an ambiguous unit",
                None,
            ),
            ("size = true", "image.toml:1: size: invalid type", None),
            ("size = -5", "image.toml:1: size: \"-5\": ", None),
            ("name = \"-a\"", "image.toml:1: name: \"-a\": a name", None),
            ("name = 5", "image.toml:1: name: invalid type", None),
            ("command = \"ls\"", "image.toml:1: command: invalid", None),
            (
                "command = [\n \"ls\",\n 5]",
                "image.toml:3: command: invalid",
                None,
            ),
            (
                "[env]\nA = \"1\"\n\"B C\" = \"2\"",
                "image.toml:3: env.B C: \"B C\": ",
                None,
            ),
            ("[env]\nA = 1", "image.toml:2: env.A: invalid type", None),
            (
                "[[add]]\nsource = \"a\"\ntarget = \"b\"",
                "image.toml:3: add.target: \"b\": a path in the image is absolute",
                None,
            ),
            (
                "[[add]]\nsource = \"a\"\ntarget = \"/\"",
                "image.toml:3: add.target: \"/\": an addition",
                None,
            ),
            (
                "[[add]]\nsource = \"a\"\n\n[[add]]\nsource = \"a\"\ndest = \"/b\"",
                "image.toml:1: add: missing field `target`",
                None,
            ),
            (
                "[[add]]\nsource = \"a\"\ntarget = \"/b\"\ndest = \"/b\"",
                "image.toml:4: dest: unknown field",
                Some("known fields: source, target"),
            ),
            (
                "restart = \"never\"",
                "image.toml:1: restart: unknown variant `never`, expected one of",
                None,
            ),
            ("timestamp = -1", "image.toml:1: timestamp: invalid", None),
            ("name = \"a\"\nname = \"b\"", "image.toml:2: ", None),
            ("name = ", "image.toml:1: ", None),
            ("init = \"sbin/init\"", "image.toml:1: init: ", None),
            ("cmdline = \"a\\nb\"", "image.toml:1: cmdline: ", None),
        ] {
            let error = parse(text, Path::new("image.toml")).unwrap_err();
            let shown = error.to_string();
            assert!(shown.starts_with(message), "{text:?}\n{shown}\n{message}");
            assert!(!shown.contains('\n'), "{shown}");
            match hint {
                Some(hint) => assert!(error.hint().unwrap().starts_with(hint), "{text:?}"),
                None => assert_eq!(error.hint(), None, "{text:?}"),
            }
            assert_eq!(error.class(), crate::Class::Input);
        }
    }

    #[test]
    fn an_empty_file_says_nothing() {
        assert_eq!(
            parse("", Path::new("image.toml")).unwrap(),
            SpecFile::default()
        );
    }

    #[test]
    fn a_huge_or_missing_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("image.toml");
        let error = load(&path).unwrap_err();
        assert!(matches!(error, SpecError::Read { .. }));
        assert_eq!(error.class(), crate::Class::Input);
        std::fs::write(&path, " ".repeat(MAX_FILE as usize + 1)).unwrap();
        assert!(matches!(load(&path), Err(SpecError::TooLarge { .. })));
    }

    #[test]
    fn deep_nesting_is_refused_and_does_not_exhaust_the_stack() {
        for (open, close) in [("[", "]"), ("{a=", "}")] {
            let text = format!(
                "command = {}1{}",
                open.repeat(100_000),
                close.repeat(100_000)
            );
            parse(&text, Path::new("x")).unwrap_err();
        }
        for text in [
            format!("{}a = 1", "a.".repeat(200_000)),
            format!("[{}a]", "a.".repeat(200_000)),
            format!("[[{}a]]", "env.".repeat(200_000)),
        ] {
            parse(&text, Path::new("x")).unwrap_err();
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,64}", field in "[a-z_]{1,8}") {
            let _ = parse(&text, Path::new("x"));
            let _ = parse(&format!("{field} = {text}"), Path::new("x"));
            let _ = parse(&format!("size = \"{text}\"\nadd = [{{ {field} = \"{text}\" }}]"), Path::new("x"));
        }
    }
}
