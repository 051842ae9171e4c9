//! `emulator ps`

use super::fault::ask;
use super::{Failure, Running};
use clap::Args;
use emulator_tests::admin::{Admin, InstanceStatus};
use std::io::Write;
use time::OffsetDateTime;

/// List instances: what they are, where they stand, and which ports lead into them
#[derive(Debug, Args)]
pub(crate) struct Ps {
    /// Terminated ones, too
    #[arg(long, short)]
    all: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Ps {
    pub(super) fn run(&self, running: &Running, out: &mut dyn Write) -> Result<(), Failure> {
        let admin = Admin::new(running.address);
        let (mut instances, now) =
            ask(async { Ok((admin.instances().await?, admin.clock().await?.now)) })?;
        instances.retain(|it| self.all || it.state != "terminated");
        if self.json {
            let text = serde_json::to_string(&instances)
                .map_err(|error| Failure::of(super::Class::Failed, &error))?;
            return writeln!(out, "{text}").map_err(Failure::stdout);
        }
        print(&instances, now, out).map_err(Failure::stdout)
    }
}

const HEADINGS: [&str; 9] = [
    "INSTANCE",
    "ACCOUNT",
    "TYPE",
    "STATE",
    "IMAGE",
    "ADDRESS",
    "CPU/MEMORY",
    "SINCE",
    "PORTS",
];

fn print(
    instances: &[InstanceStatus],
    now: OffsetDateTime,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    let mut rows = vec![HEADINGS.map(String::from)];
    rows.extend(instances.iter().map(|it| row(it, now)));
    let mut widths = [0; HEADINGS.len()];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.len().max(*width);
        }
    }
    for row in &rows {
        let cells = row.iter().zip(widths);
        let line: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        writeln!(out, "{}", line.join("  ").trim_end())?;
    }
    Ok(())
}

fn row(it: &InstanceStatus, now: OffsetDateTime) -> [String; HEADINGS.len()] {
    let what = match (it.booted, it.waits) {
        (_, true) if it.state == "pending" => " (queued)",
        (false, _) => " (record)",
        _ => "",
    };
    let ports: Vec<String> = it
        .forwards
        .iter()
        .map(|port| format!("{}->{}", port.host, port.guest))
        .collect();
    [
        it.id.clone(),
        it.account.to_string(),
        it.instance_type.clone(),
        format!("{}{what}", it.state),
        it.image.clone(),
        it.private_ip.to_string(),
        format!("{}/{} MiB", it.cpus, it.memory_mib),
        age((now - it.since).whole_seconds()),
        ports.join(", "),
    ]
}

/// `90s`, `12m`, `5h`, `3d`.
fn age(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ 0..120 => format!("{seconds}s"),
        seconds @ 120..7200 => format!("{}m", seconds / 60),
        seconds @ 7200..172_800 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use emulator_protocol::{Account, Region};
    use emulator_tests::admin::ForwardedPort;
    use time::macros::datetime;

    #[test]
    fn a_table_of_instances() {
        let now = datetime!(2026-01-01 00:05 UTC);
        let instance = |state: &str, booted, waits| InstanceStatus {
            id: "i-01111111111111111".to_owned(),
            account: Account::parse("111111111111").unwrap(),
            region: Region::parse("us-east-1").unwrap(),
            instance_type: "t3.micro".to_owned(),
            state: state.to_owned(),
            booted,
            waits,
            pid: None,
            image: "ami-01111111111111111".to_owned(),
            private_ip: "172.31.0.4".parse().unwrap(),
            cpus: 2,
            memory_mib: 1024,
            since: datetime!(2026-01-01 00:00 UTC),
            forwards: if booted && !waits {
                vec![ForwardedPort {
                    host: "127.0.0.1:8080".parse().unwrap(),
                    guest: 80,
                }]
            } else {
                Vec::new()
            },
        };
        let mut out = Vec::new();
        let all = [
            instance("running", true, false),
            instance("pending", true, true),
            instance("running", false, false),
        ];
        print(&all, now, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(
            lines[1].ends_with("2/1024 MiB  5m     127.0.0.1:8080->80"),
            "{text}"
        );
        assert!(lines[2].contains("pending (queued)"));
        assert!(lines[3].contains("running (record)"));
        let at = lines[0].find("STATE").unwrap();
        assert!(
            lines[1..]
                .iter()
                .all(|line| line.as_bytes()[at - 1] == b' ')
        );
    }

    #[test]
    fn ages_are_short() {
        for (seconds, text) in [
            (-1, "0s"),
            (119, "119s"),
            (120, "2m"),
            (7200, "2h"),
            (172_800, "2d"),
        ] {
            assert_eq!(age(seconds), text);
        }
    }
}
