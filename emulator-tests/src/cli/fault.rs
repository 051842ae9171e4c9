//! `emulator fault`

use super::{Class, Failure, Running};
use clap::{Args, Subcommand, ValueEnum};
use emulator_tests::admin::{Admin, AdminError};
use emulator_tests::gateway::fault::{Counted, Fault, Refused, Rule, Side, When};
use std::future::Future;
use std::io::Write;

/// Let requests fail by rule, as they do on AWS now and then
///
/// A rule says which requests it is about, which of those it fires for, and what happens to them.
/// Rules are tried in the order in which they were added: the first that fires decides. They are
/// kept until they are removed.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct FaultCommand {
    #[command(subcommand)]
    action: Action,
    /// Print the result as JSON
    #[arg(long, global = true)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  Every seventh block is refused with 503:
    emulator fault add --service ebs --operation PutSnapshotBlock --every 7 --status 503
  One block in ten is throttled, the same ones each time:
    emulator fault add --service ebs --operation PutSnapshotBlock \\
        --probability 0.1 --seed 42 --reason ACCOUNT_THROTTLED
  The connection is cut 100 kB into each upload of a part, three times:
    emulator fault add --service s3 --operation UploadPart --limit 3 \\
        --cut request --after-bytes 100000
  The image is registered, but the client is not told:
    emulator fault add --service ec2 --operation RegisterImage --nth 1 --lose
  A link of 50 kB/s, and a byte that is another:
    emulator fault add --service s3 --operation GetObject --slow answer --bytes-per-second 50000
    emulator fault add --service ebs --operation GetSnapshotBlock --nth 3 --corrupt answer

Operations have the names that AWS gives them. EC2 throttles with RequestLimitExceeded, S3 with
SlowDown (both by --status 503), the EBS direct API by --reason ACCOUNT_THROTTLED,
DEPENDENCY_REQUEST_THROTTLED or RESOURCE_LEVEL_THROTTLE.";

#[derive(Debug, Subcommand)]
enum Action {
    /// Add a rule
    #[command(after_help = EXAMPLES)]
    Add(Box<Add>),
    /// List the rules, with how many requests each was about and fired for
    List,
    /// Remove a rule
    Remove {
        /// The rule's id: fault-1
        id: String,
    },
    /// Remove all rules
    Clear,
}

#[derive(Debug, Args)]
struct Add {
    #[command(flatten)]
    requests: Requests,
    #[command(flatten)]
    times: Times,
    #[command(flatten)]
    what: What,
}

// No doc comments on these: clap would take them for the command's.
#[derive(Debug, Args)]
#[command(next_help_heading = "Which requests")]
struct Requests {
    /// The service: ebs, ec2, s3, kms, sqs, …
    #[arg(long)]
    service: String,
    /// The operation, PutSnapshotBlock [default: all of the service's]
    #[arg(long)]
    operation: Option<String>,
    /// Only requests of this account
    #[arg(long)]
    account: Option<String>,
    /// Only requests with this text in path, query or form: a snapshot's id, a key
    #[arg(long, value_name = "TEXT")]
    resource: Option<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Which of them [default: all]")]
struct Times {
    /// Fire for each Nth of them
    #[arg(long, value_name = "N", group = "when")]
    every: Option<u64>,
    /// Fire for the Nth alone
    #[arg(long, value_name = "N", group = "when")]
    nth: Option<u64>,
    /// Fire with this probability
    #[arg(long, value_name = "P", group = "when")]
    probability: Option<f64>,
    /// What chance starts from: the same seed, the same requests
    #[arg(long, requires = "probability", default_value_t = 0)]
    seed: u64,
    /// Fire as often as this at most
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
}

// An error if nothing else is said.
#[derive(Debug, Args)]
#[command(next_help_heading = "What happens")]
struct What {
    /// Refuse with this HTTP status
    #[arg(long, value_name = "CODE", group = "kind")]
    status: Option<u16>,
    /// Refuse with this error code [default: the service's for the status]
    #[arg(long, conflicts_with_all = NOT_ERRORS)]
    code: Option<String>,
    /// Refuse with this reason of the EBS direct API
    #[arg(long, conflicts_with_all = NOT_ERRORS)]
    reason: Option<String>,
    /// Refuse with these words
    #[arg(long, value_name = "TEXT", conflicts_with_all = NOT_ERRORS)]
    message: Option<String>,
    /// Cut the connection in the middle of the request's or the answer's body
    #[arg(long, value_name = "SIDE", group = "kind")]
    cut: Option<SideArg>,
    /// How much of it still passes
    #[arg(long, value_name = "N", requires = "cut", default_value_t = 0)]
    after_bytes: u64,
    /// Let a body pass slowly
    #[arg(
        long,
        value_name = "SIDE",
        group = "kind",
        requires = "bytes_per_second"
    )]
    slow: Option<SideArg>,
    /// How fast
    #[arg(long, value_name = "N", requires = "slow")]
    bytes_per_second: Option<u64>,
    /// Wait before performing it
    #[arg(long, value_name = "MS", group = "kind")]
    delay_ms: Option<u64>,
    /// Flip a bit of one byte of a body
    #[arg(long, value_name = "SIDE", group = "kind")]
    corrupt: Option<SideArg>,
    /// Which byte, counted from 0
    #[arg(long, value_name = "N", requires = "corrupt", default_value_t = 0)]
    offset: u64,
    /// Perform it, and cut the connection without an answer
    #[arg(long, group = "kind")]
    lose: bool,
}

const NOT_ERRORS: [&str; 5] = ["cut", "slow", "delay_ms", "corrupt", "lose"];

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SideArg {
    Request,
    Answer,
}

impl From<SideArg> for Side {
    fn from(side: SideArg) -> Self {
        match side {
            SideArg::Request => Self::Request,
            SideArg::Answer => Self::Answer,
        }
    }
}

impl Add {
    fn rule(&self) -> Rule {
        let requests = &self.requests;
        Rule {
            service: requests.service.clone(),
            operation: requests.operation.clone(),
            account: requests.account.clone(),
            resource: requests.resource.clone(),
            when: self.times.when(),
            limit: self.times.limit,
            fault: self.what.fault(),
        }
    }
}

impl Times {
    fn when(&self) -> When {
        match (self.every, self.nth, self.probability) {
            (Some(step), ..) => When::Every(step),
            (_, Some(number), _) => When::Nth(number),
            (.., Some(probability)) => When::Chance {
                probability,
                seed: self.seed,
            },
            _ => When::Always,
        }
    }
}

impl What {
    fn fault(&self) -> Fault {
        if let Some(side) = self.cut {
            let side = side.into();
            let after_bytes = self.after_bytes;
            return Fault::Cut { side, after_bytes };
        }
        if let (Some(side), Some(bytes_per_second)) = (self.slow, self.bytes_per_second) {
            return Fault::Slow {
                side: side.into(),
                bytes_per_second,
            };
        }
        if let Some(milliseconds) = self.delay_ms {
            return Fault::Delay { milliseconds };
        }
        if let Some(side) = self.corrupt {
            let side = side.into();
            let offset = self.offset;
            return Fault::Corrupt { side, offset };
        }
        if self.lose {
            return Fault::Lose;
        }
        Fault::Error(Refused {
            status: self.status,
            code: self.code.clone(),
            reason: self.reason.clone(),
            message: self.message.clone(),
        })
    }
}

impl FaultCommand {
    /// Does it, and lists the rules it is about.
    pub(crate) fn run(&self, running: &Running, out: &mut dyn Write) -> Result<(), Failure> {
        let admin = Admin::new(running.address);
        let rules = ask(async {
            match &self.action {
                Action::Add(add) => admin.add_fault(&add.rule()).await.map(|it| vec![it]),
                Action::List => admin.faults().await,
                Action::Remove { id } => admin.remove_fault(id).await,
                Action::Clear => admin.clear_faults().await,
            }
        })?;
        self.print(&rules, out).map_err(Failure::stdout)
    }

    fn print(&self, rules: &[Counted], out: &mut dyn Write) -> std::io::Result<()> {
        if self.json {
            return writeln!(out, "{}", serde_json::to_string(rules)?);
        }
        for it in rules {
            let rule = &it.rule;
            let operation = rule.operation.as_deref().unwrap_or("*");
            let fault = serde_json::to_string(&rule.fault)?;
            let when = serde_json::to_string(&rule.when)?;
            write!(
                out,
                "{}  {}:{operation}  {when}  {fault}",
                it.id, rule.service
            )?;
            for (name, value) in [("account", &rule.account), ("resource", &rule.resource)] {
                if let Some(value) = value {
                    write!(out, "  {name}={value}")?;
                }
            }
            if let Some(limit) = rule.limit {
                write!(out, "  limit={limit}")?;
            }
            writeln!(out, "  matched={} fired={}", it.matched, it.fired)?;
        }
        Ok(())
    }
}

/// Waits for an answer of the emulator.
pub(super) fn ask<T>(question: impl Future<Output = Result<T, AdminError>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::of(Class::Surroundings, &error))?;
    runtime.block_on(question).map_err(|error| {
        let class = match &error {
            AdminError::Refused(_) => Class::Input,
            _ => Class::Failed,
        };
        Failure::of(class, &error)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        command: FaultCommand,
    }

    fn rule(line: &str) -> Option<Rule> {
        let words = std::iter::once("fault").chain(line.split(' '));
        match Line::try_parse_from(words).ok()?.command.action {
            Action::Add(add) => Some(add.rule()),
            _ => None,
        }
    }

    #[test]
    fn a_line_is_a_rule() {
        let it = rule("add --service ebs --operation PutSnapshotBlock --every 7 --status 503");
        let it = it.unwrap();
        assert_eq!(it.when, When::Every(7));
        assert_eq!(
            it.fault,
            Fault::Error(Refused {
                status: Some(503),
                ..Refused::default()
            })
        );
        let it = rule("add --service s3 --probability 0.5 --seed 3 --cut request --after-bytes 9");
        let it = it.unwrap();
        assert_eq!(
            it.when,
            When::Chance {
                probability: 0.5,
                seed: 3
            }
        );
        let side = Side::Request;
        assert_eq!(
            it.fault,
            Fault::Cut {
                side,
                after_bytes: 9
            }
        );
        let it = rule("add --service s3 --slow answer --bytes-per-second 5").unwrap();
        let side = Side::Answer;
        assert_eq!(
            it.fault,
            Fault::Slow {
                side,
                bytes_per_second: 5
            }
        );
        assert_eq!(rule("add --service s3 --lose").unwrap().fault, Fault::Lose);
        let fault = rule("add --service s3 --reason ACCOUNT_THROTTLED")
            .unwrap()
            .fault;
        assert!(matches!(
            fault,
            Fault::Error(Refused {
                reason: Some(_),
                ..
            })
        ));
    }

    #[test]
    fn a_line_that_contradicts_itself_is_refused() {
        for line in [
            "add",
            "add --service s3 --every 2 --nth 3",
            "add --service s3 --lose --status 503",
            "add --service s3 --lose --code X",
            "add --service s3 --slow request",
            "add --service s3 --after-bytes 3",
            "add --service s3 --seed 3",
            "add --service s3 --cut sideways",
        ] {
            assert_eq!(rule(line), None, "{line}");
        }
    }
}
