//! The compressions that archives and packages come in.

use std::io::{Read, Write};

/// How an archive is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packed {
    /// Not at all.
    Plain,
    /// gzip.
    Gz,
    /// xz.
    Xz,
    /// Zstandard.
    Zst,
}

impl Packed {
    /// The extension of an archive's name, with its dot.
    pub fn suffix(self) -> &'static str {
        match self {
            Packed::Plain => "",
            Packed::Gz => ".gz",
            Packed::Xz => ".xz",
            Packed::Zst => ".zst",
        }
    }
}

/// Compresses `bytes`.
pub fn pack(bytes: &[u8], packed: Packed) -> Vec<u8> {
    match packed {
        Packed::Plain => bytes.to_vec(),
        Packed::Gz => gz(bytes),
        Packed::Xz => xz(bytes),
        Packed::Zst => zst(bytes),
    }
}

/// Compresses with gzip.
pub fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

/// Compresses with xz.
pub fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut packed = liblzma::read::XzEncoder::new(bytes, 1);
    packed.read_to_end(&mut out).unwrap();
    out
}

/// Compresses to one Zstandard frame, with its content's size and checksum.
pub fn zst(bytes: &[u8]) -> Vec<u8> {
    let mut packed = zstd::bulk::Compressor::new(3).unwrap();
    packed.include_checksum(true).unwrap();
    packed.compress(bytes).unwrap()
}
