use std::{
    collections::{BTreeMap, VecDeque},
    io::{self, IsTerminal, Write},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use terminal_size::{Height, Width, terminal_size_of};
use tokio::{task::JoinHandle, time::Instant};
use tracing_subscriber::fmt::MakeWriter;

use super::terminal::refuses_colour;
use crate::{
    observe::Subject,
    report::{Event, Listening, listen, named},
};

/// Time between two looks for a change of a time.
const EVERY: Duration = Duration::from_millis(250);

/// Columns and lines of a terminal that does not give its size.
const USUAL: (usize, usize) = (80, 24);

/// The running work, one line each, below the log on a terminal; none where the log is written elsewhere.
#[derive(Clone, Debug)]
pub(super) struct ProgressLines(Option<Arc<Mutex<Foot>>>);

impl ProgressLines {
    /// Nothing is shown yet.
    pub fn new(environment: &BTreeMap<String, String>) -> Self {
        let can_move = environment
            .get("TERM")
            .is_some_and(|term| !term.is_empty() && term != "dumb");
        let foot = || Foot {
            colours: !refuses_colour(environment),
            ..Foot::default()
        };
        Self((can_move && io::stderr().is_terminal()).then(|| Arc::new(Mutex::new(foot()))))
    }

    /// Shows what is reported on this thread, until the result is dropped.
    pub fn show(&self) -> Shown {
        let Some(foot) = self.0.clone() else {
            return Shown {
                progress: self.clone(),
                running: None,
            };
        };
        let told = self.clone();
        let listening =
            listen(move |event| told.change(|foot| foot.work.note(event, Instant::now())));
        let ticking = tokio::task::spawn_local(async move {
            let ticking = Self(Some(foot));
            loop {
                tokio::time::sleep(EVERY).await;
                ticking.change(|_| ());
            }
        });
        Shown {
            progress: self.clone(),
            running: Some((listening, ticking)),
        }
    }

    fn change(&self, change: impl FnOnce(&mut Foot)) {
        let Some(foot) = &self.0 else { return };
        let mut foot = foot.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut foot);
        // Where the terminal is gone nobody misses it.
        let _ = foot.write(b"");
    }
}

/// Progress is shown as long as this is there.
pub(super) struct Shown {
    progress: ProgressLines,
    running: Option<(Listening, JoinHandle<()>)>,
}

impl Drop for Shown {
    fn drop(&mut self) {
        if let Some((listening, ticking)) = self.running.take() {
            ticking.abort();
            drop(listening);
            self.progress.change(|foot| foot.work = Work::default());
        }
    }
}

/// The log is written above what runs.
impl<'a> MakeWriter<'a> for ProgressLines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for ProgressLines {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        match &self.0 {
            Some(foot) => foot
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .write(text)?,
            None => io::stderr().write_all(text)?,
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// The last lines of a terminal.
#[derive(Debug, Default)]
struct Foot {
    work: Work,
    /// The lines that are there now.
    drawn: Vec<String>,
    colours: bool,
}

impl Foot {
    /// Writes a text above the lines, in one go, so that nothing is seen half-done.
    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        let size = terminal_size_of(io::stderr())
            .map(|(Width(width), Height(height))| (width.into(), height.into()));
        let lines = self.work.lines(Instant::now(), size.unwrap_or(USUAL));
        if text.is_empty() && lines == self.drawn {
            return Ok(());
        }
        let erase = match self.drawn.len() {
            0 => String::new(),
            count => format!("\u{1b}[{count}A\r\u{1b}[J"),
        };
        let paint = |line: &String| {
            if self.colours {
                format!("\u{1b}[2m{line}\u{1b}[0m\n")
            } else {
                format!("{line}\n")
            }
        };
        let foot: String = lines.iter().map(paint).collect();
        self.drawn = lines;
        io::stderr()
            .lock()
            .write_all(&[erase.as_bytes(), text, foot.as_bytes()].concat())
    }
}

/// The running work.
#[derive(Debug, Default)]
struct Work(BTreeMap<Subject, Running>);

/// The steps that are not known to be over, and since when the first of them runs.
#[derive(Debug)]
struct Running {
    steps: VecDeque<String>,
    since: Instant,
}

impl Work {
    /// Files are written at once: whoever waits, waits for what comes then.
    const TAKE_NO_TIME: [&str; 3] = ["deliver ", "write ", "remove "];

    /// Takes over what is reported.
    fn note(&mut self, event: &Event, now: Instant) {
        match event {
            Event::Step { subject, step, .. } => {
                let running = self
                    .0
                    .entry(subject.clone())
                    .or_insert_with(|| Running::new(now));
                running
                    .steps
                    .retain(|step| !Self::TAKE_NO_TIME.iter().any(|word| step.starts_with(word)));
                running.steps.push_back(step.clone());
            }
            Event::Ordering { certificate, stage } => {
                if let Some(running) = self.0.get_mut(&Subject::Certificate(certificate.clone())) {
                    running.steps = VecDeque::from([stage.to_string()]);
                }
            }
            Event::Signalled { consumer, .. }
            | Event::Ran { consumer, .. }
            | Event::Restarted { consumer } => {
                if let Some(running) = self.0.get_mut(&Subject::Consumer(consumer.clone())) {
                    // What is left is to look whether it took that up.
                    running.steps.drain(..running.steps.len().saturating_sub(1));
                    running.since = now;
                }
            }
            Event::StepsOver { subject } => drop(self.0.remove(subject)),
            _ => {}
        }
    }

    /// A line each, none wider than the terminal, and no more than it has.
    fn lines(&self, now: Instant, (width, height): (usize, usize)) -> Vec<String> {
        let line = |(subject, running): (&Subject, &Running)| {
            let seconds = (now - running.since).as_secs();
            let step = running.steps.front().map_or("", String::as_str);
            cut(
                &format!("{seconds:>4} s  {}: {step}", named(subject)),
                width.saturating_sub(1),
            )
        };
        let most = height.saturating_sub(2).max(1);
        let mut lines: Vec<_> = self.0.iter().take(most).map(line).collect();
        if self.0.len() > most {
            lines[most - 1] = cut(
                &format!("        and {} more", self.0.len() + 1 - most),
                width.saturating_sub(1),
            );
        }
        lines
    }
}

impl Running {
    fn new(since: Instant) -> Self {
        Self {
            steps: VecDeque::new(),
            since,
        }
    }
}

/// A text of at most this many characters; one that goes on ends in `…`.
fn cut(text: &str, width: usize) -> String {
    match text.chars().count() <= width {
        true => text.to_owned(),
        false => text
            .chars()
            .take(width.saturating_sub(1))
            .chain("…".chars().take(width))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        report::OrderStage,
        values::{CertificateName, ContainerName, Signal},
    };

    const SIZE: (usize, usize) = (80, 24);

    fn proxy() -> ContainerName {
        ContainerName::parse("proxy").expect("a name")
    }

    fn certificate(name: &str) -> Subject {
        Subject::Certificate(CertificateName::parse(name).expect("a name"))
    }

    fn step(subject: Subject, step: &str) -> Event {
        Event::Step {
            subject,
            why: "missing".to_owned(),
            step: step.to_owned(),
        }
    }

    fn noted(events: &[Event], now: Instant) -> Work {
        let mut work = Work::default();
        events.iter().for_each(|event| work.note(event, now));
        work
    }

    #[test]
    fn each_subject_has_a_line_with_the_step_it_is_at_until_it_is_over() {
        let begun = Instant::now();
        let (later, consumer) = (begun + Duration::from_secs(12), Subject::Consumer(proxy()));
        let steps = [
            "write a.conf --into /edge",
            "signal proxy HUP",
            "prove proxy",
        ];
        let mut work = noted(&steps.map(|words| step(consumer.clone(), words)), begun);
        work.note(
            &step(certificate("shop.example"), "obtain shop.example"),
            later,
        );
        let shown = |work: &Work| work.lines(later + Duration::from_secs(1), SIZE);
        assert_eq!(
            shown(&work),
            [
                "   1 s  shop.example: obtain shop.example",
                "  13 s  proxy: signal proxy HUP"
            ]
        );
        work.note(
            &Event::Signalled {
                consumer: proxy(),
                signal: Signal::HUP,
            },
            later,
        );
        work.note(
            &Event::StepsOver {
                subject: certificate("shop.example"),
            },
            later,
        );
        assert_eq!(shown(&work), ["   1 s  proxy: prove proxy"]);
        work.note(&Event::StepsOver { subject: consumer }, later);
        assert_eq!(shown(&work), [""; 0]);
    }

    #[test]
    fn an_order_shows_how_far_it_is_and_since_when_it_runs() {
        let begun = Instant::now();
        let name = CertificateName::parse("shop.example").expect("a name");
        let ordering = |stage| Event::Ordering {
            certificate: name.clone(),
            stage,
        };
        let mut work = noted(
            &[step(certificate("shop.example"), "obtain shop.example")],
            begun,
        );
        for (seconds, stage, expected) in [
            (
                1,
                OrderStage::Order,
                "   1 s  shop.example: the CA is asked for an order",
            ),
            (
                2,
                OrderStage::Look,
                "   2 s  shop.example: the responses are published and looked at",
            ),
            (
                3,
                OrderStage::Validate,
                "   3 s  shop.example: the CA validates",
            ),
            (
                9,
                OrderStage::Finalize,
                "   9 s  shop.example: the CA issues the certificate",
            ),
        ] {
            let now = begun + Duration::from_secs(seconds);
            work.note(&ordering(stage), now);
            assert_eq!(work.lines(now, SIZE), [expected]);
        }
        work.note(
            &Event::StepsOver {
                subject: certificate("shop.example"),
            },
            begun,
        );
        work.note(&ordering(OrderStage::Order), begun);
        assert_eq!(
            work.lines(begun, SIZE),
            [""; 0],
            "what is over does not come back"
        );
    }

    #[test]
    fn lines_are_cut_to_the_terminal_and_never_more_than_it_has() {
        let now = Instant::now();
        let names = ["a.example", "b.example", "c.example", "d.example"];
        let work = noted(&names.map(|name| step(certificate(name), "obtain it")), now);
        assert_eq!(work.lines(now, (20, 24))[0], "   0 s  a.example:…");
        for width in 0..=30 {
            let widest = work
                .lines(now, (width, 24))
                .iter()
                .map(|line| line.chars().count())
                .max();
            assert!(
                widest.is_some_and(|widest| widest <= width.saturating_sub(1)),
                "{width}"
            );
        }
        let short = work.lines(now, (80, 5));
        assert_eq!(
            short,
            [
                "   0 s  a.example: obtain it",
                "   0 s  b.example: obtain it",
                "        and 2 more"
            ]
        );
        assert_eq!(work.lines(now, (80, 0)), ["        and 4 more"]);
    }
}
