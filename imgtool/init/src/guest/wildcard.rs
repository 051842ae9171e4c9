//! Shell wildcards as kernel modules use them in their aliases.

/// Whether `text` matches `pattern`, in which `*` stands for any number of bytes, `?` for any one,
/// and `[a-c]` or `[!a-c]` for one of a set. `-` and `_` are the same, as kmod has it.
///
/// Takes at most `pattern.len() * text.len()` steps, whatever the pattern.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where to go on when a match fails: after the last `*`, one byte further in the text.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            retry = Some((p, t));
        } else if let Some(width) = one(&pattern[p..], text[t]) {
            p += width;
            t += 1;
        } else if let Some((after_star, from)) = retry {
            p = after_star;
            t = from + 1;
            retry = Some((after_star, t));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

/// How many bytes of the pattern stand for `byte`; `None` when they stand for another.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match *pattern.first()? {
        b'?' => Some(1),
        b'[' => match set(pattern, byte) {
            Some((true, width)) => Some(width),
            Some((false, _)) => None,
            // No closing bracket: an ordinary character.
            None => (byte == b'[').then_some(1),
        },
        literal => (fold(literal) == fold(byte)).then_some(1),
    }
}

/// For a pattern that begins with `[`: whether the set holds `byte`, and the set's length.
fn set(pattern: &[u8], byte: u8) -> Option<(bool, usize)> {
    let negated = matches!(pattern.get(1), Some(b'!' | b'^'));
    let start = if negated { 2 } else { 1 };
    // A `]` in the first place is a member of the set.
    let length = pattern.get(start + 1..)?.iter().position(|&b| b == b']')?;
    let end = start + 1 + length;
    let mut members = &pattern[start..end];
    let mut found = false;
    loop {
        members = match members {
            [] => return Some((found != negated, end + 1)),
            [low, b'-', high, rest @ ..] => {
                found |= (*low..=*high).contains(&byte);
                rest
            }
            [member, rest @ ..] => {
                found |= *member == byte;
                rest
            }
        };
    }
}

fn fold(byte: u8) -> u8 {
    if byte == b'-' { b'_' } else { byte }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_match_as_the_shell_does() {
        for (pattern, text, expected) in [
            ("virtio:d00000002v*", "virtio:d00000002v00001AF4", true),
            ("virtio:d00000002v*", "virtio:d00000001v00001AF4", false),
            (
                "pci:v00001D0Fd0000EC20sv*sd*bc*sc*i*",
                "pci:v00001D0Fd0000EC20sv0sd0bc02sc00i00",
                true,
            ),
            (
                "pci:v*d*sv*sd*bc01sc01i*",
                "pci:v00008086d00007010sv1sd2bc01sc01i80",
                true,
            ),
            (
                "pci:v*d*sv*sd*bc01sc01i*",
                "pci:v00008086d00007010sv1sd2bc01sc06i80",
                false,
            ),
            ("xen:vbd", "xen:vbd", true),
            ("xen:vbd", "xen:vbd2", false),
            ("fs-ext4", "fs_ext4", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a[0-9]c", "a5c", true),
            ("a[0-9]c", "axc", false),
            ("a[!0-9]c", "axc", true),
            ("a[]x]c", "a]c", true),
            ("a[bc", "a[bc", true),
            ("*", "", true),
            ("", "", true),
            ("", "x", false),
            ("*a*b", "xaxbxb", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} against {text}");
        }
    }

    #[test]
    fn a_hostile_pattern_ends() {
        assert!(!matches(&"*a".repeat(200), &"b".repeat(20_000)));
        assert!(!matches(&("*a".repeat(200) + "c"), &"a".repeat(2_000)));
    }
}
