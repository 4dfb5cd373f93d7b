//! How a mirror joins the network, and what the network may do with it.
//!
//! **Invariants.** What leaves the loopback interface is encrypted and authenticated on both sides, or `insecure` was
//! spelled out. Nothing is looked for or found by itself: no multicast, no gossip, only endpoints that were named. Where
//! names are given, nothing about any other name passes.

use crate::error::{MirrorError, MirrorResult};
use crate::names::default_origin;
use crate::place::Place;
use crate::wire::{base, claims_key, value_key, why_no_origin};
use serde_json::{json, Value};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How a mirror joins the network. See [`crate::Mirror::open`].
#[derive(Debug, Clone)]
pub struct Config {
    listen: Vec<String>,
    connect: Vec<String>,
    router: Option<String>,
    pub(crate) domain: String,
    origin: Option<String>,
    certificates: Option<Certificates>,
    is_insecure: bool,
    pub(crate) names: Vec<String>,
    peers: Vec<String>,
    origins: Vec<String>,
    lease: Duration,
    file: Option<PathBuf>,
    /// Another place than where this process is: for a round trip within one process.
    pub(crate) place: Option<Place>,
}

#[derive(Debug, Clone)]
struct Certificates {
    authority: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            connect: Vec::new(),
            router: None,
            domain: "default".to_owned(),
            origin: None,
            certificates: None,
            is_insecure: false,
            names: Vec::new(),
            peers: Vec::new(),
            origins: Vec::new(),
            lease: Self::LEASE,
            file: None,
            place: None,
        }
    }
}

impl Config {
    /// After how much silence a host counts as gone, by default: 2 seconds.
    pub const LEASE: Duration = Duration::from_secs(2);

    /// Returns a configuration without endpoints.
    pub fn new() -> Self {
        Self::default()
    }

    /// Listens at an endpoint: `tls/0.0.0.0:7447`, `tcp/127.0.0.1:7447`, `quic/[::]:7447` (feature `quic`).
    pub fn listen(mut self, endpoint: impl Into<String>) -> Self {
        self.listen.push(endpoint.into());
        self
    }

    /// Connects to an endpoint at which another mirror listens: `tls/left.example:7447`. It is tried until it succeeds,
    /// and again where the link was cut. One side listens and the other one connects; which of them is the origin does
    /// not matter.
    pub fn connect(mut self, endpoint: impl Into<String>) -> Self {
        self.connect.push(endpoint.into());
        self
    }

    /// Connects to a Zenoh router, as its client, and to nothing else. Two mirrors that only connect to a router, and
    /// are not its clients, would not see each other's claims.
    pub fn router(mut self, endpoint: impl Into<String>) -> Self {
        self.router = Some(endpoint.into());
        self
    }

    /// Sets the first part of all key expressions, `default` by default: names of two domains are apart.
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = domain.into();
        self
    }

    /// Sets the name of this host as an origin: up to 64 letters and digits of ASCII, '.', '_' and '-'. It must stay the
    /// same after a restart, and no two hosts may have the same. By default it follows from the host's name, its machine
    /// id and, in a container, its IPC namespace.
    pub fn origin_name(mut self, origin: impl Into<String>) -> Self {
        self.origin = Some(origin.into());
        self
    }

    /// Sets the certificate of the authority that both sides trust, this host's certificate and its key: files in the
    /// PEM format.
    pub fn certificates(
        mut self,
        authority: impl AsRef<Path>,
        certificate: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Self {
        self.certificates = Some(Certificates {
            authority: authority.as_ref().to_owned(),
            certificate: certificate.as_ref().to_owned(),
            key: key.as_ref().to_owned(),
        });
        self
    }

    /// Allows `tcp/` endpoints beyond the loopback interface: everybody who reaches them can read and forge every value.
    pub fn insecure(mut self) -> Self {
        self.is_insecure = true;
        self
    }

    /// Lets this name through, and no other one that is not named too. Where none is named, the configuration's user may
    /// publish and follow any.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.names.push(name.into());
        self
    }

    /// Lets hosts through whose certificate has this common name, and no others that are not named too.
    pub fn peer(mut self, common_name: impl Into<String>) -> Self {
        self.peers.push(common_name.into());
        self
    }

    /// Lets values and claims of this origin through, and of no other one that is not named too. This host's own are.
    pub fn from_origin(mut self, origin: impl Into<String>) -> Self {
        self.origins.push(origin.into());
        self
    }

    /// Sets after how much silence a host counts as gone. A link must carry 64 KiB in that time; in half of it a
    /// connection is made, or tried again.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Takes endpoints, certificates and access control from a configuration file of Zenoh (JSON5) in place of those
    /// set here. What is looked for by itself is still off, and what is not encrypted still needs [`Config::insecure`].
    pub fn file(mut self, path: impl AsRef<Path>) -> Self {
        self.file = Some(path.as_ref().to_owned());
        self
    }

    pub(crate) fn origin(&self) -> MirrorResult<String> {
        let origin = self.origin.clone().unwrap_or_else(default_origin);
        match why_no_origin(&origin) {
            None => Ok(origin),
            Some(why) => Err(MirrorError::Config(format!(
                "\"{origin}\" cannot be the name of an origin: {why}"
            ))),
        }
    }

    /// Returns the configuration of Zenoh.
    pub(crate) fn zenoh(&self) -> MirrorResult<zenoh::Config> {
        let unusable = |what: &str, error: &dyn std::fmt::Display| {
            MirrorError::Config(format!("{what}: {error}"))
        };
        let mut config = match &self.file {
            Some(path) => zenoh::Config::from_file(path)
                .map_err(|error| unusable(&path.display().to_string(), &error))?,
            None => zenoh::Config::default(),
        };
        let mut settings = self.always();
        if self.file.is_none() {
            settings.extend(self.own()?);
        }
        for (name, value) in settings {
            let set = config.insert_json5(name, &value.to_string());
            set.map_err(|error| unusable(name, &error))?;
        }
        if self.file.is_some() {
            for name in ["listen/endpoints", "connect/endpoints"] {
                let text = config
                    .get_json(name)
                    .map_err(|error| unusable(name, &error))?;
                self.check_all(
                    &serde_json::from_str(&text).map_err(|error| unusable(name, &error))?,
                    true,
                )?;
            }
        }
        Ok(config)
    }

    /// What holds whatever the rest is.
    fn always(&self) -> Vec<(&'static str, Value)> {
        let lease = self.lease.as_millis() as u64;
        vec![
            ("scouting/multicast/enabled", json!(false)),
            ("scouting/gossip/enabled", json!(false)),
            // Values come out of shared memory, and go over a network.
            ("transport/shared_memory/enabled", json!(false)),
            ("transport/link/tx/lease", json!(lease)),
            ("transport/link/tx/keep_alive", json!(4)),
            // An attempt that began while the link was cut must not outlast the cut by much: the system repeats it once a
            // second at first. An attempt that Zenoh (1.10.2) gives up at its very end, on either side, leaves a link that
            // is alive and that nobody reads from: what is asked over it is never answered, and every later attempt is
            // refused. So the limits are far from what a link takes to be opened on a loaded machine, and on the side that
            // accepts, where nothing waits for it, farther.
            ("transport/unicast/open_timeout", json!(lease.max(5000))),
            ("transport/unicast/accept_timeout", json!(60_000)),
            // A slow link is not a closed one: an answer waits for its place on it.
            (
                "transport/link/tx/queue/congestion_control/block/wait_before_close",
                json!(60_000_000),
            ),
            // As a whole: set one by one they are not taken.
            (
                "connect/retry",
                json!({"period_init_ms": 100, "period_max_ms": 200, "period_increase_factor": 2}),
            ),
            ("connect/timeout_ms", json!(-1)),
            ("connect/exit_on_failure", json!(false)),
            ("open/return_conditions/connect_scouted", json!(false)),
        ]
    }

    /// What a configuration file would say.
    fn own(&self) -> MirrorResult<Vec<(&'static str, Value)>> {
        if self.listen.is_empty() && self.connect.is_empty() && self.router.is_none() {
            let what = "there is no endpoint: one side listens (`--listen tls/0.0.0.0:7447`), the other one connects (`--connect tls/HOST:7447`)";
            return Err(MirrorError::Config(what.to_owned()));
        }
        if self.router.is_some() && !(self.listen.is_empty() && self.connect.is_empty()) {
            return Err(MirrorError::Config(
                "a client of a router (`--router`) has no other endpoints".to_owned(),
            ));
        }
        let (mode, connect) = match &self.router {
            Some(router) => ("client", vec![router.clone()]),
            None => ("peer", self.connect.clone()),
        };
        self.check_all(&json!([self.listen, connect]), self.certificates.is_some())?;
        let mut settings = vec![
            ("mode", json!(mode)),
            ("listen/endpoints", json!(self.listen)),
            ("connect/endpoints", json!(connect)),
        ];
        if let Some(files) = &self.certificates {
            for file in [&files.authority, &files.certificate, &files.key] {
                let readable = std::fs::File::open(file);
                readable
                    .map_err(|error| MirrorError::Config(format!("{}: {error}", file.display())))?;
            }
            settings.push((
                "transport/link/tls",
                json!({
                    "root_ca_certificate": files.authority,
                    "listen_certificate": files.certificate,
                    "listen_private_key": files.key,
                    "connect_certificate": files.certificate,
                    "connect_private_key": files.key,
                    "enable_mtls": true,
                    "verify_name_on_connect": true,
                    "close_link_on_expiration": true,
                }),
            ));
        }
        if !self.names.is_empty() {
            settings.push(("access_control", self.access()?));
        }
        Ok(settings)
    }

    /// Checks every endpoint in a tree of lists and objects, as Zenoh's configuration may have them.
    fn check_all(&self, endpoints: &Value, has_certificates: bool) -> MirrorResult<()> {
        match endpoints {
            Value::String(endpoint) => self.check(endpoint, has_certificates),
            Value::Array(list) => list
                .iter()
                .try_for_each(|one| self.check_all(one, has_certificates)),
            // By mode, or a group with its strategy.
            Value::Object(parts) => (parts.iter().filter(|part| part.0 != "strategy"))
                .try_for_each(|part| self.check_all(part.1, has_certificates)),
            _ => Ok(()),
        }
    }

    fn check(&self, endpoint: &str, has_certificates: bool) -> MirrorResult<()> {
        let refuse = |why: &str| {
            Err(MirrorError::Config(format!(
                "the endpoint \"{endpoint}\" {why}"
            )))
        };
        let Some((protocol, address)) = endpoint.split_once('/') else {
            return refuse("is none: it is PROTOCOL/HOST:PORT, as in tls/left.example:7447");
        };
        let is_known = match protocol {
            "tcp" => true,
            "tls" => cfg!(feature = "tls"),
            "quic" => cfg!(feature = "quic"),
            _ => false,
        };
        match protocol {
            _ if !is_known => refuse(&format!("has a protocol that this program was not built with: it has tcp{}{}", if cfg!(feature = "tls") { ", tls" } else { "" }, if cfg!(feature = "quic") { ", quic" } else { "" })),
            "tcp" if !self.is_insecure && !is_loopback(address) => {
                refuse("is not encrypted, and leaves this host. Use tls/ with certificates, or say `--insecure` where every host on that network is trusted")
            }
            "tls" | "quic" if !has_certificates => refuse("needs certificates of both sides: `--ca`, `--cert` and `--key`"),
            _ => Ok(()),
        }
    }

    /// Who may do what: nothing, but for what the names need.
    fn access(&self) -> MirrorResult<Value> {
        let mut watch = Vec::new();
        let (mut claims, mut values) = (Vec::new(), Vec::new());
        let own = self.origin()?;
        for name in &self.names {
            let base = base(&self.domain, name);
            watch.push(claims_key(&base));
            if self.origins.is_empty() {
                claims.push(claims_key(&base));
                values.push(value_key(&base, "*"));
            }
            for origin in self
                .origins
                .iter()
                .chain((!self.origins.is_empty()).then_some(&own))
            {
                claims.push(claims_key(&base).replacen("o/*/*/*", &format!("o/*/*/{origin}"), 1));
                values.push(value_key(&base, origin));
            }
        }
        let rule = |id: &str, messages: &[&str], keys: &[String]| json!({"id": id, "permission": "allow", "flows": ["ingress", "egress"], "messages": messages, "key_exprs": keys});
        let mut subject = json!({"id": "peers"});
        if !self.peers.is_empty() {
            subject["cert_common_names"] = json!(self.peers);
        }
        Ok(json!({
            "enabled": true,
            "default_permission": "deny",
            "rules": [
                rule("watch", &["declare_liveliness_subscriber", "liveliness_query"], &watch),
                rule("claims", &["liveliness_token"], &claims),
                rule("values", &["query", "reply", "declare_queryable"], &values),
            ],
            "subjects": [subject],
            "policies": [{"rules": ["watch", "claims", "values"], "subjects": ["peers"]}],
        }))
    }
}

/// Returns whether HOST:PORT stays on this host.
fn is_loopback(address: &str) -> bool {
    let address = address.split(['?', '#']).next().unwrap_or_default();
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

#[cfg(test)]
mod tests;
