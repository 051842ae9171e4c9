//! Wildcards and policy variables.

use super::Context;

/// One step of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Glyph {
    /// `*`: any text, also none.
    Any,
    /// `?`: one character.
    One,
    /// This character.
    Literal(char),
}

/// How a value of a policy is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wildcards {
    /// `*` and `?` stand for other text.
    Yes,
    /// They stand for themselves.
    No,
}

/// Reads a value of a policy. Variables, `${aws:PrincipalAccount}`, are put in from `context` if
/// there is one (policies of version 2008-10-17 have no variables); `None` if one has no value.
pub fn compile(text: &str, wildcards: Wildcards, context: Option<&Context>) -> Option<Vec<Glyph>> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(context) = context
            && let Some((name, after)) = rest.strip_prefix("${").and_then(|it| it.split_once('}'))
        {
            if matches!(name, "*" | "?" | "$") {
                out.extend(name.chars().map(Glyph::Literal));
            } else {
                // `${name, 'default'}` says what stands for a key that is absent.
                let (name, default) = match name.split_once(',') {
                    Some((name, default)) => (name.trim(), Some(default.trim().trim_matches('\''))),
                    None => (name, None),
                };
                let value = context.single(name).or(default)?;
                out.extend(value.chars().map(Glyph::Literal));
            }
            rest = after;
            continue;
        }
        out.push(match c {
            '*' if wildcards == Wildcards::Yes => Glyph::Any,
            '?' if wildcards == Wildcards::Yes => Glyph::One,
            c => Glyph::Literal(c),
        });
        rest = &rest[c.len_utf8()..];
    }
    Some(out)
}

/// Whether all of `text` matches. Work is at most the product of the lengths.
pub fn matches(pattern: &[Glyph], text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    // Where the last star was, and where in the text what it takes ends.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(Glyph::Any) => {
                star = Some((p, t));
                p += 1;
            }
            Some(Glyph::One) => {
                p += 1;
                t += 1;
            }
            Some(Glyph::Literal(c)) if *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, end)) => {
                    star = Some((at, end + 1));
                    p = at + 1;
                    t = end + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|glyph| *glyph == Glyph::Any)
}

/// Whether `text` matches a pattern without variables.
pub fn like(pattern: &str, text: &str) -> bool {
    compile(pattern, Wildcards::Yes, None).is_some_and(|pattern| matches(&pattern, text))
}

/// The same for ARNs: each of the six parts is matched by itself, so that a star does not reach
/// over a colon (but in the last part, which has what colons follow).
pub fn arn_matches(pattern: &[Glyph], arn: &str) -> bool {
    let patterns: Vec<&[Glyph]> = pattern
        .splitn(6, |glyph| *glyph == Glyph::Literal(':'))
        .collect();
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    if patterns.len() == 1 && pattern == [Glyph::Any] {
        return true;
    }
    patterns.len() == parts.len()
        && patterns
            .iter()
            .zip(parts)
            .all(|(pattern, part)| matches(pattern, part))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn wildcards() {
        for (pattern, text, is) in [
            ("s3:*", "s3:PutObject", true),
            ("s3:Get*", "s3:PutObject", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("*a*b*", "xxaxxbxx", true),
            (r"a\*", r"a\b", true),
            ("arn:aws:s3:::b/*", "arn:aws:s3:::b/k/l", true),
            ("arn:aws:s3:::b/*", "arn:aws:s3:::b", false),
        ] {
            assert_eq!(like(pattern, text), is, "{pattern} {text}");
        }
    }

    #[test]
    fn variables_are_put_in_as_they_are() {
        let mut context = Context::default();
        context.set("aws:PrincipalAccount", "11*");
        let compiled =
            |text: &str| compile(text, Wildcards::Yes, Some(&context)).map(|it| format!("{it:?}"));
        let literal =
            |text: &str| Some(format!("{:?}", compile(text, Wildcards::No, None).unwrap()));
        assert_eq!(compiled("${aws:principalaccount}"), literal("11*"));
        assert_eq!(compiled("${*}${$}"), literal("*$"));
        assert_eq!(compiled("${aws:username}"), None);
        assert_eq!(compiled("${aws:username, 'me'}"), literal("me"));
    }

    #[test]
    fn stars_in_arns_stay_in_their_part() {
        let is = |pattern: &str, arn: &str| {
            arn_matches(&compile(pattern, Wildcards::Yes, None).unwrap(), arn)
        };
        assert!(is(
            "arn:aws:iam::*:role/x",
            "arn:aws:iam::111111111111:role/x"
        ));
        assert!(!is("arn:aws:*:role/x", "arn:aws:iam::111111111111:role/x"));
        assert!(is("*", "arn:aws:iam::111111111111:role/x"));
    }
}
