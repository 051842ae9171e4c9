//! The two forms of a container image, told apart by the names of an archive's members.

use serde::Deserialize;

/// What a tar archive with an image in it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::input) enum Form {
    /// An OCI image layout.
    Layout,
    /// What `docker save` writes.
    Docker,
}

/// Tells an archive's form by its members.
#[derive(Debug, Default)]
pub(in crate::input) struct Forms {
    layout: bool,
    index: bool,
    docker: bool,
}

impl Forms {
    /// Takes note of the member `name`.
    pub(in crate::input) fn see(&mut self, name: &[u8], content: impl FnOnce() -> Option<Vec<u8>>) {
        match name.strip_prefix(b"./").unwrap_or(name) {
            b"oci-layout" => self.layout = true,
            b"index.json" => self.index = true,
            b"manifest.json" => {
                self.docker = content().is_some_and(|json| is_docker_manifest(&json));
            }
            _ => {}
        }
    }

    /// A layout comes first: new versions of docker write both, and only there do blobs have
    /// digests.
    pub(in crate::input) fn form(&self) -> Option<Form> {
        if self.layout && self.index {
            Some(Form::Layout)
        } else {
            self.docker.then_some(Form::Docker)
        }
    }
}

/// An image of `manifest.json`, which holds a list of them.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DockerImage {
    pub(super) config: String,
    pub(super) repo_tags: Option<Vec<String>>,
    pub(super) layers: Vec<String>,
}

/// Whether a root file system's `manifest.json` is docker's.
fn is_docker_manifest(json: &[u8]) -> bool {
    serde_json::from_slice::<Vec<DockerImage>>(json).is_ok_and(|images| !images.is_empty())
}
