//! What can be asked, and how the words of a command line become figures.

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use neocortex::Permission;
use std::path::PathBuf;
use std::time::Duration;

/// Shown below the help, and in the manual page.
pub const EXIT_STATUS: &str = "\
0  done (for `watch` and `top`: also when stopped by a signal; a second signal ends them at once)
1  failed: a system call, a corrupt header, something unsupported; `doctor`: something does not work here
2  the command line, a key, a size or a value cannot be meant
3  no such key, or removed meanwhile
4  refused: it is in use, or full, or the key is taken
5  poisoned: a write in place was not finished
6  not a cortex, or of another format, layout or lock
7  the time ran out, or it is not ready yet
8  not permitted";

#[derive(Parser)]
#[command(
    name = "neocortex",
    version,
    about = "Values that processes share: look at them, read and write them, clean up after the dead",
    after_help = format!("Exit status:\n{EXIT_STATUS}"),
    max_term_width = 100
)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Every cortex on this machine
    ///
    /// One line for each: key, bytes, lock, layout (double: two payload slots; n slots; in place), schema, owner, mode,
    /// mappings in all processes (ATTACHED), participants that live (ALIVE), participants that died and still hold
    /// something (DEAD), commits, age, and its state. Where nobody is attached it is `kept` if it was made to stay
    /// (`persist`), and `stale` if not: whoever was to remove it has died.
    List(List),
    /// All that can be known of one cortex, and its value
    Inspect(Inspect),
    /// Each commit as it happens
    ///
    /// One line for each: seconds since the command began, the commit's number, how many commits before it were not
    /// seen, seconds since the last line, commits in a second. Ends on Ctrl-C, when nobody reads the output any more,
    /// and when the cortex is removed (status 3). While no participant lives it keeps no mapping, so that a stale
    /// cortex can be replaced; commits are then looked for every 50 ms.
    Watch(Watch),
    /// A table on the whole screen, kept up to date: q quits, r sorts by rate, k by key, arrows scroll
    ///
    /// RATE is commits in a second since the last look. HOLDER is the participant (slot:generation) that has the lock.
    /// WAITS are flags that those who wait set and those who wake clear: `lock` somebody sleeps for the lock, `change`
    /// for the next commit, `pause` a reader that writers overtook asks them to pause, `readers n` wait for a writer.
    Top(Top),
    /// Make a cortex of zeros that stays until it is removed; prints its key
    Create(Create),
    /// The value, to standard output: raw bytes, or as a type
    Read(Read),
    /// Replace the value or a part of it, as one commit: from the arguments, or raw bytes from standard input
    Write(Write),
    /// Declare an unfinished write in place finished: the bytes stay as they are
    Heal(Heal),
    /// Remove a cortex with its semaphores
    Remove(Remove),
    /// Take away what is stale: cortexes whose owner died and that nobody is attached to, and semaphores whose segment
    /// is gone
    ///
    /// Whoever attaches in the same moment wins: the cortex is then left as it is. A cortex that was made to stay
    /// (`create` of this command, `persist`) is not stale; `remove` takes it away.
    Reclaim(Reclaim),
    /// Whether this machine can do what neocortex needs, and what to do where it cannot
    Doctor(Doctor),
    /// A script that completes this command's arguments in a shell
    Completions { shell: Shell },
    /// The manual page, in roff: of the command, or of one of its sub-commands
    Man {
        /// A sub-command
        command: Option<String>,
    },
    /// What `doctor` runs to see what becomes of it
    #[command(hide = true)]
    Probe {
        #[arg(value_parser = key, allow_hyphen_values = true)]
        key: i32,
        #[arg(value_enum)]
        task: Task,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Task {
    /// Takes the lock, says so, and waits to be killed.
    Hold,
    /// Waits for the next commit again and again, and says so each time.
    Wait,
}

#[derive(Args)]
pub struct Target {
    /// The key: decimal, negative, or hexadecimal (0x...)
    #[arg(value_parser = key, allow_hyphen_values = true)]
    pub key: i32,
}

#[derive(Args)]
pub struct List {
    /// Also segments that are not cortexes, and those that this user may not read
    #[arg(long)]
    pub all: bool,
    /// An array of objects
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct Inspect {
    #[command(flatten)]
    pub target: Target,
    /// Show the value as this
    #[arg(long = "as", value_name = "TYPE", value_enum, default_value = "hex")]
    pub kind: Kind,
    /// Where in the value to begin, in bytes
    #[arg(long, default_value = "0", value_parser = size)]
    pub offset: usize,
    /// How many bytes of the value to show at most
    #[arg(long, default_value = "256", value_parser = size)]
    pub length: usize,
    /// An object
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct Watch {
    #[command(flatten)]
    pub target: Target,
    /// End after so many lines
    #[arg(long)]
    pub count: Option<u64>,
    /// An object for each line
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct Top {
    /// Seconds between two looks
    #[arg(long, default_value = "1", value_parser = seconds)]
    pub interval: Duration,
}

#[derive(Args)]
pub struct Create {
    /// The key (none with --random), and the bytes in the value; k, M and G mean 1024, 1024², 1024³
    #[arg(value_names = ["KEY", "SIZE"], num_args = 1..=2, required = true, allow_negative_numbers = true)]
    pub place: Vec<String>,
    /// A random key that nobody uses
    #[arg(long)]
    pub random: bool,
    #[arg(long, value_enum, default_value = "seqlock")]
    pub lock: Lock,
    /// Who may use it, in octal
    #[arg(long, default_value = "600", value_parser = permission)]
    pub mode: Permission,
    /// A number that both sides must agree on
    #[arg(long, default_value = "0", value_parser = unsigned)]
    pub schema: u64,
    /// How many handles may be attached at a time
    #[arg(long, default_value = "128")]
    pub participants: u32,
    /// Payload slots, 2 to 8
    #[arg(long, default_value = "2", conflicts_with = "in_place")]
    pub slots: u32,
    /// One payload slot, edited in place
    #[arg(long)]
    pub in_place: bool,
    /// Take the place of a stale cortex that has the key
    #[arg(long)]
    pub replace_stale: bool,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Lock {
    Seqlock,
    Rwlock,
    Semaphore,
}

#[derive(Args)]
pub struct Read {
    #[command(flatten)]
    pub target: Target,
    /// Print the value as this, not as raw bytes
    #[arg(long = "as", value_name = "TYPE", value_enum)]
    pub kind: Option<Kind>,
    /// Where in the value to begin, in bytes
    #[arg(long, default_value = "0", value_parser = size)]
    pub offset: usize,
    /// How many bytes; to the end unless given
    #[arg(long, value_parser = size)]
    pub length: Option<usize>,
    /// Give up after so many seconds
    #[arg(long, default_value = "5", value_parser = seconds)]
    pub timeout: Duration,
}

#[derive(Args)]
pub struct Write {
    #[command(flatten)]
    pub target: Target,
    /// What the values are
    #[arg(long = "as", value_name = "TYPE", value_enum, requires = "values")]
    pub kind: Option<Kind>,
    /// The values; none: raw bytes from standard input
    #[arg(allow_negative_numbers = true, requires = "kind")]
    pub values: Vec<String>,
    /// Where in the value to begin, in bytes
    #[arg(long, default_value = "0", value_parser = size)]
    pub offset: usize,
    /// Set what follows, to the end of the value, to zero
    #[arg(long)]
    pub fill: bool,
    /// Give up after so many seconds
    #[arg(long, default_value = "5", value_parser = seconds)]
    pub timeout: Duration,
}

#[derive(Args)]
pub struct Heal {
    #[command(flatten)]
    pub target: Target,
    /// Give up after so many seconds
    #[arg(long, default_value = "5", value_parser = seconds)]
    pub timeout: Duration,
}

#[derive(Args)]
pub struct Remove {
    #[command(flatten)]
    pub target: Target,
    /// Although it is in use: those attached go on sharing its memory, nobody else can attach
    #[arg(long)]
    pub force: bool,
}

#[derive(Args)]
pub struct Reclaim {
    /// The key: decimal, negative, or hexadecimal (0x...)
    #[arg(value_parser = key, allow_hyphen_values = true, required_unless_present = "all")]
    pub key: Option<i32>,
    /// Every stale cortex, and every semaphore set of ours whose segment is gone
    #[arg(long, conflicts_with = "key")]
    pub all: bool,
    /// Only say what would be taken away
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Args)]
pub struct Doctor {
    /// Where to look for the files of the system: `/proc/PID/root` for those of a container
    #[arg(long, default_value = "/")]
    pub root: PathBuf,
    /// An array of objects
    #[arg(long)]
    pub json: bool,
}

/// What bytes are shown and given as.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    F64,
    F32,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    /// Text, up to the first zero byte
    Utf8,
    Hex,
}

/// Hexadecimal digits behind `0x`, or decimal ones; a sign in front.
fn number(text: &str) -> Result<i128, String> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (digits, radix) = match lower.strip_prefix("0x") {
        Some(hex) => (hex, 16),
        None => (&*lower, 10),
    };
    // The parser would take a second sign.
    if !digits.starts_with(|c: char| c.is_ascii_hexdigit()) {
        return Err("no number".into());
    }
    let value = i128::from_str_radix(digits, radix);
    let value = value.map_err(|error| error.to_string())?;
    Ok(sign * value)
}

/// A key as `ipcs` and `neocortex` print it: hexadecimal ones may have the top bit set.
pub fn key(text: &str) -> Result<i32, String> {
    let value = number(text)?;
    let is_hex = text.to_ascii_lowercase().starts_with("0x");
    let key = match u32::try_from(value) {
        Ok(bits) if is_hex => Some(bits as i32),
        _ => i32::try_from(value).ok(),
    };
    match key {
        Some(0) => Err("key 0 is IPC_PRIVATE, which nobody could attach to".into()),
        Some(key) => Ok(key),
        None => Err("a key has 32 bits".into()),
    }
}

fn unsigned(text: &str) -> Result<u64, String> {
    u64::try_from(number(text)?).map_err(|_| "a number from 0 to 2⁶⁴ − 1".into())
}

pub fn size(text: &str) -> Result<usize, String> {
    let digits = text.trim_end_matches(['k', 'K', 'M', 'G']);
    let factor = match &text[digits.len()..] {
        "" => 1,
        "k" | "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        _ => return Err("one of k, M and G may follow".into()),
    };
    let size = usize::try_from(number(digits)?).ok();
    size.and_then(|size| size.checked_mul(factor))
        .ok_or_else(|| "too large for this machine, or negative".into())
}

fn permission(text: &str) -> Result<Permission, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o777 => Ok(Permission::Custom(mode)),
        _ => Err("three octal digits, as for chmod".into()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "a number of seconds")?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}
