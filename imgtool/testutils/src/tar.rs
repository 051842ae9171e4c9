//! tar archives, entry by entry, the malformed ones included.

/// An entry, with pax records before it if there are any.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    /// The name, at most 100 bytes.
    pub name: &'a [u8],
    /// `typeflag`: `b'0'` is a regular file.
    pub kind: u8,
    /// The permissions.
    pub mode: u16,
    /// `linkname`.
    pub link: &'a [u8],
    /// The content.
    pub body: &'a [u8],
    /// Records of an extended header that comes before it.
    pub pax: &'a [(&'a str, &'a [u8])],
}

/// A regular file.
pub fn file<'a>(name: &'a str, body: &'a [u8]) -> Entry<'a> {
    Entry {
        name: name.as_bytes(),
        kind: b'0',
        mode: 0o644,
        link: b"",
        body,
        pax: &[],
    }
}

/// A program.
pub fn executable<'a>(name: &'a str, body: &'a [u8]) -> Entry<'a> {
    Entry {
        mode: 0o755,
        ..file(name, body)
    }
}

/// An entry without content, which everybody may search if it is a directory.
pub fn entry<'a>(kind: u8, name: &'a str, link: &'a str) -> Entry<'a> {
    Entry {
        kind,
        mode: if kind == b'5' { 0o755 } else { 0o644 },
        link: link.as_bytes(),
        ..file(name, b"")
    }
}

/// One header in ustar form, owned by root.
pub fn header(entry: &Entry<'_>) -> [u8; 512] {
    let mut h = [0; 512];
    h[..entry.name.len()].copy_from_slice(entry.name);
    h[100..108].copy_from_slice(format!("{:07o}\0", entry.mode).as_bytes());
    h[108..116].copy_from_slice(b"0000000\0");
    h[116..124].copy_from_slice(b"0000000\0");
    h[124..136].copy_from_slice(format!("{:011o}\0", entry.body.len()).as_bytes());
    h[136..148].copy_from_slice(b"00000000000\0");
    h[156] = entry.kind;
    h[157..157 + entry.link.len()].copy_from_slice(entry.link);
    h[257..265].copy_from_slice(b"ustar\x0000");
    h[329..337].copy_from_slice(b"0000001\0");
    h[337..345].copy_from_slice(b"0000003\0");
    checksum(&mut h);
    h
}

/// Puts in the checksum of a header.
pub fn checksum(h: &mut [u8; 512]) {
    h[148..156].copy_from_slice(b"        ");
    let sum: u32 = h.iter().map(|&b| u32::from(b)).sum();
    h[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// Entries without the mark at the end.
pub fn cut_tar(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut put = |entry: &Entry<'_>| {
        out.extend(header(entry));
        out.extend(entry.body);
        out.resize(out.len().next_multiple_of(512), 0);
    };
    for entry in entries {
        if !entry.pax.is_empty() {
            put(&Entry {
                kind: b'x',
                ..file("pax", &pax(entry.pax))
            });
        }
        put(entry);
    }
    out
}

/// A whole archive.
pub fn tar(entries: &[Entry<'_>]) -> Vec<u8> {
    let mut out = cut_tar(entries);
    out.resize(out.len() + 1024, 0);
    out
}

/// The body of a pax header.
pub fn pax(records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let mut len = rest + 1;
        while len != rest + len.to_string().len() {
            len += 1;
        }
        out.extend(format!("{len} {key}=").bytes());
        out.extend(*value);
        out.push(b'\n');
    }
    out
}
