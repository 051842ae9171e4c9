//! What an instance says on its console.

use crate::aws::{AwsError, Session};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Lines of a console's end.
const END_LINES: usize = 40;

/// The console's output so far; empty where there is none yet.
pub(super) async fn read(session: &Session, instance: &str) -> Result<String, AwsError> {
    let call = |latest: bool| {
        session
            .ec2
            .get_console_output()
            .instance_id(instance)
            .latest(latest)
            .send()
    };
    let answer = call(true)
        .await
        .map_err(|error| AwsError::new("ec2 GetConsoleOutput", error));
    let answer = match answer {
        // Types of before Nitro keep only what they said while they booted.
        Err(error) if error.code.starts_with("Unsupported") => call(false)
            .await
            .map_err(|error| AwsError::new("ec2 GetConsoleOutput", error))?,
        answer => answer?,
    };
    let text = answer.output.unwrap_or_default();
    let text: String = text.split_whitespace().collect();
    let bytes = STANDARD.decode(text).unwrap_or_default();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The last lines of a console, without what would move a terminal's cursor.
pub fn end_of(console: &str) -> String {
    let clean = |line: &str| -> String { line.chars().filter(|it| !it.is_control()).collect() };
    let lines: Vec<String> = console
        .lines()
        .map(clean)
        .filter(|it| !it.trim().is_empty())
        .collect();
    lines[lines.len().saturating_sub(END_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_some_lines_that_a_terminal_can_show() {
        let text: String = (0..100)
            .map(|it| format!("line {it}\x1b[2J\r\n\n"))
            .collect();
        let end = end_of(&text);
        assert_eq!(end.lines().count(), END_LINES);
        assert!(end.starts_with("line 60[2J") && end.ends_with("line 99[2J"));
        assert_eq!(end_of(""), "");
    }
}
