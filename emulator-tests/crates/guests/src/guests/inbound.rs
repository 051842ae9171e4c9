//! Who may connect to a guest: what the ingress rules of its security groups say.

use crate::vpc::Inbound;
use async_trait::async_trait;
use emulator_backend::{IngressRule, Network};
use emulator_protocol::Caller;
use emulator_state::world::Store;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// The security groups of an instance, asked for at every connection: a rule that comes or goes is
/// in force at once.
pub(super) struct SecurityGroups {
    pub(super) store: Arc<Store>,
    pub(super) network: Arc<dyn Network>,
    pub(super) caller: Caller,
    pub(super) instance: String,
}

#[async_trait]
impl Inbound for SecurityGroups {
    async fn allows(&self, port: u16, source: Ipv4Addr) -> bool {
        let groups: Vec<String> = self.store.read(|world| {
            let found = world.instances.get(&self.instance);
            let groups = found.map(|it| &it.interface.groups);
            groups
                .into_iter()
                .flatten()
                .map(|it| it.0.clone())
                .collect()
        });
        match self.network.ingress(&self.caller, &groups).await {
            Ok(rules) => rules.iter().any(|rule| lets_in(rule, port, source)),
            Err(error) => {
                tracing::warn!(%error, "the security groups' rules can't be asked for");
                false
            }
        }
    }
}

/// Whether a rule lets TCP connections from this address to this port in.
fn lets_in(rule: &IngressRule, port: u16, source: Ipv4Addr) -> bool {
    let protocol = match rule.protocol.as_str() {
        "-1" => true,
        "tcp" | "6" => rule
            .ports
            .is_some_and(|(from, to)| (from..=to).contains(&port)),
        _ => false,
    };
    protocol && rule.ranges.iter().any(|range| contains(range, source))
}

/// Whether a range, `10.0.0.0/8`, has this address.
fn contains(range: &str, address: Ipv4Addr) -> bool {
    let parsed = range.split_once('/').and_then(|(base, bits)| {
        let base: Ipv4Addr = base.parse().ok()?;
        let bits: u32 = bits.parse().ok().filter(|bits| *bits <= 32)?;
        Some((base, bits))
    });
    parsed.is_some_and(|(base, bits)| {
        let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
        address.to_bits() & mask == base.to_bits() & mask
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_let_in_what_they_say() {
        let rule = |protocol: &str, ports, range: &str| IngressRule {
            protocol: protocol.to_owned(),
            ports,
            ranges: vec![range.to_owned()],
        };
        let here = Ipv4Addr::LOCALHOST;
        for (rule, port, lets) in [
            (rule("tcp", Some((80, 80)), "0.0.0.0/0"), 80, true),
            (rule("6", Some((80, 80)), "0.0.0.0/0"), 80, true),
            (rule("tcp", Some((80, 80)), "0.0.0.0/0"), 81, false),
            (rule("tcp", Some((0, 65535)), "127.0.0.1/32"), 81, true),
            (rule("tcp", Some((80, 80)), "10.0.0.0/8"), 80, false),
            (rule("udp", Some((80, 80)), "0.0.0.0/0"), 80, false),
            (rule("tcp", None, "0.0.0.0/0"), 80, false),
            (rule("-1", None, "0.0.0.0/0"), 22, true),
            (rule("-1", None, "127.0.0.0/33"), 22, false),
            (rule("-1", None, "anywhere"), 22, false),
        ] {
            assert_eq!(lets_in(&rule, port, here), lets, "{rule:?}, {port}");
        }
    }
}
