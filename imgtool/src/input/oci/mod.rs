//! Container images: OCI image layouts (OCI image specification 1.1) and what `docker save`
//! writes. Every blob is verified before it is used.

mod config;
mod docker;
mod form;
mod layers;
mod layout;
mod store;

pub use config::container_config;
pub(super) use docker::load as docker;
pub(super) use form::{Form, Forms};
pub(super) use layout::load as layout;
pub(super) use store::{MAX_DOCUMENT, Store};

use super::ContainerConfig;
use crate::tree::Tree;

/// A loaded container image.
pub(super) struct Image {
    pub(super) tree: Tree,
    pub(super) config: ContainerConfig,
}
