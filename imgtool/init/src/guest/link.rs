//! Network interfaces as `/sys/class/net` shows them.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::devices::list;

/// How long a network card that the bus shows may take to become an interface.
const APPEARS: Duration = Duration::from_secs(2);

/// How long an interface may take to find its link.
const CARRIER: Duration = Duration::from_secs(5);

const POLL: Duration = Duration::from_millis(10);

/// An Ethernet interface.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) name: String,
    pub(crate) index: u32,
    pub(crate) mac: [u8; 6],
}

/// The first Ethernet interface with a device behind it, by its index. Waits for it if a bus shows
/// a network card that has not become one yet.
pub(crate) fn first() -> Option<Link> {
    let start = Instant::now();
    loop {
        let mut links: Vec<Link> = list("/sys/class/net".into())
            .iter()
            .filter_map(|path| read(path))
            .collect();
        links.sort_by_key(|link| link.index);
        if let Some(link) = links.into_iter().next() {
            return Some(link);
        }
        if !card_present() || start.elapsed() > APPEARS {
            return None;
        }
        thread::sleep(POLL);
    }
}

/// Waits until the interface has a link, or long enough.
pub(crate) fn wait_for_carrier(link: &Link) {
    let start = Instant::now();
    let carrier = format!("/sys/class/net/{}/carrier", link.name);
    while start.elapsed() < CARRIER && text(Path::new(&carrier)).as_deref() != Some("1") {
        thread::sleep(POLL);
    }
}

/// Whether a bus shows a network card: PCI class 02, or Xen's virtual interface.
fn card_present() -> bool {
    let pci = |path: &Path| text(&path.join("class")).is_some_and(|c| c.starts_with("0x02"));
    let xen = |path: &Path| text(&path.join("devtype")).as_deref() == Some("vif");
    list("/sys/bus/pci/devices".into())
        .iter()
        .any(|path| pci(path))
        || list("/sys/bus/xen/devices".into())
            .iter()
            .any(|path| xen(path))
}

fn read(path: &Path) -> Option<Link> {
    const ARPHRD_ETHER: &str = "1";
    if text(&path.join("type"))? != ARPHRD_ETHER || !path.join("device").exists() {
        return None;
    }
    Some(Link {
        name: path.file_name()?.to_str()?.to_owned(),
        index: text(&path.join("ifindex"))?.parse().ok()?,
        mac: parse_mac(&text(&path.join("address"))?)?,
    })
}

fn text(path: &Path) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

/// Six bytes in hexadecimal with colons between.
fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let mut bytes = text
        .split(':')
        .map(|byte| u8::from_str_radix(byte, 16).ok());
    let mut mac = [0; 6];
    for byte in &mut mac {
        *byte = bytes.next()??;
    }
    bytes.next().is_none().then_some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mac_has_six_bytes() {
        assert_eq!(
            parse_mac("52:54:00:12:34:56"),
            Some([0x52, 0x54, 0, 0x12, 0x34, 0x56])
        );
        for bad in [
            "",
            "52:54:00:12:34",
            "52:54:00:12:34:56:78",
            "52:54:00:12:34:100",
        ] {
            assert_eq!(parse_mac(bad), None, "{bad}");
        }
    }
}
