//! `imgtool run`

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use cli_support::{say, seconds};
use imgtool::Class;
use imgtool_qemu::{
    Accel, Disk, Exit, Firmware, Forward, Options, Outcome, QemuError, Report, boot, parse_size,
};
use serde_json::json;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::Failure;

/// Boot an image in QEMU
///
/// The guest's console is on stdout, and what is typed goes to the guest. Ctrl-C ends it. The
/// image is not changed: what the guest writes goes to an overlay, which is forgotten unless
/// --overlay names one.
///
/// Exit code 0: the console showed --expect's text; without --expect, the application ended with
/// status 0, or the guest powered off. 1: it did not, or PID 1 or the kernel gave up, or time was
/// up. 2: the image is wrong. 3: something is missing here, such as QEMU.
#[derive(Debug, clap::Args)]
pub(crate) struct Run {
    /// The raw disk image
    image: PathBuf,
    /// What starts the machine [default: uefi if the image has an EFI system partition, else bios]
    #[arg(long, value_enum)]
    firmware: Option<Firmware>,
    /// How the disk is attached
    #[arg(long, value_enum, default_value_t = Disk::Virtio)]
    disk: Disk,
    /// Forward a TCP port of 127.0.0.1 into the guest; HOST 0 takes a free one. May be repeated
    #[arg(long = "port", value_name = "HOST:GUEST")]
    ports: Vec<Forward>,
    /// Keep the guest from reaching anything outside
    #[arg(long)]
    offline: bool,
    /// Succeed as soon as the console shows TEXT
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    expect: Option<String>,
    /// Once TEXT was seen, press the power button and wait for the guest to power off
    #[arg(long, requires = "expect")]
    power_off: bool,
    /// Give up after this time: 90, 90s or 5m
    #[arg(long, value_name = "TIME", value_parser = timeout)]
    timeout: Option<Duration>,
    /// The guest's memory: 512MiB, 2GiB
    #[arg(long, value_name = "SIZE", value_parser = parse_size, default_value = "1G")]
    memory: u64,
    /// The guest's processors
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=255), default_value_t = 1)]
    cpus: u16,
    /// Size of the disk: 8GiB [default: the image's in whole GiB, as on EC2]
    ///
    /// The guest's root file system grows to it.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    disk_size: Option<u64>,
    /// Keep what the guest writes here (qcow2), and start from it the next time
    #[arg(long, value_name = "FILE")]
    overlay: Option<PathBuf>,
    /// What executes the guest
    #[arg(long, value_enum, default_value_t = Accel::Auto)]
    accel: Accel,
    /// Write the result as JSON to stdout, and the console to stderr
    #[arg(long)]
    json: bool,
}

impl Run {
    /// Boots, and says how it went.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let interrupted = Arc::new(AtomicBool::new(false));
        let failed = |e| Failure::new(Class::Failed, format!("signals can't be caught: {e}"));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&interrupted)).map_err(failed)?;
        }
        let mut console: Box<dyn Write> = if self.json {
            Box::new(io::stderr())
        } else {
            Box::new(io::stdout())
        };
        let mut started = |firmware: Firmware, accel: Accel, forwards: &[Forward]| {
            let (firmware, accel) = (name(firmware), name(accel));
            say!("booting by {firmware} on {accel}, disk {}", name(self.disk));
            for Forward { host, guest } in forwards {
                say!("port 127.0.0.1:{host} leads to the guest's {guest}");
            }
        };
        let report =
            boot(&self.options(), &mut console, &mut started, &interrupted).map_err(not_booted)?;
        let result = judge(self.expect.as_deref(), &report);
        if self.json {
            let json = self.json(&report, result.is_ok());
            writeln!(io::stdout(), "{json}").map_err(Failure::stdout)?;
        }
        result.map_err(|message| Failure::new(Class::Failed, message))
    }

    fn options(&self) -> Options {
        Options {
            image: self.image.clone(),
            firmware: self.firmware,
            disk: self.disk,
            accel: self.accel,
            forwards: self.ports.clone(),
            offline: self.offline,
            memory: self.memory,
            cpus: self.cpus,
            disk_size: self.disk_size,
            overlay: self.overlay.clone(),
            expect: self.expect.clone(),
            power_off: self.power_off,
            timeout: self.timeout,
        }
    }

    fn json(&self, report: &Report, success: bool) -> serde_json::Value {
        let (outcome, detail) = match &report.outcome {
            Outcome::Expected => ("expected", json!(null)),
            Outcome::Exited(exit) => ("exited", json!(exit)),
            Outcome::PoweredOff => ("powered-off", json!(null)),
            Outcome::Reset => ("reset", json!(null)),
            Outcome::NothingToBoot => ("nothing-to-boot", json!(null)),
            Outcome::Failed(reason) => ("failed", json!(reason)),
            Outcome::Panicked(line) => ("panicked", json!(line)),
            Outcome::TimedOut => ("timed-out", json!(null)),
            Outcome::Interrupted => ("interrupted", json!(null)),
        };
        json!({
            "success": success,
            "outcome": outcome,
            "detail": detail,
            "seconds": report.elapsed.as_secs_f64(),
            "expected_after_seconds": report.expected_after.map(|d| d.as_secs_f64()),
            "firmware": report.firmware,
            "disk": self.disk,
            "accel": report.accel,
            "ports": report.forwards,
            "console_end": report.last_lines,
        })
    }
}

/// The failure of a machine that could not be started or watched.
fn not_booted(error: QemuError) -> Failure {
    match error {
        // The console's reader has gone, as in `imgtool run web.img | head`.
        QemuError::Io { source, .. } if source.kind() == io::ErrorKind::BrokenPipe => {
            Failure::stdout(source)
        }
        error => error.into(),
    }
}

/// Whether it is a success, and if not, what to say.
fn judge(expect: Option<&str>, report: &Report) -> Result<(), String> {
    let what = match (&report.outcome, expect) {
        (Outcome::Expected, _)
        | (Outcome::Exited(Exit::Status(0)), None)
        | (Outcome::PoweredOff, None) => return Ok(()),
        (Outcome::Exited(Exit::Status(n)), None) => {
            return Err(format!("the application exited with status {n}"));
        }
        (Outcome::Exited(Exit::Signal(n)), None) => {
            return Err(format!("the application was ended by signal {n}"));
        }
        (Outcome::Interrupted, _) => return Err("interrupted".to_string()),
        (Outcome::Exited(Exit::Status(n)), Some(text)) => {
            format!("the application exited with status {n}, and the console did not show {text:?}")
        }
        (Outcome::Exited(Exit::Signal(n)), Some(text)) => format!(
            "the application was ended by signal {n}, and the console did not show {text:?}"
        ),
        (Outcome::PoweredOff, Some(text)) => {
            format!("the guest powered off, and the console did not show {text:?}")
        }
        (Outcome::Reset, _) => "the guest reset itself".to_string(),
        (Outcome::NothingToBoot, _) => {
            let firmware = name(report.firmware);
            format!("the firmware ({firmware}) found nothing to boot on the image")
        }
        (Outcome::Failed(reason), _) => format!("the guest's PID 1 gave up: {reason}"),
        (Outcome::Panicked(line), _) => format!("the guest's kernel gave up: {line}"),
        (Outcome::TimedOut, None) => "time was up".to_string(),
        (Outcome::TimedOut, Some(text)) => match report.expected_after {
            Some(_) => "time was up before the guest had powered off".to_string(),
            None => format!("time was up before the console showed {text:?}"),
        },
    };
    Err(format!("{what}\nthe console's end:\n{}", report.last_lines))
}

/// Parses `--timeout`: at most a day.
fn timeout(text: &str) -> Result<Duration, String> {
    match seconds(text)? {
        seconds @ 1..=86_400 => Ok(Duration::from_secs(seconds)),
        _ => Err(format!("{text:?} is not between a second and a day")),
    }
}

/// An option's value as it is written on the command line.
fn name(value: impl clap::ValueEnum) -> String {
    value
        .to_possible_value()
        .map(|value| value.get_name().to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(outcome: Outcome) -> Report {
        Report {
            outcome,
            firmware: Firmware::Bios,
            accel: Accel::Tcg,
            forwards: Vec::new(),
            elapsed: Duration::from_secs(2),
            expected_after: None,
            last_lines: "the end".to_string(),
        }
    }

    #[test]
    fn timeouts_are_between_a_second_and_a_day() {
        for (text, seconds) in [
            ("90", Some(90)),
            ("90s", Some(90)),
            ("5m", Some(300)),
            ("1h", Some(3600)),
            ("1d", Some(86_400)),
            ("0", None),
            ("m", None),
            ("", None),
            ("+5", None),
            ("86401", None),
            ("18446744073709551615m", None),
        ] {
            let parsed = timeout(text).ok().map(|timeout| timeout.as_secs());
            assert_eq!(parsed, seconds, "{text}");
        }
    }

    #[test]
    fn outcomes_are_judged_by_what_was_asked_for() {
        let status = |n| Outcome::Exited(Exit::Status(n));
        for (outcome, expect, message) in [
            (Outcome::Expected, Some("x"), None),
            (status(0), None, None),
            (Outcome::PoweredOff, None, None),
            (
                status(3),
                None,
                Some("the application exited with status 3"),
            ),
            (
                Outcome::Exited(Exit::Signal(9)),
                None,
                Some("the application was ended by signal 9"),
            ),
            (status(0), Some("x"), Some("did not show \"x\"")),
            (Outcome::PoweredOff, Some("x"), Some("did not show \"x\"")),
            (
                Outcome::Reset,
                None,
                Some("reset itself\nthe console's end:\nthe end"),
            ),
            (Outcome::NothingToBoot, None, Some("(bios) found nothing")),
            (
                Outcome::Failed("no root".into()),
                None,
                Some("gave up: no root"),
            ),
            (
                Outcome::Panicked("VFS".into()),
                Some("x"),
                Some("gave up: VFS"),
            ),
            (
                Outcome::TimedOut,
                Some("x"),
                Some("before the console showed \"x\""),
            ),
            (Outcome::TimedOut, None, Some("time was up")),
            (Outcome::Interrupted, None, Some("interrupted")),
        ] {
            let result = judge(expect, &report(outcome.clone()));
            match (message, result) {
                (None, Ok(())) => {}
                (Some(message), Err(said)) if said.contains(message) => {}
                (_, result) => panic!("{outcome:?}, {expect:?}: {result:?}"),
            }
        }
    }
}
