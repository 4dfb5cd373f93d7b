//! `top`: every cortex on the whole screen, kept up to date.
//!
//! Each look maps and unmaps ([`inspect::survey`]), so nothing is held in between. What has not changed is not drawn
//! anew, and looks are as far apart as keeps them below a fortieth of a processor. The terminal is put back
//! as it was when the loop ends, on the signals that ask a program to end, and on a panic (ratatui's hook).
//! Keys are read by a thread of their own: crossterm never comes back from reading a terminal that is gone.

use crate::arguments::Top;
use crate::columns::{self, Column, Line, Places};
use crate::describe::{condition, is_stale};
use crate::failure::{plain, Outcome, USAGE};
use crate::output;
use crate::people;
use crate::stop::{self, Stop};
use neocortex::inspect::{self, SegmentInfo, Who};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{self, Text};
use ratatui::Frame;
use std::collections::HashMap;
use std::io::{self, IsTerminal};
use std::sync::mpsc::{channel, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How soon a signal is noticed.
const SLICE: Duration = Duration::from_millis(100);
/// A look that takes so long is followed by that many times as long without one.
const REST: u32 = 40;
/// As far apart as looks can be: the clock is not asked for later times.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

const KEYS: &str = "q quit  r by rate  k by key  \u{2191}\u{2193} PgUp PgDn Home End scroll";

/// What is on the screen.
struct Screen {
    cortexes: Vec<(SegmentInfo, Option<f64>)>,
    /// The processes that hold, by segment.
    holders: HashMap<i32, Who>,
    /// Commits when last looked at, by segment.
    before: HashMap<i32, (u64, Instant)>,
    is_by_rate: bool,
    /// Which cortex is marked, and which is the first that is shown.
    marked: Option<usize>,
    first: usize,
    /// How many are shown at a time.
    page: usize,
    /// The widest that each column was so far, so that columns stay where they are.
    widths: Vec<usize>,
    columns: Vec<&'static Column>,
    asked: Duration,
    /// What is asked for, or more where a look takes long.
    interval: Duration,
}

/// Returns why `top` cannot be shown here, if it cannot.
fn obstacle() -> Option<String> {
    let instead = "`neocortex list` and `neocortex watch` print lines, with `--json` for programs";
    if !io::stdout().is_terminal() {
        return Some(format!("`top` needs a terminal; {instead}"));
    }
    let kind = std::env::var("TERM").unwrap_or_default();
    match &*kind {
        "" => Some(format!(
            "`top` needs a terminal that moves its cursor, and TERM does not say which this is; {instead}"
        )),
        "dumb" | "unknown" => Some(format!(
            "`top` needs a terminal that moves its cursor, and this one cannot (TERM is {kind}); {instead}"
        )),
        _ => None,
    }
}

pub fn run(arguments: &Top) -> Outcome {
    if let Some(obstacle) = obstacle() {
        return plain(USAGE, obstacle);
    }
    let stop = Stop::new()?;
    let asked = arguments.interval.clamp(SLICE, LONGEST);
    let mut screen = Screen {
        cortexes: Vec::new(),
        holders: HashMap::new(),
        before: HashMap::new(),
        is_by_rate: false,
        marked: None,
        first: 0,
        page: 1,
        widths: Vec::new(),
        columns: columns::of(Places::Top, false),
        asked,
        interval: asked,
    };
    // Before the screen is taken: a machine that lists nothing says so in words.
    screen.look()?;
    let mut terminal = ratatui::try_init()?;
    let events = events();
    let result = (|| {
        let mut next = Instant::now() + screen.interval;
        let mut is_changed = true;
        while !stop.is_asked() && !output::is_closed() {
            if is_changed {
                terminal.draw(|frame| screen.draw(frame))?;
            }
            is_changed = false;
            let left = next.saturating_duration_since(Instant::now());
            match events.recv_timeout(left.min(SLICE)) {
                Ok(event) => {
                    if screen.is_over(&event?) {
                        break;
                    }
                    is_changed = true;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if Instant::now() >= next {
                is_changed |= screen.look()?;
                next = Instant::now() + screen.interval;
            }
        }
        Ok(())
    })();
    let restored = ratatui::try_restore();
    if output::is_closed() {
        // There is no terminal to put back. Dropping this would say so on that very terminal, and panic.
        std::mem::forget(terminal);
    }
    restored?;
    result
}

/// What happens at the terminal, up to the first failure.
fn events() -> Receiver<io::Result<Event>> {
    let (send, events) = channel();
    std::thread::spawn(move || loop {
        let event = event::read();
        let is_last = event.is_err();
        if send.send(event).is_err() || is_last {
            break;
        }
    });
    events
}

impl Screen {
    /// Looks at every cortex. Returns whether anything is to be drawn anew.
    fn look(&mut self) -> Outcome<bool> {
        let now = Instant::now();
        let cortexes = inspect::segments()?;
        let holders = people::holders(cortexes.iter());
        self.interval = self.asked.max(now.elapsed() * REST).min(LONGEST);
        let rate = |info: &SegmentInfo| {
            let &(commits, then) = self.before.get(&info.id)?;
            let seconds = (now - then).as_secs_f64().max(1e-9);
            Some(info.commits.wrapping_sub(commits) as f64 / seconds)
        };
        let rates: Vec<_> = cortexes.iter().map(rate).collect();
        let columns = columns::of(Places::Top, columns::are_named(&cortexes));
        if columns.len() != self.columns.len() {
            self.columns = columns;
            self.widths.clear();
        }
        self.before = cortexes
            .iter()
            .map(|info| (info.id, (info.commits, now)))
            .collect();
        let before = std::mem::replace(
            &mut self.cortexes,
            cortexes.into_iter().zip(rates).collect(),
        );
        self.sort();
        let held_before = std::mem::replace(&mut self.holders, holders);
        let is_changed = before != self.cortexes || held_before != self.holders;
        Ok(is_changed)
    }

    fn sort(&mut self) {
        match self.is_by_rate {
            true => self.cortexes.sort_by(|one, other| {
                let rates = other.1.unwrap_or(0.0).total_cmp(&one.1.unwrap_or(0.0));
                rates.then_with(|| (one.0.key, one.0.id).cmp(&(other.0.key, other.0.id)))
            }),
            false => self.cortexes.sort_by_key(|(info, _)| (info.key, info.id)),
        }
    }

    /// Does what a key says. Returns whether that is to end the program.
    fn is_over(&mut self, event: &Event) -> bool {
        let Event::Key(key) = event else { return false };
        if key.kind == KeyEventKind::Release {
            return false;
        }
        let last = self.cortexes.len().saturating_sub(1);
        let page = self.page.max(1);
        let before = self.marked;
        let marked = |step: fn(usize, usize) -> usize, by, unmarked| {
            Some(before.map_or(unmarked, |at| step(at, by)))
        };
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return true,
            // In raw mode it is a key like any other.
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                stop::interrupt();
                return true;
            }
            KeyCode::Char('r') => self.is_by_rate = true,
            KeyCode::Char('k') => self.is_by_rate = false,
            KeyCode::Down => self.marked = marked(usize::saturating_add, 1, 0),
            KeyCode::Up => self.marked = marked(usize::saturating_sub, 1, last),
            // A whole page, wherever on it the mark is.
            KeyCode::PageDown => {
                self.first = self.first.saturating_add(page);
                self.marked = marked(usize::saturating_add, page, self.first);
            }
            KeyCode::PageUp => {
                self.first = self.first.saturating_sub(page);
                self.marked = marked(usize::saturating_sub, page, self.first);
            }
            KeyCode::Home => self.marked = Some(0),
            KeyCode::End => self.marked = Some(last),
            _ => {}
        }
        self.sort();
        false
    }

    /// Chooses which cortexes are shown where there is room for `page` of them: the marked one is among them.
    fn scroll(&mut self, page: usize) {
        self.page = page;
        let number = self.cortexes.len();
        self.marked = self.marked.map(|at| at.min(number.saturating_sub(1)));
        if let Some(at) = self.marked {
            self.first = self.first.clamp((at + 1).saturating_sub(page), at);
        }
        self.first = self.first.min(number.saturating_sub(page));
    }

    fn draw(&mut self, frame: &mut Frame) {
        let area = frame.area();
        let room = usize::from(area.width);
        let mut keys = wrapped(KEYS, room);
        keys.truncate(2);
        // Head and heading; then as many rows as what is said below them leaves room for.
        let rest = usize::from(area.height).saturating_sub(2 + keys.len());
        let mut note = 0;
        let (rows, is_shown, hidden) = loop {
            self.scroll(rest.saturating_sub(note).max(1));
            let (rows, is_shown) = self.rows(room);
            let hidden = self.hidden(&is_shown, room);
            if hidden.len() <= note {
                break (rows, is_shown, hidden);
            }
            // The note has at most two lines, so the loop ends.
            note = hidden.len();
        };
        let areas = Layout::vertical([
            Constraint::Length(1),
            Constraint::Min(1),
            Constraint::Length(note as u16),
            Constraint::Length(keys.len() as u16),
        ]);
        let [head, body, notes, foot] = areas.areas(area);
        frame.render_widget(text::Line::from(self.title(room)), head);
        self.table(frame, body, &rows, &is_shown);
        frame.render_widget(Text::from_iter(hidden), notes);
        frame.render_widget(Text::from_iter(keys), foot);
    }

    /// Returns which columns are not shown, in at most two lines.
    fn hidden(&self, is_shown: &[bool], room: usize) -> Vec<String> {
        let hidden = columns::hidden(&self.columns, is_shown, room);
        let lines = wrapped(&hidden.unwrap_or_default(), room);
        // On a very small screen the table comes first.
        if lines.len() <= 2 {
            return lines;
        }
        let number = is_shown.iter().filter(|&&is_shown| !is_shown).count();
        vec![format!("{number} columns hidden")]
    }

    /// Returns the title: how many cortexes there are, how often they are looked at, and which part is shown. Where
    /// there is no room, the last part is left out first.
    fn title(&self, room: usize) -> String {
        let number = self.cortexes.len();
        let is_one_stale = |(info, _): &&(SegmentInfo, _)| is_stale(info);
        let stale = self.cortexes.iter().filter(is_one_stale).count();
        let mut parts = vec![
            format!("{number} cortexes"),
            format!("{stale} stale"),
            format!("every {:.1} s", self.interval.as_secs_f64()),
        ];
        if number > self.page {
            let end = (self.first + self.page).min(number);
            parts.push(format!("{} to {end} shown", self.first + 1));
        }
        while parts.len() > 1 && parts.join(", ").len() > room {
            parts.pop();
        }
        let title = parts.join(", ");
        match room >= title.len() + "neocortex: ".len() {
            true => format!("neocortex: {title}"),
            false => title,
        }
    }

    /// Returns the heading and the cortexes from the first that is shown on, and the columns that there is room for.
    fn rows(&mut self, room: usize) -> (Vec<Vec<String>>, Vec<bool>) {
        let heading = self.columns.iter().map(|column| column.heading.to_owned());
        let mut rows = vec![heading.collect::<Vec<_>>()];
        for (info, rate) in self.cortexes.iter().skip(self.first).take(self.page) {
            let line = Line {
                info,
                rate: *rate,
                holder: self.holders.get(&info.id),
            };
            let cells = self.columns.iter().map(|column| column.short_cell(&line));
            rows.push(cells.collect());
        }
        let now = columns::widths(&rows);
        self.widths.resize(now.len(), 0);
        for (widest, now) in self.widths.iter_mut().zip(&now) {
            *widest = (*widest).max(*now);
        }
        let mut is_shown = columns::fitting(&self.columns, &self.widths, room);
        // That a column was wider once is no reason to leave one out now.
        let now_shown = columns::fitting(&self.columns, &now, room);
        if now_shown != is_shown {
            self.widths = now;
            is_shown = now_shown;
        }
        (rows, is_shown)
    }

    fn table(&self, frame: &mut Frame, body: Rect, rows: &[Vec<String>], is_shown: &[bool]) {
        for (index, words) in columns::aligned(rows, &self.widths, is_shown)
            .into_iter()
            .take(usize::from(body.height))
            .enumerate()
        {
            let at = index.checked_sub(1).map(|row| self.first + row);
            let style = match at {
                None => Style::new().add_modifier(Modifier::BOLD),
                Some(at) if self.marked == Some(at) => {
                    Style::new().add_modifier(Modifier::REVERSED)
                }
                Some(at) => Style::new().fg(colour(&self.cortexes[at].0)),
            };
            let line = Rect {
                y: body.y + index as u16,
                height: 1,
                ..body
            };
            frame.render_widget(text::Line::styled(words, style), line);
        }
    }
}

/// Returns words in as many lines as they need; no line where there are no words.
fn wrapped(words: &str, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ if word.is_empty() => {}
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn colour(info: &SegmentInfo) -> Color {
    match &*condition(info) {
        "ready" | "kept" => Color::Reset,
        "stale" => Color::DarkGray,
        _ => Color::Yellow,
    }
}
