//! Who does what how fast: the competitors take turns, round after round.

use serde::Serialize;
use std::time::{Duration, Instant};

/// How thorough a run is, and which work it is about.
pub struct Settings {
    pub quick: bool,
    filter: String,
    /// Rounds in which everybody has one turn.
    rounds: usize,
    /// How long a turn lasts, about.
    turn: Duration,
}

impl Settings {
    pub fn new(quick: bool, filter: String) -> Self {
        Self {
            quick,
            filter: filter.to_lowercase(),
            rounds: if quick { 31 } else { 101 },
            turn: Duration::from_millis(if quick { 1 } else { 2 }),
        }
    }

    /// One of two, by thoroughness.
    pub fn pick<T>(&self, quick: T, thorough: T) -> T {
        if self.quick {
            quick
        } else {
            thorough
        }
    }

    pub fn wants(&self, work: &str) -> bool {
        work.to_lowercase().contains(&self.filter)
    }
}

/// Our two columns.
pub const RUST: &str = "neocortex";
pub const C: &str = "neocortex C";

#[derive(Clone, Copy, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    Nanoseconds,
    /// The more the better.
    PerSecond,
    /// Of all, from 0 to 1.
    Share,
    Count,
}

/// A distribution: over the rounds, or over single events.
#[derive(Clone, Copy, Serialize)]
pub struct Figure {
    pub median: f64,
    pub quartiles: [f64; 2],
    pub best: f64,
}

impl Figure {
    pub fn of(mut samples: Vec<f64>) -> Self {
        samples.sort_by(f64::total_cmp);
        let at = |part: f64| samples[((samples.len() - 1) as f64 * part).round() as usize];
        Self {
            median: at(0.5),
            quartiles: [at(0.25), at(0.75)],
            best: at(0.0),
        }
    }

    /// One number, such as the slowest of all.
    pub fn single(value: f64) -> Self {
        Self::of(vec![value])
    }
}

#[derive(Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Measured(Figure),
    NotMeasured(String),
}

/// What a row must show: our figure is at most (at least, for rates) so many times another's, or at most so
/// much more.
#[derive(Clone, Serialize)]
pub struct Target {
    /// Whose figure is met or beaten; empty is the best of all peers but the limits.
    pub against: &'static str,
    /// A limit that is added to it; empty is none.
    pub beside: &'static str,
    pub bound: Bound,
    /// Which of our columns.
    pub ours: &'static str,
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    Times(f64),
    /// Nanoseconds.
    More(f64),
}

impl Target {
    pub fn new(ratio: f64, against: &'static str) -> Self {
        Self {
            against,
            beside: "",
            bound: Bound::Times(ratio),
            ours: RUST,
        }
    }

    /// The same for another of our columns.
    pub fn of(self, ours: &'static str) -> Self {
        Self { ours, ..self }
    }

    /// What the way through the C library may add to ours.
    pub fn of_c() -> Self {
        Self {
            against: RUST,
            beside: "",
            bound: Bound::More(1.5),
            ours: C,
        }
    }

    /// The same beyond the calls alone, which no library can do without.
    pub fn of_c_beside(calls: &'static str) -> Self {
        Self {
            beside: calls,
            ..Self::of_c()
        }
    }
}

#[derive(Clone, Serialize)]
pub struct Row {
    pub work: String,
    pub unit: Unit,
    pub cells: Vec<(String, Outcome)>,
    pub targets: Vec<Target>,
}

impl Row {
    pub fn new(work: impl Into<String>, unit: Unit) -> Self {
        Self {
            work: work.into(),
            unit,
            cells: Vec::new(),
            targets: Vec::new(),
        }
    }

    pub fn cell(mut self, column: &str, figure: Figure) -> Self {
        self.cells
            .push((column.to_owned(), Outcome::Measured(figure)));
        self
    }

    pub fn figure(&self, column: &str) -> Option<Figure> {
        self.cells.iter().find_map(|(name, outcome)| match outcome {
            Outcome::Measured(figure) if name == column => Some(*figure),
            _ => None,
        })
    }
}

type Turn<'a> = Box<dyn FnMut(u64) -> f64 + 'a>;

struct Competitor<'a> {
    column: String,
    turn: Turn<'a>,
    repetitions: u64,
}

/// One kind of work and all who do it.
pub struct Contest<'a> {
    row: Row,
    competitors: Vec<Competitor<'a>>,
    fixed: Option<(usize, u64)>,
}

impl<'a> Contest<'a> {
    pub fn new(work: impl Into<String>) -> Self {
        Self::counted(work, Unit::Nanoseconds)
    }

    pub fn counted(work: impl Into<String>, unit: Unit) -> Self {
        Self {
            row: Row::new(work, unit),
            competitors: Vec::new(),
            fixed: None,
        }
    }

    /// So many rounds, and so many repetitions in each turn, instead of what the settings say.
    pub fn fixed(mut self, rounds: usize, repetitions: u64) -> Self {
        self.fixed = Some((rounds, repetitions));
        self
    }

    /// A competitor that does the work so many times; the time is taken here.
    pub fn timed<R>(
        self,
        column: impl Into<String>,
        mut repeat: impl FnMut(u64) -> R + 'a,
    ) -> Self {
        self.judged(column, move |repetitions| {
            let start = Instant::now();
            std::hint::black_box(repeat(repetitions));
            start.elapsed().as_nanos() as f64 / repetitions as f64
        })
    }

    /// A competitor that says itself what its turn gave.
    pub fn judged(mut self, column: impl Into<String>, turn: impl FnMut(u64) -> f64 + 'a) -> Self {
        self.competitors.push(Competitor {
            column: column.into(),
            turn: Box::new(turn),
            repetitions: 1,
        });
        self
    }

    pub fn absent(mut self, column: &str, why: impl Into<String>) -> Self {
        self.row
            .cells
            .push((column.to_owned(), Outcome::NotMeasured(why.into())));
        self
    }

    pub fn target(mut self, target: Target) -> Self {
        self.row.targets.push(target);
        self
    }

    pub fn run(mut self, settings: &Settings) -> Row {
        eprintln!("{} ...", self.row.work);
        let rounds = match self.fixed {
            Some((rounds, repetitions)) => {
                for competitor in &mut self.competitors {
                    competitor.repetitions = repetitions;
                }
                rounds
            }
            None => {
                for competitor in &mut self.competitors {
                    competitor.calibrate(settings.turn);
                }
                settings.rounds
            }
        };
        let count = self.competitors.len();
        let mut samples = vec![Vec::with_capacity(rounds); count];
        for round in 0..rounds {
            // Another one begins each time, so that nobody always comes after the same one.
            for turn in 0..count {
                let index = (round + turn) % count;
                let competitor = &mut self.competitors[index];
                samples[index].push((competitor.turn)(competitor.repetitions));
            }
        }
        for (competitor, samples) in self.competitors.iter().zip(samples) {
            let figure = Outcome::Measured(Figure::of(samples));
            self.row.cells.push((competitor.column.clone(), figure));
        }
        self.row
    }
}

impl Competitor<'_> {
    /// Finds how many repetitions fill a turn.
    fn calibrate(&mut self, turn: Duration) {
        // The first may be unlike all others: a small write after a whole one copies the whole value.
        (self.turn)(1);
        loop {
            let start = Instant::now();
            (self.turn)(self.repetitions);
            let elapsed = start.elapsed();
            if elapsed * 2 >= turn || self.repetitions > 1 << 40 {
                let scale = turn.as_secs_f64() / elapsed.as_secs_f64().max(1e-9);
                self.repetitions = ((self.repetitions as f64 * scale.min(2.0)) as u64).max(1);
                return;
            }
            self.repetitions *= 2;
        }
    }
}
