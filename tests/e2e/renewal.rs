//! A certificate near its end.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{
    client::Visitor,
    docker::{is_so, wait},
    stack::{KNOBS, SOON, Setup, Stack},
};

/// Renewed after half of it, so that two renewals are seen within half a minute.
const LIFE: Duration = Duration::from_secs(30);

#[test]
fn a_renewal_is_one_signal_and_a_new_serial() {
    let stack = Stack::new(&Setup { life: Some(LIFE), ..Setup::default() });
    let shop = stack.host("shop");
    stack.proxy();
    stack.app("shop", &[("host", &shop)]);
    stack.quaymaster(&[]);
    let first = stack.wait_for_site(&shop).serial;
    stack.wait_for_rest();
    assert_eq!((stack.orders(), stack.hangups()), (1, 2 + KNOBS));

    let visits = Visits::begin(stack.visitor(), stack.at(443).unwrap(), &shop);
    let mut serial = first.clone();
    for renewal in 1..=2 {
        serial = wait(SOON, "a new certificate is served", || {
            let served = stack.https(&shop)?;
            is_so(served.serial != serial, || format!("still {serial}")).map(|()| served.serial)
        });
        stack.wait_for_rest();
        assert_eq!((stack.orders(), stack.hangups()), (1 + renewal, 2 + KNOBS + renewal));
    }
    let seen = visits.end();
    let problems: Vec<_> = seen.iter().filter_map(|visit| visit.as_ref().err()).collect();
    assert!(problems.is_empty(), "{} of {} visits: {problems:?}", problems.len(), seen.len());
    let served: Vec<_> = seen.iter().filter_map(|visit| visit.as_ref().ok()).collect();
    let expired: Vec<_> = served.iter().filter(|(_, left)| *left <= 0).collect();
    assert!(expired.is_empty(), "{expired:?}");
    let mut order: Vec<_> = served.iter().map(|(serial, _)| serial).collect();
    assert!(order.len() > 200, "{} visits", order.len());
    // Old workers go on accepting for some 100 ms after a reload, so both may be seen for a moment; no others.
    order.sort();
    order.dedup();
    assert_eq!(order.len(), 3, "{order:?}");
    let archived = |path: &&String| path.ends_with("/fullchain.pem") && path.starts_with("certificates/archive/");
    assert_eq!(stack.files("state").keys().filter(archived).count(), 3);
}

/// A visitor who comes again and again, with a new connection each time.
pub struct Visits {
    over: Arc<AtomicBool>,
    visitor: JoinHandle<Vec<Visit>>,
}

/// The serial number and the seconds that were left, or what went wrong.
pub type Visit = Result<(String, i64), String>;

impl Visits {
    /// Between two visits.
    const PAUSE: Duration = Duration::from_millis(30);

    pub fn begin(visitor: Visitor, at: SocketAddr, host: &str) -> Self {
        let (over, host) = (Arc::new(AtomicBool::new(false)), host.to_owned());
        let is_over = Arc::clone(&over);
        let visitor = thread::spawn(move || {
            let mut seen = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                seen.push(visitor.https(at, &host, "/").and_then(|served| {
                    let status = served.answer.status;
                    is_so(status == 200, || format!("status {status}")).map(|()| (served.serial, served.seconds_left))
                }));
                thread::sleep(Self::PAUSE);
            }
            seen
        });
        Self { over, visitor }
    }

    /// Everything that was seen.
    pub fn end(self) -> Vec<Visit> {
        self.over.store(true, Ordering::Relaxed);
        self.visitor.join().unwrap()
    }
}
