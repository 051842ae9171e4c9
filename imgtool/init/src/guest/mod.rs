//! The steps from the kernel's first process to the application.

#[macro_use]
mod log;

mod app;
mod devices;
mod dhcp;
mod failure;
mod gpt;
mod grow;
mod handover;
mod http;
mod imds;
mod lease;
mod link;
mod mount;
mod netlink;
mod network;
mod packet;
mod power;
mod resolv;
mod root;
mod signals;
mod supervise;
mod switch;
mod wildcard;

use std::fs;
use std::path::Path;

use imgtool_init::config::{self, GuestConfig, Run};
use imgtool_init::modules::{self, Load, ModuleIndex};
use serde::de::DeserializeOwned;

use self::devices::Modules;
use self::failure::{Context, Failure, Result};

/// PID 1's life. Started as any other process it asks PID 1 to power off: this is what the
/// kernel's `poweroff_cmd` runs.
pub(crate) fn run() -> ! {
    if std::process::id() != 1 {
        power::ask_pid_1();
    }
    power::report_panics();
    match boot() {
        Ok(never) => match never {},
        Err(failure) => power::fail(&failure),
    }
}

/// What never comes back.
enum Never {}

fn boot() -> Result<Never> {
    mount::kernel_file_systems()?;
    log::open_console();
    say!(
        "init {}, Linux {}{}",
        env!("CARGO_PKG_VERSION"),
        kernel_release(),
        kernel_time()
    );

    let config: GuestConfig = read_json(config::PATH)?;
    let index: ModuleIndex = read_json(modules::PATH)?;
    set_hostname(&config.hostname);

    let mut modules = Modules::open(index.modules);
    modules.load_all(Load::ForRoot);
    let mut root = root::find(&mut modules, &config.root_partition)?;
    // What root did not need: a network card, say.
    let loading = modules.load_in_background()?;
    if config.grow
        && let Err(failure) = grow::partition(&mut root)
    {
        say!("warning: the root partition did not grow: {failure}");
    }
    mount::root(&root)?;
    if config.grow
        && let Err(failure) = grow::file_system(&root)
    {
        say!("warning: the root file system did not grow: {failure}");
    }

    match config.run {
        Run::Init { path } => {
            loading.wait()?.load_all(Load::Always);
            handover::to_init(&path)
        }
        Run::Application(application) => {
            mount::for_application()?;
            switch::root()?;
            supervise::run(&application, loading)
        }
    }
}

/// How long the kernel took until here, by its own clock.
fn kernel_time() -> String {
    let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
    match uptime.split_ascii_whitespace().next() {
        Some(seconds) => format!(", {seconds} s after the kernel's start"),
        None => String::new(),
    }
}

fn kernel_release() -> String {
    rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned()
}

/// Sets the kernel's host name; a name it does not take is a warning.
fn set_hostname(name: &str) {
    if let Err(error) = rustix::system::sethostname(name.as_bytes()) {
        say!("warning: can't set the host name {name}: {error}");
    }
}

fn read_json<T: DeserializeOwned>(path: &str) -> Result<T> {
    let text = fs::read(Path::new(path)).context(|| format!("can't read {path}"))?;
    serde_json::from_slice(&text)
        .map_err(|error| Failure::new(format!("{path} in the initramfs is not valid: {error}")))
}
