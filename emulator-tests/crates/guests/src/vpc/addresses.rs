//! The addresses that a guest finds in its subnet, where AWS has them.

use super::Prefix;
use std::net::Ipv4Addr;

/// The instance metadata service.
pub const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
/// The resolver, as AWS has it in every VPC beside the one in the VPC's own range.
pub const LINK_LOCAL_RESOLVER: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 253);

/// AWS keeps the first four addresses of a subnet and the last for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// Base + 1: the VPC's router.
    pub router: Ipv4Addr,
    /// Base + 2: AWS's resolver.
    pub resolver: Ipv4Addr,
    /// Base + 3, which AWS reserves and does not use: here the AWS services.
    pub services: Ipv4Addr,
    /// The last.
    pub broadcast: Ipv4Addr,
}

impl Addresses {
    /// Those of a subnet.
    pub fn of(subnet: Prefix) -> Self {
        // A prefix has four addresses at least.
        let address = |number| subnet.address(number).unwrap_or(subnet.base());
        Self {
            router: address(1),
            resolver: address(2),
            services: address(3),
            broadcast: address(!subnet.mask_bits()),
        }
    }
}
