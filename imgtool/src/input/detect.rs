//! What an input is: told by its content, never by its name.

use super::compression::Compression;
use super::elf::{self, ElfHeaders};
use super::span::Span;
use super::{InputError, InputKind, oci, tar};
use std::io::Read;
use std::path::Path;

/// What the first bytes of an input, or the names in a directory, say.
pub(super) enum FirstLook {
    Directory,
    OciLayout,
    Elf(ElfHeaders),
    /// A tar archive, or something compressed that has to be one.
    Archive(Option<Compression>),
}

/// Says what the input at `path` is.
///
/// A compressed archive is decompressed to its end for that (and not kept): the list of contents
/// that `docker save` writes may come last.
pub fn detect(path: &Path) -> Result<InputKind, InputError> {
    Ok(match first_look(path)? {
        FirstLook::Directory => InputKind::Directory,
        FirstLook::OciLayout => InputKind::OciLayout,
        FirstLook::Elf(headers) => InputKind::Elf {
            dynamic: headers.interpreter.is_some(),
        },
        FirstLook::Archive(compression) => {
            let span = Span::open(path)?;
            let found = match compression {
                None => look_inside(span.reader()),
                Some(compression) => {
                    let corrupt = |source| InputError::Decompress {
                        name: span.name.to_string(),
                        format: compression.name(),
                        source,
                    };
                    look_inside(compression.reader(span.reader()).map_err(corrupt)?)
                }
            };
            match found {
                Some(oci::Form::Layout) => InputKind::OciArchive,
                Some(oci::Form::Docker) => InputKind::DockerArchive,
                None => InputKind::Tar,
            }
        }
    })
}

pub(super) fn first_look(path: &Path) -> Result<FirstLook, InputError> {
    let metadata = std::fs::metadata(path).map_err(|e| InputError::io(path, e))?;
    if metadata.is_dir() {
        let has = |name: &str| path.join(name).is_file();
        return Ok(if has("oci-layout") && has("index.json") {
            FirstLook::OciLayout
        } else {
            FirstLook::Directory
        });
    }
    let span = Span::open(path)?;
    let mut head = [0; 512];
    let head = span.head(&mut head)?;
    if let Some(compression) = Compression::detect(head) {
        return Ok(FirstLook::Archive(Some(compression)));
    }
    if head.starts_with(b"\x7fELF") {
        return elf::executable(path, &span).map(FirstLook::Elf);
    }
    if tar::is_tar(head) {
        return Ok(FirstLook::Archive(None));
    }
    let why = match head {
        [] => "an empty file",
        [b'#', b'!', ..] => {
            "a script; an image needs its interpreter too: \
             make a directory that holds both and build from that"
        }
        [b'B', b'Z', b'h', ..] => "bzip2 is not supported; compress with gzip, xz or zstd",
        [b'P', b'K', 3, 4, ..] => "a zip archive; make it a directory or a tar archive",
        [b'M', b'Z', ..] => "a Windows or UEFI executable; the image runs Linux programs",
        _ if head.starts_with(b"!<arch>\n") => {
            "an ar archive or Debian package; unpack it into a directory"
        }
        _ if head.len() < 512 => {
            "neither an ELF executable nor an archive (a tar archive has at least 512 bytes)"
        }
        _ => {
            "neither an ELF executable nor an archive that is known \
             (tar; plain or with gzip, xz or zstd)"
        }
    };
    Err(InputError::file(path, why))
}

/// Refuses decompressed bytes that are no tar archive.
pub(super) fn check_tar(span: &Span) -> Result<(), InputError> {
    let mut head = [0; 512];
    if tar::is_tar(span.head(&mut head)?) {
        return Ok(());
    }
    Err(InputError::File {
        path: span.name.to_string(),
        why: "compressed, but not a tar archive".to_string(),
    })
}

/// Which kind of container image a stream of tar holds. The names that count are short, so
/// extension headers need not be understood; what is broken will be told when it is loaded.
fn look_inside(reader: impl Read) -> Option<oci::Form> {
    let mut forms = oci::Forms::default();
    let mut archive = ::tar::Archive::new(reader);
    for entry in archive.entries().ok()?.raw(true) {
        let Ok(mut entry) = entry else { break };
        let name = entry.path_bytes().into_owned();
        forms.see(&name, || {
            let mut json = Vec::new();
            entry
                .by_ref()
                .take(oci::MAX_DOCUMENT)
                .read_to_end(&mut json)
                .ok()?;
            Some(json)
        });
    }
    forms.form()
}
