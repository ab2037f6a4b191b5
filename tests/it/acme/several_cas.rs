//! An ordered list of CAs: two real ones, of which the first is down, or can't validate the name.

use std::{
    cell::Cell,
    collections::BTreeSet,
    net::{SocketAddr, TcpListener},
    rc::Rc,
    time::Duration,
};

use async_trait::async_trait;
use quaymaster::{
    adapters::{
        acme::{AcmeAuthority, AcmeSettings, new_key},
        https_proxy::HttpsProxy,
        listener::ChallengeListener,
        probe::TcpProbe,
    },
    desire::{Desired, LabelRules, desire, named},
    execute::{Learned, execute},
    observe::{Observed, Snapshot, Source, Subject},
    plan::{Action, PlanRules, plan},
    ports::{Authorities, Authority, AuthorityError, Clock, Ports},
    render::Templates,
    values::{CaTable, Host, KeyType, Secret, Timestamp},
};
use tempfile::TempDir;
use tokio::task::LocalSet;

use super::{
    bench::{AccountsOnly, RealClock, asked},
    obtain::{name, ports},
};
use crate::{
    fixtures::{label_rules, plan_rules},
    support::pebble::{Behaviour, Pebble},
};

/// The CAs that there are.
struct Cas(Vec<Rc<AcmeAuthority>>);

#[async_trait(?Send)]
impl Authorities for Cas {
    fn at(&self, directory: &str) -> Result<Rc<dyn Authority>, AuthorityError> {
        let mut each = self.0.iter();
        let found = each.find(|ca| ca.directory() == directory);
        Ok(found.expect("no other is asked").clone())
    }

    async fn new_key(&self, kind: KeyType) -> Result<Secret, AuthorityError> {
        new_key(kind)
    }

    fn self_signed(
        &self,
        _: &Secret,
        _: &BTreeSet<Host>,
        _: Timestamp,
    ) -> Result<String, AuthorityError> {
        unreachable!("a CA is asked")
    }
}

/// The true time and what was passed over of it: pauses between tries.
#[derive(Default)]
struct AheadClock(Cell<Duration>);

#[async_trait(?Send)]
impl Clock for AheadClock {
    fn now(&self) -> Timestamp {
        RealClock.now() + self.0.get()
    }

    fn elapsed(&self) -> Duration {
        RealClock.elapsed() + self.0.get()
    }

    async fn sleep(&self, length: Duration) {
        RealClock.sleep(length).await;
    }
}

/// A CA by the URL of its directory, and its root.
type Ca = (String, String);

fn ca(pebble: &Pebble) -> Ca {
    (pebble.directory(), pebble.root())
}

/// A port at which nobody listens.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Somebody who wants a certificate of the first CA, or of the second.
struct World {
    desired: Desired,
    rules: PlanRules,
    observed: Observed,
    ports: Ports,
    clock: Rc<AheadClock>,
    /// The directories of those who were asked.
    asked: Vec<String>,
    /// The remarks about another CA.
    told: Vec<String>,
    _folder: TempDir,
}

impl World {
    /// Responses are shown at this port.
    async fn new(cas: &[Ca], http: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Rc::<AheadClock>::default();
        let authority = |(directory, root): &Ca| {
            let settings = AcmeSettings {
                ca_root_pem: Some(root.clone()),
                agree_tos: true,
                email: None,
                orders_per_second: None,
                external_account: None,
                https_proxy: HttpsProxy::default(),
                chain: None,
            };
            let disk = Rc::new(AccountsOnly::default());
            AcmeAuthority::new(directory, settings, disk, clock.clone(), |_| ()).unwrap()
        };
        let mut ports = ports(authority(&cas[0]), folder.path(), clock.clone());
        let authorities = cas.iter().map(|ca| Rc::new(authority(ca)));
        ports.issuing.authorities = Rc::new(Cas(authorities.collect()));
        let probe = Rc::new(TcpProbe::new().unwrap());
        let at = SocketAddr::from(([127, 0, 0, 1], http));
        let listener = ChallengeListener::start(at, probe).await.unwrap();
        ports.issuing.responder = Rc::new(listener);
        let directories: Vec<_> = cas.iter().map(|(directory, _)| &**directory).collect();
        let rules = LabelRules {
            issuers: CaTable::default()
                .of_setting(&directories.join(", "))
                .unwrap(),
            names: asked(&["shop.example"]),
            answers_itself: true,
            ..label_rules()
        };
        let bearers = named(&rules.names).into_iter();
        let snapshot = Snapshot {
            bearers: bearers.map(|it| (it.name.clone(), it.into())).collect(),
            ..Snapshot::default()
        };
        Self {
            desired: desire(&snapshot, &rules),
            rules: PlanRules {
                answers_itself: true,
                ..plan_rules()
            },
            observed: Observed::default(),
            ports,
            clock,
            asked: Vec::new(),
            told: Vec::new(),
            _folder: folder,
        }
    }

    /// Tries until there is a certificate, and no more often than this.
    async fn try_often(&mut self, most: usize) {
        let templates = Templates::built_in().unwrap();
        while self.asked.len() < most && self.observed.held.is_empty() {
            let now = self.clock.now();
            let plan = plan(&self.desired, &self.observed, &templates, &self.rules, now);
            match plan.actions.into_iter().next() {
                Some(action) => self.act(action).await,
                None => {
                    let pause = plan.wake.unwrap().since(now) + Duration::from_millis(1);
                    self.clock.0.set(self.clock.0.get() + pause);
                }
            }
        }
    }

    async fn act(&mut self, mut action: Action) {
        let Action::Obtain(obtain) = &action else {
            panic!("{action:?}")
        };
        let other = obtain.other_ca.iter();
        self.told.extend(other.map(ToString::to_string));
        let directory = obtain.issuance.issuer.directory().unwrap();
        self.asked.push(directory.to_owned());
        let outcome = execute(&self.ports, &mut action).await;
        match outcome.result {
            Ok(Learned::Held(name, held)) => {
                self.observed.attempts.remove(&outcome.subject);
                self.observed.hold(name, *held);
            }
            Ok(learned) => panic!("{learned:?}"),
            Err(attempt) => {
                let written = self.ports.issuing.attempts.attempts().unwrap();
                assert_eq!(written[&name()].as_ref().unwrap(), &attempt);
                self.observed.attempts.insert(outcome.subject, attempt);
            }
        }
        if let Some((directory, busy)) = outcome.busy {
            self.observed.leave_alone(directory, busy);
        }
    }
}

#[tokio::test]
async fn a_ca_that_is_down_gives_way_to_the_next_of_the_list() {
    let http = free_port();
    let local = LocalSet::new();
    let tried = local.run_until(async {
        let second = Pebble::start(http, Behaviour::default());
        let first = ca(&Pebble::start(http, Behaviour::default()));
        let mut world = World::new(&[first.clone(), ca(&second)], http).await;
        world.try_often(6).await;
        assert_eq!(world.asked, [&*first.0, &*first.0, &*second.directory()]);
        let held = &world.observed.held[&name()];
        assert_eq!(held.source, Source::Acme(second.directory()));
        let [told] = &*world.told else {
            panic!("{:?}", world.told)
        };
        let (failed, asked) = (
            format!("{} failed 2 times, the last time at ", first.0),
            format!("; {} is asked", second.directory()),
        );
        assert!(
            told.starts_with(&failed) && told.ends_with(&asked),
            "{told}"
        );
        assert!(world.ports.issuing.attempts.attempts().unwrap().is_empty());
        // It is in order, whichever of the list it is of.
        let now = world.clock.now();
        let templates = Templates::built_in().unwrap();
        let plan = plan(
            &world.desired,
            &world.observed,
            &templates,
            &world.rules,
            now,
        );
        assert_eq!(plan.actions, []);
    });
    tried.await;
}

#[tokio::test]
async fn for_a_name_that_the_first_can_not_validate_the_second_hears_nothing() {
    let http = free_port();
    let local = LocalSet::new();
    let tried = local.run_until(async {
        // It looks where nobody answers.
        let first = Pebble::start(free_port(), Behaviour::default());
        let second = Pebble::start(http, Behaviour::default());
        let mut world = World::new(&[ca(&first), ca(&second)], http).await;
        world.try_often(3).await;
        assert_eq!(world.asked, [&*first.directory(); 3]);
        assert_eq!(second.requests(), [""; 0]);
        let subject = Subject::Certificate(name());
        let attempt = &world.observed.attempts[&subject];
        let problem = attempt.problem.as_deref().unwrap();
        assert!(problem.contains("could not validate"), "{problem}");
        assert_eq!((attempt.count, attempt.ca.own), (3, 0));
    });
    tried.await;
}
