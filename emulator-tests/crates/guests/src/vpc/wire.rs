//! Frames on a stream, as QEMU sends them: each after its length in four bytes.

use bytes::{Buf, Bytes, BytesMut};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};

/// QEMU's own limit (`NET_BUFSIZE`).
const LONGEST: usize = 4096 + 65536;
/// Bytes of a length.
const LENGTH: usize = 4;

/// Frames to and from QEMU.
pub(super) struct Frames<S> {
    reader: ReadHalf<S>,
    writer: WriteHalf<S>,
    input: BytesMut,
    output: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Frames<S> {
    pub(super) fn new(stream: S) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        Self {
            reader,
            writer,
            input: BytesMut::new(),
            output: BytesMut::new(),
        }
    }

    /// The next frame that is there, whole.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        let length = self.length()?;
        if self.input.len() - LENGTH < length {
            return None;
        }
        self.input.advance(LENGTH);
        Some(self.input.split_to(length).freeze())
    }

    /// The length of the next frame, if it is there.
    fn length(&self) -> Option<usize> {
        let length = self.input.first_chunk::<LENGTH>()?;
        usize::try_from(u32::from_be_bytes(*length)).ok()
    }

    /// Whether everything is sent that was to be.
    pub(super) fn has_sent(&self) -> bool {
        self.output.is_empty()
    }

    /// Sends these, once what was before them is sent.
    pub(super) fn send(&mut self, frames: BytesMut) {
        self.output.unsplit(frames);
    }

    /// Reads or writes something, unless a frame is there that nobody has taken.
    ///
    /// # Errors
    /// The stream is broken or at its end, or what comes are no frames.
    pub(super) async fn pass(&mut self) -> io::Result<()> {
        let length = self.length();
        if length.is_some_and(|length| length > LONGEST) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a frame longer than any",
            ));
        }
        let whole = length.is_some_and(|length| self.input.len() - LENGTH >= length);
        tokio::select! {
            read = read(&mut self.reader, &mut self.input), if !whole => read,
            written = write(&mut self.writer, &mut self.output), if !self.output.is_empty() => written,
            // The guest has to take what is sent first.
            else => std::future::pending().await,
        }
    }
}

async fn read(reader: &mut (impl AsyncRead + Unpin), input: &mut BytesMut) -> io::Result<()> {
    // Room for some frames at a time.
    input.reserve(2 * LONGEST);
    match reader.read_buf(input).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

async fn write(writer: &mut (impl AsyncWrite + Unpin), output: &mut BytesMut) -> io::Result<()> {
    writer.write_buf(output).await.map(drop)
}
