//! Numbers in tar headers and pax records.

/// A numeric field of a header: octal digits between spaces and a NUL or space (POSIX ustar), or
/// GNU's base-256, a big-endian number after a byte 0x80. `None` if it is neither, negative, or
/// more than 63 bits.
pub(super) fn field(bytes: &[u8]) -> Option<u64> {
    let number = match bytes.first()? {
        0x80 => base256(&bytes[1..])?,
        // 0xff begins a negative number, other set high bits are a larger one.
        0x81.. => return None,
        _ => octal(bytes)?,
    };
    (number <= i64::MAX as u64).then_some(number)
}

fn base256(bytes: &[u8]) -> Option<u64> {
    bytes.iter().try_fold(0_u64, |sum, &b| {
        sum.checked_mul(256)?.checked_add(u64::from(b))
    })
}

fn octal(bytes: &[u8]) -> Option<u64> {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    let digits = bytes[..end].trim_ascii();
    digits.iter().try_fold(0_u64, |sum, &b| match b {
        b'0'..=b'7' => sum.checked_mul(8)?.checked_add(u64::from(b - b'0')),
        _ => None,
    })
}

/// A decimal number of a pax record, of 63 bits at most.
pub(super) fn decimal(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() {
        return None;
    }
    let number = bytes.iter().try_fold(0_u64, |sum, &b| match b {
        b'0'..=b'9' => sum.checked_mul(10)?.checked_add(u64::from(b - b'0')),
        _ => None,
    })?;
    (number <= i64::MAX as u64).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_out_of_range_are_refused() {
        for (bytes, expected) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b" 644 \0\0\0", Some(0o644)),
            (b"77777777", Some(0o77777777)),
            (b"\0\0\0\0", Some(0)),
            (b"12 34\0", None),
            (b"-1\0", None),
            (b"8\0", None),
            (b"\x80\0\0\0\0\0\0\x01\0", Some(256)),
            (
                b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff",
                Some(i64::MAX as u64),
            ),
            (b"\x80\0\0\0\x80\0\0\0\0\0\0\0", None),
            (b"\x80\x01\0\0\0\0\0\0\0\0\0\0", None),
            (b"\xff\xff\xff\xff", None),
            (b"777777777777777777777777", None),
        ] {
            assert_eq!(field(bytes), expected, "{bytes:?}");
        }
        for (bytes, expected) in [
            (&b"0"[..], Some(0)),
            (b"9223372036854775807", Some(i64::MAX as u64)),
            (b"9223372036854775808", None),
            (b"-1", None),
            (b"1.5", None),
            (b"", None),
        ] {
            assert_eq!(decimal(bytes), expected, "{bytes:?}");
        }
    }
}
