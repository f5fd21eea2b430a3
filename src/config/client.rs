//! What the client commands need to know: where the gateway is, and which token to send.
use super::reader::Reader;
use super::{ConfigError, Environment, Secret};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

/// Settings of the client commands.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Where the gateway is: `http://127.0.0.1:8080`, without a slash at its end.
    pub url: String,
    /// The token, if one is set.
    pub token: Option<Secret>,
    /// Where the root token of a gateway on this machine is kept.
    pub root_token_file: PathBuf,
}

impl ClientConfig {
    /// Reads the settings of the client commands.
    ///
    /// # Errors
    /// Names every variable that cannot be used, and why.
    pub fn read(environment: &dyn Environment) -> Result<Self, ConfigError> {
        let mut reader = Reader {
            environment,
            problems: Vec::new(),
        };
        let listen = reader.value("DBFORGE_LISTEN", SocketAddr::from_str);
        let set = reader.optional("DBFORGE_URL", url);
        let url = set.or_else(|| listen.map(url_of_own));
        let token = reader.optional("DBFORGE_TOKEN", token);
        let data_dir = reader.value("DBFORGE_DATA_DIR", PathBuf::from_str);
        match (url, data_dir) {
            (Some(url), Some(data_dir)) if reader.problems.is_empty() => Ok(Self {
                url,
                token,
                root_token_file: data_dir.join(".forge").join("root-token"),
            }),
            _ => Err(ConfigError(reader.problems)),
        }
    }

    /// Whether the gateway is on this machine: only such a one is sent the root token of a data
    /// folder that happens to lie here.
    #[must_use]
    pub fn is_local(&self) -> bool {
        let authority = self.url.split_once("://").map_or("", |(_, it)| it);
        let authority = authority.split('/').next().unwrap_or_default();
        // `user@host` is another host than it looks.
        if authority.contains('@') {
            return false;
        }
        let host = match authority.strip_prefix('[') {
            Some(inside) => inside.split(']').next().unwrap_or_default(),
            None => authority.split(':').next().unwrap_or_default(),
        };
        host.eq_ignore_ascii_case("localhost")
            || host.to_ascii_lowercase().ends_with(".localhost")
            || host.parse::<IpAddr>().is_ok_and(|it| it.is_loopback())
    }
}

/// Where a gateway that listens there is reached from this machine: one that listens on all
/// addresses, over the loopback.
fn url_of_own(mut listen: SocketAddr) -> String {
    if listen.ip().is_unspecified() {
        listen.set_ip(match listen.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    format!("http://{listen}")
}

fn url(text: &str) -> Result<String, String> {
    let text = text.trim_end_matches('/');
    let rest = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"));
    match rest {
        Some(rest) if !rest.is_empty() && !rest.contains(['?', '#', ' ']) => Ok(text.to_owned()),
        _ => Err(format!(
            "`{text}` is not a URL such as http://127.0.0.1:8080"
        )),
    }
}

/// What is no token cannot be sent in a header either.
fn token(text: &str) -> Result<Secret, &'static str> {
    if text.chars().all(|it| it.is_ascii_graphic()) {
        Ok(Secret::new(text.to_owned()))
    } else {
        Err("a token may contain only printable ASCII characters")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn at(url: &str) -> Result<ClientConfig, ConfigError> {
        ClientConfig::read(&BTreeMap::from([(
            "DBFORGE_URL".to_owned(),
            url.to_owned(),
        )]))
    }

    #[test]
    fn without_a_url_the_gateway_of_the_same_settings_is_asked() {
        for (listen, url) in [
            ("0.0.0.0:8080", "http://127.0.0.1:8080"),
            ("[::]:80", "http://[::1]:80"),
            ("10.0.0.7:1", "http://10.0.0.7:1"),
        ] {
            let listen = ("DBFORGE_LISTEN".to_owned(), listen.to_owned());
            let config = ClientConfig::read(&BTreeMap::from([listen])).unwrap();
            assert_eq!(config.url, url);
        }
        let config = ClientConfig::read(&BTreeMap::new()).unwrap();
        assert_eq!(config.url, "http://127.0.0.1:8080");
    }

    #[test]
    fn only_a_gateway_on_this_machine_is_local() {
        for local in [
            "http://127.0.0.1:8080",
            "http://127.8.8.8",
            "http://localhost/",
            "http://db.localhost:80/forge",
            "http://[::1]:8080",
        ] {
            assert!(at(local).unwrap().is_local(), "{local}");
        }
        for foreign in [
            "http://10.0.0.1:8080",
            "https://forge.example",
            "http://localhost.example",
            "http://localhost@forge.example",
            "http://127.0.0.1:80@forge.example",
        ] {
            assert!(!at(foreign).unwrap().is_local(), "{foreign}");
        }
    }

    #[test]
    fn a_url_without_a_scheme_is_refused_by_variable() {
        let ConfigError(problems) = at("localhost:8080").unwrap_err();
        assert_eq!(
            problems,
            ["DBFORGE_URL: `localhost:8080` is not a URL such as http://127.0.0.1:8080"]
        );
    }
}
