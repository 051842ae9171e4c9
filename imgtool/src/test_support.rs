//! What unit tests share: random trees, and disks as files.

use crate::disk::Extent;
use crate::pass::{self, Job, RawOutput};
use crate::tree::{Content, Kind, Meta, Node, NodeId, Segment, Source, Tree, find_data};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tempfile::NamedTempFile;

/// A tree from a random list of entries: `(directory to put it in, name, what)`.
pub(crate) fn trees() -> impl Strategy<Value = Tree> {
    let name = prop_oneof![
        "[a-z]{1,12}",
        "[a-zäöü€ .]{1,40}".prop_filter("reserved", |n| n != "." && n != ".."),
        "[A-Z]{200,255}",
    ];
    let entry = (any::<prop::sample::Index>(), name, nodes(), any::<bool>());
    prop::collection::vec(entry, 0..60).prop_map(|entries| {
        let mut tree = Tree::new();
        let mut dirs = vec![Tree::ROOT];
        let mut files: Vec<NodeId> = Vec::new();
        for (dir, name, node, link) in entries {
            let dir = dirs[dir.index(dirs.len())];
            if tree.child(dir, name.as_bytes()).is_some() || name == "lost+found" {
                continue;
            }
            if link && let Some(&target) = files.last() {
                tree.link(dir, name.as_bytes(), target).unwrap();
                continue;
            }
            let is_dir = matches!(node.kind, Kind::Dir(_));
            let id = tree.insert(dir, name.as_bytes(), node).unwrap();
            if is_dir {
                dirs.push(id)
            } else {
                files.push(id)
            }
        }
        tree
    })
}

fn nodes() -> impl Strategy<Value = Node> {
    let kind = prop_oneof![
        3 => Just(Kind::Dir(BTreeMap::new())),
        4 => prop::collection::vec(any::<u8>(), 0..20_000).prop_map(|b| file(&b)),
        1 => prop::collection::vec((0u64..40, any::<u8>()), 0..4).prop_map(|runs| {
            let mut bytes = vec![0; 41 * 65_536 / 4];
            for (at, byte) in runs {
                let at = at as usize * 16_384;
                bytes[at..at + 5000].fill(byte);
            }
            file(&bytes)
        }),
        1 => "[a-zä/.]{1,200}".prop_map(|t| Kind::Symlink(t.into_bytes().into())),
        1 => (0u32..4096, 0u32..1 << 20).prop_map(|(major, minor)| Kind::Char { major, minor }),
        1 => (0u32..300, 0u32..300).prop_map(|(major, minor)| Kind::Block { major, minor }),
        1 => Just(Kind::Fifo),
    ];
    let xattr = ("[a-z]{1,30}", prop::collection::vec(any::<u8>(), 0..300));
    let xattrs = prop::collection::vec(xattr, 0..4);
    (
        kind,
        0u16..0o10000,
        0u32..70_000,
        any::<u32>(),
        xattrs,
        0u32..3,
    )
        .prop_map(|(kind, mode, uid, gid, xattrs, layer)| {
            let xattrs = xattrs
                .into_iter()
                .map(|(name, value)| (format!("user.{name}").into_bytes().into(), value.into()))
                .collect();
            Node {
                meta: Meta {
                    mode,
                    uid,
                    gid,
                    xattrs,
                },
                kind,
                layer,
            }
        })
}

/// A regular file with the holes that its bytes have.
pub(crate) fn file(bytes: &[u8]) -> Kind {
    let source: Arc<[u8]> = bytes.into();
    let data = find_data(bytes.len() as u64, &[], |at, buf| {
        buf.copy_from_slice(&bytes[at as usize..at as usize + buf.len()]);
        Ok::<_, std::convert::Infallible>(())
    });
    let Ok(data) = data;
    let segments = data
        .into_iter()
        .map(|(offset, len)| Segment {
            offset,
            len,
            source: Source::Memory(source.clone()),
            at: offset,
        })
        .collect();
    Kind::File(Content {
        size: bytes.len() as u64,
        segments,
    })
}

/// Writes a plan to a file, through the pass itself.
pub(crate) fn write(extents: &[Extent], len: u64, jobs: usize) -> NamedTempFile {
    let file = NamedTempFile::new().unwrap();
    let raw = RawOutput {
        file: file.as_file(),
        path: file.path().into(),
    };
    pass::run(Job {
        len,
        extents,
        jobs,
        raw: Some(raw),
        pack: None,
        progress: &(),
        cancel: &AtomicBool::new(false),
    })
    .unwrap();
    file
}
