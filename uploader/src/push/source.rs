//! Where frames come from. Each is checked when it is read: nothing leaves that is not what the
//! manifest says.

use super::delta::{Frame, bytes};
use super::disk::Disk;
use super::error::ImageError;
use crate::image::ImageDigest;
use imgtool::pack::{Manifest, PackDigest, PackError, read_manifest, seek_table};
use imgtool::pass::BLOCK_LEN;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use zstd::bulk::{Compressor, Decompressor};

/// What is pushed.
#[derive(Debug)]
pub enum Image {
    /// A pack and its manifest.
    Pack(Pack),
    /// A disk, whose blocks are hashed and compressed here.
    Disk(Disk),
}

/// A pack on this machine.
#[derive(Debug)]
pub struct Pack {
    /// Its manifest, checked.
    pub manifest: Manifest,
    /// Which image it is.
    pub digest: ImageDigest,
    file: File,
    path: PathBuf,
    /// The first block that was found to be wrong, and why: pushes to other vaults end, too.
    wrong: OnceLock<(u64, String)>,
}

/// One reader's buffers and contexts.
pub(super) struct Reader {
    block: Vec<u8>,
    decompressor: Decompressor<'static>,
    /// For disks, made when it is first needed.
    pub(super) compressor: Option<Compressor<'static>>,
}

impl Reader {
    pub(super) fn new() -> Result<Reader, ImageError> {
        Ok(Reader {
            block: vec![0; BLOCK_LEN],
            decompressor: Decompressor::new().map_err(PackError::Compress)?,
            compressor: None,
        })
    }
}

impl Image {
    /// Appends these frames to `out`, each of them checked.
    pub(super) fn read(
        &self,
        frames: &[Frame],
        reader: &mut Reader,
        out: &mut Vec<u8>,
    ) -> Result<(), ImageError> {
        match self {
            Image::Pack(pack) => pack.read(frames, reader, out),
            Image::Disk(disk) => disk.read(frames, &mut reader.block, &mut reader.compressor, out),
        }
    }
}

impl Pack {
    /// Opens a pack and checks all that can be checked without reading it: that the manifest is
    /// one, that it names this pack and no other, and that lengths and digest agree.
    ///
    /// # Errors
    /// They don't, or a file can't be read.
    pub fn open(path: &Path, manifest_path: &Path) -> Result<Pack, ImageError> {
        let manifest = read_manifest(manifest_path)?;
        let read = |cause| ImageError::Read {
            path: path.into(),
            cause,
        };
        let file = File::open(path).map_err(read)?;
        let len = file.metadata().map_err(read)?.len();
        whole(&manifest, len).map_err(|why| ImageError::Mismatch {
            pack: path.into(),
            manifest: manifest_path.into(),
            why,
        })?;
        Ok(Pack {
            digest: ImageDigest::of(&manifest),
            manifest,
            file,
            path: path.into(),
            wrong: OnceLock::new(),
        })
    }

    fn read(
        &self,
        frames: &[Frame],
        reader: &mut Reader,
        out: &mut Vec<u8>,
    ) -> Result<(), ImageError> {
        if let Some((index, why)) = self.wrong.get() {
            return Err(self.wrong(*index, why.clone()));
        }
        let mut rest = frames;
        while let Some(first) = rest.first() {
            // Frames that follow each other in the file are read at once.
            let mut end = first.offset;
            let run = rest.iter().take_while(|frame| {
                let follows = frame.offset == end;
                end = frame.offset + u64::from(frame.len);
                follows
            });
            let (run, more) = rest.split_at(run.count());
            rest = more;
            let len: usize = run.iter().map(|frame| frame.len as usize).sum();
            let start = out.len();
            out.resize(start + len, 0);
            self.file
                .read_exact_at(&mut out[start..], first.offset)
                .map_err(|cause| self.unreadable(first, cause))?;
            let mut at = start;
            for frame in run {
                let bytes = &out[at..at + frame.len as usize];
                at += bytes.len();
                self.check(frame, bytes, reader)?;
            }
        }
        Ok(())
    }

    fn check(&self, frame: &Frame, bytes: &[u8], reader: &mut Reader) -> Result<(), ImageError> {
        let bad = |why| self.wrong(frame.index, why);
        let n = reader
            .decompressor
            .decompress_to_buffer(bytes, &mut reader.block[..])
            .map_err(|error| bad(format!("its frame does not decompress ({error})")))?;
        let sha256: [u8; 32] = Sha256::digest(&reader.block).into();
        if n != BLOCK_LEN || sha256 != frame.sha256 {
            return Err(bad("its digest is not the manifest's".into()));
        }
        Ok(())
    }

    fn wrong(&self, index: u64, why: String) -> ImageError {
        let (index, why) = self.wrong.get_or_init(|| (index, why)).clone();
        let path = self.path.clone();
        ImageError::Pack(PackError::Block { path, index, why })
    }

    fn unreadable(&self, frame: &Frame, cause: io::Error) -> ImageError {
        match cause.kind() {
            io::ErrorKind::UnexpectedEof => {
                self.wrong(frame.index, "its frame lies behind the pack's end".into())
            }
            _ => ImageError::Read {
                path: self.path.clone(),
                cause,
            },
        }
    }
}

/// Says what is wrong if a file of `len` bytes can't be the one pack of `manifest`.
fn whole(manifest: &Manifest, len: u64) -> Result<(), String> {
    let [pack] = manifest.packs.as_slice() else {
        return Err(format!(
            "the manifest names {} packs, and one can be pushed",
            manifest.packs.len()
        ));
    };
    let mut digest = PackDigest::default();
    let mut end = 0;
    let mut lens = Vec::with_capacity(manifest.blocks.data.len());
    for (index, sha256, _, offset, len) in &manifest.blocks.data {
        if *offset != end {
            return Err(format!(
                "block {index}: its frame is at {offset}, and the one before it ends at {end}"
            ));
        }
        end += u64::from(*len);
        lens.push(*len);
        digest.frame(*len, &bytes(sha256));
    }
    if hex::encode(digest.finish()) != pack.digest {
        return Err(
            "packs[0].digest: not what the frames' lengths and the blocks' digests give".into(),
        );
    }
    let whole = end + seek_table(&lens).map_or(0, |table| table.len() as u64);
    if pack.size != whole {
        return Err(format!(
            "packs[0].size: {}, and frames and seek table are {whole} bytes",
            pack.size
        ));
    }
    if len != whole {
        return Err(format!(
            "the pack has {len} bytes, and the manifest says {whole}"
        ));
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::delta::{Known, plan};
    use super::*;
    use imgtool::pack::{compressor, frame};
    use uploader_testutils::{self as samples, Sample};

    #[test]
    fn a_pack_with_a_wrong_block_is_read_by_nobody_any_more() {
        let mut compressor = compressor(1).unwrap();
        let (mut bytes, mut lens, mut blocks) = (Vec::new(), Vec::new(), Vec::new());
        // The second holds something else than its digest says.
        for (fill, says) in [(1, 1), (2, 3)] {
            let mut made = Vec::new();
            frame(&mut compressor, &vec![fill; BLOCK_LEN], &mut made).unwrap();
            let len = u32::try_from(made.len()).unwrap();
            let sha256 = Sha256::digest(vec![says; BLOCK_LEN]).into();
            blocks.push(Sample::Data { sha256, len });
            bytes.extend(made);
            lens.push(len);
        }
        bytes.extend(seek_table(&lens).unwrap());
        let manifest = samples::manifest(blocks);
        let dir = tempfile::tempdir().unwrap();
        let (pack, beside) = (
            dir.path().join("web.pack"),
            dir.path().join("web.pack.json"),
        );
        std::fs::write(&pack, bytes).unwrap();
        std::fs::write(&beside, serde_json::to_vec(&manifest).unwrap()).unwrap();
        let pack = Pack::open(&pack, &beside).unwrap();
        let frames = plan(manifest, &Known::default()).pack.unwrap().frames;
        let read = |frames: &[Frame]| {
            let mut out = Vec::new();
            let read = pack.read(frames, &mut Reader::new().unwrap(), &mut out);
            read.map(|()| out.len()).map_err(|error| error.to_string())
        };
        let (good, wrong) = frames.split_at(1);
        assert_eq!(read(good), Ok(lens[0] as usize));
        let said = read(wrong).unwrap_err();
        assert!(said.contains("block 1"), "{said}");
        assert_eq!(read(good), Err(said));
    }
}
