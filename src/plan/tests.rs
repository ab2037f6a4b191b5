//! The turns of a first certificate, step by step, and the beginning of every test of plans.

mod cas;
mod certificates;
mod defaults;
mod gates;
mod ground;
mod helper;
mod ipv6;
mod laws;
mod ledger;
mod older_files;
mod orders;
mod refusals;
mod templates;
mod uses;
mod years;

use super::*;
use crate::{
    desire::{
        LabelRules, Reading, desire,
        tests::{container, own, proxy, rules as label_rules, snapshot},
    },
    observe::{
        Bearer, BearerState, Health, InstalledFile, Progress, RenewalOutcome, RenewalRequest,
        Snapshot, Stage,
    },
    values::{KeyedTable, Retry},
};

pub(super) use crate::fixtures::plan_rules as rules;

pub(super) const START: Timestamp = Timestamp::from_seconds(1_800_000_000);
const HOUR: Duration = Duration::from_secs(3600);

fn templates() -> Templates {
    Templates::built_in().expect("they are tested")
}

pub(super) fn shop() -> Bearer {
    container("shop", 4).label("host", "shop.example")
}

pub(super) fn desired(containers: impl IntoIterator<Item = Bearer>) -> Desired {
    desire(&snapshot(containers), &label_rules())
}

/// Nothing was ever deployed, and every folder was looked at.
pub(super) fn fresh(desired: &Desired) -> Observed {
    let installed = desired
        .consumers
        .keys()
        .map(|name| (name.clone(), Installed::default().into()))
        .collect();
    Observed {
        installed,
        ..Observed::default()
    }
}

pub(super) fn planned(desired: &Desired, observed: &Observed, now: Timestamp) -> Plan {
    plan(desired, observed, &templates(), &rules(), now)
}

pub(super) fn told(desired: &Desired, observed: &Observed, now: Timestamp) -> Vec<String> {
    planned(desired, observed, now)
        .actions
        .iter()
        .flat_map(steps)
        .map(|words| words.join(" "))
        .collect()
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
    assert_eq!(
        told(&desired, &observed, START),
        [base, site, signal, prove]
    );
    observed = foresee(&observed, &planned(&desired, &observed, START), START);
    assert_eq!(
        told(&desired, &observed, START),
        ["obtain shop.example --challenge http-01 --webroot /edge/challenge"]
    );
    observed = foresee(&observed, &planned(&desired, &observed, START), START);
    let third = told(&desired, &observed, START);
    assert_eq!(third[0], "deliver shop.example --into /edge/certificates");
    assert_eq!(third[1..], [site, signal, prove]);
    observed = foresee(&observed, &planned(&desired, &observed, START), START);
    // What some servers are known to refuse comes last, each alone: first the gate, and what passes through it.
    let gate = "write quaymaster--gate.conf --into /edge";
    let open = "open-gate proxy";
    assert_eq!(
        told(&desired, &observed, START),
        [gate, signal, prove, open]
    );
    observed = foresee(&observed, &planned(&desired, &observed, START), START);
    assert_eq!(told(&desired, &observed, START), [site, signal, prove]);
    observed = foresee(&observed, &planned(&desired, &observed, START), START);
    for knob in [
        "write quaymaster--unknown-http.conf --into /edge",
        "write quaymaster--unknown-https.conf --into /edge",
    ] {
        assert_eq!(told(&desired, &observed, START), [knob, signal, prove]);
        observed = foresee(&observed, &planned(&desired, &observed, START), START);
    }
    assert_eq!(told(&desired, &observed, START), Vec::<String>::new());
}

#[test]
fn the_command_plan_of_a_name_tells_all_three() {
    let desired = desired([proxy(), shop()]);
    let plans = command_plans(&desired, &fresh(&desired), &templates(), &rules(), START);
    let text: String = plans
        .iter()
        .map(|plan| plan.render(&templates()).expect("it renders"))
        .collect();
    assert_eq!(
        text,
        "# proxy: configuration changed\n\
         write quaymaster--base.conf --into /edge\n\
         signal proxy HUP\n\
         prove proxy\n\
         write quaymaster--gate.conf --into /edge\n\
         signal proxy HUP\n\
         prove proxy\n\
         open-gate proxy\n\
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
         prove proxy\n\
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
        [
            "remove quaymaster-shop.example.conf --from /edge",
            "signal proxy HUP",
            "prove proxy"
        ]
    );
    observed = settled(&alone, observed, START);
    assert_eq!(observed.held.len(), 1);
    let again = told(&both, &observed, START);
    assert!(
        !again.iter().any(|step| step.starts_with("obtain")),
        "{again:?}"
    );
}

#[test]
fn a_renewal_is_an_order_and_one_signal() {
    let desired = desired([proxy(), shop()]);
    let observed = settled(&desired, fresh(&desired), START);
    let wake = planned(&desired, &observed, START)
        .wake
        .expect("there is always one");
    assert_eq!(wake, START + HOUR);
    let due = START + Duration::from_secs(61 * 24 * 3600);
    assert_eq!(
        told(&desired, &observed, due),
        ["obtain shop.example --challenge http-01 --webroot /edge/challenge"]
    );
    let observed = foresee(&observed, &planned(&desired, &observed, due), due);
    let plan = planned(&desired, &observed, due);
    let [Action::Deploy(deploy)] = plan.actions.as_slice() else {
        panic!("{plan:?}")
    };
    assert_eq!(deploy.why, BTreeSet::from([Why::CertificateChanged]));
    assert_eq!(deploy.proof.serials.len(), 1);
}

#[test]
fn a_signal_that_was_not_sent_is_owed_until_a_start_makes_it_moot() {
    let before = desired([proxy(), shop()]);
    let mut observed = settled(&before, fresh(&before), START);
    installed(&mut observed).progress = Progress::SignalOwed;
    assert_eq!(
        told(&before, &observed, START),
        ["signal proxy HUP", "prove proxy"]
    );
    let mut stopped = proxy();
    stopped.state = BearerState::Other("exited".into());
    assert!(told(&desired([stopped, shop()]), &observed, START).is_empty());
    let mut started = proxy();
    started.started_at = started.started_at.map(|time| time + HOUR);
    assert_eq!(
        told(&desired([started, shop()]), &observed, START),
        ["prove proxy", "open-gate proxy"]
    );
}

#[test]
fn a_proxy_that_was_started_again_is_looked_at_once() {
    let apps = || {
        (10..40).map(|n| container(&format!("app{n}"), n).label("host", &format!("app{n}.example")))
    };
    let mut observed = fresh(&desired(apps().chain([proxy()])));
    observed = settled(&desired(apps().chain([proxy()])), observed, START);
    let mut started = proxy();
    started.started_at = Some(START + HOUR);
    let started = desired(apps().chain([started]));
    assert_eq!(
        told(&started, &observed, START),
        ["prove proxy", "open-gate proxy"]
    );
    let plan = planned(&started, &observed, START);
    let [Action::Deploy(deploy)] = plan.actions.as_slice() else {
        panic!("{plan:?}")
    };
    assert_eq!(deploy.proof.serials.len(), 20, "of thirty");
    let observed = foresee(&observed, &plan, START + HOUR);
    assert!(told(&started, &observed, START + HOUR).is_empty());
}

#[test]
fn what_is_put_into_a_stopped_proxy_that_then_dies_is_taken_back_and_waits_until_it_runs() {
    let mut stopped = proxy();
    stopped.state = BearerState::Other("exited".into());
    let both = desired([stopped.clone(), shop()]);
    let mut observed = fresh(&both);
    observed = foresee(&observed, &planned(&both, &observed, START), START);
    assert!(installed(&mut observed).open);
    assert!(
        told(&both, &observed, START).is_empty(),
        "it may be stopped for long"
    );
    stopped.started_at = stopped.started_at.map(|time| time + HOUR);
    let died = desired([stopped, shop()]);
    assert_eq!(told(&died, &observed, START), ["take-back proxy"]);
    observed = foresee(&observed, &planned(&died, &observed, START), START);
    installed(&mut observed).files = KeyedTable::default();
    assert!(told(&died, &observed, START).is_empty());
    let runs = desired([proxy(), shop()]);
    assert_eq!(
        told(&runs, &observed, START).last().map(String::as_str),
        Some("prove proxy")
    );
}

#[test]
fn a_proxy_that_can_not_be_told_gets_its_files_and_a_complaint() {
    let mut behind_a_shell = proxy();
    behind_a_shell.command = ["sh", "-c", "nginx -g 'daemon off;'"]
        .map(str::to_owned)
        .into();
    let wrapped = desired([behind_a_shell, shop()]);
    assert!(
        wrapped
            .complaints
            .iter()
            .any(|complaint| complaint.problem.contains("keeps signals for itself"))
    );
    let steps = told(&wrapped, &fresh(&wrapped), START);
    assert!(
        steps.iter().all(|step| step.starts_with("write ")),
        "{steps:?}"
    );
    let by_label = desired([proxy().label("reload", "USR1"), shop()]);
    assert!(told(&by_label, &fresh(&by_label), START).contains(&"signal proxy USR1".to_owned()));
}

#[test]
fn what_is_new_is_checked_before_it_is_told_of_and_only_then() {
    let grants = crate::values::Grants::parse("edge = \"proxy exec restart\"\nshop = \"*\"")
        .expect("a table");
    let granted = LabelRules {
        grants: Some(grants),
        ..label_rules()
    };
    let desired = |reload: &str| {
        let proxy = proxy()
            .project_is("edge")
            .label("check", "exec")
            .label("reload", reload);
        desire(&snapshot([proxy, shop().project_is("shop")]), &granted)
    };
    let told_by =
        |reload: &str| told(&desired(reload), &fresh(&desired(reload)), START).split_off(2);
    let check = "check proxy -- nginx -t";
    assert_eq!(told_by("HUP"), [check, "signal proxy HUP", "prove proxy"]);
    assert_eq!(
        told_by("exec nginx -s 'reload now'"),
        [check, "exec proxy -- nginx -s reload now", "prove proxy"]
    );
    assert_eq!(told_by("restart"), [check, "restart proxy", "prove proxy"]);
    assert_eq!(told_by("none"), [check]);

    let desired = desired("restart");
    let mut observed = settled(&desired, fresh(&desired), START);
    installed(&mut observed).progress = Progress::SignalOwed;
    assert_eq!(
        told(&desired, &observed, START),
        ["restart proxy", "prove proxy"],
        "it was checked then"
    );
    installed(&mut observed).open = true;
    assert_eq!(
        told(&desired, &observed, START),
        [check, "restart proxy", "prove proxy"],
        "nobody knows"
    );
}

#[test]
fn a_template_that_is_broken_holds_back_what_needs_it_and_nothing_else() {
    let both = desired([proxy(), shop()]);
    let live = settled(&both, fresh(&both), START);
    let broken = [(
        "nginx/site.conf".to_owned(),
        Ok("# mine\n{{ nosuch }}\n".to_owned()),
    )];
    let broken = Templates::with(&broken.into_iter().collect());
    let due = START + 61 * 24 * HOUR;
    let held_back = plan(&both, &live, &broken, &rules(), due);
    let subjects: Vec<_> = held_back.actions.iter().map(Action::subject).collect();
    let shop = CertificateName::parse("shop.example").expect("a name");
    assert_eq!(
        subjects,
        [Subject::Certificate(shop)],
        "renewal goes on, and what is live stays"
    );
    let told: Vec<_> = held_back
        .complaints
        .iter()
        .map(|complaint| complaint.problem.as_str())
        .collect();
    assert!(
        told[0].starts_with("template nginx/site.conf, line 2: "),
        "{told:?}"
    );
    assert_eq!(told.len(), 1);
}

fn installed(observed: &mut Observed) -> &mut Installed {
    Rc::make_mut(observed.installed.values_mut().next().expect("the proxy"))
}

/// Carries plans out until nothing is left.
pub(super) fn settled(desired: &Desired, mut observed: Observed, now: Timestamp) -> Observed {
    for _ in 0..30 {
        let turn = planned(desired, &observed, now);
        if turn.actions.is_empty() {
            return observed;
        }
        observed = foresee(&observed, &turn, now);
    }
    panic!(
        "thirty turns did not settle it: {:?}",
        told(desired, &observed, now)
    );
}

#[test]
fn other_templates_and_another_server_have_everything_rendered_again() {
    let desired = desired([proxy(), shop()]);
    let observed = settled(&desired, fresh(&desired), START);
    let mut memory = Planner::default();
    let mut written = |desired: &Desired, templates: &Templates| {
        let actions = memory
            .plan(desired, &observed, templates, &rules(), START)
            .actions;
        let deploys = actions.into_iter().filter_map(|action| match action {
            Action::Deploy(deploy) => Some(deploy.write),
            Action::TakeBack(_) | Action::Obtain(_) | Action::FallBack(_) => None,
        });
        deploys
            .flat_map(BTreeMap::into_keys)
            .map(String::from)
            .collect::<Vec<_>>()
    };
    let site = "quaymaster-shop.example.conf".to_owned();
    assert_eq!(written(&desired, &templates()), [""; 0]);
    let other = BTreeMap::from([("nginx/site.conf".to_owned(), Ok("# mine".to_owned()))]);
    assert!(written(&desired, &Templates::with(&other)).contains(&site));
    assert_eq!(written(&desired, &templates()), [""; 0]);
    let moved = snapshot([proxy().label("http-port", "8080"), shop()]);
    assert!(written(&desire(&moved, &label_rules()), &templates()).contains(&site));
}
