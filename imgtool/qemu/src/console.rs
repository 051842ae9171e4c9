//! Reads the guest's console for the lines that decide how it fared.

use imgtool_init::console::{EXITED, FAILED, PREFIX};

/// How many of the console's last bytes are kept.
const KEEP: usize = 64 * 1024;
/// Of a line, how much is looked at.
const MAX_LINE: usize = 4096;
/// What Linux writes before it gives up (`kernel/panic.c`).
const PANIC: &str = "Kernel panic - not syncing";

/// What the firmwares write when there is nothing they can boot: SeaBIOS, and OVMF as it turns to
/// its shell.
const NOTHING_TO_BOOT: [&str; 2] = ["No bootable device.", "UEFI Interactive Shell v"];

/// How the application ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Exit {
    /// With this exit status.
    Status(i32),
    /// By this signal.
    Signal(i32),
}

/// Something on the console that matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// The text that was waited for.
    Expected,
    /// The application ended for good.
    Exited(Exit),
    /// The firmware found nothing to boot.
    NothingToBoot,
    /// PID 1 gave up; its reason.
    Failed(String),
    /// The kernel gave up; its line.
    Panicked(String),
}

/// Reads the console as it comes. Memory is bounded, whatever the guest writes.
pub(super) struct Scanner {
    expect: Vec<u8>,
    recent: Vec<u8>,
    line: Vec<u8>,
}

impl Scanner {
    /// Waits for `expect`, if there is one.
    pub(super) fn new(expect: Option<&str>) -> Scanner {
        Scanner {
            expect: expect.unwrap_or_default().as_bytes().to_vec(),
            recent: Vec::new(),
            line: Vec::new(),
        }
    }

    /// Takes in what the guest wrote; says what happened, in the guest's order.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        for &byte in bytes {
            self.recent.push(byte);
            if self.recent.len() >= 2 * KEEP {
                self.recent.drain(..KEEP);
            }
            if !self.expect.is_empty() && self.recent.ends_with(&self.expect) {
                // Once is enough.
                self.expect.clear();
                events.push(Event::Expected);
            }
            if byte == b'\n' {
                events.extend(read_line(&String::from_utf8_lossy(&self.line)));
                self.line.clear();
            } else if self.line.len() < MAX_LINE {
                self.line.push(byte);
            }
        }
        events
    }

    /// The console's last `count` lines, without control characters.
    pub(super) fn last_lines(&self, count: usize) -> String {
        let start = self.recent.len().saturating_sub(KEEP);
        let text = String::from_utf8_lossy(&self.recent[start..]);
        let lines: Vec<String> = text
            .lines()
            .map(printable)
            .filter(|line| !line.trim().is_empty())
            .collect();
        lines[lines.len().saturating_sub(count)..].join("\n")
    }
}

/// What a line says, if anything. A line may begin with the kernel's time, or with what an
/// application wrote without ending its line.
fn read_line(line: &str) -> Option<Event> {
    if let Some(at) = line.find(PANIC) {
        return Some(Event::Panicked(printable(&line[at..]).trim().to_string()));
    }
    let plain = printable(line);
    if NOTHING_TO_BOOT.iter().any(|text| plain.starts_with(text)) {
        return Some(Event::NothingToBoot);
    }
    let (_, said) = line.split_once(PREFIX)?;
    if let Some(reason) = said.strip_prefix(FAILED) {
        return Some(Event::Failed(printable(reason).trim().to_string()));
    }
    let (kind, number) = said.strip_prefix(EXITED)?.trim().split_once(' ')?;
    let number = number.parse().ok()?;
    match kind {
        "status" => Some(Event::Exited(Exit::Status(number))),
        "signal" => Some(Event::Exited(Exit::Signal(number))),
        _ => None,
    }
}

/// Drops terminal control sequences and other control characters, so that a guest can't steer the
/// terminal through an error message.
fn printable(line: &str) -> String {
    let mut out = String::new();
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        // ECMA-48: ESC and one character; if that is [, up to a character from @ to ~.
        if c == '\u{1b}' {
            if chars.next() == Some('[') {
                chars.by_ref().find(|c| ('@'..='~').contains(c));
            }
        } else if c == '\t' || !c.is_control() {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(expect: Option<&str>, text: &str) -> Vec<Event> {
        let whole = Scanner::new(expect).push(text.as_bytes());
        let mut scanner = Scanner::new(expect);
        let bytewise: Vec<_> = text.bytes().flat_map(|b| scanner.push(&[b])).collect();
        assert_eq!(whole, bytewise, "how it is cut must not matter");
        whole
    }

    #[test]
    fn lines_of_pid_1_and_of_the_kernel_are_understood() {
        for (text, expected) in [
            (
                "imgtool: application exited with status 0\r\n",
                Some(Event::Exited(Exit::Status(0))),
            ),
            (
                "no newline before imgtool: application exited with status 256\n",
                Some(Event::Exited(Exit::Status(256))),
            ),
            (
                "imgtool: application exited with signal 9\r\n",
                Some(Event::Exited(Exit::Signal(9))),
            ),
            (
                "imgtool: FAILED: no root \u{1b}[31mpartition\r\n",
                Some(Event::Failed("no root partition".to_string())),
            ),
            (
                "[    1.5] Kernel panic - not syncing: VFS\r\n",
                Some(Event::Panicked(
                    "Kernel panic - not syncing: VFS".to_string(),
                )),
            ),
            (
                "\u{1b}[2JNo bootable device.\r\n",
                Some(Event::NothingToBoot),
            ),
            (
                "\u{1b}[2J\u{1b}[01;01HUEFI Interactive Shell v2.2\r\n",
                Some(Event::NothingToBoot),
            ),
            ("app: No bootable device.\r\n", None),
            ("imgtool: application exited with status 0", None),
            ("imgtool: application exited with status x\n", None),
            ("imgtool: application started, pid 7\n", None),
            ("FAILED: of an application\n", None),
        ] {
            let expected: Vec<_> = expected.into_iter().collect();
            assert_eq!(events(None, text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_comes_first_on_the_console_comes_first() {
        let text = "ready\nimgtool: FAILED: x\nready";
        let failed = Event::Failed("x".to_string());
        assert_eq!(
            events(Some("ready"), text),
            [Event::Expected, failed.clone()]
        );
        assert_eq!(events(Some("x\nrea"), text), [failed, Event::Expected]);
        assert_eq!(events(Some("reedy"), "reready"), []);
    }

    #[test]
    fn memory_is_bounded_and_the_end_is_kept() {
        let mut scanner = Scanner::new(Some("never"));
        for n in 0..100_000 {
            scanner.push(format!("line {n}").as_bytes());
            if n % 10 == 0 {
                scanner.push(b"\r\n");
            }
        }
        scanner.push(&[b'x'; 3 * KEEP]);
        scanner.push(b"\n\x1bc\x1b[2Jlast but one\n\n\x07last\n");
        assert!(scanner.recent.len() < 2 * KEEP && scanner.line.len() <= MAX_LINE);
        assert_eq!(scanner.last_lines(2), "last but one\nlast");
    }
}
