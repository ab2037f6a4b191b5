//! Pages and metrics: whoever shows them asks the loop between two turns how everything is, and makes them of what both
//! share.

use std::{collections::BTreeSet, io::Read, net::SocketAddr, rc::Rc, time::Duration};

use async_trait::async_trait;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout},
};

use super::{BREATH, Loop, MISSED};
use crate::{
    plan,
    ports::{Pages, Pieces, ShownPage, Vitals},
    report::{
        Event, Overview, chain, metrics,
        page::{PageError, PageTemplates, page},
        report,
    },
    values::{MetricSet, Timestamp},
};

/// The longest time for which the loop may be busy, or not have begun: a client should hear of it before it gives up by
/// itself.
const LONGEST_WAIT: Duration = Duration::from_secs(4);

/// Those who may wait for an answer at the same time.
const MOST_WAITING: usize = 64;

/// Bytes of the status document that are read at a time.
const PIECE: usize = 64 * 1024;

/// Somebody wants to know how everything is.
pub(super) type Question = oneshot::Sender<Overview>;

/// Where the loop is asked how everything is.
#[derive(Default)]
pub struct Questions {
    asked: Option<mpsc::Receiver<Question>>,
    /// Where pages are shown.
    at: Option<SocketAddr>,
}

/// The pages about a loop.
pub struct LoopPages {
    ask: mpsc::Sender<Question>,
    vitals: Rc<dyn Vitals>,
    sets: BTreeSet<MetricSet>,
    templates: PageTemplates,
}

impl LoopPages {
    /// Pages that are shown at an address, and where they ask; metrics also under these names.
    ///
    /// # Errors
    /// When the templates of pages can't be read, which is a mistake of ours.
    pub fn new(
        at: SocketAddr,
        vitals: Rc<dyn Vitals>,
        sets: BTreeSet<MetricSet>,
    ) -> Result<(Self, Questions), PageError> {
        let (ask, asked) = mpsc::channel(MOST_WAITING);
        let pages = Self {
            ask,
            vitals,
            sets,
            templates: PageTemplates::new()?,
        };
        let questions = Questions {
            asked: Some(asked),
            at: Some(at),
        };
        Ok((pages, questions))
    }

    /// The overview; none where the loop does not give it in time.
    async fn overview(&self) -> Option<Overview> {
        let (answer, answered) = oneshot::channel();
        let asked = async {
            self.ask.send(answer).await.ok()?;
            answered.await.ok()
        };
        timeout(LONGEST_WAIT, asked).await.ok().flatten()
    }

    fn status(&self) -> ShownPage {
        let document = match self.vitals.open_status() {
            Ok(Some(document)) => document,
            Ok(None) => return ShownPage::text(503, "nothing was looked at yet\n"),
            Err(error) => return ShownPage::text(500, format!("{}\n", chain(&error))),
        };
        ShownPage {
            status: 200,
            media_type: "application/json",
            body: pieces(document),
        }
    }
}

/// The content, piece by piece. Content that can't be read to its end stops there, and is no document.
fn pieces(mut document: Box<dyn Read>) -> Pieces {
    Box::new(std::iter::from_fn(move || {
        let mut piece = vec![0; PIECE];
        let read = document.read(&mut piece).ok()?;
        piece.truncate(read);
        (read > 0).then_some(piece)
    }))
}

#[async_trait(?Send)]
impl Pages for LoopPages {
    async fn show(&self, path: &str, query: &str) -> ShownPage {
        if path == "/status.json" {
            return self.status();
        }
        let Some(overview) = self.overview().await else {
            return ShownPage::text(503, "the loop does not turn\n");
        };
        match path {
            "/healthz" => health(&overview),
            "/readyz" if overview.is_ready => ShownPage::text(200, "ready\n"),
            "/readyz" => {
                ShownPage::text(503, "containers and certificates were not looked at yet\n")
            }
            "/metrics" => ShownPage {
                status: 200,
                media_type: metrics::MEDIA_TYPE,
                body: Box::new(metrics::metrics(Rc::new(overview), &self.sets)),
            },
            _ => page(path, query, Rc::new(overview), &self.templates)
                .unwrap_or_else(|| ShownPage::text(404, "there is no such page; see /\n")),
        }
    }
}

/// Checks that the loop turns and its state can be written, by the same rule as the command `health`.
fn health(overview: &Overview) -> ShownPage {
    let is_late = |breathed| overview.now.since(breathed) > BREATH * MISSED;
    match overview.breathed {
        Some(breathed) if !is_late(breathed) => ShownPage::text(200, "the loop turns\n"),
        _ => ShownPage::text(503, "state can't be written; the log says why\n"),
    }
}

impl Questions {
    /// Questions from now on; whoever has these is the one who answers.
    pub(super) fn begin(&mut self) -> Self {
        let asked = self.asked.take();
        Self { asked, at: self.at }
    }

    /// The next question; never where nobody can ask.
    pub(super) async fn next(&mut self) -> Question {
        if let Some(asked) = &mut self.asked
            && let Some(question) = asked.recv().await
        {
            return question;
        }
        std::future::pending().await
    }
}

impl Loop {
    /// A turn, and what follows it, counted by how long the turn took.
    pub(super) fn timed_turn(&mut self) -> Timestamp {
        let began = Instant::now();
        let wake = self.turn();
        self.tally.borrow_mut().count_turn(began.elapsed());
        self.ask_about_renewals();
        wake
    }

    /// Answers how everything is.
    pub(super) fn answer(&self, asked: Question) {
        // Who asked may have given up by now.
        let _ = asked.send(self.overview());
    }

    /// Tells once where pages can be looked at by others than those on this machine.
    pub(super) fn tell_exposed(&mut self) {
        let own = self.facts.snapshot.own.as_ref();
        let at = self.daemon.questions.at;
        let places = at.map_or_else(BTreeSet::new, |at| plan::exposed(at, own));
        if !places.is_subset(&self.told.exposed) {
            let places = places.clone();
            report(&Event::PageExposed { places });
        }
        self.told.exposed = places;
    }

    /// The overview of everything.
    pub(super) fn overview(&self) -> Overview {
        let (desired, plan) = self.told.settled();
        Overview {
            now: self.daemon.ports.clock.now(),
            began: self.began,
            is_ready: self.told.is_settled(),
            snapshot: self.facts.snapshot.clone(),
            desired,
            observed: self.facts.observed.clone(),
            plan,
            complaints: self.told.complaints(),
            faults: self.facts.faults(),
            templates: self.templates.faults().clone(),
            instead: self.told.instead(),
            cas: self.facts.known_cas().to_vec(),
            label_rules: self.daemon.label_rules.clone(),
            breathed: self.breathed,
            tally: self.tally.borrow().clone(),
        }
    }
}
