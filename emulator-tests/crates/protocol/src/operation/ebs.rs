//! The operations of the EBS direct API: one table of methods and paths, for whoever names a request,
//! checks it against the model or answers it.

use http::Method;
use percent_encoding::percent_decode_str;

/// An operation, with what its path names, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EbsOperation {
    /// `POST /snapshots`.
    StartSnapshot,
    /// `POST /snapshots/completion/ID`.
    CompleteSnapshot {
        /// The snapshot.
        snapshot: String,
    },
    /// `PUT /snapshots/ID/blocks/INDEX`.
    PutSnapshotBlock {
        /// The snapshot.
        snapshot: String,
        /// The block, which need not be a number.
        index: String,
    },
    /// `GET /snapshots/ID/blocks/INDEX`.
    GetSnapshotBlock {
        /// The snapshot.
        snapshot: String,
        /// The block, which need not be a number.
        index: String,
    },
    /// `GET /snapshots/ID/blocks`.
    ListSnapshotBlocks {
        /// The snapshot.
        snapshot: String,
    },
    /// `GET /snapshots/ID/changedblocks`.
    ListChangedBlocks {
        /// The second of the two snapshots; the first is in the query.
        second_snapshot: String,
    },
}

impl EbsOperation {
    /// The operation of this method and path; `None` if there is none. A slash at the end does not
    /// matter, unless an empty name can stand behind it: that of a block, which is then refused.
    pub fn of(method: &Method, path: &str) -> Option<Self> {
        let path = path.strip_prefix('/').unwrap_or(path);
        Self::of_segments(method, path)
            .or_else(|| Self::of_segments(method, path.trim_end_matches('/')))
    }

    fn of_segments(method: &Method, path: &str) -> Option<Self> {
        // Decoded after the split: a slash in a name does not part it.
        let segments: Vec<String> = path
            .split('/')
            .map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned())
            .collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let owned = str::to_owned;
        Some(match (method.as_str(), segments.as_slice()) {
            ("POST", ["snapshots"]) => Self::StartSnapshot,
            ("POST", ["snapshots", "completion", id]) => Self::CompleteSnapshot {
                snapshot: owned(id),
            },
            ("PUT", ["snapshots", id, "blocks", index]) => Self::PutSnapshotBlock {
                snapshot: owned(id),
                index: owned(index),
            },
            ("GET", ["snapshots", id, "blocks", index]) => Self::GetSnapshotBlock {
                snapshot: owned(id),
                index: owned(index),
            },
            ("GET", ["snapshots", id, "blocks"]) => Self::ListSnapshotBlocks {
                snapshot: owned(id),
            },
            ("GET", ["snapshots", id, "changedblocks"]) => Self::ListChangedBlocks {
                second_snapshot: owned(id),
            },
            _ => return None,
        })
    }

    /// Its name in the service's model.
    pub fn name(&self) -> &'static str {
        match self {
            Self::StartSnapshot => "StartSnapshot",
            Self::CompleteSnapshot { .. } => "CompleteSnapshot",
            Self::PutSnapshotBlock { .. } => "PutSnapshotBlock",
            Self::GetSnapshotBlock { .. } => "GetSnapshotBlock",
            Self::ListSnapshotBlocks { .. } => "ListSnapshotBlocks",
            Self::ListChangedBlocks { .. } => "ListChangedBlocks",
        }
    }

    /// What the path says of a member of the request, by the model's name for it.
    pub(crate) fn path_member(&self, name: &str) -> Option<&str> {
        match (self, name) {
            (
                Self::CompleteSnapshot { snapshot }
                | Self::PutSnapshotBlock { snapshot, .. }
                | Self::GetSnapshotBlock { snapshot, .. }
                | Self::ListSnapshotBlocks { snapshot },
                "snapshotId",
            ) => Some(snapshot),
            (
                Self::PutSnapshotBlock { index, .. } | Self::GetSnapshotBlock { index, .. },
                "blockIndex",
            ) => Some(index),
            (Self::ListChangedBlocks { second_snapshot }, "secondSnapshotId") => {
                Some(second_snapshot)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_its_members_decoded() {
        for (path, named) in [
            ("/snapshots/snap-1/blocks/7", Some(("snap-1", "7"))),
            ("/snapshots/snap-1/blocks/7/", Some(("snap-1", "7"))),
            ("/snapshots/snap%2D1/blocks/a%2Fb", Some(("snap-1", "a/b"))),
            ("//snapshots/snap-1/blocks/7", None),
            ("/snapshots/snap-1/blocks/7/8", None),
        ] {
            let operation = EbsOperation::of(&Method::PUT, path);
            let members = operation.as_ref().map(|operation| {
                assert_eq!(operation.name(), "PutSnapshotBlock");
                let member = |name| operation.path_member(name).unwrap();
                (member("snapshotId"), member("blockIndex"))
            });
            assert_eq!(members, named, "{path}");
        }
    }
}
