//! A range of addresses, `172.31.0.0/20`.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// An IPv4 prefix of 8 to 30 bits, as a subnet has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    base: Ipv4Addr,
    bits: u8,
}

/// What a prefix has to look like.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an IPv4 range such as 172.31.0.0/20, of 8 to 30 bits")]
pub struct PrefixError(String);

impl Prefix {
    /// The first address.
    pub fn base(self) -> Ipv4Addr {
        self.base
    }

    /// How many bits are the same in all addresses.
    pub fn bits(self) -> u8 {
        self.bits
    }

    /// The address of this number in the range; `None` if the range is shorter.
    pub fn address(self, number: u32) -> Option<Ipv4Addr> {
        (number <= !self.mask_bits()).then(|| Ipv4Addr::from_bits(self.base.to_bits() + number))
    }

    /// Whether an address is in the range.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        address.to_bits() & self.mask_bits() == self.base.to_bits()
    }

    /// `255.255.240.0`.
    pub fn mask(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.mask_bits())
    }

    pub(super) fn mask_bits(self) -> u32 {
        u32::MAX << (32 - u32::from(self.bits))
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let wrong = || PrefixError(text.to_owned());
        let (base, bits) = text.split_once('/').ok_or_else(wrong)?;
        let base: Ipv4Addr = base.parse().map_err(|_| wrong())?;
        let bits: u8 = bits.parse().map_err(|_| wrong())?;
        let prefix = Self { base, bits };
        ((8..=30).contains(&bits) && prefix.contains(base))
            .then_some(prefix)
            .ok_or_else(wrong)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.bits)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_a_base_and_a_length() {
        for (text, last) in [
            ("172.31.0.0/20", Some("172.31.15.255")),
            ("10.0.0.0/8", Some("10.255.255.255")),
            ("10.0.0.4/30", Some("10.0.0.7")),
            ("10.0.0.1/24", None),
            ("10.0.0.0/7", None),
            ("10.0.0.0/31", None),
            ("10.0.0.0", None),
            ("10.0.0/24", None),
            ("::/64", None),
        ] {
            let parsed: Result<Prefix, _> = text.parse();
            let Some(last) = last else {
                assert!(parsed.is_err(), "{text}");
                continue;
            };
            let prefix = parsed.unwrap();
            assert_eq!(prefix.to_string(), text);
            let count = 1_u32 << (32 - u32::from(prefix.bits()));
            assert_eq!(prefix.address(count - 1).unwrap().to_string(), last);
            assert_eq!(prefix.address(count), None);
            assert!(prefix.contains(last.parse().unwrap()));
            assert!(!prefix.contains(Ipv4Addr::from_bits(prefix.base().to_bits() + count)));
        }
    }
}
