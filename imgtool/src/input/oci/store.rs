//! Where the blobs of an image are: a directory, or a tar archive in which they are left.

use super::form::{Form, Forms};
use crate::input::budget::Budget;
use crate::input::digest::of_span;
use crate::input::span::Span;
use crate::input::tar::{self, Members};
use crate::input::{InputError, Options};
use crate::tree::{Kind, ResolveError, Tree};
use oci_spec::image::{Descriptor, Digest, DigestAlgorithm};
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Largest JSON document that is read.
pub(in crate::input) const MAX_DOCUMENT: u64 = 8 << 20;

/// Where the blobs of an image are.
pub(in crate::input) struct Store {
    /// What messages call the image.
    pub(super) name: String,
    place: Place,
}

enum Place {
    Directory(PathBuf),
    Archive(Span, Box<Tree>),
}

impl Store {
    /// The layout in the directory `path`.
    pub(in crate::input) fn directory(name: &str, path: &Path) -> Store {
        Store {
            name: name.to_string(),
            place: Place::Directory(path.to_path_buf()),
        }
    }

    /// The image in a tar archive; `None` if it is not an archive of an image.
    pub(in crate::input) fn archive(
        span: &Span,
        options: &Options<'_>,
    ) -> Result<Option<(Form, Store)>, InputError> {
        let mut forms = Forms::default();
        let mut members = Members::new(span);
        while let Some((name, content)) = members.next()? {
            forms.see(&name, || content?.read_all(MAX_DOCUMENT).ok()?);
        }
        let Some(form) = forms.form() else {
            return Ok(None);
        };
        let mut tree = Tree::new();
        let mode = tar::Mode {
            layer: 0,
            whiteouts: false,
            require_end: true,
            holes: false,
        };
        // Counted by itself: the content that counts is what the layers hold.
        let budget = Budget::new(&span.name, options);
        tar::apply(&mut tree, span, mode, &budget, &mut BTreeSet::new())?;
        let store = Store {
            name: span.name.to_string(),
            place: Place::Archive(span.clone(), Box::new(tree)),
        };
        Ok(Some((form, store)))
    }

    /// The file at `path` of the layout or archive.
    pub(super) fn open(&self, path: &str) -> Result<Span, InputError> {
        let refuse = |why: &str| self.refuse_blob(path, why);
        let span = match &self.place {
            Place::Directory(root) => {
                let plain = Path::new(path)
                    .components()
                    .all(|c| matches!(c, std::path::Component::Normal(_)));
                let full = root.join(path);
                match std::fs::symlink_metadata(&full) {
                    _ if !plain => return Err(refuse("not a path in the image")),
                    Ok(metadata) if metadata.is_file() => Span::open(&full)?,
                    Ok(_) => return Err(refuse("not a regular file")),
                    Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                        return Err(refuse("it is missing"));
                    }
                    Err(e) => return Err(InputError::io(&full, e)),
                }
            }
            Place::Archive(span, tree) => {
                let id = tree.resolve(path.as_bytes()).map_err(|e| match e {
                    ResolveError::Missing(_) => refuse("it is missing"),
                    other => refuse(&other.to_string()),
                })?;
                let Kind::File(content) = &tree.node(id).kind else {
                    return Err(refuse("not a regular file"));
                };
                tar::whole_file(span, content)
                    .ok_or_else(|| refuse("it is stored as a sparse file"))?
            }
        };
        Ok(span.named(&format!("{}: {path}", self.name)))
    }

    /// The blob of a descriptor, its size and digest verified.
    pub(super) fn blob(&self, descriptor: &Descriptor) -> Result<Span, InputError> {
        let digest = descriptor.digest();
        let hex = self.sha256_of(digest)?;
        let span = self.open(&format!("blobs/sha256/{hex}"))?;
        if span.len != descriptor.size() {
            let why = format!(
                "{} bytes, where {} are promised",
                span.len,
                descriptor.size()
            );
            return Err(self.refuse_blob(digest.as_ref(), &why));
        }
        self.verify(&span, hex)?;
        Ok(span)
    }

    /// Refuses a blob whose SHA-256 is not `hex`.
    pub(super) fn verify(&self, span: &Span, hex: &str) -> Result<(), InputError> {
        let found = hex::encode(of_span(span)?);
        span.check_unchanged()?;
        if found != hex {
            let why = format!("digest mismatch: its content is sha256:{found}");
            return Err(self.refuse_blob(&format!("sha256:{hex}"), &why));
        }
        Ok(())
    }

    /// The hex part of a digest, which has to be a SHA-256.
    pub(super) fn sha256_of<'d>(&self, digest: &'d Digest) -> Result<&'d str, InputError> {
        if *digest.algorithm() != DigestAlgorithm::Sha256 {
            let why = "only sha256 digests are supported";
            return Err(self.refuse_blob(digest.as_ref(), why));
        }
        Ok(digest.digest())
    }

    /// A JSON document, which `what` names in messages.
    pub(super) fn document<T: DeserializeOwned>(
        &self,
        span: &Span,
        what: &str,
    ) -> Result<T, InputError> {
        let bytes = span
            .read_all(MAX_DOCUMENT)?
            .ok_or_else(|| self.refuse(format!("{what} is larger than {MAX_DOCUMENT} bytes")))?;
        serde_json::from_slice(&bytes).map_err(|source| InputError::Json {
            image: self.name.clone(),
            document: what.to_string(),
            source,
        })
    }

    pub(super) fn refuse(&self, why: impl Into<String>) -> InputError {
        InputError::Image {
            image: self.name.clone(),
            why: why.into(),
        }
    }

    pub(super) fn refuse_blob(&self, blob: &str, why: &str) -> InputError {
        InputError::Blob {
            image: self.name.clone(),
            blob: blob.to_string(),
            why: why.to_string(),
        }
    }
}
