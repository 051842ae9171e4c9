//! The digest of an input, as `imgtool lock` writes it down.

use super::budget::Budget;
use super::compression::fill;
use super::span::Span;
use super::{InputError, Options, OwnerPolicy, scan};
use crate::tree::{Content, ContentError, Kind, Node, NodeId, Source, Tree};
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes read at a time.
const BUFFER: usize = 256 * 1024;

/// SHA-256 of the input at `path`, in lower-case hex: of the file, if it is one; of a directory,
/// over names, kinds, modes, owners (as `options.owner` has them), extended attributes and
/// content, times left out. Reads everything.
pub fn digest(path: &Path, options: &Options<'_>) -> Result<String, InputError> {
    let real = std::fs::canonicalize(path).map_err(|e| InputError::io(path, e))?;
    if real.is_dir() {
        let owner = options.owner.unwrap_or(OwnerPolicy::Root);
        let budget = Budget::new(&path.display().to_string(), options);
        return of_tree(&scan::directory(&real, owner, &budget)?);
    }
    let span = Span::open(&real)?;
    let hash = of_span(&span)?;
    span.check_unchanged()?;
    Ok(hex::encode(hash))
}

/// SHA-256 of all bytes of `span`.
pub(super) fn of_span(span: &Span) -> Result<[u8; 32], InputError> {
    let mut hash = Sha256::new();
    let mut reader = span.reader();
    let mut buf = vec![0; BUFFER];
    loop {
        let n = fill(&mut reader, &mut buf).map_err(|source| InputError::Io {
            path: span.name.to_string(),
            source,
        })?;
        if n == 0 {
            return Ok(hash.finalize().into());
        }
        hash.update(&buf[..n]);
    }
}

/// Numbers and lengths go in as 8 bytes, little-endian, so that no two trees look the same.
struct Canonical(Sha256);

impl Canonical {
    fn number(&mut self, n: u64) {
        self.0.update(n.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
    }
}

fn of_tree(tree: &Tree) -> Result<String, InputError> {
    let nodes = tree.walk();
    let contents: Vec<Result<Option<[u8; 32]>, InputError>> = nodes
        .par_iter()
        .map(|(_, id)| match &tree.node(*id).kind {
            Kind::File(content) => of_content(content).map(Some),
            _ => Ok(None),
        })
        .collect();
    let order: BTreeMap<NodeId, u64> = nodes.iter().map(|(_, id)| *id).zip(0..).collect();
    let mut out = Canonical(Sha256::new());
    out.bytes(b"imgtool directory 1");
    for ((_, id), content) in nodes.iter().zip(contents) {
        let node = tree.node(*id);
        out.number(u64::from(node.meta.mode));
        out.number(u64::from(node.meta.uid));
        out.number(u64::from(node.meta.gid));
        out.number(node.meta.xattrs.len() as u64);
        for (name, value) in &node.meta.xattrs {
            out.bytes(name);
            out.bytes(value);
        }
        kind(&mut out, node, &order, content?.as_ref());
    }
    Ok(hex::encode(out.0.finalize()))
}

fn kind(
    out: &mut Canonical,
    node: &Node,
    order: &BTreeMap<NodeId, u64>,
    content: Option<&[u8; 32]>,
) {
    let mut device = |tag: &[u8], major: u32, minor: u32| {
        out.bytes(tag);
        out.number(u64::from(major));
        out.number(u64::from(minor));
    };
    match &node.kind {
        Kind::Dir(entries) => {
            out.bytes(b"directory");
            out.number(entries.len() as u64);
            for (name, child) in entries {
                out.bytes(name);
                // Nodes are numbered as they are visited, so a hard link names its node.
                out.number(order.get(child).copied().unwrap_or(u64::MAX));
            }
        }
        Kind::File(file) => {
            out.bytes(b"file");
            out.number(file.size);
            out.bytes(content.map_or(&[], |hash| &hash[..]));
        }
        Kind::Symlink(target) => {
            out.bytes(b"link");
            out.bytes(target);
        }
        Kind::Char { major, minor } => device(b"char", *major, *minor),
        Kind::Block { major, minor } => device(b"block", *major, *minor),
        Kind::Fifo => out.bytes(b"fifo"),
        Kind::Socket => out.bytes(b"socket"),
    }
}

/// SHA-256 over the data segments; what is a hole follows from the content.
fn of_content(content: &Content) -> Result<[u8; 32], InputError> {
    let mut out = Canonical(Sha256::new());
    let mut buf = vec![0; BUFFER.min(usize::try_from(content.size).unwrap_or(BUFFER))];
    let mut open: Option<File> = None;
    for segment in &content.segments {
        out.number(segment.offset);
        out.number(segment.len);
        let mut done = 0;
        while done < segment.len {
            let n = (segment.len - done).min(buf.len() as u64);
            let part = &mut buf[..n as usize];
            let at = segment.at.saturating_add(done);
            match &segment.source {
                // Opened once, not for each read.
                Source::Path(host) => {
                    if open.is_none() {
                        open = Some(host.open()?);
                    }
                    if let Some(file) = &open {
                        file.read_exact_at(part, at)
                            .map_err(|source| ContentError::Io {
                                name: host.path.display().to_string(),
                                source,
                            })?;
                    }
                }
                other => other.read_exact_at(at, part)?,
            }
            out.0.update(&*part);
            done += n;
        }
    }
    if let (Some(file), Some(segment)) = (&open, content.segments.first())
        && let Source::Path(host) = &segment.source
    {
        host.check(file)?;
    }
    Ok(out.0.finalize().into())
}
