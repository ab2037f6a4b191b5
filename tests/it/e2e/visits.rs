//! Visitors who come again and again, with a new connection each time, and write down what became of each request.

use std::{
    iter,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime},
};

use super::{client::Visitor, docker::is_so};

/// From the beginning of one request to that of the next one of the same site.
const EVERY: Duration = Duration::from_millis(20);

/// Visitors of one site, who take turns: one alone may need longer than that for a request.
const AT_ONCE: usize = 5;

/// Fewer requests than this would show nothing, even on a busy machine.
const FEWEST: usize = 20;

/// One request.
#[derive(Clone, Debug)]
pub struct Visit {
    pub site: String,
    pub began: SystemTime,
    pub ended: SystemTime,
    /// The certificate's serial number and the seconds that it had left, or what went wrong.
    pub outcome: Result<(String, i64), String>,
}

impl Visit {
    fn at(visitor: &Visitor, at: SocketAddr, site: &str) -> Self {
        let began = SystemTime::now();
        let outcome = visitor.https(at, site, "/").and_then(|served| {
            let status = served.answer.status;
            is_so(status == 200, || format!("status {status}"))
                .map(|()| (served.serial, served.seconds_left))
        });
        Self {
            site: site.to_owned(),
            began,
            ended: SystemTime::now(),
            outcome,
        }
    }
}

/// A time as logs have it, so that both can be sorted together.
pub fn shown(time: SystemTime) -> String {
    humantime::format_rfc3339_micros(time).to_string()
}

/// Visitors of some sites, who go on until [`Visits::end`].
pub struct Visits {
    over: Arc<AtomicBool>,
    visitors: Vec<JoinHandle<Vec<Visit>>>,
}

impl Visits {
    pub fn begin(visitor: Visitor, at: SocketAddr, sites: &[&str]) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let begin = |site: &&str| {
            let next = Arc::new(Mutex::new(Instant::now()));
            let one = || {
                let (visitor, site, over, next) = (
                    visitor.clone(),
                    (*site).to_owned(),
                    over.clone(),
                    next.clone(),
                );
                thread::spawn(move || visit(&visitor, at, &site, &next, &over))
            };
            iter::repeat_with(one).take(AT_ONCE).collect::<Vec<_>>()
        };
        let visitors = sites.iter().flat_map(begin).collect();
        Self { over, visitors }
    }

    /// Every request, in the order in which they began.
    pub fn end(self) -> Vec<Visit> {
        self.over.store(true, Ordering::Relaxed);
        let mut seen: Vec<_> = self
            .visitors
            .into_iter()
            .flat_map(|visitor| visitor.join().unwrap())
            .collect();
        seen.sort_by_key(|visit| visit.began);
        seen
    }
}

/// Visits at the next time that no other visitor of this site has taken, until it is over.
fn visit(
    visitor: &Visitor,
    at: SocketAddr,
    site: &str,
    next: &Mutex<Instant>,
    over: &AtomicBool,
) -> Vec<Visit> {
    let mut seen = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let mine = {
            let mut next = next.lock().unwrap();
            // What could not be asked in time is not made up for: that would be a crowd.
            let mine = Instant::now().max(*next);
            *next = mine + EVERY;
            mine
        };
        thread::sleep(mine.saturating_duration_since(Instant::now()));
        seen.push(Visit::at(visitor, at, site));
    }
    seen
}

/// Those that failed, as lines that begin with when they began.
pub fn failures<'a>(visits: impl IntoIterator<Item = &'a Visit>) -> Vec<String> {
    let failure = |visit: &Visit| {
        let problem = visit.outcome.as_ref().err()?;
        let took = visit.ended.duration_since(visit.began).unwrap_or_default();
        Some(format!(
            "{} {} failed after {took:.1?}: {problem}",
            shown(visit.began),
            visit.site
        ))
    };
    visits.into_iter().filter_map(failure).collect()
}

#[track_caller]
pub fn all_were_served(visits: &[Visit]) {
    let failures = failures(visits);
    assert!(
        failures.is_empty(),
        "{} of {} requests:\n{}",
        failures.len(),
        visits.len(),
        failures.join("\n")
    );
    assert!(visits.len() > FEWEST, "only {} requests", visits.len());
}
