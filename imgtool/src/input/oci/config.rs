//! The configuration of an image (OCI image specification, "Image Configuration").

use crate::input::{ContainerConfig, InputError};
use oci_spec::image::{Arch, ImageConfiguration, Os};
use std::collections::BTreeSet;

/// Reads an image configuration. `name` is what messages call it.
pub fn container_config(name: &str, json: &[u8]) -> Result<ContainerConfig, InputError> {
    let parsed = serde_json::from_slice(json).map_err(|source| InputError::Json {
        image: name.to_string(),
        document: "its configuration".to_string(),
        source,
    })?;
    Ok(convert(name, &parsed, &mut BTreeSet::new()))
}

/// What of the configuration counts here.
pub(super) fn convert(
    name: &str,
    parsed: &ImageConfiguration,
    warnings: &mut BTreeSet<String>,
) -> ContainerConfig {
    let Some(config) = parsed.config() else {
        return ContainerConfig::default();
    };
    let mut env = Vec::new();
    for entry in config.env().iter().flatten() {
        match entry.split_once('=') {
            Some((key, value)) if !key.is_empty() => env.push((key.to_string(), value.to_string())),
            _ => {
                let entry: String = entry.chars().take(100).collect();
                warnings.insert(format!(
                    "{name}: its environment has {entry:?}, which is not NAME=VALUE: left out"
                ));
            }
        }
    }
    let given = |text: &Option<String>| text.clone().filter(|t| !t.is_empty());
    ContainerConfig {
        entrypoint: config.entrypoint().clone().unwrap_or_default(),
        cmd: config.cmd().clone().unwrap_or_default(),
        env,
        user: given(config.user()),
        working_dir: given(config.working_dir()),
    }
}

/// Operating system and architecture, as `linux/amd64`.
pub(super) fn platform(os: &Os, arch: &Arch) -> String {
    format!("{os}/{arch}")
}

/// The platform that images are made for.
pub(super) const PLATFORM: &str = "linux/amd64";
