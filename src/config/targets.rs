//! Which networks webhooks may go to.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// The networks that are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Targets {
    public: bool,
    private: bool,
    loopback: bool,
    link_local: bool,
}

/// Where an address lies.
enum Network {
    Public,
    Private,
    Loopback,
    /// Also the addresses at which clouds tell machines their secrets.
    LinkLocal,
    /// No machine has such an address.
    Nowhere,
}

impl Default for Targets {
    /// A forge of one's own tells one's own machines.
    fn default() -> Self {
        Self {
            public: true,
            private: true,
            loopback: true,
            link_local: false,
        }
    }
}

impl Targets {
    /// Whether a webhook may go to this address.
    #[must_use]
    pub fn allow(&self, address: IpAddr) -> bool {
        match network(address) {
            Network::Public => self.public,
            Network::Private => self.private,
            Network::Loopback => self.loopback,
            Network::LinkLocal => self.link_local,
            Network::Nowhere => false,
        }
    }
}

impl FromStr for Targets {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut targets = Self {
            public: false,
            private: false,
            loopback: false,
            link_local: false,
        };
        for word in text.split(',').map(str::trim) {
            match word {
                "public" => targets.public = true,
                "private" => targets.private = true,
                "loopback" => targets.loopback = true,
                "link-local" => targets.link_local = true,
                _ => {
                    return Err(format!(
                        "`{word}` is not one of public, private, loopback, link-local"
                    ));
                }
            }
        }
        Ok(targets)
    }
}

fn network(address: IpAddr) -> Network {
    match address {
        IpAddr::V4(it) => network_of_v4(it),
        IpAddr::V6(it) => match embedded_v4(it) {
            Some(it) => network_of_v4(it),
            None => network_of_v6(it),
        },
    }
}

fn network_of_v4(address: Ipv4Addr) -> Network {
    let [a, b, c, d] = address.octets();
    match (a, b) {
        // Alibaba's metadata lies among the addresses that carriers share, Azure's among public
        // ones, Oracle's in a network for protocols, of which no address is a receiver's.
        (100, 100) if (c, d) == (100, 200) => Network::LinkLocal,
        (168, 63) if (c, d) == (129, 16) => Network::LinkLocal,
        (192, 0) if c == 0 => Network::LinkLocal,
        (169, 254) => Network::LinkLocal,
        (127, _) => Network::Loopback,
        (10, _) | (172, 16..=31) | (192, 168) | (100, 64..=127) => Network::Private,
        (0 | 224..=255, _) => Network::Nowhere,
        _ => Network::Public,
    }
}

fn network_of_v6(address: Ipv6Addr) -> Network {
    // Amazon's and Google's metadata lie among the private addresses.
    const AMAZON: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    const GOOGLE: Ipv6Addr = Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254);
    if address == Ipv6Addr::LOCALHOST {
        return Network::Loopback;
    }
    if address == AMAZON || address == GOOGLE {
        return Network::LinkLocal;
    }
    match address.segments()[0] {
        // NAT64 of a network's own (RFC 8215): where it leads to is not told by the address.
        0x64 if address.segments()[1..3] == [0xff9b, 1] => Network::Nowhere,
        0xfe80..=0xfebf => Network::LinkLocal,
        0xfc00..=0xfdff | 0xfec0..=0xfeff => Network::Private,
        0xff00..=0xffff | 0 => Network::Nowhere,
        _ => Network::Public,
    }
}

/// The IPv4 address that an IPv6 address leads to: mapped, behind NAT64, or through 6to4.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let from = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(from(high, low))
        }
        [0x2002, high, low, ..] => Some(from(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_addresses_are_refused_in_every_spelling() {
        let targets = Targets::default();
        for refused in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "64:ff9b::169.254.169.254",
            "2002:a9fe:a9fe::1",
            "fe80::1",
            "fd00:ec2::254",
            "100.100.100.200",
            "168.63.129.16",
            "::ffff:168.63.129.16",
            "192.0.0.192",
            "192.0.0.8",
            "fd20:ce::254",
            "64:ff9b:1::a9fe:a9fe",
            "64:ff9b:1:ffff::1",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "255.255.255.255",
            "ff02::1",
        ] {
            assert!(!targets.allow(refused.parse().unwrap()), "{refused}");
        }
        for allowed in [
            "127.0.0.1",
            "::1",
            "10.1.2.3",
            "192.168.0.9",
            "fd00::1",
            "9.9.9.9",
            "168.63.129.17",
            "192.0.1.1",
            "64:ff9b::9.9.9.9",
        ] {
            assert!(targets.allow(allowed.parse().unwrap()), "{allowed}");
        }
    }

    #[test]
    fn only_the_networks_that_are_named_are_allowed() {
        let public: Targets = "public".parse().unwrap();
        for refused in [
            "127.0.0.1",
            "::ffff:127.0.0.1",
            "10.0.0.1",
            "::1",
            "fd00::1",
        ] {
            assert!(!public.allow(refused.parse().unwrap()), "{refused}");
        }
        assert!(public.allow("2620:fe::fe".parse().unwrap()));
        let all: Targets = "link-local, loopback".parse().unwrap();
        assert!(all.allow("169.254.169.254".parse().unwrap()));
        assert!("intranet".parse::<Targets>().is_err());
    }
}
