//! The sub-commands and their arguments.

use crate::columns::{self, Places};
use crate::structure::{Form, Forms};
use crate::words::{age, key, permission, seconds, size, start, unsigned, user, Start};
use clap::builder::PossibleValuesParser;
use clap::{value_parser, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use neocortex::{Key, Permission};
use std::path::PathBuf;
use std::time::Duration;

/// The locks that come with the library; the first is the default.
pub const LOCKS: &[&str] = neocortex::built_in_locks!(names);

/// Shown below the help, and in the manual page.
pub const EXIT_STATUS: &str = "\
0  done; what is stopped by a signal cleans up and dies of it (a second signal ends it at once)
1  failed: a system call, a corrupt header, something unsupported; `doctor`: something does not work here
2  the command line, a key, a size or a value is not one that can be used
3  no such key, or removed meanwhile
4  refused: it is in use, or full, or the key is taken
5  poisoned: a write in place was not finished
6  not a cortex, or of another format, layout, lock or name
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
    #[command(long_about = format!("Every cortex on this machine, one line for each\n\n{}", columns::help(Places::List)))]
    List(List),
    /// All that can be known of one cortex, the processes behind it, and its value
    ///
    /// A process is told by number, user, start and command line: the holder, each participant, the one that made the
    /// cortex (maker), those that have it mapped and take no part (onlooker), and threads that sleep on it now
    /// (waiter). It is information from the kernel's tables and from `/proc`, and nothing is decided by it. A process
    /// is named only if it has the cortex mapped; where it is in another PID namespace, or this user may not look at
    /// it, that is said. Observers that wait are not told from others. Only Linux tells more than a number.
    Inspect(Inspect),
    /// Each commit as it happens, of one cortex or of several
    ///
    /// One line for each: seconds since the command began, the commit's number, how many commits before it were not
    /// seen, seconds since the last line, commits in a second. Of several cortexes, or with --as: seconds, the key, the
    /// commit's number, how many were not seen, the value. Ends on Ctrl-C, when the reader of its output has left,
    /// and when the cortex is removed (status 3). While no participant lives it keeps no mapping, so that a stale
    /// cortex can be replaced; commits are then looked for every 50 ms.
    Watch(Watch),
    /// Wait until any of these cortexes changes
    ///
    /// Prints a line for each that has: its key, the commit's number, with --as the value. Ends with status 7 when the
    /// time is over, and with 3 when one is removed. All must exist; with --wait they may be created first.
    Wait(Wait),
    /// The value of each commit, in order, and how many were missed
    ///
    /// One line for each: the commit's number, how many commits before it were overwritten before they could be read, and
    /// the value; of a cortex of records (`create --records`), its length before it. A cortex keeps as many commits as it has slots (`create --slots`). Nothing is stored in it, so no
    /// writer waits. Ends as `watch` does.
    Follow(Follow),
    /// A table on the whole screen, kept up to date: q quits, r sorts by rate, k by key, arrows and pages scroll
    #[command(long_about = format!("A table of every cortex on the whole screen, kept up to date: q quits, r sorts by rate, k by key, \
        arrows, PgUp, PgDn, Home and End scroll\n\n{}", columns::help(Places::Top)))]
    Top(Top),
    /// Make a cortex, of zeros or with a first value, that stays until it is removed; prints its key, of a name the number
    Create(Create),
    /// The value, to standard output: raw bytes, or as a type
    Read(Read),
    /// Replace the value or a part of it, as one commit: from the arguments, or raw bytes from standard input
    ///
    /// Fewer bytes than the value has replace its beginning, or what begins at --offset; the rest stays as it was. In a
    /// cortex of records (`create --records`) they are the next record, which has that length. An empty standard input is
    /// refused (status 2): the command before it in a pipe has failed, most likely.
    Write(Write),
    /// Declare an unfinished write in place finished: the bytes stay as they are
    Heal(Heal),
    /// Remove a cortex with its semaphores
    Remove(Remove),
    /// Take away what is stale: cortexes whose owner died and in which no participant lives, and semaphores whose segment
    /// is gone
    ///
    /// A process that merely reads keeps what it has mapped. A process that attaches in the same moment wins: the
    /// cortex is then left as it is. A cortex that was made to stay (`create` of this command, `persist`) is not stale;
    /// `remove` takes it away. With `--all` it is the caller's own that go; for root it is every user's, which the
    /// first line then says.
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
}

#[derive(Args)]
pub struct Target {
    /// The name, or the key: decimal, negative, or hexadecimal (0x...)
    #[arg(value_parser = key, allow_hyphen_values = true)]
    pub key: Key,
}

/// For what looks at a cortex, or writes to it, and may be started before the program that makes it.
#[derive(Args)]
pub struct Creator {
    /// Wait so many seconds for a program to make the cortex
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub wait: Option<Duration>,
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
    #[command(flatten)]
    pub creator: Creator,
    /// Show the value as this: a type, or the fields of a C structure (u32,f64,u8x16)
    #[arg(long = "as", value_name = "TYPE", value_parser = Forms, default_value = "hex")]
    pub form: Form,
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
    /// Names or keys: decimal, negative, or hexadecimal (0x...)
    #[arg(value_name = "KEY", required = true, value_parser = key, allow_negative_numbers = true)]
    pub keys: Vec<Key>,
    #[command(flatten)]
    pub creator: Creator,
    /// Show the values, as this: a type, or the fields of a C structure (u32,f64,u8x16)
    #[arg(long = "as", value_name = "TYPE", value_parser = Forms)]
    pub form: Option<Form>,
    /// End after so many lines
    #[arg(long)]
    pub count: Option<u64>,
    /// An object for each line
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct Wait {
    /// Names or keys: decimal, negative, or hexadecimal (0x...)
    #[arg(value_name = "KEY", required = true, value_parser = key, allow_negative_numbers = true)]
    pub keys: Vec<Key>,
    #[command(flatten)]
    pub creator: Creator,
    /// The commit that is known, of one cortex: returns at once where there is another
    #[arg(long, value_name = "N", value_parser = unsigned)]
    pub since: Option<u64>,
    /// Wait for no longer than so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,
    /// Show the values, as this: a type, or the fields of a C structure (u32,f64,u8x16)
    #[arg(long = "as", value_name = "TYPE", value_parser = Forms)]
    pub form: Option<Form>,
}

#[derive(Args)]
pub struct Follow {
    #[command(flatten)]
    pub target: Target,
    #[command(flatten)]
    pub creator: Creator,
    /// Show the values as this
    #[arg(long = "as", value_name = "TYPE", value_parser = Forms, default_value = "hex")]
    pub form: Form,
    /// With which commit to begin: the oldest that is kept, the next (now), or the one after this number
    #[arg(long, value_name = "oldest|now|N", default_value = "oldest", value_parser = start)]
    pub from: Start,
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
    /// The name or the key (none with --random), and the bytes in the value; k, M and G mean 1024, 1024², 1024³
    #[arg(value_names = ["KEY", "SIZE"], num_args = 1..=2, required = true, allow_negative_numbers = true)]
    pub place: Vec<String>,
    /// A random key that is not in use
    #[arg(long)]
    pub random: bool,
    #[arg(long, value_parser = PossibleValuesParser::new(LOCKS), default_value = LOCKS[0])]
    pub lock: String,
    /// Who may use it, in octal
    #[arg(long, default_value = "600", value_parser = permission)]
    pub mode: Permission,
    /// A number that both sides must agree on
    #[arg(long, default_value = "0", value_parser = unsigned)]
    pub schema: u64,
    /// The number of a description of the type, as `schema_of` makes it in every language
    #[arg(long, value_name = "TEXT", conflicts_with = "schema")]
    pub schema_of: Option<String>,
    /// How many handles may be attached at a time
    #[arg(long, default_value = "128", value_parser = value_parser!(u32).range(1..=4096))]
    pub participants: u32,
    /// Payload slots, 2 to 65536: the commits that `follow` can read; one is `--in-place`
    #[arg(long, default_value = "2", conflicts_with = "in_place", value_parser = value_parser!(u32).range(2..=65_536))]
    pub slots: u32,
    /// One payload slot, edited in place
    #[arg(long)]
    pub in_place: bool,
    /// Records of any length up to SIZE, each written whole and read with its length
    #[arg(long, conflicts_with = "in_place")]
    pub records: bool,
    /// Writers wait for the followers that registered, and overwrite nothing that one has not read
    #[arg(long, conflicts_with = "in_place")]
    pub lossless: bool,
    /// Take the place of a stale cortex that has the key
    #[arg(long)]
    pub replace_stale: bool,
    /// Where a cortex has the key, leave it as it is, if its size, lock and schema are those asked for
    #[arg(long, conflicts_with = "random")]
    pub open_or_create: bool,
    /// The first value: all its bytes, raw, from standard input; no process ever sees another one before it
    #[arg(long, conflicts_with = "random")]
    pub initial: bool,
    /// Find memory for all of it now, or fail
    #[arg(long)]
    pub prefault: bool,
    /// Never swap it out (RLIMIT_MEMLOCK or CAP_IPC_LOCK)
    #[arg(long)]
    pub lock_in_memory: bool,
    /// Of huge pages (vm.nr_hugepages); `prefer` makes it of ordinary ones where there are none
    #[arg(long, value_name = "CHOICE", value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "require")]
    pub huge_pages: Option<HugePages>,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum HugePages {
    Require,
    Prefer,
}

impl From<HugePages> for neocortex::HugePages {
    fn from(choice: HugePages) -> Self {
        match choice {
            HugePages::Require => Self::Require,
            HugePages::Prefer => Self::Prefer,
        }
    }
}

#[derive(Args)]
pub struct Read {
    #[command(flatten)]
    pub target: Target,
    #[command(flatten)]
    pub creator: Creator,
    /// Print the value as this, not as raw bytes: a type, or the fields of a C structure, as in u32,f64,u8x16 (packed: in front: without padding)
    #[arg(long = "as", value_name = "TYPE", value_parser = Forms)]
    pub form: Option<Form>,
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
    #[command(flatten)]
    pub creator: Creator,
    /// What the values are: a type, or the fields of a C structure, as in u32,f64,u8x16 (packed: in front: without padding)
    #[arg(long = "as", value_name = "TYPE", value_parser = Forms, requires = "values")]
    pub form: Option<Form>,
    /// The values; none: raw bytes from standard input
    #[arg(allow_negative_numbers = true, requires = "form")]
    pub values: Vec<String>,
    /// Where in the value to begin, in bytes
    #[arg(long, default_value = "0", value_parser = size)]
    pub offset: usize,
    /// Set what follows, to the end of the value, to zero
    #[arg(long)]
    pub fill: bool,
    /// Refuse fewer bytes than there are, so that no old ones remain behind the new ones
    #[arg(long, conflicts_with = "fill")]
    pub exact: bool,
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
    /// Although it is in use: attached processes go on sharing its memory, and no other process can attach
    #[arg(long)]
    pub force: bool,
}

#[derive(Args)]
pub struct Reclaim {
    /// The name, or the key: decimal, negative, or hexadecimal (0x...)
    #[arg(value_parser = key, allow_hyphen_values = true, required_unless_present = "all")]
    pub key: Option<Key>,
    /// Every stale cortex, and every semaphore set of ours whose segment is gone
    #[arg(long, conflicts_with = "key")]
    pub all: bool,
    /// Only what belongs to this user (a name or a number); without it the caller's own, and for root every user's
    #[arg(long, value_name = "USER", conflicts_with = "key", value_parser = user)]
    pub owner: Option<u32>,
    /// Only what was made this long ago or longer: 90s, 15m, 2h, 7d
    #[arg(long, value_name = "AGE", conflicts_with = "key", value_parser = age)]
    pub older: Option<Duration>,
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
