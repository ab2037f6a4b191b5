//! Certificates that go out of use: where they lie then, who may read them, and what a crash leaves between two steps.

use super::{
    damage::{SHOP, look, remove, truncate},
    *,
};

fn live(place: &Place) -> PathBuf {
    place.certificates.join("live").join(SHOP)
}

fn copy(place: &Place) -> PathBuf {
    place.state.join("copies").join(SHOP)
}

fn in_archive(place: &Place, path: &str) -> PathBuf {
    place.certificates.join("archive").join(SHOP).join(path)
}

#[test]
fn an_archived_certificate_is_kept_private_and_comes_back_as_it_was() {
    let place = place();
    store(&place.folders, SHOP);
    let held = store(&place.folders, SHOP);
    let archived = place.folders.archive(&name(SHOP), NOW).expect("it can be");
    assert_eq!(
        (archived.version, archived.at, &archived.certificate),
        (2, NOW, &held)
    );
    let found = look(&place);
    assert!(
        found.held.is_empty() && found.repairs.is_empty(),
        "{found:?}"
    );
    assert_eq!(
        found.archived,
        BTreeMap::from([(name(SHOP), Rc::new(archived))])
    );
    assert!(!files::is_there(&live(&place)) && !files::is_there(&copy(&place)));
    assert_eq!(mode(in_archive(&place, "2/privkey.pem")), 0o600);
    assert_eq!(place.folders.restore(&name(SHOP)).expect("it can be"), held);
    let found = look(&place);
    assert_eq!(found.held, BTreeMap::from([(name(SHOP), Rc::new(held))]));
    assert!(
        found.archived.is_empty() && found.repairs.is_empty(),
        "{found:?}"
    );
    assert!(!files::is_there(&in_archive(&place, "archived.json")));
    assert_eq!(mode(copy(&place).join("privkey.pem")), 0o600);
}

#[test]
fn a_crash_between_the_steps_of_archiving_leaves_it_live_or_archived() {
    let place = place();
    let held = store(&place.folders, SHOP);
    let link = fs::read_link(live(&place)).expect("a link");
    place.folders.archive(&name(SHOP), NOW).expect("it can be");
    // Before the last step: the link was there.
    std::os::unix::fs::symlink(link, live(&place)).expect("a link");
    let found = look(&place);
    assert_eq!(
        found.held,
        BTreeMap::from([(name(SHOP), Rc::new(held.clone()))])
    );
    assert!(found.archived.is_empty());
    for (name, repair) in found.repairs {
        place
            .folders
            .mend(&name, &repair)
            .expect("its copy is made");
    }
    assert!(copy(&place).is_dir());
    let again = place.folders.archive(&name(SHOP), NOW).expect("it can be");
    assert_eq!(again.certificate, held);
    assert!(look(&place).held.is_empty());
}

#[test]
fn a_deletion_that_was_cut_off_is_done_again_and_leaves_no_key() {
    let place = place();
    for _ in 0..2 {
        store(&place.folders, SHOP);
    }
    place.folders.archive(&name(SHOP), NOW).expect("it can be");
    remove(&in_archive(&place, "2"));
    let found = look(&place);
    assert!(found.archived.contains_key(&name(SHOP)), "{found:?}");
    assert!(place.folders.restore(&name(SHOP)).is_err());
    fs::create_dir(in_archive(&place, ".3.new")).expect("left by a crash");
    place.folders.delete(&name(SHOP)).expect("it can be");
    assert!(!files::is_there(&in_archive(&place, "")));
    assert!(look(&place).archived.is_empty());
}

#[test]
fn what_others_put_into_the_archive_is_not_deleted() {
    let place = place();
    store(&place.folders, SHOP);
    place.folders.archive(&name(SHOP), NOW).expect("it can be");
    fs::write(in_archive(&place, "notes.txt"), "mine").expect("it is written");
    place.folders.delete(&name(SHOP)).expect("it can be");
    let left = files::entries(&in_archive(&place, "")).expect("a list");
    assert_eq!(left, ["notes.txt"]);
    // A folder without a mark is nobody's to delete.
    store(&place.folders, "other.example");
    remove(&place.certificates.join("live/other.example"));
    remove(&place.state.join("copies/other.example"));
    assert!(look(&place).archived.is_empty());
    assert!(place.folders.delete(&name("other.example")).is_err());
    assert!(place.certificates.join("archive/other.example/1").is_dir());
}

#[test]
fn only_what_was_obtained_is_archived_and_only_what_is_archived_is_deleted() {
    let place = place();
    let theirs = name("theirs.example");
    damage::lay_out(
        &place.certificates.join("live/theirs.example"),
        theirs.as_str(),
    );
    store(&place.folders, SHOP);
    store(&place.folders, "unknown.example");
    let about = "archive/unknown.example/1/about.json";
    truncate(&place.certificates.join(about));
    remove(&place.state.join("copies/unknown.example"));
    for certificate in [&theirs, &name("unknown.example"), &name("none.example")] {
        let archived = place.folders.archive(certificate, NOW);
        assert!(archived.is_err(), "{certificate}: {archived:?}");
    }
    assert!(place.folders.delete(&name(SHOP)).is_err());
    assert!(place.folders.restore(&name(SHOP)).is_err());
    let held: Vec<_> = look(&place).held.into_keys().collect();
    assert_eq!(held, [name(SHOP), theirs, name("unknown.example")]);
}

#[test]
fn one_that_was_changed_in_the_archive_stays_there_and_a_successor_takes_its_place() {
    let place = place();
    store(&place.folders, SHOP);
    place.folders.archive(&name(SHOP), NOW).expect("it can be");
    truncate(&in_archive(&place, "1/fullchain.pem"));
    assert!(place.folders.restore(&name(SHOP)).is_err());
    assert!(!files::is_there(&live(&place)));
    let held = store(&place.folders, SHOP);
    let found = look(&place);
    assert_eq!(found.held, BTreeMap::from([(name(SHOP), Rc::new(held))]));
    assert!(!files::is_there(&in_archive(&place, "archived.json")));
    // Removed by hand, it is obtained anew: it is not archived.
    remove(&live(&place));
    remove(&copy(&place));
    assert!(look(&place).archived.is_empty());
}
