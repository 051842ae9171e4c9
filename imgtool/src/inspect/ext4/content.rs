//! Content of files, piece by piece: a file of any size takes a buffer of one.

use super::extents::{Run, Runs};
use super::format::FLAG_ENCRYPT;
use super::{Ext4, Fault, Inode, bad};
use crate::inspect::entry::FileKind;

/// A file's content as it is read. Between its pieces are holes.
pub(in crate::inspect) struct Content {
    inode: Inode,
    /// None for an empty file, which need not have a tree of extents.
    runs: Option<Runs>,
    /// What is left of the run that is being read.
    run: Option<Run>,
}

impl Ext4 {
    /// Begins to read a regular file.
    pub(in crate::inspect) fn open_content(&self, inode: Inode) -> Result<Content, Fault> {
        let number = inode.number;
        if inode.kind != FileKind::File {
            return bad(format!("ext4: inode {number} is not a file"));
        }
        if inode.flags & FLAG_ENCRYPT != 0 {
            return bad(format!("ext4: inode {number}: encrypted"));
        }
        let runs = match inode.size {
            0 => None,
            size => Some(Runs::new(&inode, size.div_ceil(self.block_size.into()))?),
        };
        Ok(Content {
            inode,
            runs,
            run: None,
        })
    }
}

impl Content {
    /// Reads the next piece into `buf`, which has room for a block at least: where in the file it
    /// is, and its length. `None` at the end.
    pub(in crate::inspect) fn next(
        &mut self,
        fs: &mut Ext4,
        buf: &mut [u8],
    ) -> Result<Option<(u64, usize)>, Fault> {
        let Some(run) = self.written_run(fs)? else {
            return Ok(None);
        };
        let block_size = u64::from(fs.block_size);
        let blocks = u64::from(run.len).min(buf.len() as u64 / block_size);
        // No two files share a block. So what is read in all is not more than there is, however
        // often extents name the same blocks.
        fs.content_blocks = match fs.content_blocks.checked_sub(blocks) {
            Some(left) if blocks > 0 => left,
            _ => return bad("ext4: files have more blocks than the file system"),
        };
        let at = u64::from(run.logical) * block_size;
        let left = self.inode.size.saturating_sub(at);
        // `blocks` of them fit `buf`.
        let len = left.min(blocks * block_size) as usize;
        fs.volume
            .read_at(run.physical * block_size, &mut buf[..len])?;
        // `blocks` is not more than the run's, which have 32 bits.
        let blocks = blocks as u32;
        self.run = (run.len > blocks).then(|| Run {
            logical: run.logical.saturating_add(blocks),
            physical: run.physical + u64::from(blocks),
            len: run.len - blocks,
            written: true,
        });
        // What lies behind the end of the file is of no interest.
        Ok((len > 0).then_some((at, len)))
    }

    /// What is left of the present run, or the next one that is no hole.
    fn written_run(&mut self, fs: &mut Ext4) -> Result<Option<Run>, Fault> {
        if let Some(run) = self.run.take() {
            return Ok(Some(run));
        }
        let Some(runs) = &mut self.runs else {
            return Ok(None);
        };
        loop {
            match runs.next(fs, &self.inode)? {
                Some(run) if !run.written => {}
                found => return Ok(found),
            }
        }
    }
}
