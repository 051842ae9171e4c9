//! EC2's instance metadata service, version 2.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use super::dhcp::valid_name;
use super::http::fetch;
use super::set_hostname;

const SERVICE: (Ipv4Addr, u16) = (Ipv4Addr::new(169, 254, 169, 254), 80);

/// How long all of it may take on EC2, where the service may need a moment.
const ON_EC2: Duration = Duration::from_secs(5);

/// How long the service may take to answer first where nothing says that this is EC2; all of it
/// may take twice as long.
const ELSEWHERE: Duration = Duration::from_millis(400);

/// How long between two attempts.
const AGAIN: Duration = Duration::from_millis(200);

/// What the service says of this machine.
#[derive(Debug)]
struct Identity {
    instance: String,
    hostname: Option<String>,
}

/// Asks who this machine is, says so, and takes the host name. Where there is no such service this
/// takes well below a second.
pub(crate) fn introduce() {
    let on_ec2 = on_ec2();
    let now = Instant::now();
    let (first, all) = if on_ec2 {
        (now + ON_EC2, now + ON_EC2)
    } else {
        (now + ELSEWHERE, now + 2 * ELSEWHERE)
    };
    let identity = loop {
        match ask(first, all) {
            Err(_) if on_ec2 && Instant::now() + AGAIN < all => thread::sleep(AGAIN),
            asked => break asked,
        }
    };
    match identity {
        Ok(identity) => {
            say!("instance {}", identity.instance);
            if let Some(hostname) = &identity.hostname {
                set_hostname(hostname);
            }
        }
        Err(error) if on_ec2 => say!("warning: the metadata service does not answer: {error}"),
        Err(_) => {}
    }
}

fn ask(first: Instant, all: Instant) -> io::Result<Identity> {
    let server = SocketAddr::from(SERVICE);
    let lifetime = ("X-aws-ec2-metadata-token-ttl-seconds", "60");
    let no_body = ("Content-Length", "0");
    let token = fetch(server, "PUT /latest/api/token", &[lifetime, no_body], first)?;
    // It goes into a header.
    if !(1..1024).contains(&token.len()) || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "its token is not one",
        ));
    }
    let token = [("X-aws-ec2-metadata-token", token.as_str())];
    let get = |name: &str| {
        fetch(
            server,
            &format!("GET /latest/meta-data/{name}"),
            &token,
            all,
        )
    };
    Ok(Identity {
        instance: get("instance-id")?,
        hostname: get("local-hostname").ok().as_deref().and_then(hostname),
    })
}

/// The first of the names in `local-hostname`, cut to what the kernel takes.
fn hostname(text: &str) -> Option<String> {
    let name = text
        .split_ascii_whitespace()
        .next()
        .filter(|name| valid_name(name))?;
    if name.len() <= 64 {
        return Some(name.to_owned());
    }
    name.split('.').next().map(str::to_owned)
}

/// Whether the firmware says that this is EC2: Nitro by its vendor, Xen by its version or by the
/// hypervisor's identifier.
fn on_ec2() -> bool {
    let says = |path: &str, word: &str| {
        fs::read_to_string(path).is_ok_and(|text| text.to_ascii_lowercase().contains(word))
    };
    says("/sys/class/dmi/id/sys_vendor", "amazon ec2")
        || says("/sys/class/dmi/id/bios_version", "amazon")
        || fs::read_to_string("/sys/hypervisor/uuid").is_ok_and(|uuid| uuid.starts_with("ec2"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_name_is_one_valid_name() {
        let long = format!("{}.{}.example", "a".repeat(40), "b".repeat(40));
        for (text, name) in [
            ("ip-10-0-0-1.ec2.internal", Some("ip-10-0-0-1.ec2.internal")),
            (
                "ip-10-0-0-1.ec2.internal example.com\n",
                Some("ip-10-0-0-1.ec2.internal"),
            ),
            (&long, Some(&long[..40])),
            ("<html>", None),
            ("", None),
        ] {
            assert_eq!(hostname(text).as_deref(), name, "{text}");
        }
    }
}
