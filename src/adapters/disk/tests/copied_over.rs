//! Tests of files that the user copies over the names in `live/`, one by one and in any order.

use itertools::Itertools;

use super::{
    damage::{SHOP, lay_out, look, truncate},
    *,
};

/// Somewhere else: the files of a certificate of the user's.
struct Theirs {
    folder: TempDir,
    digest: Digest,
}

impl Theirs {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (key, chain) = lay_out(folder.path(), SHOP);
        fs::write(folder.path().join("cert.pem"), &chain).expect("it is written");
        fs::write(folder.path().join("chain.pem"), "").expect("it is written");
        Self {
            folder,
            digest: crate::adapters::x509::digest(&chain, &key),
        }
    }

    /// Copies a file as `docker cp` does, with a mode that lets everybody read it.
    fn copy(&self, file: &str, live: &Path) {
        fs::copy(self.folder.path().join(file), live.join(file)).expect("it is copied");
        let open = fs::Permissions::from_mode(0o644);
        fs::set_permissions(live.join(file), open).expect("it is set");
    }
}

fn mend(place: &Place) {
    for (name, repair) in look(place).repairs {
        place.folders.mend(&name, &repair).expect("it is mended");
    }
}

/// A place with one of ours, and its folder in `live`.
fn stored() -> (Place, PathBuf, HeldCertificate) {
    let place = place();
    let ours = store(&place.folders, SHOP);
    let live = place.certificates.join("live").join(SHOP);
    (place, live, ours)
}

#[test]
fn a_certificate_that_is_copied_over_ours_is_taken_up_when_it_is_whole_in_whatever_order_it_comes()
{
    let sets: [&[&str]; 3] = [
        &["privkey.pem", "cert.pem", "chain.pem"],
        &["privkey.pem", "fullchain.pem"],
        &["privkey.pem", "cert.pem", "chain.pem", "fullchain.pem"],
    ];
    for set in sets {
        for order in set.iter().permutations(set.len()) {
            let ((place, live, ours), theirs) = (stored(), Theirs::new());
            let old = live.canonicalize().expect("it is there");
            let copy = place.state.join("copies").join(SHOP);
            let copied = fs::read(copy.join("privkey.pem")).expect("it is there");
            let mut held = ours.digest;
            for file in &order {
                theirs.copy(file, &live);
                let found = look(&place);
                let is_whole = found.held[&name(SHOP)].source == Source::Provided;
                let repair = found.repairs.get(&name(SHOP));
                assert_eq!(
                    is_whole,
                    held == theirs.digest || repair.is_some(),
                    "{order:?}"
                );
                assert!(!matches!(repair, Some(Repair::Live { .. })), "{order:?}");
                let expected = if is_whole { theirs.digest } else { ours.digest };
                assert_eq!(found.held[&name(SHOP)].digest, expected, "{order:?}");
                mend(&place);
                held = expected;
            }
            let found = look(&place);
            assert!(
                found.faults.is_empty() && found.repairs.is_empty(),
                "{order:?}: {found:?}"
            );
            let now = &found.held[&name(SHOP)];
            assert_eq!(
                (now.digest, &now.source),
                (theirs.digest, &Source::Provided),
                "{order:?}"
            );
            let new = live.canonicalize().expect("it is there");
            assert!(new != old, "{order:?}");
            for file in ["privkey.pem", "cert.pem", "fullchain.pem"] {
                let theirs = fs::read(theirs.folder.path().join(file)).expect("it is there");
                assert_eq!(
                    fs::read(new.join(file)).expect("it is there"),
                    theirs,
                    "{order:?}"
                );
            }
            for folder in [&old, &new] {
                assert_eq!(mode(folder.join("privkey.pem")), 0o600, "{order:?}");
            }
            let kept = fs::read(copy.join("privkey.pem")).expect("it is there");
            assert_eq!(kept, copied, "{order:?}");
        }
    }
}

#[test]
fn what_is_copied_half_way_is_told_and_stays_and_ours_is_delivered_meanwhile() {
    for file in ["privkey.pem", "cert.pem", "chain.pem", "fullchain.pem"] {
        let ((place, live, ours), theirs) = (stored(), Theirs::new());
        fs::write(
            theirs.folder.path().join("chain.pem"),
            fs::read(theirs.folder.path().join("cert.pem")).expect("it is there"),
        )
        .expect("it is written");
        theirs.copy(file, &live);
        let found = look(&place);
        assert_eq!(found.held[&name(SHOP)].digest, ours.digest, "{file}");
        assert!(found.repairs.is_empty(), "{file}: {found:?}");
        let told = found.faults[0].to_string();
        assert!(
            told.contains(&format!("of its files, {file} was copied over"))
                && told.contains("copy privkey.pem and"),
            "{told}"
        );
        let version = place.folders.version(&name(SHOP), ours.digest);
        assert_eq!(version.expect("its copy").digest(), ours.digest, "{file}");
        let theirs = fs::read(theirs.folder.path().join(file)).expect("it is there");
        assert_eq!(
            fs::read(live.join(file)).expect("it is there"),
            theirs,
            "{file}"
        );
    }
}

#[test]
fn one_that_was_taken_up_is_not_replaced_while_it_is_valid_and_ours_comes_back_when_it_goes() {
    let ((place, live, ours), theirs) = (stored(), Theirs::new());
    for is_taken_up in [false, true] {
        for file in ["privkey.pem", "fullchain.pem"] {
            theirs.copy(file, &live);
        }
        if is_taken_up {
            mend(&place);
        }
        let (key, chain, names) = issued(SHOP);
        let shop = name(SHOP);
        let new = NewCertificate {
            profile: None,
            name: &shop,
            names: &names,
            key: &key,
            chain: &chain,
            source: Source::Acme(String::new()),
            now: NOW,
        };
        let error = place.folders.store(&new).expect_err("theirs is valid");
        assert!(
            provided::whole(&error).contains("is valid, not ours, and not replaced"),
            "{error}"
        );
    }
    let another = Theirs::new();
    for file in ["privkey.pem", "cert.pem"] {
        another.copy(file, &live);
    }
    mend(&place);
    assert_eq!(look(&place).held[&name(SHOP)].digest, another.digest);
    fs::remove_file(&live).expect("it is removed");
    mend(&place);
    assert_eq!(look(&place).held[&name(SHOP)].digest, ours.digest);
}

#[test]
fn damage_is_no_copy_and_one_that_can_not_be_used_does_not_replace_ours() {
    let (place, live, ours) = stored();
    truncate(&live.join("cert.pem"));
    let found = look(&place);
    assert!(
        found.repairs.is_empty() && found.faults.is_empty(),
        "{found:?}"
    );
    const SMALL: &str = include_str!("../../../../tests/recorded/certificates/rsa-1024.pem");
    for file in ["privkey.pem", "fullchain.pem"] {
        fs::write(live.join(file), SMALL).expect("it is written");
    }
    let found = look(&place);
    assert_eq!(found.held[&name(SHOP)].digest, ours.digest);
    let told = provided::whole(&found.faults[0]);
    assert!(
        told.contains("its RSA key of 1024 bits is too short"),
        "{told}"
    );
}
