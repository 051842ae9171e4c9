//! The host's configuration: where this machine keeps kernel and stub.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::SpecError;
use super::file::read_text;
use super::locate::from_toml;
use super::resolve::beside;

/// The host's configuration: TOML with the same three fields as `image.toml`, used where neither a
/// flag nor `image.toml` says anything. Paths are relative to the file's directory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostConfig {
    /// Kernel: a Debian package or a bzImage.
    pub kernel: Option<PathBuf>,
    /// Directory of kernel modules.
    pub modules: Option<PathBuf>,
    /// UEFI stub: a Debian package or a PE file.
    pub stub: Option<PathBuf>,
}

/// Parses the host's configuration; its paths come back joined to the directory of `path`.
pub fn parse_host_config(text: &str, path: &Path) -> Result<HostConfig, SpecError> {
    let config: HostConfig = from_toml(text, path)?;
    let join = |p: Option<PathBuf>| p.map(|p| beside(path, &p));
    Ok(HostConfig {
        kernel: join(config.kernel),
        modules: join(config.modules),
        stub: join(config.stub),
    })
}

/// Reads and parses the host's configuration at `path`; `None` if there is no such file.
pub fn load_host_config(path: &Path) -> Result<Option<HostConfig>, SpecError> {
    match read_text(path) {
        Err(SpecError::Read { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            Ok(None)
        }
        text => parse_host_config(&text?, path).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_relative_to_the_file_and_fields_are_known() {
        let path = Path::new("/etc/imgtool/config.toml");
        let config = parse_host_config("kernel = \"k.deb\"\nstub = \"/s/stub.deb\"", path).unwrap();
        assert_eq!(config.kernel, Some("/etc/imgtool/k.deb".into()));
        assert_eq!(config.modules, None);
        assert_eq!(config.stub, Some("/s/stub.deb".into()));
        let error = parse_host_config("kernal = \"k\"", path).unwrap_err();
        assert_eq!(
            error.to_string(),
            "/etc/imgtool/config.toml:1: kernal: unknown field"
        );
        assert_eq!(error.hint().unwrap(), "did you mean `kernel`?");
    }

    #[test]
    fn a_missing_file_is_no_configuration() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(load_host_config(&dir.path().join("none")).unwrap(), None);
    }
}
