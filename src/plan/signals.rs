//! The results of signals: a server that ends by a signal does not get it again and again.

use std::{rc::Rc, time::Duration};

use crate::{
    desire::{Complaint, Consumer, Reload},
    observe::{Installed, Progress, Sent, Signals},
    values::{Signal, Timestamp},
};

/// A container that ends within this of a signal, without having shown the new files, ended by the signal. The init of
/// s6-overlay, which does, lets its services end first and gives them three seconds.
const ENDS_WITHIN: Duration = Duration::from_secs(5);

/// So many ends in a row are no chance any more.
const MOST_ENDS: u32 = 2;

/// The results of the signals, once the consumer is seen as it is at `now`.
pub(super) fn seen(consumer: &Consumer, installed: &Installed, now: Timestamp) -> Signals {
    let known = &installed.signals;
    if known.of != Some(consumer.made_of) {
        return Signals {
            of: Some(consumer.made_of),
            ..Signals::default()
        };
    }
    let Some(sent) = known.last else {
        return known.clone();
    };
    let end = consumer.ended_at.filter(|end| *end >= sent.at);
    let has_ended = match end {
        Some(end) => end.since(sent.at) <= ENDS_WITHIN && !was_followed(installed, sent, end),
        // It runs, and may still end of it.
        None if consumer.started_at == sent.started_at && now.since(sent.at) <= ENDS_WITHIN => {
            return known.clone();
        }
        None => false,
    };
    Signals {
        of: known.of,
        last: None,
        ended: if has_ended { known.ended + 1 } else { 0 },
    }
}

/// True if the files of the signal were seen before it ended.
fn was_followed(installed: &Installed, sent: Sent, end: Timestamp) -> bool {
    matches!(installed.progress, Progress::Proven { at } if sent.at < at && at < end)
}

/// The consumer without a signal that ends it.
pub(super) fn in_force(consumer: &Rc<Consumer>, signals: &Signals) -> Rc<Consumer> {
    match hopeless(consumer, signals) {
        None => Rc::clone(consumer),
        Some(signal) => Rc::new(Consumer {
            reload: Reload::Swallowed {
                reason: format!("the signal {signal} ends it"),
            },
            ..(**consumer).clone()
        }),
    }
}

/// The signal of which the consumer ends each time.
fn hopeless(consumer: &Consumer, signals: &Signals) -> Option<Signal> {
    match consumer.reload {
        Reload::Signal(signal) if signals.ended >= MOST_ENDS => Some(signal),
        _ => None,
    }
}

/// The complaint about a consumer that ends by its signal.
pub(super) fn complaint(consumer: &Consumer, signals: &Signals) -> Option<Complaint> {
    let signal = hopeless(consumer, signals)?;
    let (ended, seconds) = (signals.ended, ENDS_WITHIN.as_secs());
    let problem = format!(
        "it ended within {seconds} seconds of the signal {signal}, {ended} times in a row, as containers do whose first \
         process is an init that takes this signal for its end; it is not sent again"
    );
    let label = consumer.said.beside("reload");
    let words = match consumer.kind.reload_words {
        [] => String::new(),
        words => format!(
            "{label}=exec {} (which needs the right exec), ",
            words.join(" ")
        ),
    };
    let remedy = format!(
        "write the label {words}{label}=restart (which needs the right restart) or {label}=none; until its image, command or labels change it gets its files and reads them when it \
         starts"
    );
    Some(consumer.said.clone().complains(problem, remedy))
}

#[cfg(test)]
mod tests {
    use super::{super::tests::*, *};
    use crate::{
        desire::tests::{container, proxy},
        observe::{Bearer, Observed},
        plan::{Action, Deploy, Plan, Tell},
        values::ContainerName,
    };

    const TICK: Duration = Duration::from_millis(100);

    /// A proxy that ends at each HUP and is started again at once, and everything about it.
    struct World {
        proxy: Bearer,
        apps: u8,
        observed: Observed,
        now: Timestamp,
    }

    impl World {
        fn new() -> Self {
            let proxy = proxy();
            Self {
                observed: fresh(&desired([proxy.clone()])),
                proxy,
                apps: 0,
                now: START,
            }
        }

        /// One more app, so that there is something to deploy; and the plan then.
        fn grown(&mut self) -> Plan {
            self.apps += 1;
            self.now = self.now + Duration::from_secs(60);
            self.planned()
        }

        fn planned(&self) -> Plan {
            let app = |number: u8| {
                container(&format!("app{number}"), 10 + number)
                    .label("host", &format!("app{number}.example"))
                    .label("tls", "off")
            };
            let apps = (0..self.apps).map(app);
            planned(
                &desired(apps.chain([self.proxy.clone()])),
                &self.observed,
                self.now,
            )
        }

        /// Simulates a signal that ends the server, whose successor shows everything.
        fn ends_of(&mut self, deploy: Deploy) {
            let mut deploy = deploy;
            deploy.after.signals.last = Some(Sent {
                at: self.now,
                started_at: self.proxy.started_at,
            });
            self.proxy.ended_at = Some(self.now + TICK);
            self.proxy.started_at = Some(self.now + 2 * TICK);
            self.now = self.now + 4 * TICK;
            self.keep(deploy.proven(self.now, None));
            let seen = self.planned().signals;
            let mut installed = (*self.observed.installed[&name()]).clone();
            installed.signals = seen[&name()].clone();
            // As it lies on the disk.
            let text = serde_json::to_string(&installed).expect("it is written down");
            self.keep(serde_json::from_str(&text).expect("it is read"));
        }

        fn keep(&mut self, installed: Installed) {
            self.observed.installed.insert(name(), installed.into());
        }
    }

    fn name() -> ContainerName {
        ContainerName::parse("proxy").expect("a name")
    }

    fn deployed(plan: Plan) -> Deploy {
        let found = plan.actions.into_iter().find_map(|action| match action {
            Action::Deploy(deploy) => Some(*deploy),
            _ => None,
        });
        found.expect("there is something new")
    }

    #[test]
    fn a_server_that_ends_at_each_signal_is_signalled_twice_and_not_again_until_it_is_another() {
        let mut world = World::new();
        for times in 1..=2 {
            let plan = world.grown();
            assert_eq!(plan.complaints.len(), 0);
            let deploy = deployed(plan);
            assert_eq!(deploy.tell, Tell::Signal(Signal::HUP), "{times}");
            world.ends_of(deploy);
            assert_eq!(world.observed.installed[&name()].signals.ended, times);
        }
        let is_told = |plan: &Plan| {
            let told: Vec<_> = plan.complaints.iter().map(ToString::to_string).collect();
            told.len() == 1
                && told[0].contains("it ended within 5 seconds of the signal HUP, 2 times in a row")
                && told[0].contains("quaymaster.reload=exec nginx -s reload")
                && told[0].contains("quaymaster.reload=restart")
                && told[0].contains("quaymaster.reload=none")
        };
        assert!(
            is_told(&world.planned()),
            "{:?}",
            world.planned().complaints
        );
        for _ in 0..2 {
            let plan = world.grown();
            assert!(is_told(&plan), "{:?}", plan.complaints);
            let deploy = deployed(plan);
            let why = "it can't be reloaded: the signal HUP ends it; restart it";
            let nothing = Tell::Nothing {
                reason: why.to_owned(),
            };
            assert_eq!((&deploy.tell, &deploy.back.tell), (&nothing, &nothing));
            world.keep(deploy.unproven(why.to_owned()));
        }
        // It may follow signals now.
        let before = world.proxy.clone();
        for change in [
            (|proxy| proxy.label("reload", "HUP")) as fn(Bearer) -> Bearer,
            |proxy| Bearer {
                command: vec!["nginx".to_owned()],
                ..proxy
            },
            |proxy| Bearer {
                image: Some(crate::values::Digest::of("another")),
                ..proxy
            },
        ] {
            world.proxy = change(before.clone());
            let plan = world.grown();
            assert_eq!(plan.complaints.len(), 0);
            assert_eq!(deployed(plan).tell, Tell::Signal(Signal::HUP));
        }
        // One that is made anew of the same ends as before.
        world.proxy = Bearer {
            id: container("proxy", 9).id,
            created: Some(world.now),
            started_at: Some(world.now),
            ..before
        };
        assert!(is_told(&world.grown()));
    }

    #[test]
    fn an_end_is_of_a_signal_only_where_it_comes_soon_and_before_anything_new_was_seen() {
        let consumer = |started_at, ended_at| {
            let proxy = Bearer {
                started_at: Some(started_at),
                ended_at,
                ..proxy()
            };
            let desired = desired([proxy]);
            Rc::clone(&desired.consumers[&name()])
        };
        let at = |millis: u64| START + Duration::from_millis(millis);
        let before = Timestamp::from_seconds(1000);
        let of = Some(consumer(before, None).made_of);
        let known = Signals {
            of,
            last: Some(Sent {
                at: START,
                started_at: Some(before),
            }),
            ended: 1,
        };
        let ended = |ended| Signals {
            of,
            last: None,
            ended,
        };
        for (what, started_at, ended_at, proven, now, expected) in [
            (
                "it ended and was started again",
                at(300),
                Some(at(100)),
                None,
                at(500),
                ended(2),
            ),
            (
                "it ended and was not",
                before,
                Some(at(100)),
                None,
                at(500),
                ended(2),
            ),
            (
                "what was started showed it",
                at(300),
                Some(at(100)),
                Some(at(600)),
                at(700),
                ended(2),
            ),
            (
                "as s6 does",
                at(4000),
                Some(at(3500)),
                None,
                at(5000),
                ended(2),
            ),
            (
                "seen late",
                at(300),
                Some(at(100)),
                None,
                at(999_999),
                ended(2),
            ),
            (
                "it had followed",
                at(1300),
                Some(at(1200)),
                Some(at(400)),
                at(2000),
                ended(0),
            ),
            (
                "long after",
                at(60_300),
                Some(at(60_000)),
                None,
                at(61_000),
                ended(0),
            ),
            ("it runs", before, None, Some(at(400)), at(9000), ended(0)),
            (
                "it ran once before",
                before,
                Some(Timestamp::from_seconds(900)),
                None,
                at(9000),
                ended(0),
            ),
            (
                "not known yet",
                before,
                None,
                Some(at(400)),
                at(500),
                known.clone(),
            ),
            (
                "its end is not known",
                at(300),
                None,
                None,
                at(500),
                ended(0),
            ),
        ] {
            let progress = proven.map_or(Progress::SignalOwed, |at| Progress::Proven { at });
            let installed = Installed {
                signals: known.clone(),
                progress,
                ..Installed::default()
            };
            let seen = seen(&consumer(started_at, ended_at), &installed, now);
            assert_eq!(seen, expected, "{what}");
        }
    }

    #[test]
    fn what_an_earlier_build_wrote_down_says_nothing_of_signals() {
        let text =
            r#"{"generation": 3, "files": {}, "certificates": {}, "progress": "signal-owed"}"#;
        let installed: Installed = serde_json::from_str(text).expect("it is read");
        assert_eq!(installed.signals, Signals::default());
    }
}
