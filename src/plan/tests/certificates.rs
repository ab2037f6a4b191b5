//! A newer version of a certificate is a part of its own: it comes, and is refused, alone.

use super::{refusals::Refusing, *};
use crate::observe::HeldCertificate;

const RENEWED: Timestamp = START;

/// Three sites with one certificate, and one with its own.
fn world(label: Option<&str>) -> Desired {
    let joint = |name: &str, number| {
        container(name, number)
            .label("host", &format!("{name}.example"))
            .label("certificate", "joint")
    };
    let labelled = |app: Bearer| match label {
        Some(size) => app.label("body-size", size),
        None => app,
    };
    desired([
        proxy(),
        labelled(joint("one", 4)),
        joint("two", 5),
        joint("three", 6),
        shop_at(7),
    ])
}

fn shop_at(number: u8) -> Bearer {
    container("shop", number).label("host", "shop.example")
}

/// The digest of another version of the joint certificate, which is held from now on.
fn renew(observed: &mut Observed, word: &str) -> Digest {
    let name = CertificateName::parse("joint").expect("a name");
    let renewed = HeldCertificate {
        digest: Digest::of(word),
        serial: word.to_owned(),
        not_before: RENEWED,
        ..(*observed.held[&name]).clone()
    };
    let digest = renewed.digest;
    observed.hold(name, renewed);
    digest
}

fn given(observed: &Observed) -> Digest {
    let name = CertificateName::parse("joint").expect("a name");
    let mut installed = observed.installed.values();
    installed.next().expect("the proxy").certificates[&name]
}

fn refused(observed: &Observed) -> Vec<String> {
    let mut installed = observed.installed.values();
    let installed = installed.next().expect("the proxy");
    installed
        .trial
        .refused
        .keys()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn a_renewed_certificate_that_is_refused_is_blamed_alone_and_files_go_on() {
    let before = world(None);
    let mut observed = settled(&before, fresh(&before), START);
    let first = given(&observed);
    let mut proxy = Refusing::new("nobody");
    let bad = renew(&mut observed, "bad");
    proxy.refuses_certificate(bad);
    let observed = proxy.settle(&before, observed, START);
    assert_eq!(
        (refused(&observed), proxy.refused),
        (vec!["the certificate joint".to_owned()], 1)
    );
    assert_eq!(given(&observed), first, "the one before is served");
    let told: Vec<_> = planned(&before, &observed, START)
        .complaints
        .into_iter()
        .collect();
    let [told] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!(told.origin.bearer.as_str(), "proxy");
    assert!(
        told.problem
            .starts_with("proxy refuses the new certificate joint, live/joint/fullchain.pem"),
        "{told}"
    );
    assert!(
        told.remedy
            .contains("write its label quaymaster.reload=restart"),
        "{told}"
    );

    // A file of one of its sites changes meanwhile.
    let changed = world(Some("1m"));
    assert_eq!(
        told_by(&changed, &observed)[0],
        "write quaymaster-one.example.conf --into /edge"
    );
    let mut observed = proxy.settle(&changed, observed, START);
    assert_eq!(proxy.refused, 1, "it is not tried again");

    // The next version is tried, and taken.
    let good = renew(&mut observed, "good");
    let observed = proxy.settle(&changed, observed, START);
    assert_eq!((given(&observed), proxy.refused), (good, 1));
    assert_eq!(refused(&observed), [""; 0]);
    assert!(planned(&changed, &observed, START).complaints.is_empty());
}

#[test]
fn of_a_bad_file_and_a_bad_certificate_that_come_together_each_is_found() {
    let before = world(None);
    let mut observed = settled(&before, fresh(&before), START);
    let mut proxy = Refusing::new("one.example");
    proxy.tolerates(&observed);
    proxy.refuses_certificate(renew(&mut observed, "bad"));
    let observed = proxy.settle(&world(Some("1m")), observed, START);
    assert_eq!(
        refused(&observed),
        ["the certificate joint", "quaymaster-one.example.conf"]
    );
    assert_eq!(proxy.refused, 3, "both at once, then each alone");
}

#[test]
fn clients_must_be_shown_a_renewed_certificate_for_the_sites_that_name_it() {
    let world = world(None);
    let mut observed = settled(&world, fresh(&world), START);
    renew(&mut observed, "renewed");
    let plan = planned(&world, &observed, START);
    let [Action::Deploy(deploy)] = plan.actions.as_slice() else {
        panic!("{plan:?}")
    };
    assert_eq!(deploy.why, BTreeSet::from([Why::CertificateChanged]));
    let shown: Vec<_> = deploy.proof.serials.iter().collect();
    let shown: Vec<_> = shown
        .iter()
        .map(|(host, serial)| (host.as_str(), serial.as_str()))
        .collect();
    assert_eq!(
        shown,
        [
            ("one.example", "renewed"),
            ("three.example", "renewed"),
            ("two.example", "renewed")
        ]
    );
}

#[test]
fn a_tool_that_names_the_files_of_a_certificate_blames_that() {
    let world = world(None);
    let mut observed = settled(&world, fresh(&world), START);
    renew(&mut observed, "renewed");
    let mut checked = world.clone();
    let consumer = checked.consumers.values_mut().next().expect("the proxy");
    Rc::make_mut(consumer).check = Some(vec!["nginx".to_owned(), "-t".to_owned()]);
    let plan = planned(&checked, &observed, START);
    let [Action::Deploy(deploy)] = plan.actions.as_slice() else {
        panic!("{plan:?}")
    };
    let check = deploy.check.as_ref().expect("there is one");
    let words = "nginx: [emerg] cannot load certificate \
                 \"/etc/nginx/conf.d/certificates/joint/fullchain.pem\": PEM_read_bio_X509_AUX() failed";
    let joint = PartName::Certificate(CertificateName::parse("joint").expect("a name"));
    assert_eq!(check.blamed(words), BTreeSet::from([joint]));
}

fn told_by(desired: &Desired, observed: &Observed) -> Vec<String> {
    told(desired, observed, START)
}

#[test]
fn a_child_that_is_added_to_its_parents_names_is_one_order_and_is_served_that_certificate() {
    let parent = |names: &str| {
        container("parent", 4)
            .label("host", "example.org")
            .label("names", names)
    };
    let child = |number: u8| {
        let host = format!("{}.example.org", ["a", "b"][usize::from(number - 5)]);
        container(&format!("child{number}"), number).label("host", &host)
    };
    let before = desired([proxy(), parent("a.example.org"), child(5)]);
    let mut observed = settled(&before, fresh(&before), START);
    let names: Vec<_> = observed.held.keys().map(CertificateName::as_str).collect();
    assert_eq!(names, ["example.org"], "of two sites");
    let after = desired([
        proxy(),
        parent("a.example.org b.example.org"),
        child(5),
        child(6),
    ]);
    let (mut orders, mut served) = (Vec::new(), BTreeSet::new());
    for _ in 0..10 {
        let plan = planned(&after, &observed, START);
        for action in &plan.actions {
            match action {
                Action::Obtain(obtain) => orders.push((obtain.certificate.to_string(), obtain.why)),
                Action::Deploy(deploy) => {
                    served.extend(deploy.proof.serials.keys().map(ToString::to_string))
                }
                Action::FallBack(_) => panic!("nothing is self-signed"),
                Action::TakeBack(_) => panic!("nothing is refused"),
            }
        }
        observed = foresee(&observed, &plan, START);
    }
    assert_eq!(orders, [("example.org".to_owned(), Why::NamesChanged)]);
    assert_eq!(
        served,
        ["b.example.org".to_owned()].into(),
        "the others are as they were"
    );
    let installed = observed.installed.values().next().expect("the proxy");
    let given: Vec<_> = installed
        .certificates
        .keys()
        .map(CertificateName::as_str)
        .collect();
    assert_eq!(given, ["example.org"]);
}
