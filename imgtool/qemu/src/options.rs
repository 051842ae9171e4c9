//! What a machine is made of, and how its parts are written on a command line.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// What to boot, on what, and when to stop.
#[derive(Debug, Clone)]
pub struct Options {
    /// The raw image. It is not changed.
    pub image: PathBuf,
    /// The firmware; `None` takes UEFI for an image with an EFI system partition, else BIOS.
    pub firmware: Option<Firmware>,
    /// How the disk is attached.
    pub disk: Disk,
    /// What executes the guest's instructions.
    pub accel: Accel,
    /// TCP ports of 127.0.0.1 that lead into the guest.
    pub forwards: Vec<Forward>,
    /// Whether the guest is kept from reaching anything outside.
    pub offline: bool,
    /// The guest's memory in bytes, rounded up to MiB.
    pub memory: u64,
    /// The guest's processors; at least 1.
    pub cpus: u16,
    /// Size of the disk in bytes, at least the image's; `None` is the image's rounded up to whole
    /// GiB, as EBS volumes are.
    pub disk_size: Option<u64>,
    /// Where the guest's writes stay; `None` forgets them.
    pub overlay: Option<PathBuf>,
    /// Success is that the console shows this.
    pub expect: Option<String>,
    /// Once `expect` was seen: press the power button and wait for the guest to power off.
    pub power_off: bool,
    /// How long it may take; `None` is without limit.
    pub timeout: Option<Duration>,
}

/// What starts the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Firmware {
    /// SeaBIOS, which QEMU brings along
    Bios,
    /// OVMF, without Secure Boot
    Uefi,
}

/// How the disk is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Disk {
    /// NVMe, as on AWS Nitro
    Nvme,
    /// virtio-blk
    Virtio,
    /// IDE on a PC of the i440FX kind, which is what a Xen guest's firmware sees
    Ide,
}

/// What executes the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Accel {
    /// KVM if a trial guest runs on it, else TCG
    Auto,
    /// The processor, through /dev/kvm
    Kvm,
    /// QEMU's translator: slower, works everywhere
    Tcg,
}

/// A TCP port of 127.0.0.1 that leads to a port of the guest: `HOST:GUEST`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Forward {
    /// The host's port; 0 takes a free one.
    pub host: u16,
    /// The guest's port.
    pub guest: u16,
}

impl FromStr for Forward {
    type Err = String;

    fn from_str(text: &str) -> Result<Forward, String> {
        let port = |part: &str, least: u16| {
            part.parse::<u16>()
                .ok()
                .filter(|&p| p >= least && part.bytes().all(|b| b.is_ascii_digit()))
        };
        text.split_once(':')
            .and_then(|(host, guest)| {
                Some(Forward {
                    host: port(host, 0)?,
                    guest: port(guest, 1)?,
                })
            })
            .ok_or_else(|| "two port numbers, HOST:GUEST, for example 8080:80".to_string())
    }
}

/// Parses a size: bytes, or a number with `K`, `M`, `G` or `T` (powers of 1024; a `B` or `iB`
/// after it changes nothing).
pub fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || "a size such as 512M, 8G or 1073741824".to_string();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let shift = match unit {
        "" => 0,
        "K" | "KB" | "KiB" => 10,
        "M" | "MB" | "MiB" => 20,
        "G" | "GB" | "GiB" => 30,
        "T" | "TB" | "TiB" => 40,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number
        .checked_mul(1 << shift)
        .filter(|&n| n > 0)
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, size) in [
            ("1", Some(1)),
            ("512M", Some(512 << 20)),
            ("8G", Some(8 << 30)),
            ("8GiB", Some(8 << 30)),
            ("1T", Some(1 << 40)),
            ("0", None),
            ("", None),
            ("G", None),
            ("-1", None),
            ("1.5G", None),
            ("8g", None),
            ("99999999999T", None),
        ] {
            assert_eq!(parse_size(text).ok(), size, "{text}");
        }
    }

    #[test]
    fn forwards_are_two_ports() {
        let forward = |host, guest| Some(Forward { host, guest });
        for (text, expected) in [
            ("8080:80", forward(8080, 80)),
            ("0:80", forward(0, 80)),
            ("80", None),
            ("80:0", None),
            ("80:65536", None),
            ("0.0.0.0:80:80", None),
            ("+1:80", None),
            (":80", None),
        ] {
            assert_eq!(text.parse().ok(), expected, "{text}");
        }
    }
}
