//! What a failed start of the emulator means for the command: class, and hint.

use cli_support::Failure;
use emulator_localstack::StartError;
use emulator_tests::emulator::EmulatorError;
use error_class::Class;

/// The failure of a command whose emulator did not start.
pub(super) fn not_started(error: &EmulatorError) -> Failure {
    let class = match error {
        EmulatorError::Interrupted => return Failure::interrupted(),
        EmulatorError::PortInUse(_)
        | EmulatorError::NoMachines(_)
        | EmulatorError::Host { .. }
        | EmulatorError::Lease(_)
        | EmulatorError::LocalStack(
            StartError::NoPython(_)
            | StartError::NoEngine(_)
            | StartError::NoImage(_)
            | StartError::Spawn { .. }
            | StartError::File { .. },
        ) => Class::Surroundings,
        _ => Class::Failed,
    };
    let failure = Failure::of(class, error);
    match error {
        EmulatorError::LocalStack(error) => match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        },
        EmulatorError::NoMachines("setpriv") => failure.hint("it is in util-linux"),
        EmulatorError::NoMachines(_) => {
            failure.hint("install it: apt-get install qemu-system-x86; or use --no-guests")
        }
        EmulatorError::PortInUse(_) => failure.hint("choose another with --port"),
        _ => failure,
    }
}
