//! Address ranges of a rule.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// `10.0.0.0/8`, `2001:db8::/32`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Cidr {
    pub network: IpAddr,
    /// 0 to 32 or 128.
    pub prefix_length: u8,
}

impl Cidr {
    pub fn parse(text: &str) -> Result<Self, String> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let network: IpAddr = address.parse().map_err(|_| format!("{text:?} is no address range"))?;
        let widest = if network.is_ipv4() { 32 } else { 128 };
        let prefix_length = match length.map(str::parse) {
            None => widest,
            Some(Ok(length)) if length <= widest => length,
            Some(_) => {
                return Err(format!(
                    "{text:?}: the length behind `/` is a number from 0 to {widest}"
                ));
            }
        };
        if let IpAddr::V6(v6) = network
            && let Some(v4) = v6.to_ipv4_mapped()
        {
            return Err(format!(
                "{text:?} never matches: addresses in IPv6 are read as IPv4, write {v4}"
            ));
        }
        let cidr = Self {
            network: mask(network, prefix_length),
            prefix_length,
        };
        match cidr.network == network {
            true => Ok(cidr),
            false => Err(format!(
                "{text:?}: bits behind the prefix are set: write {}/{prefix_length}",
                cidr.network
            )),
        }
    }

    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.network.is_ipv4() == address.is_ipv4() && mask(address, self.prefix_length) == self.network
    }

    /// Whether every address of `other` is one of ours.
    pub fn covers(&self, other: &Self) -> bool {
        self.prefix_length <= other.prefix_length && self.contains(other.network)
    }
}

fn mask(address: IpAddr, prefix_length: u8) -> IpAddr {
    let host_bits = |width: u32| width.saturating_sub(u32::from(prefix_length));
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(host_bits(32)).unwrap_or(0);
            Ipv4Addr::from_bits(v4.to_bits() & mask).into()
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(host_bits(128)).unwrap_or(0);
            Ipv6Addr::from_bits(v6.to_bits() & mask).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let within = |range: &str, address: &str| {
            let address = address.parse().expect("an address");
            Cidr::parse(range).expect("a range").contains(address)
        };
        assert!(within("10.0.0.0/8", "10.255.0.1") && !within("10.0.0.0/8", "11.0.0.1"));
        assert!(within("10.0.0.0/8", "::ffff:10.0.0.1"));
        assert!(within("0.0.0.0/0", "1.2.3.4") && !within("0.0.0.0/0", "::1"));
        assert!(within("2001:db8::/32", "2001:db8::1") && within("::1", "::1") && !within("::1", "::2"));
        for bad in [
            "",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0/8",
            "::/129",
            "a",
            "10.0.0.0/-1",
            "10.0.0.0/",
            "::ffff:10.0.0.0/104",
            "::ffff:10.0.0.1",
        ] {
            assert!(Cidr::parse(bad).is_err(), "{bad}");
        }
    }
}
