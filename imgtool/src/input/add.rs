//! A file or directory of the host, put into a tree (`--add SRC:DST`).

use super::budget::Budget;
use super::{Blocked, InputError, Options, OwnerPolicy, place_at, scan};
use crate::tree::{Kind, Node, NodeId, Tree, join, lossy};
use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Puts the host's file or directory `src` into `tree` at the absolute path `dst`, as a further
/// layer. A directory is merged into one that is there, which keeps its own owner and mode, or that
/// a link leads to; a `dst` with a slash at its end names the
/// directory that a file goes into. Directories that are missing are made; links on the way are
/// followed inside the tree.
pub fn add(
    tree: &mut Tree,
    src: &Path,
    dst: &str,
    options: &Options<'_>,
) -> Result<(), InputError> {
    let name = src.display().to_string();
    let refuse = |why: String| InputError::File {
        path: format!("{name}:{dst}"),
        why,
    };
    if !dst.starts_with('/') {
        return Err(refuse("a path in the image has to be absolute".to_string()));
    }
    let real = std::fs::canonicalize(src).map_err(|e| InputError::io(src, e))?;
    let owner = options.owner.unwrap_or(OwnerPolicy::Root);
    let budget = Budget::of_tree(&name, options, tree);
    let layer = tree.top_layer().saturating_add(1);
    if real.is_dir() {
        let added = scan::directory(&real, owner, &budget)?;
        let is_new = tree.resolve(dst.as_bytes()).is_err();
        let top = directory_at(tree, dst, layer, &budget).map_err(|blocked| match blocked {
            Blocked::Budget(error) => error,
            Blocked::Path(error) => refuse(error.to_string()),
        })?;
        if is_new {
            tree.node_mut(top).meta = added.node(Tree::ROOT).meta.clone();
        }
        return graft(tree, (top, dst.as_bytes()), &added, layer).map_err(refuse);
    }
    let mut node = scan::file(&real, owner)?;
    node.layer = layer;
    budget.file()?;
    budget.content(&node)?;
    let mut to = dst.to_string();
    if to.ends_with('/') {
        let file_name = src.file_name().map(|n| n.as_bytes()).unwrap_or_default();
        to.push_str(
            std::str::from_utf8(file_name)
                .map_err(|_| refuse("name the file in the image: write /DIR/NAME".to_string()))?,
        );
    }
    let there = tree.resolve(to.as_bytes());
    if there.is_ok_and(|id| tree.entries(id).is_some()) {
        return Err(refuse(format!(
            "{to:?} is a directory in the image; write \"{to}/\" to put the file into it"
        )));
    }
    place_at(tree, &to, node, &budget).map(|_| ())
}

/// The directory at `path`, a link at its end followed; it is made if nothing is there.
fn directory_at(
    tree: &mut Tree,
    path: &str,
    layer: u32,
    budget: &Budget,
) -> Result<NodeId, Blocked> {
    // A name behind it, which is not made, makes the path's own last name a directory.
    let inside = format!("{path}/x");
    let place = tree.locate_or_create(inside.as_bytes(), layer, || {
        budget.file().map_err(Blocked::Budget)
    })?;
    Ok(place.dir)
}

/// Copies all of `added` below `top`, a directory and its path. Hard links inside `added` stay
/// hard links.
fn graft(tree: &mut Tree, top: (NodeId, &[u8]), added: &Tree, layer: u32) -> Result<(), String> {
    let mut made: BTreeMap<NodeId, NodeId> = BTreeMap::new();
    let mut pending = vec![(Tree::ROOT, top.0, top.1.to_vec())];
    while let Some((from, to, path)) = pending.pop() {
        let Some(entries) = added.entries(from) else {
            continue;
        };
        for (name, &child) in entries {
            let refuse = |e: crate::tree::TreeError| format!("{:?}: {e}", lossy(name));
            if let Some(&id) = made.get(&child) {
                tree.link(to, name, id).map_err(refuse)?;
                continue;
            }
            let node = Node {
                layer,
                ..added.node(child).clone()
            };
            if !matches!(node.kind, Kind::Dir(_)) {
                made.insert(child, tree.insert(to, name, node).map_err(refuse)?);
                continue;
            }
            let path = join(&path, name);
            // In a distribution /lib is a link to /usr/lib: what is added to it belongs there.
            let there = tree.resolve(&path).ok();
            let id = match there.filter(|&id| tree.entries(id).is_some()) {
                Some(id) => id,
                None => {
                    let empty = Node {
                        kind: Kind::Dir(BTreeMap::new()),
                        ..node
                    };
                    tree.insert(to, name, empty).map_err(refuse)?
                }
            };
            pending.push((child, id, path));
        }
    }
    Ok(())
}
