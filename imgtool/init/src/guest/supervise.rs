//! The application's life: started, restarted as told, stopped before the power goes.

use std::io::PipeReader;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use imgtool_init::config::{Application, Restart};
use imgtool_init::console::{EXITED, STARTED};
use imgtool_init::modules::Load;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitStatus, kill_process_group};

use super::Never;
use super::app::{self, Program};
use super::devices::Loading;
use super::failure::Result;
use super::network::Network;
use super::power::{self, Buttons, End};
use super::signals::{Request, Signals};

/// How long the application waits for the network, where there is one.
const NETWORK: Duration = Duration::from_secs(10);

/// How long processes have to stop after SIGTERM.
const TIME_TO_STOP: Duration = Duration::from_secs(10);

/// Pause before the first restart; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// An application that ran this long starts anew with the first pause.
const STABLE: Duration = Duration::from_secs(10);

/// What the application is doing.
enum State {
    /// It starts when the network is up, or at this time.
    Waiting { network: PipeReader, until: Instant },
    /// It runs.
    Running { pid: Pid, since: Instant },
    /// It starts again at this time.
    Pausing { until: Instant },
    /// Everything was told to stop and is killed at this time, or was killed and is given up.
    Stopping {
        application: Option<Pid>,
        killed: bool,
        until: Instant,
        end: End,
    },
}

/// Looks after one application until the machine ends. Meanwhile modules are loaded.
pub(crate) fn run(config: &Application, loading: Loading) -> Result<Never> {
    let signals = Signals::block()?;
    power::take_requests();
    if let Err(failure) = app::give_console(config) {
        say!("warning: {failure}");
    }
    let program = Program::new(config)?;
    let mut supervisor = Supervisor {
        program,
        restart: config.restart,
        pause: FIRST_PAUSE,
        state: State::Pausing {
            until: Instant::now(),
        },
    };
    let network = Network::open();
    if !config.wait_for_network {
        // Not even for the interface.
        supervisor.start()?;
    }
    let mut modules = loading.wait()?;
    if let Some(network) = network.and_then(Network::start)
        && config.wait_for_network
    {
        supervisor.state = State::Waiting {
            network,
            until: Instant::now() + NETWORK,
        };
    }
    modules.load_all(Load::Always);
    drop(modules);
    let buttons = Buttons::open();
    supervisor.live(signals, buttons)
}

struct Supervisor<'a> {
    program: Program<'a>,
    restart: Restart,
    /// Before the next restart.
    pause: Duration,
    state: State,
}

impl Supervisor<'_> {
    fn live(mut self, mut signals: Signals, mut buttons: Buttons) -> Result<Never> {
        loop {
            self.on_time()?;
            self.wait(&signals, &buttons);
            if buttons.pressed() {
                self.stop("the power button was pressed", End::PowerOff);
            }
            while let Some(request) = signals.next() {
                match request {
                    // Every ended child is reaped below, however many signals came.
                    Request::Reap => {}
                    Request::PowerOff => self.stop("asked to power off", End::PowerOff),
                    Request::Restart => self.stop("asked to restart", End::Restart),
                }
            }
            self.reap();
        }
    }

    /// Does what is due.
    fn on_time(&mut self) -> Result<()> {
        let now = Instant::now();
        match &self.state {
            State::Waiting { until, .. } if *until <= now => {
                say!("warning: no network yet; the application starts without it");
                self.start()
            }
            State::Pausing { until } if *until <= now => self.start(),
            State::Stopping {
                until,
                end,
                killed: true,
                ..
            } if *until <= now => power::end(*end),
            State::Stopping {
                application,
                until,
                end,
                ..
            } if *until <= now => {
                say!("processes that did not stop are killed");
                power::signal_all(Signal::KILL);
                let (application, end) = (*application, *end);
                let until = now + power::TIME_TO_DIE;
                self.state = State::Stopping {
                    application,
                    killed: true,
                    until,
                    end,
                };
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn start(&mut self) -> Result<()> {
        let pid = self.program.start()?;
        say!("{STARTED}{pid}");
        self.state = State::Running {
            pid,
            since: Instant::now(),
        };
        Ok(())
    }

    /// Waits until something happens or is due.
    fn wait(&mut self, signals: &Signals, buttons: &Buttons) {
        let until = match &self.state {
            State::Waiting { until, .. }
            | State::Pausing { until }
            | State::Stopping { until, .. } => Some(*until),
            State::Running { .. } => None,
        };
        let timeout = until.map(|until| {
            let left = until.saturating_duration_since(Instant::now());
            Timespec {
                tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            }
        });
        let mut network_is_up = false;
        {
            let mut descriptors = vec![signals.as_fd()];
            descriptors.extend(buttons.descriptors());
            let network = match &self.state {
                State::Waiting { network, .. } => Some(network.as_fd()),
                _ => None,
            };
            descriptors.extend(network);
            let mut polled: Vec<PollFd<'_>> = descriptors
                .iter()
                .map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN))
                .collect();
            // Interrupted or not: the caller looks at everything.
            let _ = poll(&mut polled, timeout.as_ref());
            if network.is_some() {
                network_is_up = polled.last().is_some_and(|fd| !fd.revents().is_empty());
            }
        }
        if network_is_up {
            self.state = State::Pausing {
                until: Instant::now(),
            };
        }
    }

    /// Reaps every child that ended, the application's own and those it left behind.
    fn reap(&mut self) {
        let children = power::reap();
        for (pid, status) in children.iter().flatten() {
            match self.state {
                State::Running {
                    pid: application,
                    since,
                } if application == *pid => {
                    self.ended(*pid, *status, since.elapsed());
                }
                State::Stopping {
                    application: Some(application),
                    killed,
                    until,
                    end,
                } if application == *pid => {
                    say!("{EXITED}{}", describe(*status));
                    self.state = State::Stopping {
                        application: None,
                        killed,
                        until,
                        end,
                    };
                }
                _ => {}
            }
        }
        if let State::Stopping { end, .. } = self.state
            && (children.is_none() || power::reap().is_none())
        {
            power::end(end);
        }
    }

    /// The application ended by itself.
    fn ended(&mut self, pid: Pid, status: WaitStatus, ran: Duration) {
        let again = match self.restart {
            Restart::No => false,
            Restart::OnFailure => status.exit_status() != Some(0),
            Restart::Always => true,
        };
        if !again {
            say!("{EXITED}{}", describe(status));
            self.stop_all(None, End::PowerOff);
            return;
        }
        // What it left running would hold its ports. There may be nothing left.
        let _ = kill_process_group(pid, Signal::KILL);
        if ran >= STABLE {
            self.pause = FIRST_PAUSE;
        }
        let ended = describe(status);
        say!(
            "application ended with {ended}; it starts again in {} ms",
            self.pause.as_millis()
        );
        self.state = State::Pausing {
            until: Instant::now() + self.pause,
        };
        self.pause = next_pause(self.pause);
    }

    /// Someone wants the machine to end.
    fn stop(&mut self, why: &str, end: End) {
        match self.state {
            State::Stopping { .. } => {}
            State::Running { pid, .. } => {
                say!("{why}: stopping the application");
                self.stop_all(Some(pid), end);
            }
            State::Waiting { .. } | State::Pausing { .. } => {
                say!("{why}");
                self.stop_all(None, end);
            }
        }
    }

    fn stop_all(&mut self, application: Option<Pid>, end: End) {
        power::signal_all(Signal::TERM);
        let until = Instant::now() + TIME_TO_STOP;
        self.state = State::Stopping {
            application,
            killed: false,
            until,
            end,
        };
    }
}

/// The pause after this one.
fn next_pause(pause: Duration) -> Duration {
    pause.saturating_mul(2).min(LONGEST_PAUSE)
}

/// An exit status as the console has it.
fn describe(status: WaitStatus) -> String {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => format!("status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => format!("{status:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let pauses = std::iter::successors(Some(FIRST_PAUSE), |pause| Some(next_pause(*pause)));
        let millis: Vec<u128> = pauses.take(9).map(|pause| pause.as_millis()).collect();
        assert_eq!(
            millis,
            [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]
        );
    }
}
