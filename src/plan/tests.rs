//! The turns of a first certificate, told step by step, and the laws of planning over a simulated world.

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    desire::{
        Reading, desire,
        tests::{container, own, proxy, rules as label_rules, snapshot},
    },
    observe::{Answer, Container, ContainerState, Progress, Snapshot, Stage, Wish},
    values::Retry,
};

pub(super) const START: Timestamp = Timestamp::from_seconds(1_800_000_000);
const HOUR: Duration = Duration::from_secs(3600);

pub(super) fn rules() -> Rules {
    Rules { mark_host: "quaymaster-0123456789abcdef".into(), resync: HOUR, label_prefix: "quaymaster".into() }
}

fn templates() -> Templates {
    Templates::built_in().expect("they are tested")
}

pub(super) fn shop() -> Container {
    container("shop", 4).label("host", "shop.example")
}

pub(super) fn desired(containers: impl IntoIterator<Item = Container>) -> Desired {
    desire(&snapshot(containers), &label_rules())
}

/// Nothing was ever deployed, and every folder was looked at.
pub(super) fn fresh(desired: &Desired) -> Observed {
    let installed = desired.consumers.keys().map(|name| (name.clone(), Installed::default().into())).collect();
    Observed { installed, ..Observed::default() }
}

pub(super) fn planned(desired: &Desired, observed: &Observed, now: Timestamp) -> Plan {
    plan(desired, observed, &templates(), &rules(), now)
}

pub(super) fn told(desired: &Desired, observed: &Observed, now: Timestamp) -> Vec<String> {
    planned(desired, observed, now).actions.iter().flat_map(steps).map(|words| words.join(" ")).collect()
}

#[test]
fn a_first_certificate_takes_three_turns_that_nobody_wrote_down() {
    let desired = desired([proxy(), shop()]);
    let mut observed = fresh(&desired);
    let [base, site, signal, prove] = [
        "write quaymaster--base.conf --into /edge",
        "write quaymaster-shop.example.conf --into /edge",
        "signal proxy HUP",
        "prove proxy",
    ];
    assert_eq!(told(&desired, &observed, START), [base, site, signal, prove]);
    observed = foresee(&observed, &planned(&desired, &observed, START), START);
    assert_eq!(told(&desired, &observed, START), ["obtain shop.example --challenge http-01 --webroot /edge/challenge"]);
    observed = foresee(&observed, &planned(&desired, &observed, START), START);
    let third = told(&desired, &observed, START);
    assert_eq!(third[0], "deliver shop.example --into /edge/certificates");
    assert_eq!(third[1..], [site, signal, prove]);
    observed = foresee(&observed, &planned(&desired, &observed, START), START);
    // What some servers are known to refuse comes last, each alone.
    for knob in
        ["write quaymaster--unknown-http.conf --into /edge", "write quaymaster--unknown-https.conf --into /edge"]
    {
        assert_eq!(told(&desired, &observed, START), [knob, signal, prove]);
        observed = foresee(&observed, &planned(&desired, &observed, START), START);
    }
    assert_eq!(told(&desired, &observed, START), Vec::<String>::new());
}

#[test]
fn the_command_plan_of_a_name_tells_all_three() {
    let desired = desired([proxy(), shop()]);
    let plans = command_plans(&desired, &fresh(&desired), &templates(), &rules(), START);
    let text: String = plans.iter().map(|plan| plan.render(&templates()).expect("it renders")).collect();
    assert_eq!(
        text,
        "# proxy: configuration changed\n\
         write quaymaster--base.conf --into /edge\n\
         signal proxy HUP\n\
         prove proxy\n\
         write quaymaster--unknown-http.conf --into /edge\n\
         signal proxy HUP\n\
         prove proxy\n\
         write quaymaster--unknown-https.conf --into /edge\n\
         signal proxy HUP\n\
         prove proxy\n\
         # shop.example: configuration changed, then missing, then certificate changed\n\
         write quaymaster-shop.example.conf --into /edge\n\
         signal proxy HUP\n\
         prove proxy\n\
         obtain shop.example --challenge http-01 --webroot /edge/challenge\n\
         deliver shop.example --into /edge/certificates\n\
         write quaymaster-shop.example.conf --into /edge\n\
         signal proxy HUP\n\
         prove proxy\n"
    );
}

#[test]
fn a_stopped_app_leaves_its_site_and_keeps_its_certificate() {
    let both = desired([proxy(), shop()]);
    let mut observed = settled(&both, fresh(&both), START);
    let alone = desired([proxy()]);
    assert_eq!(
        told(&alone, &observed, START),
        ["remove quaymaster-shop.example.conf --from /edge", "signal proxy HUP", "prove proxy"]
    );
    observed = settled(&alone, observed, START);
    assert_eq!(observed.held.len(), 1);
    let again = told(&both, &observed, START);
    assert!(!again.iter().any(|step| step.starts_with("obtain")), "{again:?}");
}

#[test]
fn a_renewal_is_an_order_and_one_signal() {
    let desired = desired([proxy(), shop()]);
    let observed = settled(&desired, fresh(&desired), START);
    let wake = planned(&desired, &observed, START).wake.expect("there is always one");
    assert_eq!(wake, START + HOUR);
    let due = START + Duration::from_secs(61 * 24 * 3600);
    assert_eq!(told(&desired, &observed, due), ["obtain shop.example --challenge http-01 --webroot /edge/challenge"]);
    let observed = foresee(&observed, &planned(&desired, &observed, due), due);
    let plan = planned(&desired, &observed, due);
    let [Action::Deploy(deploy)] = plan.actions.as_slice() else { panic!("{plan:?}") };
    assert_eq!(deploy.why, BTreeSet::from([Why::CertificateChanged]));
    assert_eq!(deploy.proof.serials.len(), 1);
}

#[test]
fn a_signal_that_was_not_sent_is_owed_until_a_start_makes_it_moot() {
    let before = desired([proxy(), shop()]);
    let mut observed = settled(&before, fresh(&before), START);
    installed(&mut observed).progress = Progress::SignalOwed;
    assert_eq!(told(&before, &observed, START), ["signal proxy HUP", "prove proxy"]);
    let mut stopped = proxy();
    stopped.state = ContainerState::Other("exited".into());
    assert!(told(&desired([stopped, shop()]), &observed, START).is_empty());
    let mut started = proxy();
    started.started_at = started.started_at.map(|time| time + HOUR);
    assert_eq!(told(&desired([started, shop()]), &observed, START), ["prove proxy"]);
}

#[test]
fn what_is_put_into_a_stopped_proxy_that_then_dies_is_taken_back_and_waits_until_it_runs() {
    let mut stopped = proxy();
    stopped.state = ContainerState::Other("exited".into());
    let both = desired([stopped.clone(), shop()]);
    let mut observed = fresh(&both);
    observed = foresee(&observed, &planned(&both, &observed, START), START);
    assert!(installed(&mut observed).open);
    assert!(told(&both, &observed, START).is_empty(), "it may be stopped for long");
    stopped.started_at = stopped.started_at.map(|time| time + HOUR);
    let died = desired([stopped, shop()]);
    assert_eq!(told(&died, &observed, START), ["take-back proxy"]);
    observed = foresee(&observed, &planned(&died, &observed, START), START);
    installed(&mut observed).files.clear();
    assert!(told(&died, &observed, START).is_empty());
    let runs = desired([proxy(), shop()]);
    assert_eq!(told(&runs, &observed, START).last().map(String::as_str), Some("prove proxy"));
}

#[test]
fn a_proxy_that_can_not_be_told_gets_its_files_and_a_complaint() {
    let mut behind_a_shell = proxy();
    behind_a_shell.command = ["sh", "-c", "nginx -g 'daemon off;'"].map(str::to_owned).into();
    let wrapped = desired([behind_a_shell, shop()]);
    assert!(wrapped.complaints.iter().any(|complaint| complaint.problem.contains("keeps signals for itself")));
    let steps = told(&wrapped, &fresh(&wrapped), START);
    assert!(steps.iter().all(|step| step.starts_with("write ")), "{steps:?}");
    let by_label = desired([proxy().label("reload", "USR1"), shop()]);
    assert!(told(&by_label, &fresh(&by_label), START).contains(&"signal proxy USR1".to_owned()));
}

#[test]
fn what_is_new_is_checked_before_it_is_told_of_and_only_then() {
    let grants = crate::values::Grants::parse("edge = \"proxy exec restart\"\nshop = \"*\"").expect("a table");
    let granted = crate::desire::Rules { grants: Some(grants), ..label_rules() };
    let desired = |reload: &str| {
        let proxy = proxy().project_is("edge").label("check", "exec").label("reload", reload);
        desire(&snapshot([proxy, shop().project_is("shop")]), &granted)
    };
    let told_by = |reload: &str| told(&desired(reload), &fresh(&desired(reload)), START).split_off(2);
    let check = "check proxy -- nginx -t";
    assert_eq!(told_by("HUP"), [check, "signal proxy HUP", "prove proxy"]);
    assert_eq!(told_by("exec nginx -s 'reload now'"), [check, "exec proxy -- nginx -s reload now", "prove proxy"]);
    assert_eq!(told_by("restart"), [check, "restart proxy", "prove proxy"]);
    assert_eq!(told_by("none"), [check]);

    let desired = desired("restart");
    let mut observed = settled(&desired, fresh(&desired), START);
    installed(&mut observed).progress = Progress::SignalOwed;
    assert_eq!(told(&desired, &observed, START), ["restart proxy", "prove proxy"], "it was checked then");
    installed(&mut observed).open = true;
    assert_eq!(told(&desired, &observed, START), [check, "restart proxy", "prove proxy"], "nobody knows");
}

fn installed(observed: &mut Observed) -> &mut Installed {
    Rc::make_mut(observed.installed.values_mut().next().expect("the proxy"))
}

#[test]
fn one_site_that_is_refused_is_found_by_halves_and_held_back_alone() {
    let apps = || (10..74).map(|n| container(&format!("app{n}"), n).label("host", &format!("app{n}.example")));
    let desired = desired(apps().chain([proxy()]));
    let mut refusing = Refusing::new("app42.example");
    let observed = refusing.settle(&desired, fresh(&desired), START);
    let held_back: Vec<_> = observed.installed.values().flat_map(|it| it.trial.refused.keys()).collect();
    assert_eq!(held_back.iter().map(|file| file.as_str()).collect::<Vec<_>>(), ["quaymaster-app42.example.conf"]);
    let files = observed.installed.values().map(|installed| installed.files.len()).sum::<usize>();
    assert_eq!(files, 63 + 4, "all other sites, and the proxy's own files");
    assert!(refusing.refused <= 8, "{} of {} deployments were refused", refusing.refused, refusing.worked);
    let complaints = planned(&desired, &observed, START).complaints;
    let told: Vec<_> = complaints.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    let expected =
        "container app42, label quaymaster.host=\"app42.example\": proxy refuses quaymaster-app42.example.conf: no;";
    assert!(told[0].starts_with(expected), "{told:?}");

    // It is tried again when what it is made from has changed, and not before.
    let mended = apps().map(|app| if app.name.as_str() == "app42" { app.label("port", "9") } else { app });
    let mended = desire(&snapshot(mended.chain([proxy()])), &label_rules());
    let steps = told_by(&mended, &observed);
    assert!(steps.contains(&"write quaymaster-app42.example.conf --into /edge".to_owned()), "{steps:?}");
}

#[test]
fn a_refusal_names_the_templates_of_the_user_that_took_part_in_the_file() {
    let desired = desired([proxy(), shop()]);
    let remedy = |texts: &[(&str, &str)]| {
        let texts = texts.iter().map(|(name, text)| ((*name).to_owned(), Ok((*text).to_owned())));
        let templates = Templates::with(&texts.collect());
        let planned = |observed: &Observed| plan(&desired, observed, &templates, &rules(), START);
        let mut observed = foresee(&fresh(&desired), &planned(&fresh(&desired)), START);
        let deploy = |plan: Plan| {
            plan.actions.into_iter().find_map(|action| match action {
                Action::Deploy(deploy) => Some(deploy),
                _ => None,
            })
        };
        observed = foresee(&observed, &planned(&observed), START);
        let site = deploy(planned(&observed)).expect("the site has its certificate now").after.trying;
        installed(&mut observed).trial.refused(&site, "no", START);
        planned(&observed).complaints.into_iter().next().expect("it is refused").remedy
    };
    let (mine, part) = (("nginx/site.conf", "# {% include 'nginx/part.conf' %}"), ("nginx/part.conf", "mine"));
    let other = ("nginx/base.conf", "# mine\n");
    assert!(remedy(&[]).starts_with("change labels or the proxy's own configuration; until then "), "{}", remedy(&[]));
    assert_eq!(remedy(&[other]), remedy(&[]), "it has no part in this file");
    let named = "made with templates of yours, which may be wrong: nginx/part.conf, nginx/site.conf; change these";
    assert!(remedy(&[mine, part, other]).contains(named), "{}", remedy(&[mine, part, other]));
    let included = "which may be wrong: nginx/client.conf; change these";
    assert!(remedy(&[("nginx/client.conf", "# mine\n")]).contains(included), "the built-in one includes it");
}

#[test]
fn a_refusal_blames_nobody_right_after_what_was_there_before_was_refused_too() {
    let desired = desired([proxy(), container("shop", 4).label("host", "shop.example")]);
    let mut observed = fresh(&desired);
    let is_conclusive = |observed: &Observed| {
        let plan = planned(&desired, observed, START);
        let [Action::Deploy(deploy)] = &plan.actions[..] else { panic!("{plan:?}") };
        deploy.is_conclusive
    };
    assert!(is_conclusive(&observed));
    installed(&mut observed).progress = Progress::TakenBack;
    assert!(!is_conclusive(&observed));
    installed(&mut observed).progress = Progress::Proven { at: START };
    assert!(is_conclusive(&observed));
}

#[test]
fn a_knob_that_the_user_has_turned_already_is_held_back_in_silence() {
    let desired = desired([proxy(), shop()]);
    let mut refusing = Refusing::new("-unknown-http");
    let observed = refusing.settle(&desired, fresh(&desired), START);
    assert_eq!(refusing.refused, 1);
    let files: Vec<_> = observed.installed.values().flat_map(|it| it.files.keys().map(FileName::as_str)).collect();
    let expected = ["-base", "-mark", "-unknown-https", "shop.example"].map(|name| format!("quaymaster-{name}.conf"));
    assert_eq!(files, expected);
    assert!(planned(&desired, &observed, START).complaints.is_empty());
}

fn told_by(desired: &Desired, observed: &Observed) -> Vec<String> {
    told(desired, observed, START)
}

/// A proxy that refuses its whole configuration as long as one of these is in it.
struct Refusing {
    hosts: BTreeSet<&'static str>,
    refused: usize,
    worked: usize,
    /// What was there when it was last seen to be good, as long as what is there now was not.
    journal: BTreeMap<ContainerName, Installed>,
}

impl Refusing {
    fn new(host: &'static str) -> Self {
        Self { hosts: BTreeSet::from([host]), refused: 0, worked: 0, journal: BTreeMap::new() }
    }

    fn open(&mut self, observed: &Observed, deploy: &Deploy) {
        let before = &observed.installed[&deploy.consumer.name];
        if !before.open {
            self.journal.insert(deploy.consumer.name.clone(), Installed::clone(before));
        }
    }

    fn settle(&mut self, desired: &Desired, mut observed: Observed, now: Timestamp) -> Observed {
        for _ in 0..200 {
            let turn = planned(desired, &observed, now);
            if turn.actions.is_empty() {
                return observed;
            }
            for action in turn.actions {
                observed = self.carry_out(observed, action, now);
            }
        }
        panic!("two hundred turns did not settle it: {:?}", told(desired, &observed, now));
    }

    fn carry_out(&mut self, observed: Observed, action: Action, now: Timestamp) -> Observed {
        let bad = |file: &FileName| self.hosts.iter().any(|host| file.as_str() == format!("quaymaster-{host}.conf"));
        self.worked += 1;
        match &action {
            Action::Deploy(deploy) if deploy.consumer.running && deploy.after.files.keys().any(bad) => {
                self.open(&observed, deploy);
                self.refused += 1;
                self.refuse(observed, deploy, now)
            }
            Action::TakeBack(back) => {
                let mut observed = observed;
                let before = self.journal[&back.consumer.name].clone();
                let progress = Progress::TakenBack;
                observed.installed.insert(back.consumer.name.clone(), Installed { progress, ..before }.into());
                observed
            }
            _ => {
                if let Action::Deploy(deploy) = &action {
                    self.open(&observed, deploy);
                }
                foresee(&observed, &Plan { actions: vec![action], ..Plan::default() }, now)
            }
        }
    }

    /// What is observed after a deployment was refused and taken back.
    fn refuse(&self, mut observed: Observed, deploy: &Deploy, now: Timestamp) -> Observed {
        let mut installed = self.journal[&deploy.consumer.name].clone();
        installed.generation = deploy.back.mark;
        installed.files.insert(deploy.back.file.clone(), Digest::of(&deploy.back.text));
        if deploy.is_conclusive {
            installed.trial.refused(&deploy.after.trying, "no", now);
        }
        installed.progress = Progress::Proven { at: now };
        installed.process = deploy.after.process;
        observed.installed.insert(deploy.consumer.name.clone(), installed.into());
        observed
    }
}

#[test]
fn four_orders_run_at_once_and_what_runs_out_goes_first() {
    let apps = (10..20).map(|n| container(&format!("app{n}"), n).label("host", &format!("app{n}.example")));
    let desired = desired(apps.chain([proxy()]));
    let mut observed = foresee(&fresh(&desired), &planned(&desired, &fresh(&desired), START), START);
    assert_eq!(planned(&desired, &observed, START).actions.len(), ORDERS_AT_ONCE);
    let under_way = CertificateName::parse("app19.example").expect("a name");
    observed.under_way.insert(Subject::Certificate(under_way));
    assert_eq!(planned(&desired, &observed, START).actions.len(), ORDERS_AT_ONCE - 1);
}

#[test]
fn a_failed_order_is_tried_again_with_growing_pauses() {
    let desired = desired([proxy(), shop()]);
    let mut observed = fresh(&desired);
    observed = foresee(&observed, &planned(&desired, &observed, START), START);
    let (mut now, mut tries) = (START, Vec::new());
    while now < START + 48 * HOUR {
        let plan = planned(&desired, &observed, now);
        if let Some(Action::Obtain(obtain)) = plan.actions.first() {
            tries.push(now.since(START).as_secs() / 60);
            let subject = Subject::Certificate(obtain.certificate.clone());
            let problem = Some("the CA says no".to_owned());
            observed.attempts.insert(subject, Attempt { problem, ..obtain.attempt.clone() });
        } else {
            now = plan.wake.expect("there is always one");
        }
    }
    assert_eq!(tries, [0, 1, 11, 111, 111 + 24 * 60]);
    // What the CA refuses for good is asked again only when something else is asked.
    let subject = Subject::Certificate(CertificateName::parse("shop.example").expect("a name"));
    let attempt = observed.attempts.get_mut(&subject).expect("it failed");
    attempt.retry = Retry::WhenInputChanges;
    let orders = |observed: &Observed, now| {
        let actions = planned(&desired, observed, now).actions;
        actions.iter().filter(|action| matches!(action, Action::Obtain(_))).count()
    };
    assert_eq!(orders(&observed, now + 1000 * HOUR), 0);
    attempt_of(&mut observed, &subject).asked = Digest::of("another");
    assert_eq!(orders(&observed, now), 1);
}

#[test]
fn an_order_that_was_cut_off_goes_on_soon_but_not_for_ever() {
    let desired = desired([proxy(), shop()]);
    let mut observed = fresh(&desired);
    observed = foresee(&observed, &planned(&desired, &observed, START), START);
    let (mut now, mut tries) = (START, Vec::new());
    while now < START + 3 * HOUR {
        let plan = planned(&desired, &observed, now);
        match plan.actions.first() {
            Some(Action::Obtain(obtain)) => {
                tries.push(now.since(START).as_secs());
                observed.attempts.insert(Subject::Certificate(obtain.certificate.clone()), obtain.attempt.clone());
            }
            _ => now = plan.wake.expect("there is always one"),
        }
    }
    assert_eq!(tries, [0, 5, 5 + 600, 5 + 600 + 6000]);
}

#[test]
fn a_try_that_was_cut_off_when_its_certificate_was_there_is_over() {
    let desired = desired([proxy(), shop()]);
    let mut observed = foresee(&fresh(&desired), &planned(&desired, &fresh(&desired), START), START);
    let plan = planned(&desired, &observed, START);
    let Some(Action::Obtain(obtain)) = plan.actions.first() else { panic!("{plan:?}") };
    observed = foresee(&observed, &plan, START);
    let subject = Subject::Certificate(obtain.certificate.clone());
    let finished = |attempt: Attempt| {
        let attempts = [(subject.clone(), attempt)].into();
        planned(&desired, &Observed { attempts, ..observed.clone() }, START).finished
    };
    assert_eq!(finished(obtain.attempt.clone()), [obtain.certificate.clone()].into());
    // What the disk did not take at first, and is there now.
    let not_kept = Retry::NotBefore(obtain.attempt.last);
    let failed = Attempt { problem: Some("the disk is full".into()), retry: not_kept, ..obtain.attempt.clone() };
    assert_eq!(finished(failed.clone()), [obtain.certificate.clone()].into());
    // A refusal is remembered, and so is a try for something else: labels may change back.
    assert!(finished(Attempt { retry: Retry::NotBefore(START + HOUR), ..failed.clone() }).is_empty());
    assert!(finished(Attempt { retry: Retry::Backoff, ..failed }).is_empty());
    assert!(finished(Attempt { asked: Digest::of("other"), ..obtain.attempt.clone() }).is_empty());
}

#[test]
fn a_template_that_is_broken_holds_back_what_needs_it_and_nothing_else() {
    let both = desired([proxy(), shop()]);
    let live = settled(&both, fresh(&both), START);
    let broken = [("nginx/site.conf".to_owned(), Ok("# mine\n{{ nosuch }}\n".to_owned()))];
    let broken = Templates::with(&broken.into_iter().collect());
    let due = START + 61 * 24 * HOUR;
    let held_back = plan(&both, &live, &broken, &rules(), due);
    let subjects: Vec<_> = held_back.actions.iter().map(Action::subject).collect();
    let shop = CertificateName::parse("shop.example").expect("a name");
    assert_eq!(subjects, [Subject::Certificate(shop)], "renewal goes on, and what is live stays");
    let told: Vec<_> = held_back.complaints.iter().map(|complaint| complaint.problem.as_str()).collect();
    assert!(told[0].starts_with("template nginx/site.conf, line 2: "), "{told:?}");
    assert_eq!(told.len(), 1);
}

fn attempt_of<'a>(observed: &'a mut Observed, subject: &Subject) -> &'a mut Attempt {
    observed.attempts.get_mut(subject).expect("it is on record")
}

/// Carries plans out until nothing is left.
pub(super) fn settled(desired: &Desired, mut observed: Observed, now: Timestamp) -> Observed {
    for _ in 0..10 {
        let turn = planned(desired, &observed, now);
        if turn.actions.is_empty() {
            return observed;
        }
        observed = foresee(&observed, &turn, now);
    }
    panic!("ten turns did not settle it: {:?}", told(desired, &observed, now));
}

/// Something that happens in the simulated world.
#[derive(Clone, Debug)]
enum Happening {
    App {
        number: u8,
        host: u8,
        runs: bool,
    },
    Gone {
        number: u8,
    },
    Proxy {
        runs: bool,
    },
    Later {
        minutes: u32,
    },
    /// A turn, in which each action succeeds, fails, or is cut off by a crash between its effects.
    Turn {
        outcomes: Vec<Outcome>,
    },
}

/// The host whose site the proxy of the simulated world refuses.
const REFUSED: &str = "d.example";

#[derive(Clone, Copy, Debug)]
enum Outcome {
    Done,
    Failed,
    Crashed,
}

fn happening() -> impl Strategy<Value = Happening> {
    let outcome = prop_oneof![Just(Outcome::Done), Just(Outcome::Failed), Just(Outcome::Crashed)];
    prop_oneof![
        (4u8..8, 0u8..6, any::<bool>()).prop_map(|(number, host, runs)| Happening::App { number, host, runs }),
        (4u8..8).prop_map(|number| Happening::Gone { number }),
        any::<bool>().prop_map(|runs| Happening::Proxy { runs }),
        (1u32..200_000).prop_map(|minutes| Happening::Later { minutes }),
        vec(outcome, 8).prop_map(|outcomes| Happening::Turn { outcomes }),
    ]
}

struct World {
    snapshot: Snapshot,
    observed: Observed,
    now: Timestamp,
    proxy: Refusing,
    orders: BTreeMap<CertificateName, Vec<Timestamp>>,
    reading: Reading,
    memory: Memory,
}

impl World {
    fn new() -> Self {
        let snapshot = Snapshot { own: Some(own()), ..snapshot([proxy()]) };
        let observed = fresh(&desire(&snapshot, &label_rules()));
        Self {
            snapshot,
            observed,
            now: START,
            proxy: Refusing::new(REFUSED),
            orders: BTreeMap::new(),
            reading: Reading::default(),
            memory: Memory::default(),
        }
    }

    fn desired(&self) -> Desired {
        desire(&self.snapshot, &label_rules())
    }

    fn happen(&mut self, happening: &Happening) {
        let state = |runs| if runs { ContainerState::Running } else { ContainerState::Other("exited".into()) };
        match happening {
            Happening::App { number, host, runs } => {
                // Host 5 is one that can't be followed.
                let hosts = ["a.example", "b.example", "c.example", "a.example b.example", "d.example", "no such;"];
                let mut app = container(&format!("app{number}"), *number).label("host", hosts[usize::from(*host)]);
                app.state = state(*runs);
                self.snapshot.containers.insert(app.name.clone(), app.into());
            }
            Happening::Gone { number } => {
                self.snapshot.containers.retain(|name, _| name.as_str() != format!("app{number}"));
            }
            Happening::Proxy { runs } => {
                let proxy = self.snapshot.containers.values_mut().find(|c| c.name.as_str() == "proxy");
                Rc::make_mut(proxy.expect("it is always there")).state = state(*runs);
            }
            Happening::Later { minutes } => self.now = self.now + Duration::from_secs(60 * u64::from(*minutes)),
            Happening::Turn { outcomes } => self.turn(outcomes),
        }
    }

    fn turn(&mut self, outcomes: &[Outcome]) {
        let plan = planned(&self.desired(), &self.observed, self.now);
        for (action, outcome) in plan.actions.into_iter().zip(outcomes.iter().cycle()) {
            if let Action::Obtain(obtain) = &action {
                self.orders.entry(obtain.certificate.clone()).or_default().push(self.now);
            }
            self.carry_out(action, *outcome);
        }
    }

    fn carry_out(&mut self, action: Action, outcome: Outcome) {
        let subject = action.subject();
        match (&action, outcome) {
            (_, Outcome::Done) => {
                self.observed = self.proxy.carry_out(std::mem::take(&mut self.observed), action, self.now);
            }
            (Action::Deploy(deploy), Outcome::Failed) => {
                drop(self.observed.attempts.insert(subject, deploy.attempt.clone()));
            }
            (Action::TakeBack(back), Outcome::Failed | Outcome::Crashed) => {
                drop(self.observed.attempts.insert(subject, back.attempt.clone()));
            }
            // Everything is in place, and nobody was told.
            (Action::Deploy(deploy), Outcome::Crashed) => {
                self.proxy.open(&self.observed, deploy);
                drop(self.observed.installed.insert(deploy.consumer.name.clone(), deploy.after.clone().into()));
            }
            // An attempt is written down before it is made: a crash leaves the record, without what went wrong.
            (Action::Obtain(obtain), Outcome::Crashed) => {
                drop(self.observed.attempts.insert(subject, obtain.attempt.clone()));
            }
            (Action::Obtain(obtain), Outcome::Failed) => {
                let attempt = Attempt { problem: Some("no".to_owned()), ..obtain.attempt.clone() };
                drop(self.observed.attempts.insert(subject, attempt));
            }
        }
    }
}

#[test]
fn other_templates_and_another_server_have_everything_rendered_again() {
    let desired = desired([proxy(), shop()]);
    let observed = settled(&desired, fresh(&desired), START);
    let mut memory = Memory::default();
    let mut written = |desired: &Desired, templates: &Templates| {
        let actions = memory.plan(desired, &observed, templates, &rules(), START).actions;
        let deploys = actions.into_iter().filter_map(|action| match action {
            Action::Deploy(deploy) => Some(deploy.write),
            Action::TakeBack(_) | Action::Obtain(_) => None,
        });
        deploys.flat_map(BTreeMap::into_keys).map(String::from).collect::<Vec<_>>()
    };
    let site = "quaymaster-shop.example.conf".to_owned();
    assert_eq!(written(&desired, &templates()), [""; 0]);
    let other = BTreeMap::from([("nginx/site.conf".to_owned(), Ok("# mine".to_owned()))]);
    assert!(written(&desired, &Templates::with(&other)).contains(&site));
    assert_eq!(written(&desired, &templates()), [""; 0]);
    let moved = snapshot([proxy().label("http-port", "8080"), shop()]);
    assert!(written(&desire(&moved, &label_rules()), &templates()).contains(&site));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_laws_hold_in_any_world(happenings in vec(happening(), 1..40)) {
        let mut world = World::new();
        for happening in &happenings {
            world.happen(happening);
            let desired = world.desired();
            let first = planned(&desired, &world.observed, world.now);

            // What is remembered changes nothing.
            let read = world.reading.desire(&world.snapshot, &label_rules());
            prop_assert_eq!(&first, &world.memory.plan(&read, &world.observed, &templates(), &rules(), world.now));
            // Same in, same out.
            prop_assert_eq!(&first, &planned(&desired, &world.observed, world.now));
            // The rest ends, and not before it begins.
            let wake = first.wake.expect("there is always one");
            prop_assert!(world.now < wake && wake <= world.now + HOUR);
            // One action a subject, none for what is under way.
            let subjects: BTreeSet<_> = first.actions.iter().map(Action::subject).collect();
            prop_assert_eq!(subjects.len(), first.actions.len());
            let busy = Observed { under_way: subjects.clone(), ..world.observed.clone() };
            let while_busy = planned(&desired, &busy, world.now);
            prop_assert_eq!(&while_busy, &world.memory.plan(&read, &busy, &templates(), &rules(), world.now));
            prop_assert!(while_busy.actions.iter().all(|action| !subjects.contains(&action.subject())));
            // Never worse: a site whose certificate is held keeps its TLS server.
            for deploy in first.actions.iter().filter_map(|action| match action {
                Action::Deploy(deploy) => Some(deploy),
                Action::TakeBack(_) | Action::Obtain(_) => None,
            }) {
                for host in deploy.consumer.sites.keys() {
                    let held = world.observed.held.values().any(|certificate| certificate.covers(host));
                    let file = deploy.write.get(&site_file(host));
                    prop_assert!(file.is_none_or(|text| text.contains("ssl_certificate ") == held));
                }
            }
        }
        // Quiet: carried out, nothing is left, whatever happened before.
        world.observed.attempts.clear();
        let desired = world.desired();
        let rested = world.proxy.settle(&desired, world.observed.clone(), world.now);
        // What is refused is held back, and nothing else is.
        for consumer in desired.consumers.values().filter(|consumer| consumer.running) {
            let installed = &rested.installed[&consumer.name];
            let served: BTreeSet<_> = installed.files.keys().collect();
            for host in consumer.sites.keys() {
                let file = site_file(host);
                prop_assert_eq!(served.contains(&file), host.as_str() != REFUSED, "{}: {:?}", host, installed);
            }
        }
        // No crash loop exceeds a CA's limits: five failures a name and hour, and far fewer a day.
        for (name, times) in &world.orders {
            for time in times {
                let within_an_hour = times.iter().filter(|other| **other >= *time && other.since(*time) < HOUR).count();
                prop_assert!(within_an_hour <= 4, "{name}: {times:?}");
            }
        }
    }

    #[test]
    fn whatever_a_container_says_nobody_else_is_harmed(labels in vec((label(), value()), 1..6)) {
        let good = desired([proxy(), shop()]);
        let mut bad = container("bad", 9);
        bad.labels.extend(labels.into_iter().map(|(key, value)| (format!("quaymaster.{key}"), value)));
        // It may well become a second proxy; what matters is what the first one serves.
        let both = desired([proxy(), shop(), bad]);
        let of_shop = |desired: &Desired| {
            let file = FileName::parse("quaymaster-shop.example.conf").expect("a name");
            let plan = planned(desired, &fresh(desired), START);
            // What passes `desire` can be rendered: a template that fails would hold back every site of its proxy.
            let mut complaints = plan.complaints.iter();
            assert!(complaints.all(|told| !told.problem.starts_with("template ")), "{:?}", plan.complaints);
            plan.actions.into_iter().find_map(|action| match action {
                Action::Deploy(deploy) if deploy.consumer.name.as_str() == "proxy" => deploy.write.get(&file).cloned(),
                _ => None,
            })
        };
        prop_assert!(of_shop(&good).is_some());
        prop_assert_eq!(of_shop(&good), of_shop(&both));
        // And nothing that it says ends a directive or a block of its own files.
        for deploy in planned(&both, &fresh(&both), START).actions {
            let Action::Deploy(deploy) = deploy else { continue };
            for text in deploy.write.values() {
                // Between quotes a realm may say what it likes; no quote and no backslash gets in there.
                let text: String = text.split('"').step_by(2).collect();
                let known = ["server {", "upstream quaymaster_", "location ", "map $http_upgrade "];
                for opening in text.lines().filter(|line| line.contains('{')) {
                    prop_assert!(known.iter().any(|known| opening.trim_start().starts_with(known)), "{}", text);
                    prop_assert_eq!(opening.matches(['{', '}', ';']).count(), 1, "{}", text);
                }
                prop_assert!(!text.contains("evil"), "{}", text);
            }
        }
    }
}

/// Any label there is, of the container or of a further site, and some that there are not.
fn label() -> impl Strategy<Value = String> {
    let known: Vec<&str> = crate::desire::LABELS.iter().map(|row| row.key).collect();
    let site = prop_oneof![Just(String::new()), Just("site.a.".to_owned()), "site\\.[a-z A-Z.]{0,4}"];
    prop_oneof![
        9 => (site, proptest::sample::select(known)).prop_map(|(site, key)| format!("{site}{key}")),
        1 => "[a-z.-]{0,12}",
    ]
}

/// Values that are right, nearly right, and hostile, by pieces that mean something somewhere.
fn value() -> impl Strategy<Value = String> {
    let pieces = [
        "bad.example",
        "other.example",
        " ",
        ",",
        ";",
        "{",
        "}",
        "\n",
        "\"",
        "'",
        "\\",
        "$",
        "#",
        "/",
        "/api",
        "..",
        "80",
        "true",
        "https",
        "grpc",
        "both",
        "off",
        "1y",
        "10m",
        "10.0.0.0/8",
        "::1",
        "nginx",
        "proxy",
        "*.",
        "server { listen 81; evil; }",
        "\u{0}",
        "\u{202e}",
        "ä",
        "x\ty",
        "/etc/nginx/htpasswd",
        "web",
        "Staff",
    ];
    vec(proptest::sample::select(pieces.to_vec()), 0..4).prop_map(|pieces| pieces.concat())
}

fn wished(observed: &Observed, force: bool, stage: Stage) -> Observed {
    let name = CertificateName::parse("shop.example").expect("a name");
    let wishes = BTreeMap::from([(name, Wish { asked: START, force, stage })]);
    Observed { wishes, ..observed.clone() }
}

#[test]
fn a_forced_wish_is_an_order_once_and_a_plain_one_only_asks() {
    let desired = desired([proxy(), shop()]);
    let observed = settled(&desired, fresh(&desired), START);
    let name = CertificateName::parse("shop.example").expect("a name");
    let forced = wished(&observed, true, Stage::Open);
    let plan = planned(&desired, &forced, START);
    let [Action::Obtain(obtain)] = plan.actions.as_slice() else { panic!("{plan:?}") };
    assert_eq!(obtain.why, Why::Asked);
    assert_eq!(answer(&name, &desired, &forced, START), None);
    assert_eq!(settled(&desired, forced.clone(), START).wishes, BTreeMap::new(), "once");
    assert!(planned(&desired, &wished(&observed, true, Stage::Taken), START).actions.is_empty());
    let plain = wished(&observed, false, Stage::Open);
    assert!(planned(&desired, &plain, START).actions.is_empty());
    let answered = answer(&name, &desired, &plain, START);
    assert!(matches!(answered, Some(Answer::NotDue { due }) if due > START), "{answered:?}");
    assert_eq!(answer(&name, &self::desired([proxy()]), &forced, START), Some(Answer::NotWanted));
}

#[test]
fn force_ends_pauses_of_ours_and_never_one_that_the_ca_named() {
    let desired = desired([proxy(), shop()]);
    let mut observed = foresee(&fresh(&desired), &planned(&desired, &fresh(&desired), START), START);
    let name = CertificateName::parse("shop.example").expect("a name");
    let subject = Subject::Certificate(name.clone());
    let plan = planned(&desired, &observed, START);
    let [Action::Obtain(obtain)] = plan.actions.as_slice() else { panic!("{plan:?}") };
    for (retry, is_tried) in [
        (Retry::Backoff, true),
        (Retry::WhenInputChanges, true),
        (Retry::NotBefore(START + HOUR), false),
        (Retry::NotBefore(START), true),
    ] {
        let attempt = Attempt { retry, problem: Some("no".to_owned()), ..obtain.attempt.clone() };
        observed.attempts.insert(subject.clone(), attempt);
        let orders = |observed: &Observed| {
            let mut actions = planned(&desired, observed, START).actions;
            actions.retain(|action| matches!(action, Action::Obtain(_)));
            actions
        };
        assert_eq!(orders(&observed), [], "{retry:?}");
        let forced = wished(&observed, true, Stage::Open);
        let tried = orders(&forced);
        assert_eq!(tried.len(), usize::from(is_tried), "{retry:?}");
        let answered = answer(&name, &desired, &forced, START);
        assert_eq!(answered.is_none(), is_tried, "{retry:?}: {answered:?}");
        if let Some(Action::Obtain(obtain)) = tried.first() {
            assert_eq!(obtain.attempt.count, 2, "it is on record like any other");
        }
    }
}
