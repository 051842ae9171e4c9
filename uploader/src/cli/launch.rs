//! `uploader launch`

use super::Failure;
use super::aws_args::AwsArgs;
use super::interrupt::interruptible;
use super::tunnel::Tunnel;
use clap::Args;
use cli_support::{say, seconds};
use serde_json::json;
use std::fs::File;
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use uploader::Class;
use uploader::agent::Clock;
use uploader::aws::Session;
use uploader::launch::{
    LaunchError, Launched, Order, Reach, Seen, Stages, Wait, clean, end_of, start, watch,
};

/// Start an instance of an AMI, wait for its answer, and end it
///
///   uploader launch ami-0123456789abcdef0                        until GET / on port 80 is answered
///   uploader launch ami-… --wait-http /health --port 8080
///   uploader launch ami-… --wait-console "ready"                 until the console says so
///   uploader launch ami-… --instance-type t2.micro --keep        leaves it running
///
/// The user's smoke test: it says how long each stage of the boot took. What is made (an instance
/// that terminates itself when it shuts down, and a security group that lets in that one port) is
/// taken away again, whatever happens, Ctrl-C included; a second Ctrl-C leaves it. If there is no
/// answer, the end of its console is shown, and the exit code is 1.
///
/// Where no address of its own leads to an instance, a tunnel does: --tunnel COMMAND is run while it
/// is waited for, with {id} and {port} filled in, and --connect says where it listens.
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Launch {
    /// The AMI
    #[arg(value_name = "AMI")]
    ami: String,
    /// Path that is asked for over HTTP
    #[arg(long, value_name = "PATH", default_value = "/", value_parser = path, conflicts_with = "wait_console")]
    wait_http: String,
    /// Port that is asked
    #[arg(long, value_name = "PORT", default_value_t = 80, value_parser = clap::value_parser!(u16).range(1..), conflicts_with = "wait_console")]
    port: u16,
    /// Wait for this text on the console instead; then nothing can reach the instance
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    wait_console: Option<String>,
    /// How long to wait, as 90s, 10m or 1h
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = seconds::<u32>)]
    timeout: u32,
    /// Instance type [default: t3.micro, or a similar one where that is not to be had]
    #[arg(long, value_name = "TYPE")]
    instance_type: Option<String>,
    /// Subnet [default: those of the default VPC]
    #[arg(long, value_name = "SUBNET")]
    subnet: Option<String>,
    /// Who may reach the port
    #[arg(long, value_name = "CIDR", default_value = "0.0.0.0/0", value_parser = cidr)]
    from: String,
    /// Ask at its private address
    #[arg(long, conflicts_with = "connect")]
    private: bool,
    /// Ask here, whatever its address is
    #[arg(long, value_name = "HOST:PORT", value_parser = host_and_port)]
    connect: Option<String>,
    /// Command that leads what connects to --connect into the instance
    #[arg(long, value_name = "COMMAND", requires = "connect")]
    tunnel: Option<String>,
    /// Leave it running, if it answers
    #[arg(long)]
    keep: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

fn path(text: &str) -> Result<String, String> {
    match text.starts_with('/') && text.bytes().all(|it| it.is_ascii_graphic()) {
        true => Ok(text.to_owned()),
        false => Err("a path begins with / and has no spaces".to_owned()),
    }
}

fn host_and_port(text: &str) -> Result<String, String> {
    let port = text.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
    match port {
        Some(Ok(1..)) => Ok(text.to_owned()),
        _ => Err("it is HOST:PORT, as 127.0.0.1:8080".to_owned()),
    }
}

fn cidr(text: &str) -> Result<String, String> {
    let range = text.split_once('/');
    let is_range = range.is_some_and(|(address, bits)| {
        address.parse::<Ipv4Addr>().is_ok() && bits.parse::<u8>().is_ok_and(|it| it <= 32)
    });
    match is_range {
        true => Ok(text.to_owned()),
        false => Err("it is a range of IPv4 addresses, as 192.0.2.0/24".to_owned()),
    }
}

impl Launch {
    pub(crate) async fn run(&self, aws: &AwsArgs, out: &mut impl Write) -> Result<(), Failure> {
        let place = aws.place().await?;
        let session = &place.vault.session;
        let order = self.order()?;
        let clock: Clock = Arc::new(OffsetDateTime::now_utc);
        interruptible(async |cancel| {
            place.say_who();
            let mut made = Launched::default();
            let mut seen = Seen::default();
            let done = self
                .see(session, &order, &clock, &mut made, &mut seen, &cancel)
                .await;
            let left = match (&done, self.keep) {
                (Ok(()), true) => Vec::new(),
                _ => tidy(session, &made).await,
            };
            for it in &left {
                say!("uploader: left behind: {it}");
            }
            match done {
                Ok(()) => self.print(&made, &seen, out)?,
                Err(LaunchError::Cancelled) => return Err(Failure::interrupted()),
                Err(error) => {
                    if self.json {
                        self.print(&made, &seen, out)?;
                    }
                    let console = end_of(&seen.console);
                    if made.instance.is_some() {
                        match console.is_empty() {
                            true => say!("uploader: its console said nothing"),
                            false => say!("uploader: the end of its console:\n{console}"),
                        }
                    }
                    return Err(error.into());
                }
            }
            match left.is_empty() {
                true => Ok(()),
                false => Err(Failure::new(Class::Failed, "not all could be taken away")),
            }
        })
        .await
    }

    async fn see(
        &self,
        session: &Session,
        order: &Order,
        clock: &Clock,
        made: &mut Launched,
        seen: &mut Seen,
        cancel: &CancellationToken,
    ) -> Result<(), LaunchError> {
        let id = start(session, order, clock, made).await?;
        let (kind, zone) = made.place.clone().unwrap_or_default();
        say!("uploader: launched {id}, a {kind} in {zone}");
        let asked = made.asked.unwrap_or_else(|| clock());
        let watched = watch(session, order, &id, asked, clock, seen, cancel);
        match &self.tunnel {
            None => watched.await,
            Some(command) => {
                let tunnel = Tunnel::new(command, &id, self.port);
                tokio::select! {
                    watched = watched => watched,
                    never = tunnel.keep_open() => match never {},
                }
            }
        }
    }

    fn order(&self) -> Result<Order, Failure> {
        let mut random = [0; 8];
        File::open("/dev/urandom")
            .and_then(|mut it| it.read_exact(&mut random))
            .map_err(|error| Failure::new(Class::Surroundings, format!("/dev/urandom: {error}")))?;
        Ok(Order {
            ami: self.ami.clone(),
            instance_type: self.instance_type.clone(),
            subnet: self.subnet.clone(),
            wait: match &self.wait_console {
                Some(text) => Wait::Console(text.clone()),
                None => Wait::Http {
                    port: self.port,
                    path: self.wait_http.clone(),
                },
            },
            from: self.from.clone(),
            reach: match (&self.connect, self.private) {
                (Some(address), _) => Reach::At(address.clone()),
                (None, true) => Reach::Private,
                (None, false) => Reach::Public,
            },
            patience: Duration::from_secs(self.timeout.into()),
            token: hex::encode(random),
        })
    }

    fn print(&self, made: &Launched, seen: &Seen, out: &mut impl Write) -> Result<(), Failure> {
        let Stages {
            running,
            console,
            answer,
        } = seen.stages;
        if self.json {
            let (kind, zone) = made.place.clone().unwrap_or_default();
            let value = json!({
                "ami": self.ami,
                "instance": made.instance,
                "instance_type": kind,
                "zone": zone,
                "security_group": made.group,
                "address": seen.address,
                "kept": self.keep && answer.is_some(),
                "answered": answer.is_some(),
                "seconds": seen.stages,
            });
            return writeln!(out, "{value}").map_err(Failure::stdout);
        }
        let mut before = 0.0;
        for (stage, at) in [
            ("pending until running", running),
            ("until the console's first line", console),
            ("until the answer", answer),
        ] {
            // The console may come later than the answer: EC2 passes it on when it likes.
            let Some(at) = at else {
                continue;
            };
            writeln!(out, "{at:7.1} s  {stage} (+{:.1} s)", at - before)
                .map_err(Failure::stdout)?;
            before = at;
        }
        if self.keep {
            let id = made.instance.as_deref().unwrap_or_default();
            let address = seen.address.as_deref().unwrap_or("no address");
            writeln!(out, "{id} is kept: {address}").map_err(Failure::stdout)?;
            if let Some(group) = &made.group {
                say!(
                    "hint: aws ec2 terminate-instances --instance-ids {id}; then aws ec2 \
                     delete-security-group --group-id {group}"
                );
            }
        }
        Ok(())
    }
}

/// Takes all of it away, and says so before: it may take a minute.
async fn tidy(session: &Session, made: &Launched) -> Vec<String> {
    if let Some(id) = &made.instance {
        say!("uploader: terminates {id}");
    }
    clean(session, made).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_addresses_is_one() {
        for text in ["0.0.0.0/0", "192.0.2.0/24", "192.0.2.7/32"] {
            assert_eq!(cidr(text).as_deref(), Ok(text));
        }
        for text in [
            "nonsense",
            "",
            "192.0.2.0",
            "192.0.2.0/33",
            "192.0.2/24",
            "::/0",
            "a/b/c",
        ] {
            assert!(cidr(text).is_err(), "{text}");
        }
    }
}
