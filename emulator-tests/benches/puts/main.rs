//! How many blocks of 512 KiB a second the EBS direct API takes over HTTP, the client included,
//! and how much memory its server needs for 20 GiB; the same client against moto beside it.
//!
//! `puts` measures a server of its own, in a process of its own; `puts --endpoint` one that runs.
#![allow(clippy::print_stderr, clippy::print_stdout)]

mod client;
mod moto;
mod server;

use clap::Parser;
use client::Measured;
use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Measure PutSnapshotBlock.
#[derive(Parser)]
struct Args {
    /// A server that runs; one is started without.
    #[arg(long)]
    endpoint: Option<SocketAddr>,
    /// The process whose peak memory is read, with --endpoint.
    #[arg(long)]
    pid: Option<u32>,
    /// Blocks that are put to measure speed.
    #[arg(long, default_value_t = 4000)]
    blocks: u32,
    /// Rounds, of which the best counts.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// GiB that are stored to measure memory; 0 leaves it out.
    #[arg(long, default_value_t = 20)]
    store: u32,
    /// Blocks that are put to moto; 0 leaves it out.
    #[arg(long, default_value_t = 200)]
    moto: u32,
    /// Keep-alive connections.
    #[arg(long, default_value_t = 4)]
    connections: u32,
    /// Where blocks and moto's virtual environment go.
    #[arg(long, default_value = "target/bench-emulator")]
    dir: PathBuf,
    /// One JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// Serve the API from this directory, and say where.
    #[arg(long, hide = true)]
    serve: Option<PathBuf>,
    /// What cargo says to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    if let Some(dir) = &args.serve {
        return server::serve(dir);
    }
    std::fs::create_dir_all(&args.dir)?;
    let own = match args.endpoint {
        Some(_) => None,
        None => Some(server::Child::start(&args.dir)?),
    };
    let (endpoint, pid) = match (&own, args.endpoint) {
        (Some(own), _) => (own.endpoint, Some(own.pid())),
        (None, Some(endpoint)) => (endpoint, args.pid),
        (None, None) => return Err("no endpoint".into()),
    };
    let mut best: Option<Measured> = None;
    for round in 0..args.rounds {
        let measured = client::measure(endpoint, args.blocks, args.connections, round)?;
        eprintln!("round {}: {:.0} puts/s", round + 1, measured.per_second());
        if best.as_ref().is_none_or(|it| measured.seconds < it.seconds) {
            best = Some(measured);
        }
    }
    let stored = match args.store {
        0 => None,
        gib => {
            eprintln!("storing {gib} GiB");
            let blocks = gib * 2048;
            Some(client::measure(
                endpoint,
                blocks,
                args.connections,
                args.rounds,
            )?)
        }
    };
    let peak = pid.map(server::peak_memory).transpose()?;
    drop(own);
    let moto = match args.moto {
        0 => None,
        blocks => Some(moto::measure(&args.dir, blocks, args.connections)?),
    };
    report(&args, best, stored, peak, moto);
    Ok(())
}

/// The fewest puts a second that will do, and the most memory, in MiB.
const WANTED: (f64, f64) = (1500.0, 200.0);

fn report(
    args: &Args,
    best: Option<Measured>,
    stored: Option<Measured>,
    peak: Option<u64>,
    moto: Option<Measured>,
) {
    let puts = best.map(|it| it.per_second());
    let while_storing = stored.map(|it| it.per_second());
    let peak = peak.map(|bytes| bytes as f64 / f64::from(1 << 20));
    let moto = moto.map(|it| it.per_second());
    let ratio = puts.zip(moto).map(|(ours, theirs)| ours / theirs);
    if args.json {
        println!(
            "{}",
            serde_json::json!({
                "puts_per_second": puts, "puts_per_second_wanted": WANTED.0,
                "stored_gib": args.store, "puts_per_second_while_storing": while_storing,
                "peak_memory_mib": peak, "peak_memory_mib_allowed": WANTED.1,
                "moto_puts_per_second": moto, "times_moto": ratio,
            })
        );
        return;
    }
    let row = |what: &str, value: Option<f64>, target: &str| {
        let value = value.map_or("-".to_owned(), |value| format!("{value:.0}"));
        println!("{what:<44} {value:>8}  {target}");
    };
    row(
        "PutSnapshotBlock/s, client included",
        puts,
        &format!("at least {}", WANTED.0),
    );
    row("PutSnapshotBlock/s of moto, same client", moto, "");
    row("times moto", ratio, "");
    let storing = format!("PutSnapshotBlock/s while storing {} GiB", args.store);
    row(&storing, while_storing, "");
    row(
        "peak memory of the server, MiB",
        peak,
        &format!("at most {}", WANTED.1),
    );
}
