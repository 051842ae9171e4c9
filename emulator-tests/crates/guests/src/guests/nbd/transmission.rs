//! Requests and replies, once the export is chosen.

use super::format::{
    CMD_DISC, CMD_FLAG_FUA, CMD_FLUSH, CMD_READ, CMD_WRITE, CMD_WRITE_ZEROES, EINVAL, EIO, ENOSPC,
    REPLY_MAGIC, REQUEST_LEN, Request,
};
use super::{Export, MOST_BYTES, broken};
use std::io::{self, ErrorKind, Read, Write};

/// Answers one request after the other, until the client says that it goes.
pub(super) fn transmission(
    stream: &mut (impl Read + Write),
    export: &dyn Export,
) -> io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        let mut head = [0; REQUEST_LEN];
        match stream.read_exact(&mut head) {
            Ok(()) => {}
            // A killed client says nothing.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        }
        let Some(request) = Request::parse(&head) else {
            return Err(broken("a request does not begin as one"));
        };
        if request.kind == CMD_DISC {
            return Ok(());
        }
        let carries = matches!(request.kind, CMD_READ | CMD_WRITE);
        if carries && request.length > MOST_BYTES {
            return Err(broken("a request is too long"));
        }
        // Room for the reply's head and what it carries, in one write.
        buffer.clear();
        buffer.extend(REPLY_MAGIC.to_be_bytes());
        buffer.extend([0; 4]);
        buffer.extend(request.cookie);
        let body = buffer.len();
        if carries {
            buffer.resize(body + request.length as usize, 0);
        }
        if request.kind == CMD_WRITE {
            stream.read_exact(&mut buffer[body..])?;
        }
        let error = perform(export, &request, &mut buffer[body..]);
        if error.is_some() || request.kind != CMD_READ {
            buffer.truncate(body);
        }
        buffer[4..8].copy_from_slice(&error.unwrap_or(0).to_be_bytes());
        stream.write_all(&buffer)?;
    }
}

/// Carries a request out; the number of the error, if there is one.
fn perform(export: &dyn Export, request: &Request, data: &mut [u8]) -> Option<u32> {
    let Request { offset, length, .. } = *request;
    let end = offset.checked_add(length.into());
    let inside = end.is_some_and(|end| end <= export.size());
    let writes = matches!(request.kind, CMD_WRITE | CMD_WRITE_ZEROES);
    if writes && !inside {
        return Some(ENOSPC);
    }
    let done = match request.kind {
        CMD_READ if inside => export.read(offset, data),
        CMD_WRITE => export.write(offset, data),
        CMD_WRITE_ZEROES => export.zero(offset, length.into()),
        CMD_FLUSH => export.flush(),
        _ => return Some(EINVAL),
    };
    let done = if writes && request.flags & CMD_FLAG_FUA != 0 {
        done.and_then(|()| export.flush())
    } else {
        done
    };
    let error = done.err()?;
    tracing::error!(%error, offset, length, "a guest's disk fails");
    Some(if error.kind() == ErrorKind::StorageFull {
        ENOSPC
    } else {
        EIO
    })
}
