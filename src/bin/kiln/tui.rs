//! `kiln train --tui`: the run as it goes, drawn in the terminal.
//!
//! A thread has the terminal: it draws, takes keys and signals, and puts the terminal back. The run tells it things.

use std::io::{self, Write as _, stdout};
use std::panic::{self, AssertUnwindSafe};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use kiln::io::printable;
use kiln::train::callbacks::Callback;
use kiln::train::{Logs, Run};
use ratatui::Frame;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize as _};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, Chart, Dataset, Gauge, GraphType, Paragraph};
use signal_hook::consts::SIGINT;

use crate::interrupt::{Stop, end};

/// So often the picture is drawn anew.
const DRAW_EVERY: Duration = Duration::from_millis(100);
/// The name of the thread that has the terminal.
const THREAD: &str = "kiln view";
const COLORS: [Color; 2] = [Color::Cyan, Color::Yellow];

/// Values by name.
type Values = Vec<(String, f64)>;

fn values(logs: &Logs) -> Values {
    logs.iter().map(|(name, value)| (name.to_string(), value)).collect()
}

/// What the run tells the view.
enum Message {
    /// It begins: the epochs in all and the steps of one.
    Run { epochs: usize, steps: usize },
    /// An epoch begins.
    Epoch(usize),
    /// So many steps of it were made.
    Step(usize, Values),
    /// It ended.
    EpochEnd(Values),
    /// The terminal is to be put back, and that to be said.
    Close(Sender<()>),
}

/// Why a view ends.
enum End {
    /// The run has; somebody waits for the terminal.
    Closed(Sender<()>),
    /// The process is to, by a signal.
    AtOnce(i32),
}

/// The callback that tells the view. While it lives the terminal is the view's.
pub struct Tui {
    view: Sender<Message>,
}

impl Tui {
    /// Takes the terminal. `title`: what is trained, and where; `samples`: those of an epoch.
    pub fn open(title: String, samples: usize, stop: Stop) -> Result<Self> {
        let (view, messages) = channel();
        let closed = view.clone();
        let hook = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            // The view itself has nobody to wait for.
            if thread::current().name() == Some(THREAD) {
                leave();
            } else {
                close(&closed);
            }
            hook(info);
        }));
        enter().context("tui: cannot draw in this terminal")?;
        let show = move || {
            let shown = View::new(&title, samples);
            // A view that fails ends no training. After it signals are left to watch for.
            let _failed = panic::catch_unwind(AssertUnwindSafe(|| shown.show(messages, &stop)));
            stop.watch()
        };
        thread::Builder::new().name(THREAD.into()).spawn(show).inspect_err(|_| leave())?;
        Ok(Self { view })
    }

    /// A view that is gone misses nothing.
    fn tell(&self, message: Message) -> kiln::Result<()> {
        let _gone = self.view.send(message);
        Ok(())
    }
}

fn close(view: &Sender<Message>) {
    let (sender, closed) = channel();
    if view.send(Message::Close(sender)).is_ok() {
        // Ends at once where the view is gone.
        let _gone = closed.recv();
    }
}

impl Drop for Tui {
    fn drop(&mut self) {
        close(&self.view);
    }
}

impl Callback for Tui {
    fn wants_progress(&self) -> bool {
        true
    }

    fn on_train_begin(&mut self, run: &mut Run<'_>) -> kiln::Result<()> {
        self.tell(Message::Run { epochs: run.epochs(), steps: run.steps() })
    }

    fn on_epoch_begin(&mut self, run: &mut Run<'_>) -> kiln::Result<()> {
        self.tell(Message::Epoch(run.epoch()))
    }

    fn on_progress(&mut self, step: usize, logs: &Logs) -> kiln::Result<()> {
        self.tell(Message::Step(step, values(logs)))
    }

    fn on_epoch_end(&mut self, run: &mut Run<'_>) -> kiln::Result<()> {
        self.tell(Message::EpochEnd(values(run.logs())))
    }
}

/// Makes the terminal the view's.
fn enter() -> io::Result<()> {
    enable_raw_mode()?;
    // Cleared, because a terminal without a second screen shows what was there wherever nothing is drawn.
    execute!(stdout(), EnterAlternateScreen, Clear(ClearType::All)).inspect_err(|_| leave())
}

/// Puts the terminal back.
fn leave() {
    let _gone = disable_raw_mode();
    let _gone = execute!(stdout(), LeaveAlternateScreen, Show);
}

/// A value by epoch.
struct Curve {
    name: String,
    points: Vec<(f64, f64)>,
}

/// What is drawn.
#[derive(Default)]
struct View {
    title: String,
    /// Of an epoch.
    samples: usize,
    steps: usize,
    epochs: usize,
    /// Epochs that were made before this run; known when its first begins.
    done: Option<usize>,
    epoch: usize,
    step: usize,
    /// Since the run began: when the epoch did, and when the last was heard.
    epoch_start: Duration,
    heard: Duration,
    samples_rate: f64,
    values: Values,
    curves: Vec<Curve>,
    log: Vec<String>,
    /// Whether the run ends after this epoch.
    stopping: bool,
}

impl View {
    fn new(title: &str, samples: usize) -> Self {
        Self { title: printable(title).into_owned(), samples, ..Self::default() }
    }

    /// Draws until it is told to close. The terminal is then as before, and has the log.
    fn show(mut self, messages: Receiver<Message>, stop: &Stop) {
        let ended = self.draw_on(&messages, stop);
        leave();
        let lines: String = self.log.iter().map(|line| format!("{line}\n")).collect();
        let _gone = stdout().write_all(lines.as_bytes());
        match ended {
            Ok(End::Closed(closed)) => drop(closed.send(())),
            Ok(End::AtOnce(signal)) => end(signal),
            // Of drawing: the run goes on without.
            Err(_) => {}
        }
    }

    fn draw_on(&mut self, messages: &Receiver<Message>, stop: &Stop) -> io::Result<End> {
        let start = Instant::now();
        let mut terminal = ratatui::Terminal::new(CrosstermBackend::new(stdout()))?;
        loop {
            while let Ok(message) = messages.try_recv() {
                if let Message::Close(closed) = message {
                    return Ok(End::Closed(closed));
                }
                self.hear(message, start.elapsed());
            }
            self.stopping = stop.asked().is_some();
            terminal.draw(|frame| self.draw(frame, start.elapsed()))?;
            let key = if event::poll(DRAW_EVERY)? { stops(&event::read()?).then_some(SIGINT) } else { None };
            if let Some(signal) = key.or_else(|| stop.signal()).filter(|&signal| stop.ask(signal)) {
                return Ok(End::AtOnce(signal));
            }
        }
    }

    /// `now`: since the run began.
    fn hear(&mut self, message: Message, now: Duration) {
        match message {
            Message::Run { epochs, steps } => (self.epochs, self.steps) = (epochs, steps),
            Message::Epoch(epoch) => {
                self.done.get_or_insert(epoch - 1);
                (self.epoch, self.step, self.epoch_start) = (epoch, 0, now);
            }
            Message::Step(step, values) => {
                (self.step, self.values) = (step, values);
                self.pace(now);
            }
            Message::EpochEnd(values) => {
                // Where nothing was heard in between; else the validation's time would be in it.
                let unheard = self.step == 0;
                (self.step, self.values) = (self.steps, values);
                if unheard {
                    self.pace(now);
                }
                self.note(now);
            }
            Message::Close(_) => {}
        }
        self.heard = now;
    }

    fn pace(&mut self, now: Duration) {
        let samples = self.samples as f64 * self.step as f64 / self.steps.max(1) as f64;
        self.samples_rate = samples / (now - self.epoch_start).as_secs_f64().max(1e-9);
    }

    /// Keeps the epoch's values for the curves and the log.
    fn note(&mut self, now: Duration) {
        for (name, value) in &self.values {
            if !self.curves.iter().any(|curve| curve.name == *name) {
                self.curves.push(Curve { name: name.clone(), points: Vec::new() });
            }
            // What is not finite has no place.
            let curve = self.curves.iter_mut().find(|curve| curve.name == *name && value.is_finite());
            curve.into_iter().for_each(|curve| curve.points.push((self.epoch as f64, *value)));
        }
        let (epoch, epochs, seconds) = (self.epoch, self.epochs, (now - self.epoch_start).as_secs_f64());
        self.log.push(format!("Epoch {epoch}/{epochs} - {seconds:.1}s - {}", self.values_line()));
    }

    /// `loss: 0.2571 - accuracy: 0.9257`
    fn values_line(&self) -> String {
        self.values.iter().map(|(name, value)| format!("{name}: {value:.4}")).collect::<Vec<_>>().join(" - ")
    }

    /// How long the rest takes at the pace of the run so far, its start and its validation among it.
    fn rest(&self, now: Duration) -> Option<Duration> {
        let before = self.done? * self.steps;
        let (made, all) =
            ((self.epoch - 1) * self.steps + self.step - before, self.epochs.saturating_mul(self.steps) - before);
        let whole = (made > 0).then(|| self.heard.mul_f64(all as f64 / made as f64))?;
        Some(whole.saturating_sub(now))
    }

    fn draw(&self, frame: &mut Frame<'_>, now: Duration) {
        let rows = Layout::vertical([Constraint::Fill(2), Constraint::Length(4), Constraint::Fill(1)]);
        let [charts, progress, log] = rows.areas(frame.area());
        let names: Vec<&str> =
            self.curves.iter().map(|curve| &*curve.name).filter(|n| !n.starts_with("val_")).collect();
        let names = if names.is_empty() { vec!["loss"] } else { names };
        let panels = Layout::horizontal(names.iter().map(|_| Constraint::Fill(1))).split(charts);
        names.iter().zip(panels.iter()).for_each(|(name, area)| self.draw_curves(frame, *area, name));
        self.draw_progress(frame, progress, now);
        let block = Block::bordered().title(" log ");
        let rows = block.inner(log).height as usize;
        let last = self.log[self.log.len().saturating_sub(rows)..].iter().map(|line| Line::raw(&**line));
        frame.render_widget(Paragraph::new(last.collect::<Vec<_>>()).block(block), log);
    }

    /// A value of the training and of the validation, by epoch.
    fn draw_curves(&self, frame: &mut Frame<'_>, area: Rect, name: &str) {
        let validation = format!("val_{name}");
        let of = |name: &str| self.curves.iter().find(|curve| curve.name == name);
        let curves = [("training", of(name), COLORS[0]), ("validation", of(&validation), COLORS[1])];
        let mut title = vec![Span::raw(format!(" {name}: "))];
        let mut sets = Vec::new();
        for (what, curve, color) in curves {
            let Some(curve) = curve else { continue };
            title.push(Span::styled(format!("{what} "), color));
            let set = Dataset::default().data(&curve.points).marker(Marker::Braille);
            sets.push(set.graph_type(GraphType::Line).style(Style::new().fg(color)));
        }
        let points = curves.iter().filter_map(|(_, curve, _)| *curve).flat_map(|curve| &curve.points);
        let [left, right] = extent(points.clone().map(|point| point.0));
        let [low, high] = extent(points.map(|point| point.1));
        let x = Axis::default().bounds([left, right]).labels([format!("{left:.0}"), format!("epoch {right:.0}")]);
        let y = Axis::default().bounds([low, high]).labels([format!("{low:.4}"), format!("{high:.4}")]);
        let block = Block::bordered().title(Line::from(title));
        frame.render_widget(Chart::new(sets).block(block).x_axis(x.dark_gray()).y_axis(y.dark_gray()), area);
    }

    fn draw_progress(&self, frame: &mut Frame<'_>, area: Rect, now: Duration) {
        let keys = match self.stopping {
            false => " q: stop after this epoch ",
            true => " stopping after this epoch; q again: stop at once ",
        };
        let block = Block::bordered().title(format!(" {} ", self.title)).title_bottom(Line::raw(keys).bold());
        let [bar, numbers] = Layout::vertical([Constraint::Length(1); 2]).areas(block.inner(area));
        frame.render_widget(block, area);
        let share = self.step as f64 / self.steps.max(1) as f64;
        let label = format!("epoch {}/{}, step {}/{}", self.epoch, self.epochs, self.step, self.steps);
        let gauge = Gauge::default().ratio(share.min(1.0)).label(label).use_unicode(true);
        frame.render_widget(gauge.gauge_style(Style::new().fg(Color::Blue)), bar);
        let rest = self.rest(now).map_or("-".into(), clock);
        let rate = self.samples_rate;
        let pace = format!("{rate:.0} samples/s, {} passed, ETA {rest} - {}", clock(now), self.values_line());
        frame.render_widget(Paragraph::new(pace), numbers);
    }
}

/// The bounds of what is finite, never one and the same.
fn extent(values: impl Iterator<Item = f64>) -> [f64; 2] {
    let [low, high] = values
        .filter(|value| value.is_finite())
        .fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], x| [low.min(x), high.max(x)]);
    match low < high {
        true => [low, high],
        false if low.is_finite() => [low, low + 1.0],
        false => [0.0, 1.0],
    }
}

/// `1:02`, or `3:01:02` from an hour on.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs_f64().round() as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// Whether a key asks the run to stop. A terminal that is drawn in makes no signal of Ctrl-C.
fn stops(event: &Event) -> bool {
    match *event {
        Event::Key(KeyEvent { code: KeyCode::Char('c'), modifiers: KeyModifiers::CONTROL, kind, .. })
        | Event::Key(KeyEvent { code: KeyCode::Char('q'), kind, .. }) => kind == KeyEventKind::Press,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn logs(values: &[(&str, f64)]) -> Values {
        values.iter().map(|&(name, value)| (name.to_string(), value)).collect()
    }

    /// The second of five epochs of 100 steps and 6,000 samples has made 50 steps in five seconds; the first took ten.
    fn view() -> View {
        let mut view = View::new("mnist on cpu", 6000);
        view.hear(Message::Run { epochs: 5, steps: 100 }, seconds(0));
        view.hear(Message::Epoch(1), seconds(0));
        let first = [("loss", 0.5), ("accuracy", 0.875), ("val_loss", 0.25), ("val_accuracy", 0.9375)];
        view.hear(Message::EpochEnd(logs(&first)), seconds(10));
        view.hear(Message::Epoch(2), seconds(10));
        view.hear(Message::Step(50, logs(&[("loss", 0.375), ("accuracy", 0.9)])), seconds(15));
        view
    }

    fn drawn(view: &View, now: Duration, (width, height): (u16, u16)) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| view.draw(frame, now)).unwrap();
        terminal.backend().to_string()
    }

    #[track_caller]
    fn says(text: &str, parts: &[&str]) {
        parts.iter().for_each(|part| assert!(text.contains(part), "no {part:?} in\n{text}"));
    }

    /// How many cells have dots of a curve.
    fn dotted(text: &str) -> usize {
        text.chars().filter(|c| ('\u{2801}'..='\u{28ff}').contains(c)).count()
    }

    #[test]
    fn numbers_are_those_of_the_run() {
        let text = drawn(&view(), seconds(16), (100, 24));
        says(&text, &[" mnist on cpu ", "epoch 2/5, step 50/100", " q: stop after this epoch "]);
        // 3,000 samples in five seconds; 150 of 500 steps in 15 seconds leave 35 seconds, one of which has passed.
        says(&text, &["600 samples/s, 0:16 passed, ETA 0:34 - loss: 0.3750 - accuracy: 0.9000"]);
        says(&text, &["Epoch 1/5 - 10.0s - loss: 0.5000 - accuracy: 0.8750 - val_loss: 0.2500 - val_accuracy: 0.9375"]);
        let mut stopping = view();
        stopping.stopping = true;
        says(&drawn(&stopping, seconds(16), (100, 24)), &[" stopping after this epoch; q again: stop at once "]);
    }

    #[test]
    fn curves_go_from_corner_to_corner() {
        let mut view = view();
        assert_eq!(dotted(&drawn(&view, seconds(16), (100, 24))), 4, "a dot for each value of the first epoch");
        view.hear(Message::EpochEnd(logs(&[("loss", 0.125), ("accuracy", 1.0), ("val_loss", f64::NAN)])), seconds(20));
        let text = drawn(&view, seconds(20), (100, 24));
        says(&text, &[" loss: training validation ", " accuracy: training validation ", "epoch 2", "0.1250", "1.0000"]);
        assert!(dotted(&text) > 40, "{text}");
        // The loss falls: its last dot is far left in the first row, far right in the last. The validation's is one dot,
        // for NaN has no place.
        let rows: Vec<Vec<char>> = text.lines().map(|line| line.chars().take(50).collect()).collect();
        let columns: Vec<usize> =
            rows.iter().filter_map(|row| row.iter().rposition(|c| dotted(&c.to_string()) == 1)).collect();
        assert!(columns.len() > 5 && columns.first() < columns.last(), "{columns:?}\n{text}");
    }

    #[test]
    fn what_is_not_yet_known_or_has_no_room_is_left_out() {
        let mut view = View::new("mnist on cpu", 6000);
        says(&drawn(&view, seconds(3), (80, 24)), &[" loss: ", "epoch 0/0, step 0/0", "ETA -"]);
        view.hear(Message::Run { epochs: 9, steps: 10 }, seconds(0));
        // A run that goes on: six epochs were made before.
        view.hear(Message::Epoch(7), seconds(0));
        view.hear(Message::EpochEnd(logs(&[("loss", f64::INFINITY)])), seconds(5));
        says(&drawn(&view, seconds(5), (80, 24)), &["epoch 7/9, step 10/10", "1200 samples/s", "ETA 0:10"]);
        for size in [(1, 1), (20, 5), (300, 100)] {
            drawn(&view, seconds(5), size);
        }
    }

    #[test]
    fn times_and_bounds() {
        assert_eq!([5, 62, 3600, 36_605].map(|s| clock(seconds(s))), ["0:05", "1:02", "1:00:00", "10:10:05"]);
        assert_eq!(extent([2.0, f64::NAN, -1.0, f64::INFINITY].into_iter()), [-1.0, 2.0]);
        assert_eq!((extent([3.0].into_iter()), extent([].into_iter())), ([3.0, 4.0], [0.0, 1.0]));
    }

    #[test]
    fn q_and_ctrl_c_stop() {
        let key = |code, modifiers| stops(&Event::Key(KeyEvent::new(code, modifiers)));
        assert!(key(KeyCode::Char('q'), KeyModifiers::NONE) && key(KeyCode::Char('c'), KeyModifiers::CONTROL));
        assert!(!key(KeyCode::Char('c'), KeyModifiers::NONE) && !key(KeyCode::Enter, KeyModifiers::NONE));
    }

    /// In a terminal of its own, which `script` makes, this test panics while the view draws.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_panic_gives_the_terminal_back() {
        const INSIDE: &str = "KILN_TEST_PANICS";
        const TEST: &str = "tui::tests::a_panic_gives_the_terminal_back";
        if std::env::var_os(INSIDE).is_some() {
            let tui = Tui::open("nothing".into(), 1, Stop::default()).unwrap();
            thread::sleep(3 * DRAW_EVERY);
            let _tui = tui;
            panic!("on purpose");
        }
        let test = format!("{} --exact {TEST} --nocapture", std::env::current_exe().unwrap().display());
        let mut script = std::process::Command::new("script");
        script.args(["-qc", &format!("stty rows 24 cols 80; {test}"), "/dev/null"]).env(INSIDE, "1");
        let output = script.stdin(std::process::Stdio::null()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let (screen, after) = text.split_once("\x1b[?1049l").expect(&text);
        says(screen, &["\x1b[?1049h", "\x1b[?25l", "nothing"]);
        says(after, &["\x1b[?25h", "on purpose"]);
        assert!(!after.contains("nothing") && !after.contains("\x1b[?25l"), "drawn after the end: {after}");
    }
}
