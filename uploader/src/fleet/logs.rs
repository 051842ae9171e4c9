//! What an instance writes to its console, as EC2 keeps its end.

use crate::aws::{AwsError, Kind, Session};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Least that two texts have to have in common to be one after the other.
const LEAST: usize = 64;

/// The end of an instance's console: up to 64 KiB. Empty if there is nothing yet, or no such
/// instance any more.
///
/// # Errors
/// EC2 refuses.
pub async fn console(session: &Session, instance: &str) -> Result<String, AwsError> {
    let ask = |latest: Option<bool>| async move {
        session
            .ec2
            .get_console_output()
            .instance_id(instance)
            .set_latest(latest)
            .send()
            .await
            .map_err(|error| AwsError::new("ec2 GetConsoleOutput", error))
    };
    let answer = match ask(Some(true)).await {
        // Types of before Nitro have what was there at the last change of state, and no newer.
        Err(error) if error.kind == Kind::Refused => ask(None).await,
        answer => answer,
    };
    let answer = match answer {
        Err(error) if error.kind == Kind::NotFound => return Ok(String::new()),
        answer => answer?,
    };
    let bytes = STANDARD.decode(answer.output().unwrap_or_default());
    let bytes = bytes.unwrap_or_default();
    Ok(printable(&String::from_utf8_lossy(&bytes)))
}

/// A text that can't do anything to a terminal: what an instance writes is the instance's.
fn printable(text: &str) -> String {
    let mut rest = text.chars().peekable();
    let mut shown = String::with_capacity(text.len());
    while let Some(it) = rest.next() {
        match it {
            '\u{1b}' => {
                // ECMA-48, 5.4: a control sequence ends with a byte of 0x40 to 0x7E.
                if rest.next_if_eq(&'[').is_some() {
                    while rest.next_if(|it| matches!(it, ' '..='?')).is_some() {}
                    rest.next_if(|it| matches!(it, '@'..='~'));
                }
            }
            '\n' | '\t' => shown.push(it),
            it if it.is_control() => {}
            it => shown.push(it),
        }
    }
    shown
}

/// The last lines of a text.
pub fn tail(text: &str, lines: usize) -> &str {
    let text_end = text.trim_end_matches('\n').len();
    let head = &text[..text_end];
    let start = match lines {
        0 => text.len(),
        lines => head
            .rmatch_indices('\n')
            .nth(lines - 1)
            .map_or(0, |(at, _)| at + 1),
    };
    &text[start..]
}

/// What of `now` was not in `before`, of which EC2 may have dropped the beginning.
pub fn news<'t>(before: &str, now: &'t str) -> &'t str {
    if let Some(more) = now.strip_prefix(before) {
        return more;
    }
    // The end of what was there is somewhere in what there is.
    let mut from = before.len().saturating_sub(4096);
    while !before.is_char_boundary(from) {
        from += 1;
    }
    let end = &before[from..];
    if end.len() >= LEAST
        && let Some(at) = now.rfind(end)
    {
        return &now[at + end.len()..];
    }
    // All of it is new: the instance wrote more than EC2 keeps, or started anew.
    now
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_console_does_nothing_to_a_terminal() {
        let text =
            "\u{1b}[2J\u{1b}[1;31mred\u{1b}[0m\r\nbell\u{7}\u{9b}1m \u{1b}]0;title\u{7}ä\tb\n";
        assert_eq!(printable(text), "red\nbell1m ]0;titleä\tb\n");
        assert_eq!(printable("cut \u{1b}["), "cut ");
    }

    #[test]
    fn a_tail_is_whole_lines() {
        let text = "a\nb\nc\n";
        for (lines, end) in [(0, ""), (1, "c\n"), (2, "b\nc\n"), (3, text), (9, text)] {
            assert_eq!(tail(text, lines), end, "{lines}");
        }
        assert_eq!(tail("a\nb", 1), "b");
        assert_eq!(tail("", 5), "");
    }

    proptest! {
        /// However much EC2 drops, nothing is shown twice and nothing is lost that it still has.
        #[test]
        fn what_is_new_is_shown_once(
            first in 1usize..3000, more in 0usize..3000, kept in 500usize..4000, seed in any::<u64>(),
        ) {
            let mut random = fastrand::Rng::with_seed(seed);
            let all: String = (0..first + more).map(|_| random.alphanumeric()).collect();
            let end = |len: usize, of: &str| of[of.len().saturating_sub(len)..].to_owned();
            let before = end(kept, &all[..first]);
            let now = end(kept, &all);
            let wanted = end(more.min(kept), &all);
            if before.len() >= LEAST || now.starts_with(&before) {
                // As long as the two have enough in common.
                if more + 4096.min(before.len()) <= now.len() || now.starts_with(&before) {
                    prop_assert_eq!(news(&before, &now), wanted);
                }
            }
            prop_assert!(now.ends_with(news(&before, &now)));
        }
    }
}
