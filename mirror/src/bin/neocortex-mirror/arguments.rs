//! The sub-commands and their arguments.

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use neocortex::{Key, Permission};
use neocortex_mirror::Config;
use std::path::PathBuf;
use std::time::Duration;

/// Shown below the help, and in the manual page.
pub const EXIT_STATUS: &str = "\
0  done, or stopped by a signal
1  failed: a system call, the network, the output
2  the command line or the configuration is not one that can be used
3  another origin has the name
4  the cortex is mirrored already, or published on this very host
5  another origin has taken the name over; this one has stopped
6  a cortex cannot be used
7  `status`: an origin is not there; `check`: nothing has come through";

#[derive(Parser)]
#[command(
    name = "neocortex-mirror",
    version,
    about = "Carries the values that processes share to other hosts, over Eclipse Zenoh",
    after_help = format!("Exit status:\n{EXIT_STATUS}"),
    max_term_width = 100
)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Offer cortexes of this host to others
    ///
    /// It observes them, so no writer is slowed. They may be made later, removed, and made anew. A name has one origin:
    /// where another host has it, this one is refused (status 3). Ends on a signal.
    Publish(Publish),
    /// Write to cortexes of this host what their origins have
    ///
    /// Commits in between are left out where a newer one is there. A value that is not accepted is refused with one line,
    /// and nothing is made. Ends on a signal; the local cortexes stay.
    Follow(Follow),
    /// How the mirrors on this host do
    ///
    /// One line for each mirrored cortex. The status is 7 where an origin is not there, or a mirror is gone.
    Status(Status),
    /// Whether it works: a round trip on this host, and, with endpoints, who is there
    Check(Check),
    /// Measures, beside Zenoh alone and TCP alone
    #[command(hide = true)]
    Bench(Bench),
    /// A script that completes this command's arguments in a shell
    Completions { shell: Shell },
    /// The manual page, in roff
    Man,
}

/// How it joins the network.
#[derive(Args)]
#[command(next_help_heading = "Network")]
pub struct Network {
    /// Listen here: tls/0.0.0.0:7447
    #[arg(long, value_name = "ENDPOINT")]
    listen: Vec<String>,
    /// Connect to a mirror that listens: tls/left.example:7447
    #[arg(long, value_name = "ENDPOINT")]
    connect: Vec<String>,
    /// Connect to a Zenoh router, as its client
    #[arg(long, value_name = "ENDPOINT", conflicts_with_all = ["listen", "connect"])]
    router: Option<String>,
    /// The certificate of the authority that both sides trust (PEM)
    #[arg(long, value_name = "FILE", requires_all = ["cert", "key"])]
    ca: Option<PathBuf>,
    /// The certificate of this host (PEM)
    #[arg(long, value_name = "FILE", requires = "ca")]
    cert: Option<PathBuf>,
    /// The key of that certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "ca")]
    key: Option<PathBuf>,
    /// Allow tcp/ beyond this host: everybody on that network can read and forge every value
    #[arg(long)]
    insecure: bool,
    /// Let through only hosts whose certificate has this common name
    #[arg(long, value_name = "NAME", requires = "ca")]
    peer: Vec<String>,
    /// Let through only values of this origin
    #[arg(long, value_name = "ORIGIN")]
    from: Vec<String>,
    /// The name of this host as an origin, which no other host has [default: host name and machine id]
    #[arg(long, value_name = "NAME")]
    origin: Option<String>,
    /// Names of two domains are apart
    #[arg(long, default_value = "default")]
    domain: String,
    /// After how much silence a host counts as gone
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    lease: Duration,
    /// Endpoints, certificates and access control from a configuration file of Zenoh
    #[arg(long, value_name = "FILE", conflicts_with_all = ["listen", "connect", "router", "ca", "peer", "from"])]
    config: Option<PathBuf>,
}

#[derive(Args)]
pub struct Publish {
    /// The names, or the keys: decimal, negative, or hexadecimal (0x...)
    #[arg(required = true, value_parser = key, allow_negative_numbers = true)]
    pub names: Vec<Key>,
    /// Take the place of an origin that has the name; it then stops with status 5
    #[arg(long)]
    pub take_over: bool,
    /// Wait until the origin that has the name is gone
    #[arg(long, conflicts_with = "take_over")]
    pub standby: bool,
    #[command(flatten)]
    pub network: Network,
}

#[derive(Args)]
pub struct Follow {
    /// The names, or the keys
    #[arg(required = true, value_parser = key, allow_negative_numbers = true)]
    pub names: Vec<Key>,
    /// The local cortex, where it has another name; for one name only
    #[arg(long = "as", value_name = "NAME", value_parser = key, allow_negative_numbers = true)]
    pub local: Option<Key>,
    /// Make the local cortex where there is none; it then stays
    #[arg(long)]
    pub create: bool,
    /// Who may use it, in octal, where it is made
    #[arg(long, default_value = "600", value_parser = permission)]
    pub mode: Permission,
    /// Its slots, where it is made: more keep commits for local followers
    #[arg(long, default_value = "2")]
    pub slots: u32,
    /// Accept this schema only: a number, or a description as for `schema_of`
    #[arg(long, value_parser = schema)]
    pub schema: Option<u64>,
    /// The largest value to accept, in bytes; k, M and G mean 1024, 1024², 1024³
    #[arg(long, default_value = "64M", value_parser = size)]
    pub max_size: u64,
    /// Every commit that the origin still has, in order, and not only the newest
    #[arg(long)]
    pub every: bool,
    /// Have the status under this name too; for one name only
    #[arg(long, value_name = "NAME", value_parser = key)]
    pub status: Option<Key>,
    #[command(flatten)]
    pub network: Network,
}

#[derive(Args)]
pub struct Status {
    /// The local cortex; all of them where none is named
    #[arg(value_parser = key, allow_negative_numbers = true)]
    pub name: Option<Key>,
    /// An array of objects
    #[arg(long)]
    pub json: bool,
    /// How long a mirror may have been silent, and its origin with it
    #[arg(long, value_name = "SECONDS", default_value = "3", value_parser = seconds)]
    pub patience: Duration,
}

#[derive(Args)]
pub struct Check {
    /// Names whose origins are looked for
    #[arg(value_parser = key, allow_negative_numbers = true)]
    pub names: Vec<Key>,
    /// For how long they are looked for
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    pub patience: Duration,
    #[command(flatten)]
    pub network: Network,
}

#[derive(Args)]
pub struct Bench {
    /// What to measure, or which part of it to play
    pub words: Vec<String>,
    #[command(flatten)]
    pub network: Network,
}

impl Network {
    /// Returns whether anything says where to connect.
    pub fn is_given(&self) -> bool {
        !self.listen.is_empty()
            || !self.connect.is_empty()
            || self.router.is_some()
            || self.config.is_some()
    }

    /// Returns the configuration that these names may pass.
    pub fn config(&self, names: &[Key]) -> Config {
        let mut config = Config::new().domain(&self.domain).lease(self.lease);
        config = names
            .iter()
            .fold(config, |config, name| config.name(name.to_string()));
        config = self.listen.iter().fold(config, Config::listen);
        config = self.connect.iter().fold(config, Config::connect);
        config = self.router.iter().fold(config, Config::router);
        config = self.peer.iter().fold(config, Config::peer);
        config = self.from.iter().fold(config, Config::from_origin);
        config = self.origin.iter().fold(config, Config::origin_name);
        config = self.config.iter().fold(config, Config::file);
        if let (Some(ca), Some(cert), Some(key)) = (&self.ca, &self.cert, &self.key) {
            config = config.certificates(ca, cert, key);
        }
        match self.insecure {
            true => config.insecure(),
            false => config,
        }
    }
}

fn key(text: &str) -> Result<Key, String> {
    text.parse()
        .map_err(|error: neocortex::CortexError| error.to_string())
}

fn schema(text: &str) -> Result<u64, String> {
    let hex = text
        .strip_prefix("0x")
        .map(|digits| u64::from_str_radix(digits, 16));
    match hex.unwrap_or_else(|| text.parse()) {
        Ok(number) => Ok(number),
        Err(_) if text.contains(char::is_alphabetic) && !text.starts_with("0x") => {
            Ok(neocortex::schema_of(text))
        }
        Err(error) => Err(error.to_string()),
    }
}

fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(['k', 'M', 'G']);
    let factor = match &text[digits.len()..] {
        "" => Some(1),
        "k" => Some(1 << 10),
        "M" => Some(1 << 20),
        "G" => Some(1 << 30),
        _ => None,
    };
    let number = digits.parse::<u64>().ok().zip(factor);
    number
        .and_then(|(number, factor)| number.checked_mul(factor))
        .ok_or_else(|| "a number of bytes is needed, which k, M or G may follow: 64M".into())
}

fn permission(text: &str) -> Result<Permission, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o777 => Ok(Permission::Custom(mode)),
        _ => Err("three octal digits, as for chmod".into()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: Option<f64> = text.parse().ok();
    (seconds.filter(|&seconds| seconds > 0.0))
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "a number of seconds is needed, more than 0: 0.5".into())
}
