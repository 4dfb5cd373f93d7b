//! `top`: every cortex on the whole screen, kept up to date.
//!
//! Each look maps and unmaps ([`inspect::survey`]), so nothing is held in between. The terminal is put back
//! as it was when the loop ends, on the signals that ask a program to end, and on a panic (ratatui's hook).
//! Keys are read by a thread of their own: crossterm never comes back from reading a terminal that is gone.

use crate::arguments::Top;
use crate::describe::{condition, count, harmless, holder, is_stale, layout, user, waits};
use crate::failure::{plain, Outcome, USAGE};
use crate::stop::{is_output_closed, Stop};
use neocortex::inspect::{self, SegmentInfo};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Cell, Row, Table, TableState};
use ratatui::Frame;
use std::collections::HashMap;
use std::io::{self, IsTerminal};
use std::sync::mpsc::{channel, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How soon a signal is noticed.
const SLICE: Duration = Duration::from_millis(100);

const COLUMNS: [(&str, Constraint); 13] = [
    ("KEY", Constraint::Length(11)),
    ("SIZE", Constraint::Length(10)),
    ("LOCK", Constraint::Length(9)),
    ("LAYOUT", Constraint::Length(8)),
    ("OWNER", Constraint::Length(8)),
    ("ATT", Constraint::Length(4)),
    ("ALIVE", Constraint::Length(5)),
    ("DEAD", Constraint::Length(4)),
    ("COMMITS", Constraint::Length(12)),
    ("RATE/S", Constraint::Length(10)),
    ("HOLDER", Constraint::Length(12)),
    ("WAITS", Constraint::Length(13)),
    ("STATE", Constraint::Min(12)),
];

/// What is on the screen.
struct Screen {
    cortexes: Vec<(SegmentInfo, Option<f64>)>,
    /// Commits when last looked at, by segment.
    before: HashMap<i32, (u64, Instant)>,
    is_by_rate: bool,
    place: TableState,
    interval: Duration,
}

pub fn run(arguments: &Top) -> Outcome {
    if !io::stdout().is_terminal() {
        return plain(
            USAGE,
            "`top` needs a terminal; `neocortex list --json` and `neocortex watch --json` are for pipes",
        );
    }
    let stop = Stop::new()?;
    let mut screen = Screen {
        cortexes: Vec::new(),
        before: HashMap::new(),
        is_by_rate: false,
        place: TableState::default(),
        interval: arguments.interval.max(SLICE),
    };
    // Before the screen is taken: a machine that lists nothing says so in words.
    screen.look()?;
    let mut terminal = ratatui::try_init()?;
    let events = events();
    let result = (|| {
        let mut next = Instant::now() + screen.interval;
        while !stop.is_asked() && !is_output_closed() {
            terminal.draw(|frame| screen.draw(frame))?;
            let left = next.saturating_duration_since(Instant::now());
            match events.recv_timeout(left.min(SLICE)) {
                Ok(event) => {
                    if screen.is_over(&event?) {
                        break;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if Instant::now() >= next {
                screen.look()?;
                next = Instant::now() + screen.interval;
            }
        }
        Ok(())
    })();
    let restored = ratatui::try_restore();
    if is_output_closed() {
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
    fn look(&mut self) -> Outcome {
        let now = Instant::now();
        let mut cortexes = inspect::segments()?;
        cortexes.sort_by_key(|info| (info.key, info.id));
        let rate = |info: &SegmentInfo| {
            let &(commits, then) = self.before.get(&info.id)?;
            let seconds = (now - then).as_secs_f64().max(1e-9);
            Some(info.commits.wrapping_sub(commits) as f64 / seconds)
        };
        let rates: Vec<_> = cortexes.iter().map(rate).collect();
        self.before = cortexes
            .iter()
            .map(|info| (info.id, (info.commits, now)))
            .collect();
        self.cortexes = cortexes.into_iter().zip(rates).collect();
        self.sort();
        Ok(())
    }

    fn sort(&mut self) {
        match self.is_by_rate {
            true => self
                .cortexes
                .sort_by(|one, other| other.1.unwrap_or(0.0).total_cmp(&one.1.unwrap_or(0.0))),
            false => self.cortexes.sort_by_key(|(info, _)| (info.key, info.id)),
        }
    }

    /// Does what a key says; whether that is to end.
    fn is_over(&mut self, event: &Event) -> bool {
        let Event::Key(key) = event else { return false };
        if key.kind == KeyEventKind::Release {
            return false;
        }
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return true,
            // In raw mode it is a key like any other.
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return true,
            KeyCode::Char('r') => self.is_by_rate = true,
            KeyCode::Char('k') => self.is_by_rate = false,
            KeyCode::Down => self.place.select_next(),
            KeyCode::Up => self.place.select_previous(),
            KeyCode::Home => self.place.select_first(),
            KeyCode::End => self.place.select_last(),
            _ => {}
        }
        self.sort();
        false
    }

    fn draw(&mut self, frame: &mut Frame) {
        let areas = Layout::vertical([
            Constraint::Length(1),
            Constraint::Min(1),
            Constraint::Length(1),
        ]);
        let [head, body, foot] = areas.areas(frame.area());
        let number = self.cortexes.len();
        let stale = self
            .cortexes
            .iter()
            .filter(|(info, _)| is_stale(info))
            .count();
        let title = format!(
            "neocortex: {number} cortexes, {stale} stale, every {:?}",
            self.interval
        );
        frame.render_widget(Line::from(title), head);
        let rows = self.cortexes.iter().map(|(info, rate)| row(info, *rate));
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let heading = Row::new(COLUMNS.map(|(name, _)| name)).style(bold);
        let table = Table::new(rows, COLUMNS.map(|(_, width)| width))
            .header(heading)
            .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
        frame.render_stateful_widget(table, body, &mut self.place);
        let keys = "q quit  r by rate  k by key  \u{2191}\u{2193} scroll";
        frame.render_widget(Line::from(keys), foot);
    }
}

fn row(info: &SegmentInfo, rate: Option<f64>) -> Row<'static> {
    let condition = condition(info);
    let colour = match condition.as_str() {
        "ready" | "kept" => Color::Reset,
        "stale" => Color::DarkGray,
        _ => Color::Yellow,
    };
    let cells = [
        info.key.to_string(),
        info.size.to_string(),
        harmless(&info.lock),
        layout(info.slots),
        user(info.owner),
        info.attached.to_string(),
        count(info.alive),
        count(info.dead),
        info.commits.to_string(),
        rate.map_or_else(|| "-".into(), |rate| format!("{rate:.1}")),
        holder(info.holder),
        waits(info.waiting),
        condition,
    ];
    Row::new(cells.map(Cell::from)).style(Style::new().fg(colour))
}
