//! `uploader agent`

use super::Failure;
use super::aws_args::{AwsArgs, Place};
use super::from_instance::{self, on_instance};
use super::interrupt::interruptible;
use super::memory;
use clap::Args;
use cli_support::{say, seconds};
use serde_json::json;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use time::OffsetDateTime;
use uploader::agent::executor::{Agent, Ended};
use uploader::agent::heartbeat::is_id;
use uploader::agent::machine::Machine;
use uploader::agent::machine::action::{Action, Outcome};
use uploader::agent::{Notice, Ready, Until, run};
use uploader::ami::Call;
use uploader::blocks::Limits;
use uploader::request::Whereabouts;
use uploader::vault::MOST_RECEIVES;

/// Blocks that are put at the same time, unless somebody says how many.
const WORKERS: u16 = 48;
/// Seconds for which a message is hidden, likewise.
const VISIBILITY: u32 = 60;
/// Seconds until a request is tried again, likewise.
const PAUSE: u32 = 15;
/// Times that a request is taken up, likewise.
const TRIES: u32 = 20;
/// Snapshots that are begun for one request before it is given up.
const MAX_ATTEMPTS: u32 = 5;
/// Most times that a request is taken up: then its record is brought to an end, which may be disturbed,
/// too, before the queue takes the message away.
const MOST_TRIES: u32 = MOST_RECEIVES - 10;
/// MiB of memory for one request: 48 blocks, and what is read ahead.
const MEMORY_EACH: u32 = 32;
/// MiB for blocks where nobody says how many.
const MEMORY: u32 = 48;
/// The same on an instance, at most: more makes nothing faster.
const MOST_MEMORY: u32 = 512;

/// Make AMIs of the images that requests name: the converter
///
///   uploader agent                 until it is told to stop
///   uploader agent --idle 60m      until an hour has passed without a request
///   uploader agent --once          for one request
///
/// It takes signed requests from the vault's queue and works for this account, region and vault
/// only. Several may run at the same time. It can be killed at any moment: the request comes again
/// after --visibility seconds, and whoever gets it goes on from what the vault's record says.
/// While it runs, it says so in the vault, and uploader convert launches none besides; but nobody
/// counts on one with --once.
/// SIGTERM and Ctrl-C end it within moments, and leave its request to the next; a second signal
/// ends it at once.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct AgentArgs {
    /// End after so long without a request, as 90s, 60m or 1h
    #[arg(long, value_name = "TIME", visible_alias = "until-idle", value_parser = seconds::<u32>)]
    idle: Option<u32>,
    /// End after one request
    #[arg(long)]
    once: bool,
    /// On an instance: vault, region and idle time are what its user data says
    #[arg(long, conflicts_with_all = ["idle", "once", "id"])]
    from_instance: bool,
    /// Blocks that are put at the same time, at most
    #[arg(long, value_name = "N", default_value_t = WORKERS, value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: u16,
    /// Requests that are worked on at the same time; each has its share of workers and memory
    /// [default: one for each 32 MiB of --memory]
    #[arg(long, value_name = "N", conflicts_with = "once", value_parser = clap::value_parser!(u16).range(1..=256))]
    parallel: Option<u16>,
    /// What this agent is called in the vault: letters, digits, '-', '_' and '.' [default: the
    /// host's name and the process's number]
    #[arg(long, value_name = "ID", value_parser = agent_id)]
    id: Option<String>,
    /// MiB for blocks in memory [default: 48; with --from-instance a quarter of the machine's, up to
    /// 512]
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(4..=65536))]
    memory: Option<u32>,
    /// Seconds after which a killed agent's request goes to another
    #[arg(long, value_name = "SECONDS", default_value_t = VISIBILITY, value_parser = clap::value_parser!(u32).range(3..=43_200))]
    visibility: u32,
    /// Seconds after which a request that failed for the moment is tried again; then twice as long,
    /// each time
    #[arg(long, value_name = "SECONDS", default_value_t = PAUSE, value_parser = clap::value_parser!(u32).range(1..=900))]
    pause: u32,
    /// Times that a request is taken up before it is given up
    #[arg(long, value_name = "N", default_value_t = TRIES, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_TRIES)))]
    tries: u32,
    /// Say each step
    #[arg(short, long)]
    verbose: bool,
    /// Print what became of each request as a line of JSON
    #[arg(long)]
    json: bool,
}

impl AgentArgs {
    /// What `--from-instance` alone says.
    pub(crate) fn on_instance() -> AgentArgs {
        AgentArgs {
            idle: None,
            once: false,
            from_instance: true,
            workers: WORKERS,
            parallel: None,
            id: None,
            memory: None,
            visibility: VISIBILITY,
            pause: PAUSE,
            tries: TRIES,
            verbose: false,
            json: false,
        }
    }

    pub(crate) async fn run(
        &self,
        aws: &AwsArgs,
        out: &mut (impl Write + Send),
    ) -> Result<(), Failure> {
        let (place, idle, id) = match self.from_instance {
            true => {
                let it = on_instance().await?;
                say!(
                    "uploader: converter {} ends after {} s idle",
                    it.id,
                    it.idle
                );
                (it.place, Some(it.idle), it.id)
            }
            false => {
                let id = self.id.clone().unwrap_or_else(own_id);
                (aws.place().await?, self.idle, id)
            }
        };
        let ready = match self.from_instance {
            true => from_instance::ready(&place).await?,
            false => Ready::find(&place.vault).await?,
        };
        let agent = self.agent(&place, ready.vault_key, id);
        place.say_who();
        let until = Until {
            idle,
            once: self.once,
            parallel: self.parallel(),
        };
        let printed = Mutex::new((out, Ok(())));
        let ran = interruptible(async |cancel| {
            let notify = |notice: Notice<'_>| {
                if let (Notice::Action(action), true) = (&notice, self.verbose) {
                    say!("uploader: step {}", action.name());
                }
                say(&notice);
                if let Notice::FirstPoll = notice {
                    say!(
                        "uploader: takes requests from {}",
                        place.vault.names.queue()
                    );
                }
                let Notice::Ended(ended) = notice else {
                    return;
                };
                let mut printed = printed.lock().unwrap_or_else(PoisonError::into_inner);
                let line = match self.json {
                    true => as_json(ended).to_string(),
                    false => match ended {
                        Ended::Outcome(Outcome::Finished { ami }) => ami.clone(),
                        _ => return,
                    },
                };
                let (out, result) = &mut *printed;
                let wrote = writeln!(out, "{line}").and_then(|()| out.flush());
                if let (Err(error), Ok(())) = (wrote, &result) {
                    *result = Err(error);
                    // Nobody reads on: what is under way is left to the next.
                    cancel.cancel();
                }
            };
            run(&agent, &ready.queues, until, &notify, &cancel)
                .await
                .map_err(Failure::from)
        })
        .await;
        if let Some(peak) = memory::peak() {
            say!("uploader: {peak}");
        }
        ran?;
        let (_, result) = printed.into_inner().unwrap_or_else(PoisonError::into_inner);
        result.map_err(Failure::stdout)
    }

    fn parallel(&self) -> usize {
        let most = (self.memory() / MEMORY_EACH).max(1);
        match (self.once, self.parallel) {
            (true, _) => 1,
            (false, Some(asked)) => asked.into(),
            (false, None) => usize::try_from(most).unwrap_or(1),
        }
    }

    /// MiB for the blocks of all requests.
    fn memory(&self) -> u32 {
        match (self.memory, self.from_instance) {
            (Some(asked), _) => asked,
            // A quarter of the machine's: manifests, buffers and the kernel want the rest.
            (None, true) => memory::total_mib()
                .map_or(MEMORY, |all| all / 4)
                .clamp(MEMORY, MOST_MEMORY),
            (None, false) => MEMORY,
        }
    }

    fn agent(&self, place: &Place, vault_key: String, id: String) -> Agent {
        let vault = &place.vault;
        Agent {
            machine: Machine {
                own: Whereabouts::from(&vault.names),
                vault_key,
                max_receives: self.tries,
                max_attempts: MAX_ATTEMPTS,
                pause: self.pause,
            },
            vault: vault.clone(),
            id,
            limits: Limits {
                workers: usize::from(self.workers).div_ceil(self.parallel()),
                memory: (u64::from(self.memory()) << 20) / self.parallel() as u64,
            },
            clock: Arc::new(OffsetDateTime::now_utc),
            visibility: self.visibility,
        }
    }
}

fn agent_id(text: &str) -> Result<String, String> {
    match is_id(text) {
        true => Ok(text.to_owned()),
        false => Err("an id is 1 to 64 letters, digits, '-', '_' and '.'".to_owned()),
    }
}

/// The host's name and the process's number: two agents of one host are two.
fn own_id() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let fits = |it: &char| it.is_ascii_alphanumeric() || matches!(it, '-' | '_');
    let host: String = host.chars().filter(fits).take(40).collect();
    format!("host-{host}-{}", std::process::id())
}

/// The story, on standard error.
fn say(notice: &Notice<'_>) {
    match notice {
        Notice::Action(action) => {
            if let Some(line) = line_of(action) {
                say!("uploader: {line}");
            }
        }
        Notice::Ended(Ended::Outcome(outcome)) => match outcome {
            Outcome::Finished { ami } => say!("uploader: finished: {ami}"),
            Outcome::Failed { reason, left } => {
                say!("uploader: failed: {reason}");
                for it in left {
                    say!("uploader: left behind: {it}");
                }
            }
            Outcome::Rejected { reason } => say!("uploader: refused: {reason}"),
            Outcome::Released { reason, delay } => {
                say!("uploader: laid aside for {delay} s: {reason}");
            }
        },
        // The queue's name comes with it.
        Notice::FirstPoll => {}
        Notice::Ended(Ended::Stopped) => {
            say!("uploader: stopped; the request is left to the next agent");
        }
        Notice::Swept(deleted) => {
            say!(
                "uploader: deleted what was left behind: {}",
                deleted.join(", ")
            );
        }
        Notice::Retrying(error) => say!("uploader: {error}"),
    }
}

/// What is worth saying of an action.
fn line_of(action: &Action) -> Option<String> {
    match action {
        Action::FetchManifest(image) => {
            Some(format!("request for {}@{}", image.name, image.digest))
        }
        Action::Ami(Call::StartSnapshot(new)) => Some(match &new.parent {
            Some(parent) => format!("starts a snapshot on {parent}"),
            None => format!("starts a snapshot of {} GiB", new.gib),
        }),
        Action::PutBlocks { snapshot, .. } => Some(format!("puts blocks into {snapshot}")),
        Action::CompleteSnapshot(id) => Some(format!("completes {id}")),
        Action::Ami(Call::RegisterImage(new)) => Some(format!("registers {}", new.name)),
        Action::Ami(Call::DeleteSnapshot(id)) => Some(format!("deletes {id}")),
        _ => None,
    }
}

fn as_json(ended: &Ended) -> serde_json::Value {
    match ended {
        Ended::Outcome(Outcome::Finished { ami }) => json!({"outcome": "finished", "ami": ami}),
        Ended::Outcome(Outcome::Failed { reason, left }) => {
            json!({"outcome": "failed", "reason": reason, "left": left})
        }
        Ended::Outcome(Outcome::Rejected { reason }) => {
            json!({"outcome": "rejected", "reason": reason})
        }
        Ended::Outcome(Outcome::Released { reason, delay }) => {
            json!({"outcome": "released", "reason": reason, "delay": delay})
        }
        Ended::Stopped => json!({"outcome": "stopped"}),
    }
}
