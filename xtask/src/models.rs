//! Runs the models (loom), then weakens the source in one place at a time and shows that a model then fails.
//!
//! Weakened are all orderings stronger than Relaxed and all fences of the source ([`crate::weaken`]), and the rules
//! ([`crate::rules`]). A place that no model can reach stands there with its reason. A place that is neither noticed
//! by a model nor there is a failure, and so is a reason that is not needed. So the orderings in the source are what is
//! needed, no less and no more.
//!
//! The program is built from a copy of the source, with the dependencies that the models need and no others.
//! `NEOCORTEX_LONG=1` takes the models further (more preemptions).

use crate::rules::{exemption, Weakening, EXEMPT, MODELS, OF_DEATHS};
use crate::weaken::weaken;
use crate::{proof, root, Result};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Mutex;
use std::time::{Duration, Instant};

const MANIFEST: &str = r#"
[package]
name = "neocortex"
version = "0.0.0"
edition = "2021"

[features]
semaphore = []
capi = ["semaphore"]

[dependencies]
libc = "0.2.170"
bytemuck = { version = "1.16", features = ["min_const_generics"] }
thiserror = "2"
tracing = { version = "0.1.40", default-features = false, features = ["std"] }
loom = "0.7"

[workspace]

[profile.release]
debug = false
opt-level = 2
"#;

/// The switch, appended to the copy's lib.rs.
const SWITCH: &str = r#"
/// Whether this weakening is switched on.
pub(crate) fn weak(number: u32) -> bool {
    static CHOSEN: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
    let choose = || std::env::var("NEOCORTEX_WEAK").map_or(0, |text| text.parse().unwrap());
    number == *CHOSEN.get_or_init(choose)
}
"#;

/// A weakened model that runs for so long does not end: that is noticed as well.
const LIMIT: Duration = Duration::from_secs(600);

struct Program {
    path: PathBuf,
    folder: PathBuf,
}

struct Ran {
    is_passed: bool,
    took: Duration,
    output: String,
}

impl Program {
    /// Builds the test program from a weakened copy in this folder.
    fn build(folder: &Path) -> Result<Self> {
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| root().join("target"), PathBuf::from);
        let output = Command::new("cargo")
            .args(["test", "--release", "--lib", "--no-run"])
            .current_dir(folder)
            .env("RUSTFLAGS", "--cfg loom -A warnings")
            .env(
                "CARGO_TARGET_DIR",
                std::path::absolute(target)?.join("loom"),
            )
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        let program = said.lines().find_map(|line| {
            let (_, path) = line.trim().strip_prefix("Executable")?.rsplit_once('(')?;
            path.strip_suffix(')')
        });
        let program = program
            .filter(|_| output.status.success())
            .ok_or(said.as_ref())?;
        let path = folder.join("models");
        std::fs::copy(program, &path)?;
        Ok(Self {
            path,
            folder: folder.into(),
        })
    }

    fn models(&self) -> Result<Vec<String>> {
        let listed = Command::new(&self.path).arg("--list").output()?;
        let names = String::from_utf8(listed.stdout)?;
        // Wherever in the tree they stand.
        let model = |line: &str| {
            Some(line.strip_suffix(": test")?.to_owned()).filter(|name| name.contains("models::"))
        };
        Ok(names.lines().filter_map(model).collect())
    }

    /// Runs one model, with one weakening switched on; 0 is none.
    fn run(&self, model: &str, weakening: usize) -> Result<Ran> {
        static RUNS: AtomicUsize = AtomicUsize::new(0);
        let log = self
            .folder
            .join(format!("log-{}", RUNS.fetch_add(1, Ordering::Relaxed)));
        let file = std::fs::File::create(&log)?;
        let mut command = Command::new(&self.path);
        command
            .args(["--exact", model, "--test-threads", "1"])
            .env("NEOCORTEX_WEAK", weakening.to_string())
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .stderr(file.try_clone()?)
            .stdout(file);
        if weakening == 0 && std::env::var_os("NEOCORTEX_LONG").is_some_and(|value| value == "1") {
            command.env("LOOM_MAX_PREEMPTIONS", "4");
        }
        let start = Instant::now();
        let mut child = command.spawn()?;
        let status = loop {
            match child.try_wait()? {
                Some(status) => break Some(status),
                None if weakening != 0 && start.elapsed() > LIMIT => {
                    child.kill()?;
                    child.wait()?;
                    break None;
                }
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        let mut output = String::from_utf8_lossy(&std::fs::read(&log)?).into_owned();
        std::fs::remove_file(&log)?;
        // A deadlock that loom finds may end in an abort.
        let is_passed = status.is_some_and(|status| status.success());
        if is_passed && !output.contains("1 passed") {
            return Err(output.into());
        }
        output += &status.map_or("(does not end)".into(), |status| format!("({status})"));
        Ok(Ran {
            is_passed,
            took: start.elapsed(),
            output,
        })
    }

    /// The first model that notices, if any: the quick ones first.
    fn notice(
        &self,
        number: usize,
        weakening: &Weakening,
        models: &[String],
    ) -> Result<Option<String>> {
        let tries = MODELS
            .iter()
            .find(|(file, _)| weakening.file == *file)
            .map_or(&[][..], |(_, models)| models);
        let is_of_deaths = OF_DEATHS.contains(&weakening.what.as_str());
        for model in models {
            let subject = model.split("models::").last().unwrap_or(model);
            if is_of_deaths && !subject.starts_with("follow::deaths::") {
                continue;
            }
            let subject = subject.split("::").next().unwrap_or(subject);
            if tries.contains(&subject) && !self.run(model, number)?.is_passed {
                return Ok(Some(
                    subject.to_owned() + "::" + model.rsplit("::").next().unwrap_or(model),
                ));
            }
        }
        Ok(None)
    }
}

/// Does the work for each item, on as many threads as there are processors; the results in order.
fn side_by_side<T: Sync, R: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some((index, item)) = Some(next.fetch_add(1, Ordering::Relaxed))
                    .and_then(|index| Some((index, items.get(index)?)))
                {
                    let result = work(item).map_err(|error| error.to_string());
                    results.lock().unwrap().push((index, result));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap();
    results.sort_by_key(|&(index, _)| index);
    results
        .into_iter()
        .map(|(_, result)| result.map_err(Into::into))
        .collect()
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            std::fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

/// A folder that goes with the value.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub fn run(pattern: Option<&str>) -> Result<bool> {
    let start = Instant::now();
    let folder =
        Folder(std::env::temp_dir().join(format!("neocortex-models-{}", std::process::id())));
    let (root, folder) = (root(), &folder.0);
    copy(&root.join("src"), &folder.join("src"))?;
    std::fs::write(folder.join("Cargo.toml"), MANIFEST)?;
    // The crate's documentation includes it.
    std::fs::copy(root.join("README.md"), folder.join("README.md"))?;
    let weakenings = weaken(&folder.join("src"))?;
    let library = folder.join("src/lib.rs");
    std::fs::write(&library, std::fs::read_to_string(&library)? + SWITCH)?;
    let program = Program::build(folder)?;
    println!("built in {} s", start.elapsed().as_secs());

    let mut models = program.models()?;
    let ran = side_by_side(&models, |model| program.run(model, 0))?;
    let failed = models.iter().zip(&ran).filter(|(_, ran)| !ran.is_passed);
    let failed: Vec<String> = failed
        .map(|(model, ran)| format!("{model} fails:\n{}", ran.output))
        .collect();
    if !failed.is_empty() || models.is_empty() {
        println!(
            "{}\nthe models do not pass on the source as it is",
            failed.join("\n")
        );
        return Ok(false);
    }
    println!(
        "{} models pass on the source as it is ({} s)",
        models.len(),
        start.elapsed().as_secs()
    );
    let took: std::collections::HashMap<String, Duration> = models
        .iter()
        .cloned()
        .zip(ran.iter().map(|ran| ran.took))
        .collect();
    models.sort_by_key(|model| took[model]);

    let is_wanted =
        |weakening: &Weakening| pattern.is_none_or(|pattern| weakening.what.contains(pattern));
    let numbered = (1..).zip(&weakenings);
    let tried: Vec<(usize, &Weakening)> = numbered
        .filter(|(_, weakening)| exemption(weakening).is_none() && is_wanted(weakening))
        .collect();
    let noticed = side_by_side(&tried, |&(number, weakening)| {
        let model = program.notice(number, weakening, &models)?;
        println!(
            "{}: {}",
            weakening.what,
            model.as_deref().unwrap_or("SURVIVES")
        );
        Ok(model.is_some())
    })?;
    let mut bad = noticed.iter().filter(|&&is_noticed| !is_noticed).count();
    let count = noticed.len() - bad;
    for (name, reason) in EXEMPT {
        if weakenings
            .iter()
            .filter_map(exemption)
            .any(|used| used == *name)
        {
            println!("{name}: not tried, {reason}");
        } else {
            println!("STALE: {name} is exempt, and is not there");
            bad += 1;
        }
    }
    println!(
        "{count} of {} weakenings noticed ({} s)",
        tried.len(),
        start.elapsed().as_secs()
    );
    if bad == 0 && pattern.is_none() {
        let note = |how: &str, cases: usize| {
            let target = format!("{}-linux-gnu, loom", std::env::consts::ARCH);
            proof::note("P1 P2 P4 P9", how, &target, cases as u64, "passed")
        };
        note(
            "loom: the models of commits, waiting, locks, claiming and the segment's state",
            models.len(),
        )?;
        note("loom: every ordering, fence and rule of the protocols weakened in turn, and a model fails", tried.len())?;
    }
    Ok(bad == 0)
}
