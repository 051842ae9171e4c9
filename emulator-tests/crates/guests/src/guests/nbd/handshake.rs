//! The handshake: which export, and how large it is.

use super::format::{
    FIXED_NEWSTYLE, INFO_BLOCK_SIZE, INFO_EXPORT, MAGIC, NO_ZEROES, OPT_ABORT, OPT_EXPORT_NAME,
    OPT_GO, OPT_INFO, OPT_LIST, OPTION_MAGIC, OPTION_REPLY_MAGIC, REP_ACK, REP_ERR_INVALID,
    REP_ERR_UNKNOWN, REP_ERR_UNSUP, REP_INFO, REP_SERVER, TRANSMISSION_FLAGS,
};
use super::{MOST_BYTES, NAME, broken};
use std::io::{self, Read, Write};

/// Most bytes of an option: a name of 4096 bytes, and what is around it.
const MOST_OPTION: u32 = 8192;
/// Most options before the export is chosen.
const MOST_OPTIONS: usize = 64;
/// Bytes that a client does best to ask for at a time: a page.
const PREFERRED: u32 = 4096;

/// Shakes hands; `false` if the client wants nothing more.
pub(super) fn handshake(stream: &mut (impl Read + Write), size: u64) -> io::Result<bool> {
    let mut hello = Vec::from(*MAGIC);
    hello.extend(OPTION_MAGIC);
    hello.extend((FIXED_NEWSTYLE | NO_ZEROES).to_be_bytes());
    stream.write_all(&hello)?;
    let flags = u32::from_be_bytes(read(stream)?);
    if flags & u32::from(FIXED_NEWSTYLE) == 0 {
        return Err(broken("the client knows no options"));
    }
    for _ in 0..MOST_OPTIONS {
        if read::<8>(stream)? != *OPTION_MAGIC {
            return Err(broken("an option does not begin as one"));
        }
        let option = u32::from_be_bytes(read(stream)?);
        let length = u32::from_be_bytes(read(stream)?);
        if length > MOST_OPTION {
            return Err(broken("an option is too long"));
        }
        let mut data = vec![0; length as usize];
        stream.read_exact(&mut data)?;
        match option {
            OPT_EXPORT_NAME => {
                // There is no way to refuse but to hang up.
                if !is_ours(&data) {
                    return Err(broken("there is no such export"));
                }
                let mut answer = Vec::from(size.to_be_bytes());
                answer.extend(TRANSMISSION_FLAGS.to_be_bytes());
                if flags & u32::from(NO_ZEROES) == 0 {
                    answer.extend([0; 124]);
                }
                stream.write_all(&answer)?;
                return Ok(true);
            }
            OPT_GO | OPT_INFO => match asked_for(&data) {
                None => reply(stream, option, REP_ERR_INVALID, &[])?,
                Some(name) if !is_ours(name) => reply(stream, option, REP_ERR_UNKNOWN, &[])?,
                Some(_) => {
                    let mut info = Vec::from(INFO_EXPORT.to_be_bytes());
                    info.extend(size.to_be_bytes());
                    info.extend(TRANSMISSION_FLAGS.to_be_bytes());
                    reply(stream, option, REP_INFO, &info)?;
                    let mut info = Vec::from(INFO_BLOCK_SIZE.to_be_bytes());
                    for bytes in [1, PREFERRED, MOST_BYTES] {
                        info.extend(bytes.to_be_bytes());
                    }
                    reply(stream, option, REP_INFO, &info)?;
                    reply(stream, option, REP_ACK, &[])?;
                    if option == OPT_GO {
                        return Ok(true);
                    }
                }
            },
            OPT_LIST => {
                let name = NAME.as_bytes();
                let mut server = Vec::from((NAME.len() as u32).to_be_bytes());
                server.extend(name);
                reply(stream, option, REP_SERVER, &server)?;
                reply(stream, option, REP_ACK, &[])?;
            }
            OPT_ABORT => {
                reply(stream, option, REP_ACK, &[])?;
                return Ok(false);
            }
            _ => reply(stream, option, REP_ERR_UNSUP, &[])?,
        }
    }
    Err(broken("the client can't decide"))
}

/// The empty name is the default export's.
fn is_ours(name: &[u8]) -> bool {
    name.is_empty() || name == NAME.as_bytes()
}

/// The name in the data of [`OPT_GO`]: its length, the name, and what is asked about.
fn asked_for(data: &[u8]) -> Option<&[u8]> {
    let (length, rest) = data.split_first_chunk()?;
    let (name, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    let (count, rest) = rest.split_first_chunk()?;
    (rest.len() == 2 * usize::from(u16::from_be_bytes(*count))).then_some(name)
}

fn reply(stream: &mut impl Write, option: u32, kind: u32, data: &[u8]) -> io::Result<()> {
    let mut bytes = Vec::from(OPTION_REPLY_MAGIC.to_be_bytes());
    bytes.extend(option.to_be_bytes());
    bytes.extend(kind.to_be_bytes());
    bytes.extend((data.len() as u32).to_be_bytes());
    bytes.extend(data);
    stream.write_all(&bytes)
}

fn read<const N: usize>(stream: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}
