//! Holes by content, so that they do not depend on the host.
//!
//! File systems and archivers disagree about where a file has holes: a copy may fill them, ZFS
//! makes them by itself, `tar` keeps them only with `-S`. So a hole here is what every copy of a
//! file has in common: a run of aligned 64 KiB chunks that are all zero. Looking for them costs
//! one small read per chunk, because a chunk that has a byte set in its first 64 is data.

/// Bytes per chunk. A hole starts and ends at a multiple of it, or ends where the file does.
pub const CHUNK: u64 = 64 * 1024;

/// Ranges `(offset, len)` of a file of `size` bytes that are data; the rest are holes.
///
/// `read` fills a buffer from an offset; it is never asked for bytes past `size`. Files shorter
/// than a chunk have no holes. `skip` may name ranges `(offset, len)`, ascending, known to be
/// zero without a read (what the file system or the archive says is a hole).
pub fn find_data<E>(
    size: u64,
    skip: &[(u64, u64)],
    mut read: impl FnMut(u64, &mut [u8]) -> Result<(), E>,
) -> Result<Vec<(u64, u64)>, E> {
    let mut data: Vec<(u64, u64)> = Vec::new();
    if size < CHUNK {
        if size > 0 {
            data.push((0, size));
        }
        return Ok(data);
    }
    let mut buf = vec![0; CHUNK as usize];
    let mut at = 0;
    let mut skip = skip.iter().copied().peekable();
    while at < size {
        let len = CHUNK.min(size - at);
        while skip.next_if(|&(start, n)| start + n <= at).is_some() {}
        if let Some(&(start, n)) = skip.peek()
            && start <= at
            && at + len <= start + n
        {
            // All whole chunks of this range at once: 1 TiB of hole is no work.
            let end = if start + n >= size {
                size
            } else {
                (start + n) / CHUNK * CHUNK
            };
            at = end.max(at + len);
            continue;
        }
        let head = 64.min(len as usize);
        read(at, &mut buf[..head])?;
        let mut zero = is_zero(&buf[..head]);
        if zero && len as usize > head {
            read(at + head as u64, &mut buf[head..len as usize])?;
            zero = is_zero(&buf[head..len as usize]);
        }
        if !zero {
            match data.last_mut() {
                Some((start, n)) if *start + *n == at => *n += len,
                _ => data.push((at, len)),
            }
        }
        at += len;
    }
    Ok(data)
}

/// Whether every byte is zero.
pub fn is_zero(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<16>();
    words.iter().all(|w| u128::from_ne_bytes(*w) == 0) && rest.iter().all(|&b| b == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data_of(bytes: &[u8], skip: &[(u64, u64)]) -> Vec<(u64, u64)> {
        find_data(bytes.len() as u64, skip, |at, buf| {
            buf.copy_from_slice(&bytes[at as usize..at as usize + buf.len()]);
            Ok::<_, std::convert::Infallible>(())
        })
        .unwrap()
    }

    #[test]
    fn holes_depend_on_content_alone() {
        let c = CHUNK as usize;
        let mut bytes = vec![0; 5 * c + 10];
        bytes[c + 70] = 1;
        bytes[3 * c] = 1;
        let expected = [(CHUNK, CHUNK), (3 * CHUNK, CHUNK)];
        assert_eq!(data_of(&bytes, &[]), expected);
        // What the host says of its holes changes nothing.
        assert_eq!(data_of(&bytes, &[(0, CHUNK)]), expected);
        assert_eq!(
            data_of(&bytes, &[(4096, CHUNK - 4096), (2 * CHUNK, 4096)]),
            expected
        );
        assert_eq!(data_of(&bytes, &[(4 * CHUNK, CHUNK + 10)]), expected);
    }

    #[test]
    fn small_files_have_no_holes() {
        assert_eq!(data_of(&[], &[]), []);
        assert_eq!(data_of(&[0; 4096], &[(0, 4096)]), [(0, 4096)]);
    }
}
