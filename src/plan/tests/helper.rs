//! Tests of the requests to a helper that runs certbot, and their times.

use super::*;
use crate::{
    desire::tests::snapshot,
    fixtures::{held, volume},
    observe::{HeldCertificate, Shelf, Source},
    plan::{HelperOrder, due_by},
    values::{CA_PRESETS, Issuer},
};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A container with certbot that shares its list, its certificates and its challenges with us.
pub(super) fn helper() -> Bearer {
    container("certbot", 6)
        .label("kind", "certbot")
        .label("email", "you@example.org")
        .mount(volume("lines", "/etc/certbot-helper", false))
        .mount(volume("certificates", "/etc/letsencrypt", true))
        .mount(volume("challenge", "/var/www/challenge", true))
}

/// A proxy that shares what a helper needs.
pub(super) fn front() -> Bearer {
    proxy()
        .mount(volume("challenge", "/var/www/challenge", false))
        .mount(volume("certificates", "/etc/letsencrypt", false))
}

pub(super) fn helpers_rules() -> LabelRules {
    LabelRules {
        certificates: "/certificates".into(),
        webroot: Some("/challenge".into()),
        ..label_rules()
    }
}

/// Ours, with what it shares with a helper.
pub(super) fn beside_helper() -> Bearer {
    own()
        .mount(volume("lines", "/lines", true))
        .mount(volume("certificates", "/certificates", true))
        .mount(volume("challenge", "/challenge", true))
}

fn desired_with(containers: impl IntoIterator<Item = Bearer>) -> Desired {
    desired_by(containers, &helpers_rules())
}

fn desired_by(containers: impl IntoIterator<Item = Bearer>, rules: &LabelRules) -> Desired {
    let mut seen = snapshot(containers.into_iter().chain([front()]));
    seen.own = Some(beside_helper());
    desire(&seen, rules)
}

/// As it is once the proxy answers.
fn answered(desired: &Desired) -> Observed {
    let observed = fresh(desired);
    let plan = planned(desired, &observed, START);
    let mut after = foresee(&observed, &plan, START);
    after.held = Rc::default();
    after
}

/// The requests to the helper, and our own orders.
fn asked(
    desired: &Desired,
    observed: &Observed,
    now: Timestamp,
) -> (Vec<HelperOrder>, Vec<String>) {
    let (mut lines, mut ours) = (Vec::new(), Vec::new());
    for action in planned(desired, observed, now).actions {
        if let Action::Obtain(obtain) = action {
            match obtain.helper {
                Some(order) => lines.push(*order),
                None => ours.push(obtain.certificate.to_string()),
            }
        }
    }
    (lines, ours)
}

fn lines(desired: &Desired, observed: &Observed, now: Timestamp) -> Vec<String> {
    let (orders, ours) = asked(desired, observed, now);
    assert_eq!(ours, [""; 0], "quaymaster orders nothing itself");
    orders.into_iter().map(|order| order.line).collect()
}

/// The certificate that certbot puts into `live/`, of so many days.
fn brought(names: &[&str], days: u32, since: Timestamp) -> HeldCertificate {
    HeldCertificate {
        not_before: since,
        not_after: since + DAY * days,
        digest: Digest::of(format!("{names:?} {since:?}")),
        ..held(names)
    }
}

fn name(name: &str) -> CertificateName {
    CertificateName::parse(name).expect("a name")
}

fn failed(count: u32, desired: &Desired, at: Timestamp) -> (Subject, Attempt) {
    let name = name("shop.example");
    let attempt = Attempt {
        count,
        last: at,
        problem: Some("nothing came".to_owned()),
        ..Attempt::broken_off(at)
    };
    let asked = obtain::asked(&desired.certificates[&name]);
    (Subject::Certificate(name), Attempt { asked, ..attempt })
}

#[test]
fn a_helper_gets_a_line_for_each_certificate_that_is_missing_and_nothing_is_ordered_beside_it() {
    let blog = container("blog", 5)
        .label("host", "blog.example, www.blog.example")
        .label("certificate", "blog")
        .label("profile", "tls required")
        .label("key-type", "rsa-4096");
    let shop = shop().label("profile", "shortlived");
    let desired = desired_with([helper(), shop, blog]);
    assert_eq!(desired.complaints, [].into());
    let observed = answered(&desired);
    let start = "certbot certonly -n --agree-tos --email you@example.org --server https://ca.example/directory";
    let rest = "--keep --webroot -w /var/www/challenge --cert-name";
    assert_eq!(
        lines(&desired, &observed, START),
        [
            format!(
                "{start} --required-profile tls --key-type rsa --rsa-key-size 4096 {rest} blog -d blog.example -d www.blog.example"
            ),
            format!("{start} --preferred-profile shortlived {rest} shop.example -d shop.example"),
        ]
    );
    // The second of two has to wait for the first.
    let (orders, _) = asked(&desired, &observed, START);
    assert!(orders[0].within < orders[1].within);
    let steps = told(&desired, &observed, START);
    assert!(
        steps.contains(&"obtain shop.example --by certbot".to_owned()),
        "{steps:?}"
    );
}

#[test]
fn a_line_is_there_only_while_its_certificate_is_missing_or_due_as_certbot_holds_it() {
    let desired = desired_with([helper(), shop()]);
    for (life, due_before) in [(90, 30), (365, 30), (45, 15), (6, 3)] {
        let mut observed = answered(&desired);
        let certificate = brought(&["shop.example"], life, START);
        observed.hold(name("shop.example"), certificate.clone());
        let due = due_by(&certificate, true, None).at;
        assert!(
            certificate.not_after - DAY * due_before <= due
                && due < certificate.not_after - DAY * (due_before - 1),
            "{life}"
        );
        let before = due - Duration::from_secs(1);
        assert_eq!(lines(&desired, &observed, before), [""; 0], "{life}");
        let wake = planned(&desired, &observed, before).wake;
        assert_eq!(wake, Some(due), "{life}");
        let lines = lines(&desired, &observed, due);
        assert!(lines[0].contains(" --keep "), "{lines:?}");
        let (orders, _) = asked(&desired, &observed, due);
        assert_eq!(orders[0].before, Some(certificate.digest));
    }
    // What the user has put into `provided/` serves as long as it is valid, and certbot is not asked.
    let mut observed = answered(&desired);
    let own = HeldCertificate {
        shelf: Shelf::Provided,
        ..brought(&["shop.example"], 90, START)
    };
    let end = own.not_after;
    observed.provide(name("shop.example"), own);
    assert_eq!(lines(&desired, &observed, START + DAY * 80), [""; 0]);
    assert_eq!(lines(&desired, &observed, end).len(), 1);
    // Certbot's own of before is not what is waited for.
    let older = brought(&["shop.example"], 30, START);
    observed.hold(name("shop.example"), older.clone());
    let (orders, _) = asked(&desired, &observed, end);
    assert_eq!(orders[0].before, Some(older.digest));
    // One that lacks a name is wanted anew.
    let mut observed = answered(&desired);
    observed.hold(name("shop.example"), brought(&["x.example"], 90, START));
    assert_eq!(lines(&desired, &observed, START).len(), 1);
}

#[test]
fn pauses_after_failures_hold_for_a_helper_too_and_so_does_what_is_under_way() {
    let desired = desired_with([helper(), shop()]);
    let mut observed = answered(&desired);
    for (count, pause) in [(1, 60), (2, 600), (3, 6000), (4, 24 * 3600)] {
        observed.attempts = [failed(count, &desired, START)].into();
        let next = START + Duration::from_secs(pause);
        let before = next - Duration::from_secs(1);
        assert_eq!(lines(&desired, &observed, before), [""; 0], "{count}");
        assert_eq!(lines(&desired, &observed, next).len(), 1, "{count}");
        let plan = planned(&desired, &observed, next);
        let attempt = plan.actions.iter().find_map(|action| match action {
            Action::Obtain(obtain) => Some(obtain.attempt.clone()),
            _ => None,
        });
        assert_eq!(attempt.map(|attempt| attempt.count), Some(count + 1));
    }
    observed.attempts.clear();
    let subject = Subject::Certificate(name("shop.example"));
    observed.under_way.insert(subject);
    assert_eq!(lines(&desired, &observed, START), [""; 0]);
}

#[test]
fn what_a_label_names_the_ca_of_and_what_is_ours_already_stays_ours() {
    let own = container("own", 5)
        .label("host", "own.org")
        .label("ca", "letsencrypt");
    let desired = desired_with([helper(), shop(), own]);
    let mut observed = answered(&desired);
    let (lines, ours) = asked(&desired, &observed, START);
    assert_eq!(lines.len(), 1);
    assert_eq!(ours, ["own.org"]);
    // Certbot could not put its own in the place of a version of ours.
    let certificate = HeldCertificate {
        source: Source::Acme("https://ca.example/directory".to_owned()),
        ..brought(&["shop.example"], 90, START)
    };
    observed.hold(name("shop.example"), certificate);
    let (lines, ours) = asked(&desired, &observed, START + DAY * 80);
    assert_eq!(lines, []);
    // What runs out goes first.
    assert_eq!(ours, ["shop.example", "own.org"]);
}

#[test]
fn a_helper_has_any_number_of_lines_and_none_of_them_keeps_an_order_of_ours() {
    let app = |number: u8| {
        let name = format!("app{number}");
        container(&name, 10 + number).label("host", &format!("{name}.org"))
    };
    let own = container("own", 5)
        .label("host", "own.org")
        .label("ca", "letsencrypt");
    let mut rules = helpers_rules();
    rules.issuers = Some(Issuer::Ca(CA_PRESETS[0].directory.to_owned()).into());
    let desired = desired_by((1..7).map(app).chain([helper(), own]), &rules);
    let mut observed = answered(&desired);
    let (lines, ours) = asked(&desired, &observed, START);
    assert_eq!((lines.len(), ours.len()), (6, 1));
    for number in 1..7 {
        let subject = Subject::Certificate(name(&format!("app{number}.org")));
        observed.under_way.insert(subject);
    }
    let (lines, ours) = asked(&desired, &observed, START);
    assert_eq!((lines.len(), ours), (0, vec!["own.org".to_owned()]));
}

#[test]
fn while_a_helper_does_not_run_what_it_is_to_obtain_waits_and_once_it_is_gone_we_obtain_it() {
    let stopped = Bearer {
        state: BearerState::Other("exited".to_owned()),
        ..helper()
    };
    let desired = desired_with([stopped, shop()]);
    let mut observed = answered(&desired);
    assert_eq!(lines(&desired, &observed, START), [""; 0]);
    let told: Vec<_> = planned(&desired, &observed, START)
        .complaints
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(
        told.iter()
            .any(|it| it.contains("it does not run, and certificates that are missing or due wait")),
        "{told:?}"
    );
    // Nor do its failures count for us.
    observed.attempts = [failed(4, &desired, START)].into();
    let alone = desired_with([shop()]);
    let (lines, ours) = asked(&alone, &observed, START);
    assert_eq!((lines, ours), (vec![], vec!["shop.example".to_owned()]));
    // What certbot left is served until its end.
    observed.hold(name("shop.example"), brought(&["shop.example"], 90, START));
    let certificate = observed.held[&name("shop.example")].clone();
    assert_eq!(certificate.shelf, Shelf::Live);
    assert_eq!(asked(&alone, &observed, START + DAY * 80).1, [""; 0]);
    let after = asked(&alone, &observed, certificate.not_after);
    assert_eq!(after.1, ["shop.example"]);
}

#[test]
fn no_self_signed_certificate_is_made_where_a_helper_is_to_put_its_own() {
    let broker = container("mqtt", 5)
        .label("kind", "mosquitto")
        .label("use", "mqtt.example")
        .mount(volume("state", "/mosquitto/certs", false));
    for (containers, expected) in [(vec![broker.clone()], 1), (vec![broker, helper()], 0)] {
        let desired = desired_with(containers);
        let plan = planned(&desired, &fresh(&desired), START);
        let made = plan.actions.iter();
        let made = made.filter(|action| matches!(action, Action::FallBack(_)));
        assert_eq!(made.count(), expected);
    }
}

#[test]
fn a_renewal_that_is_late_is_told_as_that_of_the_helper() {
    let desired = desired_with([helper(), shop()]);
    let mut observed = answered(&desired);
    observed.hold(name("shop.example"), brought(&["shop.example"], 90, START));
    let notices = |now| {
        let plan = planned(&desired, &observed, now);
        let notices = plan.notices.iter().map(ToString::to_string);
        notices.collect::<Vec<_>>()
    };
    assert_eq!(notices(START + DAY * 70), [""; 0]);
    let told = notices(START + DAY * 85);
    assert!(
        told[0].starts_with("the certificate live/shop.example expires at"),
        "{told:?}"
    );
}

#[test]
fn nothing_that_is_written_somewhere_leaves_its_word_in_a_helper_s_line() {
    // An address may have such characters; hosts and names can't.
    let helper = helper().label("email", "$(id)`id`;'x&@example.org");
    let desired = desired_with([helper, shop()]);
    let lines = lines(&desired, &answered(&desired), START);
    let words = shell_words::split(&lines[0]).expect("a shell can read it");
    assert_eq!(words[4..6], ["--email", "$(id)`id`;'x&@example.org"]);
    assert_eq!(words.last().map(String::as_str), Some("shop.example"));
}

#[test]
fn a_template_of_the_user_s_says_other_words_and_one_that_fails_asks_nothing() {
    let desired = desired_with([helper(), shop()]);
    let observed = answered(&desired);
    let with = |text: &str| {
        let users = [("certbot/updates.list".to_owned(), Ok(text.to_owned()))];
        let templates = Templates::with(&users.into());
        plan(&desired, &observed, &templates, &rules(), START)
    };
    let own = with(
        "certbot certonly --manual\n--manual-auth-hook /usr/bin/certbot-authenticator\n-d {{ names[0] }}\n",
    );
    let line = own.actions.iter().find_map(|action| match action {
        Action::Obtain(obtain) => Some(obtain.helper.as_ref()?.line.clone()),
        _ => None,
    });
    let expected = "certbot certonly --manual --manual-auth-hook /usr/bin/certbot-authenticator -d shop.example";
    assert_eq!(line.as_deref(), Some(expected));
    let broken = with("{{ nobody }}");
    let orders = broken.actions.iter();
    assert!(!orders.into_iter().any(|it| matches!(it, Action::Obtain(_))));
    let told: Vec<_> = broken.complaints.iter().map(ToString::to_string).collect();
    assert!(
        told.iter()
            .any(|it| it.contains("template certbot/updates.list")),
        "{told:?}"
    );
}
