//! Lines on the console.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;

use imgtool_init::console::PREFIX;

/// Longest line in bytes: host names and messages may come from the network.
const MAX_LINE: usize = 1024;

/// Writes one line to the console, formatted as [`format!`] does.
macro_rules! say {
    ($($argument:tt)*) => {
        $crate::guest::log::line(format_args!($($argument)*))
    };
}

/// Makes `/dev/console` standard input, output and error.
///
/// Which device that is, the kernel's `console=` decides. On a machine without one the lines go
/// to the kernel's log, where a debugger or a crash dump still finds them.
pub(crate) fn open_console() {
    let Some(console) = open_terminal("/dev/console")
        .or_else(|_| File::options().write(true).open("/dev/kmsg"))
        .ok()
    else {
        return;
    };
    // Standard input, output and error are PID 1's own: nothing else refers to them by number.
    // Without them there is nowhere to report that this failed.
    let _ = rustix::stdio::dup2_stdin(&console);
    let _ = rustix::stdio::dup2_stdout(&console);
    let _ = rustix::stdio::dup2_stderr(&console);
}

/// Opens a terminal for reading and writing, without making it PID 1's controlling terminal.
pub(crate) fn open_terminal(path: &str) -> io::Result<File> {
    let no_controlling_terminal = rustix::fs::OFlags::NOCTTY.bits().cast_signed();
    File::options()
        .read(true)
        .write(true)
        .custom_flags(no_controlling_terminal)
        .open(path)
}

/// Writes one line; see [`say!`].
pub(crate) fn line(text: fmt::Arguments<'_>) {
    let line = clean(&text.to_string());
    // In one call, so that lines of the kernel and of the application don't come in between. A
    // console that takes nothing is no reason to stop.
    let _ = io::stderr().write_all(line.as_bytes());
}

/// One printable line with the prefix and a line feed, no longer than [`MAX_LINE`].
fn clean(text: &str) -> String {
    let mut line = String::from(PREFIX);
    for c in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if line.len() + c.len_utf8() >= MAX_LINE {
            break;
        }
        line.push(c);
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_line_whatever_it_carries() {
        assert_eq!(
            clean("host \x1b[2J\r\nimgtool: x"),
            "imgtool: host  [2J  imgtool: x\n"
        );
        let long = clean(&"é".repeat(4096));
        assert!(long.len() <= MAX_LINE && long.ends_with("é\n"));
    }
}
