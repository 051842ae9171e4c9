//! Content of files, piece by piece.

use super::{Entry, Fat, Fault, bad};

/// A file's content as it is read.
pub(in crate::inspect) struct Content {
    path: String,
    /// The cluster that is read next.
    cluster: u32,
    /// Where in the file it is.
    at: u64,
    size: u64,
}

impl Content {
    /// That of a file.
    pub(in crate::inspect) fn new(entry: &Entry) -> Content {
        Content {
            path: entry.path.clone(),
            cluster: entry.cluster,
            at: 0,
            size: entry.size,
        }
    }

    /// Reads the next piece into `buf`, which has room for a cluster at least: where in the file it
    /// is, and its length. `None` at the end.
    pub(in crate::inspect) fn next(
        &mut self,
        fat: &mut Fat,
        buf: &mut [u8],
    ) -> Result<Option<(u64, usize)>, Fault> {
        let (start, cluster_size) = (self.at, u64::from(fat.cluster_size));
        let mut len = 0;
        while self.at < self.size {
            let want = cluster_size.min(self.size - self.at) as usize;
            let Some(place) = buf.get_mut(len..len + want) else {
                break;
            };
            let at = fat.data + u64::from(fat.number(self.cluster)?) * cluster_size;
            fat.volume.read_at(at, place)?;
            len += want;
            self.at += want as u64;
            if self.at < self.size {
                self.cluster = match fat.next(self.cluster)? {
                    Some(next) => next,
                    None => {
                        return bad(format!("{}: its chain of clusters is too short", self.path));
                    }
                };
            }
        }
        Ok((len > 0).then_some((start, len)))
    }
}
