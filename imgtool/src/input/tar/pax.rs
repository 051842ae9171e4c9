//! Extended header records (POSIX.1-2008, pax, "pax Extended Header").

use super::numbers::decimal;

/// A record: keyword and value, both bytes.
pub(super) type Record = (Vec<u8>, Vec<u8>);

/// Splits the body of an extended header into its records, in their order. A value may hold any
/// byte, newlines too, so the length in front of each record is what counts.
pub(super) fn parse(mut body: &[u8]) -> Result<Vec<Record>, String> {
    let mut records = Vec::new();
    while !body.is_empty() {
        let (record, rest) =
            split_record(body).ok_or("a pax record that is not \"LENGTH KEY=VALUE\"")?;
        records.push(record);
        body = rest;
    }
    Ok(records)
}

/// The first record and what follows it.
fn split_record(body: &[u8]) -> Option<(Record, &[u8])> {
    let space = body.iter().take(20).position(|&b| b == b' ')?;
    let len = usize::try_from(decimal(&body[..space])?).ok()?;
    let record = body.get(space + 1..len)?;
    let (&b'\n', record) = record.split_last()? else {
        return None;
    };
    let equals = record.iter().position(|&b| b == b'=')?;
    if equals == 0 {
        return None;
    }
    let (key, value) = (&record[..equals], &record[equals + 1..]);
    Some(((key.to_vec(), value.to_vec()), &body[len..]))
}

/// The name of an extended attribute that a keyword stands for, and its value.
///
/// `SCHILY.xattr.` (star, GNU tar, Go) has both as they are; `LIBARCHIVE.xattr.` has the name
/// percent-encoded and the value in base64. `None` for other keywords and for broken encodings.
pub(super) fn xattr(key: &[u8], value: &[u8]) -> Option<Record> {
    if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
        return Some((name.to_vec(), value.to_vec()));
    }
    let name = key.strip_prefix(b"LIBARCHIVE.xattr.")?;
    Some((percent_decode(name)?, base64_decode(value)?))
}

fn percent_decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        if first == b'%' {
            let mut byte = [0];
            hex::decode_to_slice(tail.get(..2)?, &mut byte).ok()?;
            out.push(byte[0]);
            rest = &tail[2..];
        } else {
            out.push(first);
        }
    }
    Some(out)
}

/// Base64 (RFC 4648, section 4), with or without padding, as libarchive writes it.
fn base64_decode(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.trim_ascii_end();
    let end = text.iter().position(|&b| b == b'=').unwrap_or(text.len());
    if text[end..].iter().any(|&b| b != b'=') || end % 4 == 1 {
        return None;
    }
    let mut out = Vec::with_capacity(end / 4 * 3 + 3);
    let (mut bits, mut count) = (0_u32, 0);
    for &b in &text[..end] {
        let six = match b {
            b'A'..=b'Z' => b - b'A',
            b'a'..=b'z' => b - b'a' + 26,
            b'0'..=b'9' => b - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(six)) & 0xff_ffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count & 0xff) as u8);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_may_hold_newlines_and_equal_signs() {
        let records = parse(b"9 k=a\nb=\n8 x=yzw\n5 z=\n").unwrap();
        let expected = [("k", "a\nb="), ("x", "yzw"), ("z", "")];
        let expected = expected.map(|(k, v)| (k.as_bytes().to_vec(), v.as_bytes().to_vec()));
        assert_eq!(records, expected);
    }

    #[test]
    fn broken_records_are_refused() {
        for body in [
            &b"x"[..],
            b"5 a=b",
            b"6 ab=c",
            b"0 a=b\n",
            b"2 a=b\n",
            b"6 =bc\n",
            b"6 abc\n",
            b"99999999999999999999 a=b\n",
            b"18446744073709551615 a=b\n",
            b"\0\0\0",
        ] {
            assert!(parse(body).is_err(), "{body:?}");
        }
    }

    #[test]
    fn xattrs_in_both_spellings() {
        let attr = |k: &str, v: &[u8]| xattr(k.as_bytes(), v);
        let expected = Some((b"user.a=b".to_vec(), b"\0\xff\n1".to_vec()));
        assert_eq!(attr("SCHILY.xattr.user.a=b", b"\0\xff\n1"), expected);
        assert_eq!(attr("LIBARCHIVE.xattr.user.a%3Db", b"AP8KMQ"), expected);
        assert_eq!(attr("LIBARCHIVE.xattr.user.a%3db", b"AP8KMQ=="), expected);
        assert_eq!(attr("LIBARCHIVE.xattr.user.a", b"A"), None);
        assert_eq!(attr("LIBARCHIVE.xattr.user.%4", b"AAAA"), None);
        assert_eq!(attr("LIBARCHIVE.xattr.user.a", b"A=A="), None);
        assert_eq!(attr("path", b"x"), None);
    }
}
