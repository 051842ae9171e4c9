//! The wire format: names and numbers of the NBD project's `doc/proto.md`. All integers are
//! big-endian.

/// The server's first word.
pub(super) const MAGIC: &[u8; 8] = b"NBDMAGIC";
/// The server's second word, and what each option begins with.
pub(super) const OPTION_MAGIC: &[u8; 8] = b"IHAVEOPT";
/// What each answer to an option begins with.
pub(super) const OPTION_REPLY_MAGIC: u64 = 0x0003_e889_0455_65a9;
/// What each request begins with.
pub(super) const REQUEST_MAGIC: u32 = 0x2560_9513;
/// What each simple reply begins with.
pub(super) const REPLY_MAGIC: u32 = 0x6744_6698;

/// Handshake flags, of both sides: options that are not known are answered, not the end.
pub(super) const FIXED_NEWSTYLE: u16 = 1 << 0;
/// Handshake flags, of both sides: no zeros after the answer to [`OPT_EXPORT_NAME`].
pub(super) const NO_ZEROES: u16 = 1 << 1;

pub(super) const OPT_EXPORT_NAME: u32 = 1;
pub(super) const OPT_ABORT: u32 = 2;
pub(super) const OPT_LIST: u32 = 3;
pub(super) const OPT_INFO: u32 = 6;
pub(super) const OPT_GO: u32 = 7;

pub(super) const REP_ACK: u32 = 1;
pub(super) const REP_SERVER: u32 = 2;
pub(super) const REP_INFO: u32 = 3;
pub(super) const REP_ERR_UNSUP: u32 = 1 << 31 | 1;
pub(super) const REP_ERR_INVALID: u32 = 1 << 31 | 3;
pub(super) const REP_ERR_UNKNOWN: u32 = 1 << 31 | 6;

pub(super) const INFO_EXPORT: u16 = 0;
pub(super) const INFO_BLOCK_SIZE: u16 = 3;

/// Transmission flags: the flags mean something; flush, FUA and writing of zeros are understood.
pub(super) const TRANSMISSION_FLAGS: u16 = 1 << 0 | 1 << 2 | 1 << 3 | 1 << 6;

pub(super) const CMD_READ: u16 = 0;
pub(super) const CMD_WRITE: u16 = 1;
pub(super) const CMD_DISC: u16 = 2;
pub(super) const CMD_FLUSH: u16 = 3;
pub(super) const CMD_WRITE_ZEROES: u16 = 6;

/// Command flag: what is written has to last before the reply.
pub(super) const CMD_FLAG_FUA: u16 = 1 << 0;

pub(super) const EIO: u32 = 5;
pub(super) const EINVAL: u32 = 22;
pub(super) const ENOSPC: u32 = 28;

/// Bytes of a request's head.
pub(super) const REQUEST_LEN: usize = 28;

/// A request's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) flags: u16,
    pub(super) kind: u16,
    /// The client's name for the request.
    pub(super) cookie: [u8; 8],
    pub(super) offset: u64,
    pub(super) length: u32,
}

impl Request {
    /// Reads a head; `None` if it does not begin as one.
    pub(super) fn parse(bytes: &[u8; REQUEST_LEN]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk()?;
        let (flags, rest) = rest.split_first_chunk()?;
        let (kind, rest) = rest.split_first_chunk()?;
        let (cookie, rest) = rest.split_first_chunk()?;
        let (offset, rest) = rest.split_first_chunk()?;
        let (length, _) = rest.split_first_chunk()?;
        (u32::from_be_bytes(*magic) == REQUEST_MAGIC).then(|| Self {
            flags: u16::from_be_bytes(*flags),
            kind: u16::from_be_bytes(*kind),
            cookie: *cookie,
            offset: u64::from_be_bytes(*offset),
            length: u32::from_be_bytes(*length),
        })
    }
}
