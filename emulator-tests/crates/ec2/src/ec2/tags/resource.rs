//! Which resources are our own, and their tags.

use crate::ec2::lookup;
use emulator_protocol::{AwsError, Caller, Params};
use emulator_state::world::{Change, Image, Instance, Snapshot, Tags, Volume, World};

/// What begins the ids of our own resources, and what `DescribeTags` calls them.
const OWN: [(&str, &str); 4] = [
    ("ami-", "image"),
    ("i-", "instance"),
    ("snap-", "snapshot"),
    ("vol-", "volume"),
];

/// Whether an id is of our own kinds, there or not.
pub(super) fn is_own(id: &str) -> bool {
    OWN.iter().any(|(prefix, _)| id.starts_with(prefix))
}

/// Whether a request names resources, and none of our own kinds.
pub(super) fn foreign_only(params: &Params) -> bool {
    let ids = params.list("ResourceId");
    !ids.is_empty() && !ids.iter().any(|id| is_own(id))
}

/// A resource of our own that the caller may tag.
pub(super) enum Resource<'a> {
    Image(&'a Image),
    Instance(&'a Instance),
    Snapshot(&'a Snapshot),
    Volume(&'a Volume),
}

impl<'a> Resource<'a> {
    /// The caller's resource of this id.
    pub(super) fn find(
        world: &'a World,
        caller: &Caller,
        id: &str,
    ) -> Result<Resource<'a>, AwsError> {
        Ok(match id.split_once('-').map(|(prefix, _)| prefix) {
            Some("ami") => Self::Image(lookup::own_image(world, caller, id)?),
            Some("i") => Self::Instance(lookup::instance(world, caller, id)?),
            Some("snap") => Self::Snapshot(lookup::own_snapshot(world, caller, id)?),
            Some("vol") => Self::Volume(lookup::volume(world, caller, id)?),
            _ => {
                return Err(AwsError::new(
                    "InvalidID",
                    format!("The ID '{id}' is not valid"),
                ));
            }
        })
    }

    /// Every resource that the caller owns in this region, with its id and kind.
    pub(super) fn all(world: &'a World, caller: &Caller) -> Vec<(&'a str, &'static str, &'a Tags)> {
        let mut all = Vec::new();
        macro_rules! add {
            ($records:ident, $kind:literal) => {
                let records = world.$records.values();
                let own =
                    records.filter(|it| it.owner == caller.account && it.region == caller.region);
                all.extend(own.map(|it| (it.id.as_str(), $kind, &it.tags)));
            };
        }
        add!(images, "image");
        add!(instances, "instance");
        add!(snapshots, "snapshot");
        add!(volumes, "volume");
        all
    }

    /// Its tags.
    pub(super) fn tags(&self) -> &'a Tags {
        match self {
            Self::Image(it) => &it.tags,
            Self::Instance(it) => &it.tags,
            Self::Snapshot(it) => &it.tags,
            Self::Volume(it) => &it.tags,
        }
    }

    /// The same with other tags.
    pub(super) fn with(&self, tags: Tags) -> Change {
        match self {
            Self::Image(it) => Change::Image(Box::new(Image {
                tags,
                ..(*it).clone()
            })),
            Self::Instance(it) => Change::Instance(Box::new(Instance {
                tags,
                ..(*it).clone()
            })),
            Self::Snapshot(it) => Change::Snapshot(Snapshot {
                tags,
                ..(*it).clone()
            }),
            Self::Volume(it) => Change::Volume(Volume {
                tags,
                ..(*it).clone()
            }),
        }
    }
}
