//! Which proxies are believed when they say for whom they ask.
use ipnet::IpNet;
use std::net::IpAddr;
use std::str::FromStr;

/// The networks of the proxies that are believed. None by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

/// Networks that have names: those of machines of one's own, and this machine.
const NAMED: &[(&str, &[&str])] = &[
    (
        "private",
        &["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"],
    ),
    ("loopback", &["127.0.0.0/8", "::1/128"]),
];

impl TrustedProxies {
    /// Whether what comes from this address is believed.
    #[must_use]
    pub fn include(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The client of a request from `peer` with these `X-Forwarded-For` headers, in their
    /// order: the last address that no trusted proxy has. What is no address is not believed, nor
    /// is anything in front of it.
    #[must_use]
    pub fn client<'h>(
        &self,
        peer: IpAddr,
        forwarded: impl DoubleEndedIterator<Item = &'h str>,
    ) -> IpAddr {
        let mut client = peer.to_canonical();
        let mut hops = forwarded.rev().flat_map(|header| header.rsplit(','));
        while self.include(client) {
            let Some(hop) = hops.next().and_then(address_in) else {
                break;
            };
            client = hop;
        }
        client
    }
}

impl FromStr for TrustedProxies {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut networks = Vec::new();
        for word in text.split(',').map(str::trim).filter(|it| !it.is_empty()) {
            if let Some((_, named)) = NAMED.iter().find(|(name, _)| *name == word) {
                let parsed = named.iter().filter_map(|it| it.parse::<IpNet>().ok());
                networks.extend(parsed);
                continue;
            }
            let network = word.parse::<IpNet>().ok();
            let network = network.or_else(|| word.parse::<IpAddr>().ok().map(IpNet::from));
            networks.push(network.ok_or_else(|| {
                format!("`{word}` is not a network such as 10.0.0.0/8, an address, `private` or `loopback`")
            })?);
        }
        Ok(Self(networks))
    }
}

/// The address of one hop: `192.0.2.7`, `192.0.2.7:4711`, `2001:db8::7`, `[2001:db8::7]:4711`.
fn address_in(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim().trim_matches('"');
    let bare = hop.strip_prefix('[').and_then(|it| it.split_once(']'));
    let address = match bare {
        Some((address, _port)) => address,
        None => match hop.split_once(':') {
            Some((address, port)) if !port.contains(':') => address,
            _ => hop,
        },
    };
    address.parse::<IpAddr>().ok().map(|it| it.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(trusted: &str, peer: &str, forwarded: &[&str]) -> String {
        let trusted: TrustedProxies = trusted.parse().unwrap();
        let peer = peer.parse().unwrap();
        trusted.client(peer, forwarded.iter().copied()).to_string()
    }

    #[test]
    fn the_client_is_the_last_hop_that_is_no_trusted_proxy() {
        let one = "10.0.0.0/8";
        for (trusted, peer, forwarded, expected) in [
            ("", "10.0.0.1", &["192.0.2.7"][..], "10.0.0.1"),
            (one, "192.0.2.9", &["192.0.2.7"], "192.0.2.9"),
            (one, "10.0.0.1", &[], "10.0.0.1"),
            (one, "10.0.0.1", &["192.0.2.7"], "192.0.2.7"),
            (one, "::ffff:10.0.0.1", &["::ffff:192.0.2.7"], "192.0.2.7"),
            (one, "10.0.0.1", &["1.1.1.1, 192.0.2.7"], "192.0.2.7"),
            (one, "10.0.0.1", &["1.1.1.1", "192.0.2.7"], "192.0.2.7"),
            (
                one,
                "10.0.0.1",
                &["192.0.2.7, 10.0.0.2,10.0.0.3"],
                "192.0.2.7",
            ),
            (one, "10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            (one, "10.0.0.1", &["192.0.2.7, unknown"], "10.0.0.1"),
            (
                one,
                "10.0.0.1",
                &["192.0.2.7, unknown, 10.0.0.2"],
                "10.0.0.2",
            ),
            (one, "10.0.0.1", &["192.0.2.7,"], "10.0.0.1"),
            (one, "10.0.0.1", &["192.0.2.7:4711"], "192.0.2.7"),
            (one, "10.0.0.1", &["[2001:db8::7]:4711"], "2001:db8::7"),
            (one, "10.0.0.1", &["2001:db8::7"], "2001:db8::7"),
            ("private", "192.168.1.1", &["192.0.2.7"], "192.0.2.7"),
            ("loopback", "::1", &["192.0.2.7"], "192.0.2.7"),
            (
                "172.20.0.5, loopback",
                "172.20.0.5",
                &["192.0.2.7"],
                "192.0.2.7",
            ),
            ("172.20.0.5", "172.20.0.6", &["192.0.2.7"], "172.20.0.6"),
        ] {
            assert_eq!(
                client(trusted, peer, forwarded),
                expected,
                "{trusted} {peer} {forwarded:?}"
            );
        }
    }

    #[test]
    fn what_is_no_network_is_refused_by_name() {
        for wrong in ["10.0.0.0/33", "traefik", "10.0.0.0/8 private", "*"] {
            let refused = wrong.parse::<TrustedProxies>().unwrap_err();
            assert!(refused.contains(wrong), "{refused}");
        }
    }
}
