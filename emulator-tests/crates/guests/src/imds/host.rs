//! Names of machines.

use emulator_protocol::Region;
use std::net::Ipv4Addr;

/// The name of the machine with this private address, and its domain: `ip-172-31-0-5` and
/// `ec2.internal`, which is `REGION.compute.internal` outside of us-east-1.
pub fn names(private_ip: Ipv4Addr, region: Option<&Region>) -> (String, String) {
    let [a, b, c, d] = private_ip.octets();
    let domain = match region.map(Region::as_str) {
        None | Some("us-east-1") => "ec2.internal".to_owned(),
        Some(region) => format!("{region}.compute.internal"),
    };
    (format!("ip-{a}-{b}-{c}-{d}"), domain)
}

/// The name of the machine with this public address.
pub(super) fn public_name(public_ip: Ipv4Addr, region: &Region) -> String {
    let [a, b, c, d] = public_ip.octets();
    let domain = match region.as_str() {
        "us-east-1" => "compute-1".to_owned(),
        region => format!("{region}.compute"),
    };
    format!("ec2-{a}-{b}-{c}-{d}.{domain}.amazonaws.com")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_machines_name_is_its_address_and_region() {
        let ip = Ipv4Addr::new(172, 31, 0, 5);
        for (region, private, public) in [
            (
                "us-east-1",
                "ip-172-31-0-5.ec2.internal",
                "ec2-172-31-0-5.compute-1.amazonaws.com",
            ),
            (
                "eu-west-1",
                "ip-172-31-0-5.eu-west-1.compute.internal",
                "ec2-172-31-0-5.eu-west-1.compute.amazonaws.com",
            ),
        ] {
            let region = Region::parse(region).unwrap();
            let (host, domain) = names(ip, Some(&region));
            assert_eq!(format!("{host}.{domain}"), private);
            assert_eq!(public_name(ip, &region), public);
        }
    }
}
