//! Tar archives, applied to a tree: a root file system, or a layer of a container image.

mod numbers;
mod pax;
mod reader;
mod sparse;

pub(super) use reader::is_tar;

use super::InputError;
use super::budget::Budget;
use super::span::Span;
use crate::tree::{
    Content, Kind, Node, NodeId, Region, Regions, ResolveError, Segment, Source, Tree, find_data,
};
use reader::{Entry, EntryKind, Reader, shown};
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Longest target of a symbolic link in bytes.
const MAX_TARGET: usize = 4095;
/// How a name begins that takes away a name of the layers below (OCI image specification,
/// "Whiteouts"), and the one that takes away all of them.
const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// How an archive is applied.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mode {
    /// What its nodes get as their layer.
    pub(super) layer: u32,
    /// Whether `.wh.` names take away what lower layers have.
    pub(super) whiteouts: bool,
    /// Whether an archive without an end mark is refused.
    pub(super) require_end: bool,
    /// Whether runs of zeros become holes. Not in an archive of blobs, which are read whole.
    pub(super) holes: bool,
}

/// Applies all entries of the archive `span` to `tree`.
pub(super) fn apply(
    tree: &mut Tree,
    span: &Span,
    mode: Mode,
    budget: &Budget,
    warnings: &mut BTreeSet<String>,
) -> Result<(), InputError> {
    let refused = |entry: &Entry, refusal| match refusal {
        Refusal::Entry(why) => InputError::Entry {
            archive: span.name.to_string(),
            entry: shown(&entry.path),
            why,
        },
        Refusal::Input(error) => error,
    };
    let mut applier = Applier {
        tree,
        span,
        mode,
        budget,
    };
    if mode.whiteouts {
        // First, because they are about lower layers only, wherever they stand in this one.
        let mut reader = Reader::new(span, mode.require_end);
        while let Some(entry) = reader.next()? {
            applier.whiteout(&entry).map_err(|r| refused(&entry, r))?;
        }
    }
    let mut reader = Reader::new(span, mode.require_end);
    while let Some(entry) = reader.next()? {
        if entry.text_acl {
            warnings.insert(format!(
                "{}: access control lists in text form (tar --acls) are left out; \
                 tar --xattrs --xattrs-include='*' keeps them",
                span.name
            ));
        }
        applier.entry(&entry).map_err(|r| refused(&entry, r))?;
    }
    span.check_unchanged()
}

/// Why an entry is not applied.
enum Refusal {
    /// The entry is at fault.
    Entry(String),
    /// Something else is.
    Input(InputError),
}

impl From<ResolveError> for Refusal {
    fn from(error: ResolveError) -> Refusal {
        Refusal::Entry(error.to_string())
    }
}

impl From<InputError> for Refusal {
    fn from(error: InputError) -> Refusal {
        Refusal::Input(error)
    }
}

struct Applier<'a> {
    tree: &'a mut Tree,
    span: &'a Span,
    mode: Mode,
    budget: &'a Budget,
}

impl Applier<'_> {
    fn entry(&mut self, entry: &Entry) -> Result<(), Refusal> {
        self.budget.file()?;
        if self.mode.whiteouts && whiteout_of(&entry.path).is_some() {
            return Ok(());
        }
        let budget = self.budget;
        let place = self
            .tree
            .locate_or_create(&entry.path, self.mode.layer, || {
                budget.file().map_err(Refusal::from)
            })?;
        let Some(name) = place.name else {
            return self.root(entry);
        };
        if entry.kind == EntryKind::HardLink {
            let target = self.link_target(entry)?;
            self.tree
                .link(place.dir, &name, target)
                .map_err(|e| Refusal::Entry(e.to_string()))?;
        } else {
            self.put(place.dir, &name, entry)?;
        }
        Ok(())
    }

    /// The entry of the root directory itself (`./`).
    fn root(&mut self, entry: &Entry) -> Result<(), Refusal> {
        if entry.kind != EntryKind::Directory {
            let why = "the root of the file system has to be a directory".to_string();
            return Err(Refusal::Entry(why));
        }
        let root = self.tree.node_mut(Tree::ROOT);
        root.meta = entry.meta.clone();
        root.layer = self.mode.layer;
        Ok(())
    }

    fn put(&mut self, dir: NodeId, name: &[u8], entry: &Entry) -> Result<(), Refusal> {
        let kind = match entry.kind {
            EntryKind::Directory => {
                // A directory keeps what is in it and gets the new owner and mode.
                if let Some(old) = self.tree.child(dir, name)
                    && self.tree.entries(old).is_some()
                {
                    let node = self.tree.node_mut(old);
                    node.meta = entry.meta.clone();
                    node.layer = self.mode.layer;
                    return Ok(self.budget.content(self.tree.node(old))?);
                }
                Kind::Dir(BTreeMap::new())
            }
            EntryKind::File => Kind::File(self.content(entry)?),
            EntryKind::Symlink => {
                check_target(&entry.link).map_err(Refusal::Entry)?;
                Kind::Symlink(entry.link.as_slice().into())
            }
            EntryKind::Char { major, minor } => Kind::Char { major, minor },
            EntryKind::Block { major, minor } => Kind::Block { major, minor },
            EntryKind::Fifo => Kind::Fifo,
            // Has no node of its own.
            EntryKind::HardLink => return Ok(()),
        };
        let mut meta = entry.meta.clone();
        if matches!(kind, Kind::Symlink(_)) {
            // Linux shows no other, whatever an archive says.
            meta.mode = 0o777;
        }
        let node = Node {
            meta,
            kind,
            layer: self.mode.layer,
        };
        self.budget.content(&node)?;
        self.tree
            .insert(dir, name, node)
            .map_err(|e| Refusal::Entry(e.to_string()))?;
        Ok(())
    }

    fn link_target(&self, entry: &Entry) -> Result<NodeId, Refusal> {
        let missing =
            |why: &str| Refusal::Entry(format!("a hard link to {:?}: {why}", shown(&entry.link)));
        let place = self
            .tree
            .locate(&entry.link)
            .map_err(|e| missing(&e.to_string()))?;
        let target = place
            .name
            .and_then(|name| self.tree.child(place.dir, &name));
        let target = target.ok_or_else(|| missing("there is no such file before it"))?;
        if self.tree.entries(target).is_some() {
            return Err(missing("that is a directory"));
        }
        Ok(target)
    }

    /// Applies a whiteout, if the entry is one. Links are not followed: where the layer has a
    /// directory in a link's place, its whiteouts are not about what the link led to.
    fn whiteout(&mut self, entry: &Entry) -> Result<(), Refusal> {
        let Some((dir, hidden)) = whiteout_of(&entry.path) else {
            return Ok(());
        };
        let mut components = dir.split(|&b| b == b'/');
        if components.any(|c| c == b"..") {
            return Err(ResolveError::DotDot.into());
        }
        let found = self.tree.lookup(dir);
        match hidden {
            Hidden::All => {
                if let Some(id) = found
                    && let Kind::Dir(entries) = &mut self.tree.node_mut(id).kind
                {
                    entries.clear();
                }
            }
            Hidden::Name(b"" | b"." | b"..") => {
                let why = "a whiteout that hides no name".to_string();
                return Err(Refusal::Entry(why));
            }
            Hidden::Name(name) => {
                if let Some(id) = found {
                    self.tree.remove(id, name);
                }
            }
            Hidden::Nothing => {}
        }
        Ok(())
    }

    fn content(&self, entry: &Entry) -> Result<Content, InputError> {
        let regions = Arc::new(Regions {
            source: self.span.source().clone(),
            regions: entry
                .regions
                .iter()
                .map(|r| Region {
                    at: self.span.start.saturating_add(r.at),
                    ..*r
                })
                .collect(),
        });
        let data = if self.mode.holes {
            let gaps = gaps(&entry.regions, entry.size);
            find_data(entry.size, &gaps, |at, buf| {
                read_regions(self.span, &entry.regions, at, buf)
            })?
        } else if entry.size == 0 {
            Vec::new()
        } else {
            vec![(0, entry.size)]
        };
        let segments = data.into_iter().map(|(offset, len)| {
            let (source, at) = place_of(&regions, offset, len);
            Segment {
                offset,
                len,
                source,
                at,
            }
        });
        Ok(Content {
            size: entry.size,
            segments: segments.collect(),
        })
    }
}

/// What a whiteout takes away from its directory.
enum Hidden<'a> {
    /// Everything.
    All,
    /// One name.
    Name(&'a [u8]),
    /// Nothing: bookkeeping of aufs, which has other names that begin like the opaque mark.
    Nothing,
}

/// The directory that a whiteout is about and what it takes away; `None` for other names.
fn whiteout_of(path: &[u8]) -> Option<(&[u8], Hidden<'_>)> {
    let end = path.iter().rposition(|&b| b != b'/').map_or(0, |at| at + 1);
    let path = &path[..end];
    let cut = path.iter().rposition(|&b| b == b'/').map_or(0, |at| at + 1);
    let (dir, name) = path.split_at(cut);
    let hidden = name.strip_prefix(WHITEOUT)?;
    Some(if name == OPAQUE {
        (dir, Hidden::All)
    } else if hidden.starts_with(WHITEOUT) {
        (dir, Hidden::Nothing)
    } else {
        (dir, Hidden::Name(hidden))
    })
}

/// Where `len` bytes of a file lie: in the archive itself, if one region holds them all.
fn place_of(regions: &Arc<Regions>, offset: u64, len: u64) -> (Source, u64) {
    let list = &regions.regions;
    let next = list.partition_point(|r| r.offset <= offset);
    if let Some(region) = next.checked_sub(1).and_then(|i| list.get(i)) {
        let inside = offset - region.offset;
        if inside.saturating_add(len) <= region.len {
            return (regions.source.clone(), region.at.saturating_add(inside));
        }
    }
    (Source::Regions(regions.clone()), offset)
}

/// What lies between the regions: zero without a look.
fn gaps(regions: &[Region], size: u64) -> Vec<(u64, u64)> {
    let mut gaps = Vec::new();
    let mut at = 0;
    let ends = regions.iter().map(|r| (r.offset, r.len));
    for (offset, len) in ends.chain([(size, 0)]) {
        if offset > at {
            gaps.push((at, offset - at));
        }
        at = offset.saturating_add(len);
    }
    gaps
}

fn read_regions(
    span: &Span,
    regions: &[Region],
    at: u64,
    buf: &mut [u8],
) -> Result<(), InputError> {
    buf.fill(0);
    let end = at.saturating_add(buf.len() as u64);
    let first = regions.partition_point(|r| r.offset.saturating_add(r.len) <= at);
    for region in regions[first..].iter().take_while(|r| r.offset < end) {
        let from = region.offset.max(at);
        let to = region.offset.saturating_add(region.len).min(end);
        let part = &mut buf[(from - at) as usize..(to - at) as usize];
        span.read_exact_at(region.at.saturating_add(from - region.offset), part)?;
    }
    Ok(())
}

/// A symbolic link's target: 1 to 4095 bytes, no NUL.
pub(super) fn check_target(target: &[u8]) -> Result<(), String> {
    if target.is_empty() {
        Err("a symbolic link to nowhere".to_string())
    } else if target.len() > MAX_TARGET {
        Err(format!(
            "a symbolic link to a path of more than {MAX_TARGET} bytes"
        ))
    } else if target.contains(&0) {
        Err("a symbolic link to a path with a NUL byte".to_string())
    } else {
        Ok(())
    }
}

/// Name and content of a regular file; no content if it is not in one piece.
pub(super) type Member = (Vec<u8>, Option<Span>);

/// The regular files of an archive, by name, for a look at what it is.
pub(super) struct Members<'a> {
    reader: Reader<'a>,
    span: &'a Span,
}

impl<'a> Members<'a> {
    pub(super) fn new(span: &'a Span) -> Members<'a> {
        Members {
            reader: Reader::new(span, true),
            span,
        }
    }

    /// The next one.
    pub(super) fn next(&mut self) -> Result<Option<Member>, InputError> {
        while let Some(entry) = self.reader.next()? {
            if entry.kind == EntryKind::File {
                let content = match entry.regions.as_slice() {
                    [region] if region.len == entry.size => self.span.part(region.at, region.len),
                    _ => None,
                };
                return Ok(Some((entry.path, content)));
            }
        }
        Ok(None)
    }
}

/// The bytes of a file of the archive `span`; `None` if they are not in one piece.
pub(super) fn whole_file(span: &Span, content: &Content) -> Option<Span> {
    match content.segments.as_slice() {
        [] if content.size == 0 => span.part(0, 0),
        [segment] if segment.len == content.size => match segment.source {
            Source::Regions(_) => None,
            _ => span.part(segment.at.checked_sub(span.start)?, segment.len),
        },
        _ => None,
    }
}
