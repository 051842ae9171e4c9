//! Memory, as Linux tells of it in `/proc`: the machine's, and what this process took of it.

/// Memory of the machine, in MiB.
pub(super) fn total_mib() -> Option<u32> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    Some(kib(&text, "MemTotal:")? / 1024)
}

/// The most memory that this process had, in words, for who has to choose a machine or `--memory`.
/// `None` where there is no `/proc`.
pub(super) fn peak() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let machine = std::fs::read_to_string("/proc/meminfo").ok()?;
    peak_of(&status, &machine)
}

fn peak_of(status: &str, machine: &str) -> Option<String> {
    let peak = kib(status, "VmHWM:")?.div_ceil(1024);
    let all = kib(machine, "MemTotal:")? / 1024;
    let swap = match kib(machine, "SwapTotal:")? / 1024 {
        0 => "no swap".to_owned(),
        all => {
            let swapped = kib(status, "VmSwap:")?.div_ceil(1024);
            format!("{swapped} MiB of {all} MiB in swap")
        }
    };
    Some(format!("peak memory {peak} MiB of {all} MiB, {swap}"))
}

/// The value of a line `NAME: 123 kB`.
fn kib(text: &str, name: &str) -> Option<u32> {
    let line = text.lines().find_map(|it| it.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str =
        "Name:\tapp\nVmPeak:\t  900000 kB\nVmHWM:\t   70001 kB\nVmSwap:\t     100 kB\n";

    #[test]
    fn a_peak_is_told_beside_what_there_is() {
        let machine = |swap: u32| format!("MemTotal: 1000448 kB\nSwapTotal:  {swap} kB\n");
        let told = |swap| peak_of(STATUS, &machine(swap));
        let told = (told(0), told(2_097_152));
        let expected = (
            "peak memory 69 MiB of 977 MiB, no swap".to_owned(),
            "peak memory 69 MiB of 977 MiB, 1 MiB of 2048 MiB in swap".to_owned(),
        );
        assert_eq!(told, (Some(expected.0), Some(expected.1)));
        assert_eq!(peak_of("Name:\tapp\n", &machine(0)), None);
    }

    #[test]
    fn this_machine_tells() {
        assert!(total_mib().is_some_and(|it| it > 0));
        assert!(peak().is_some_and(|it| it.starts_with("peak memory ")));
    }
}
