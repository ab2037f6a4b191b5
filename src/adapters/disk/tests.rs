//! Folders as they really lie on a disk: modes, links, versions, and what a crash or a stranger may leave there.

mod archive;
mod clients;
mod copied_over;
mod damage;
mod forms;
mod import;
mod memory;
mod provided;
mod records;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::PermissionsExt,
    rc::Rc,
    time::Duration,
};

use futures_util::FutureExt;
use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;
use time::OffsetDateTime;

use super::*;
use crate::{
    adapters::{clock::SystemClock, probe::TcpProbe},
    observe::{Attempt, HeldCertificate, Holder, SharedPath, Source, Webroots},
    ports::{
        Accounts, Attempts, CertificateStore, Certificates, Challenge, Clock, NewCertificate,
        OrderRecord, Orders, Records, Remark, Repair, Responder, Response, ResponseFault,
        ShownResponse, TxtProof, Vitals,
    },
    values::{CertificateName, Digest, Host, Retry, Secret, Timestamp},
};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

pub(super) struct Place {
    _root: TempDir,
    pub folders: Folders,
    pub state: PathBuf,
    pub certificates: PathBuf,
    pub config: PathBuf,
}

impl Place {
    /// Where the configuration is, as a folder that others may write to.
    pub(super) fn shared(&self) -> SharedPath {
        SharedPath::top(&self.config)
    }
}

thread_local! {
    static HEARD: RefCell<Vec<Remark>> = const { RefCell::new(Vec::new()) };
}

fn hear(remark: Remark) {
    HEARD.with_borrow_mut(|heard| heard.push(remark));
}

/// The remarks since the last call: paths, from the folder of state or of certificates on, and what is said of each.
pub(super) fn heard(place: &Place) -> Vec<(PathBuf, String)> {
    let said = |remark| match remark {
        Remark::FileDamaged {
            path,
            problem,
            instead,
        } => {
            let roots = [&place.state, &place.certificates];
            let inner = roots.iter().find_map(|root| path.strip_prefix(root).ok());
            let inner = inner.expect("it lies in a folder of ours").to_owned();
            (inner, format!("{problem}; {instead}"))
        }
        other => panic!("no remark of a disk: {other}"),
    };
    HEARD.take().into_iter().map(said).collect()
}

pub(super) fn place() -> Place {
    let root = tempfile::tempdir().expect("a folder");
    let [state, certificates, config] =
        ["state", "certificates", "config"].map(|name| root.path().join(name));
    fs::create_dir(&config).expect("a folder");
    Place {
        folders: Folders::new(certificates.clone(), state.clone(), hear),
        _root: root,
        state,
        certificates,
        config,
    }
}

pub(super) fn name(word: &str) -> CertificateName {
    CertificateName::parse(word).expect("a name")
}

/// A certificate signed by its own key, valid around `NOW`.
fn issued(host: &str) -> (Secret, String, BTreeSet<Host>) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new([host.to_owned()]).expect("a name");
    let seconds = NOW.millis() / 1000;
    params.not_before = OffsetDateTime::from_unix_timestamp(seconds - 60).expect("a time");
    params.not_after = OffsetDateTime::from_unix_timestamp(seconds + 6000).expect("a time");
    let chain = params.self_signed(&key).expect("a certificate").pem();
    (
        Secret::new(key.serialize_pem()),
        chain,
        BTreeSet::from([Host::parse(host).expect("a name")]),
    )
}

pub(super) fn store(folders: &Folders, host: &str) -> HeldCertificate {
    let (key, chain, names) = issued(host);
    let name = name(host);
    let source = Source::Acme("https://ca.example/dir".to_owned());
    let new = NewCertificate {
        profile: None,
        name: &name,
        names: &names,
        key: &key,
        chain: &chain,
        source,
        now: NOW,
    };
    folders.store(&new).expect("it is stored")
}

/// A look when everything that lies there has long been so.
fn look(folders: &Folders) -> Certificates {
    folders
        .certificates(SystemClock.now() + Duration::from_secs(3))
        .expect("they are read")
}

pub(super) fn mode(path: impl AsRef<Path>) -> u32 {
    fs::metadata(path.as_ref())
        .expect("it is there")
        .permissions()
        .mode()
        & 0o777
}

/// A responder that publishes and withdraws, and asks no server.
pub(super) fn responder() -> WebrootResponder {
    let probe = TcpProbe::new().expect("a TLS client");
    WebrootResponder::new(Rc::new(probe), Rc::new(SystemClock))
}

pub(super) fn webroot(folder: &SharedPath) -> Webroots {
    Webroots {
        folders: [folder.clone()].into(),
        proxies: BTreeSet::new(),
        dns: None,
    }
}

/// The result of a withdrawal.
pub(super) fn withdrawn(webroots: &Webroots) -> Result<(), ResponseFault> {
    let (responder, shown) = (responder(), challenge("tok-EN_1").response.shown(None));
    let withdrawn = responder.withdraw(webroots, &shown).now_or_never();
    let mut faults = withdrawn.expect("nothing is waited for").into_iter();
    faults.next().map_or(Ok(()), Err)
}

/// The result of a publication.
pub(super) fn published(webroots: &Webroots, challenge: &Challenge) -> Result<(), ResponseFault> {
    let responder = responder();
    let published = responder.publish(webroots, challenge).now_or_never();
    published.expect("nothing is waited for")
}

pub(super) fn challenge(token: &str) -> Challenge {
    Challenge {
        name: Host::parse("shop.example").expect("a name"),
        response: Response::Http {
            token: token.to_owned(),
            body: format!("{token}.thumbprint"),
        },
    }
}

#[test]
fn the_profile_that_a_certificate_was_asked_for_by_stays_on_record_however_it_is_mended() {
    let place = place();
    let (key, chain, names) = issued("shop.example");
    let name = name("shop.example");
    let live = place.certificates.join("live/shop.example");
    let mend = || {
        for (name, repair) in look(&place.folders).repairs {
            place.folders.mend(&name, &repair).expect("it is mended");
        }
    };
    for asked in [None, Some(""), Some("shortlived")] {
        let stored = place.folders.store(&NewCertificate {
            profile: asked,
            name: &name,
            names: &names,
            key: &key,
            chain: &chain,
            source: Source::Acme("https://ca.example/dir".to_owned()),
            now: NOW,
        });
        assert_eq!(stored.expect("it is stored").profile.as_deref(), asked);
        let of = || look(&place.folders).held[&name].profile.clone();
        assert_eq!(of().as_deref(), asked);
        fs::remove_file(live.join("about.json")).expect("it is ours");
        mend();
        assert_eq!(of().as_deref(), asked, "from its copy");
        fs::remove_dir_all(place.folders.copy(&name)).expect("it is ours");
        mend();
        fs::remove_file(live.join("about.json")).expect("it is ours");
        mend();
        assert_eq!(of().as_deref(), asked, "from a copy that was made again");
        place.folders.archive(&name, NOW).expect("it is archived");
        let restored = place.folders.restore(&name).expect("it is there");
        assert_eq!(restored.profile.as_deref(), asked);
        assert_eq!(of().as_deref(), asked, "after it was archived");
    }
}

/// Stores a certificate that its own key signed, as one that comes from there.
fn stored_from(
    folders: &Folders,
    host: &str,
    source: Source,
) -> Result<HeldCertificate, DiskError> {
    let (key, chain, names) = issued(host);
    folders.store(&NewCertificate {
        profile: None,
        name: &name(host),
        names: &names,
        key: &key,
        chain: &chain,
        source,
        now: NOW,
    })
}

#[test]
fn a_self_signed_certificate_has_every_file_and_says_that_it_is_one_as_long_as_it_is() {
    let place = place();
    let live = place.certificates.join("live/shop.example");
    let given = place.shared().join("certificates");
    for (source, is_marked) in [
        (Source::Fallback, true),
        (Source::SelfSigned, true),
        (Source::Acme("https://ca.example/dir".to_owned()), false),
    ] {
        let held = stored_from(&place.folders, "shop.example", source).expect("it is stored");
        let version = place.folders.version(&name("shop.example"), held.digest);
        let version = version.expect("it is there");
        let delivered: Vec<_> = version.files().into_iter().map(|(file, ..)| file).collect();
        assert_eq!(delivered.contains(&"self-signed"), is_marked, "{given}");
        assert_eq!(live.join("self-signed").exists(), is_marked);
        for file in ["cert.pem", "chain.pem", "fullchain.pem"] {
            let text = fs::read(live.join(file)).expect("it is there");
            assert!(crate::adapters::pem::certificates(&text).is_ok(), "{file}");
        }
        let found = look(&place.folders);
        assert!(
            found.faults.is_empty() && found.repairs.is_empty(),
            "{found:?}"
        );
        assert_eq!(*found.held[&name("shop.example")], held);
    }
    assert_eq!(
        mode(
            place
                .certificates
                .join("archive/shop.example/1/self-signed")
        ),
        0o644
    );
    // It is mended with its mark.
    stored_from(&place.folders, "own.example", Source::Fallback).expect("it is stored");
    fs::write(
        place.certificates.join("live/own.example/fullchain.pem"),
        "",
    )
    .expect("it is ours");
    for (name, repair) in look(&place.folders).repairs {
        place.folders.mend(&name, &repair).expect("it is mended");
    }
    assert!(
        place
            .certificates
            .join("archive/own.example/2/self-signed")
            .exists()
    );
}

#[test]
fn a_fallback_replaces_another_one_and_nothing_else() {
    let place = place();
    let fall_back = || stored_from(&place.folders, "shop.example", Source::Fallback);
    let first = fall_back().expect("nothing is there");
    let second = fall_back().expect("it is replaced");
    assert_ne!(first.digest, second.digest);
    let live = place.certificates.join("live/shop.example");
    let link = || fs::read_link(&live).expect("a link");
    for source in [
        Source::SelfSigned,
        Source::Acme("https://ca.example/dir".to_owned()),
    ] {
        let better = stored_from(&place.folders, "shop.example", source).expect("it is stored");
        let before = link();
        assert_eq!(fall_back().expect("it is there"), better);
        assert_eq!(link(), before);
        // Not even where it is damaged, as long as its copy is whole.
        fs::write(live.join("fullchain.pem"), "damaged").expect("it is ours");
        assert_eq!(fall_back().expect("it is there"), better);
        assert_eq!(link(), before);
        place
            .folders
            .mend(
                &name("shop.example"),
                &Repair::Live {
                    problem: version::missing(live.clone()),
                },
            )
            .expect("it is mended");
    }
    fs::remove_file(&live).expect("it is a link");
    fs::create_dir(&live).expect("it is the user's");
    fs::write(live.join("fullchain.pem"), "half").expect("it is the user's");
    fall_back().expect_err("the user is about to put one there");
    assert!(live.join("fullchain.pem").is_file());
    assert!(!place.certificates.join("set-aside").exists());
}

#[test]
fn a_certificate_is_stored_as_a_new_version_behind_one_link() {
    let place = place();
    let first = store(&place.folders, "shop.example");
    let second = store(&place.folders, "shop.example");
    assert_ne!(first.serial, second.serial);
    let live = place.certificates.join("live/shop.example");
    assert_eq!(
        fs::read_link(&live).expect("a link"),
        Path::new("../archive/shop.example/2")
    );
    assert!(
        place
            .certificates
            .join("archive/shop.example/1/privkey.pem")
            .is_file()
    );
    for file in ["cert.pem", "chain.pem", "fullchain.pem"] {
        assert_eq!(mode(live.join(file)), 0o644, "{file}");
    }
    assert_eq!(mode(live.join("privkey.pem")), 0o600);
    let found = look(&place.folders);
    assert_eq!(
        found.held,
        BTreeMap::from([(name("shop.example"), second.into())])
    );
    assert!(
        found.faults.is_empty() && found.repairs.is_empty(),
        "{found:?}"
    );
    let copy = place.state.join("copies/shop.example");
    assert_eq!(mode(&copy), 0o700);
    for file in ["fullchain.pem", "privkey.pem", "about.json"] {
        assert_eq!(mode(copy.join(file)), 0o600, "{file}");
        assert_eq!(
            fs::read(copy.join(file)).expect("it is there"),
            fs::read(live.join(file)).expect("it is there")
        );
    }
}

#[test]
fn a_wrong_certificate_is_refused_and_the_live_one_stays() {
    let place = place();
    let live = store(&place.folders, "shop.example");
    let (key, chain, names) = issued("other.example");
    let (_, _, asked) = issued("shop.example");
    let name = name("shop.example");
    let (other_key, _, _) = issued("other.example");
    for (key, chain, names) in [
        (&key, &chain, &asked),
        (&other_key, &chain, &names),
        (&key, &String::new(), &names),
    ] {
        let source = Source::Acme(String::new());
        let new = NewCertificate {
            profile: None,
            name: &name,
            names,
            key,
            chain,
            source,
            now: NOW,
        };
        let error = place.folders.store(&new).expect_err("it must be refused");
        assert!(
            error
                .to_string()
                .starts_with("the certificate shop.example is refused"),
            "{error}"
        );
        assert!(std::error::Error::source(&error).is_some(), "{error}");
    }
    assert_eq!(
        look(&place.folders).held,
        BTreeMap::from([(name, live.into())])
    );
}

#[test]
fn what_is_broken_in_live_is_told_and_harms_no_other() {
    let place = place();
    let good = store(&place.folders, "good.example");
    store(&place.folders, "bad.example");
    store(&place.folders, "half.example");
    for name in ["bad.example", "half.example"] {
        fs::remove_dir_all(place.state.join("copies").join(name)).expect("it is removed");
    }
    let live = place.certificates.join("live");
    fs::write(live.join("bad.example/fullchain.pem"), "-----BEGIN CERT").expect("it is written");
    fs::remove_file(live.join("half.example/privkey.pem")).expect("it is removed");
    fs::write(live.join("README"), "certbot leaves one").expect("it is written");
    std::os::unix::fs::symlink("../archive/none/1", live.join("dangling.example")).expect("a link");
    let found = look(&place.folders);
    assert_eq!(
        found.held,
        BTreeMap::from([(name("good.example"), good.into())])
    );
    let faults: Vec<_> = found.wrecks.values().map(ToString::to_string).collect();
    assert_eq!((faults.len(), found.faults.len()), (3, 0), "{faults:?}");
    for (fault, what) in faults.iter().zip([
        "bad.example",
        "dangling.example/full",
        "half.example/privkey.pem",
    ]) {
        assert!(fault.contains(what), "{faults:?}");
    }
}

#[test]
fn attempts_and_orders_outlive_the_process() {
    let place = place();
    let shop = name("shop.example");
    let asked = Digest::of("asked");
    let attempt = Attempt {
        count: 2,
        asked,
        retry: Retry::NotBefore(NOW),
        problem: Some("no".into()),
        circumstances: Some(Digest::of("settings")),
        longest_pause: Some(Duration::from_secs(90)),
        ..Attempt::broken_off(NOW)
    };
    place
        .folders
        .note_attempt(&shop, &attempt)
        .expect("it is written");
    let records = place.folders.attempts().expect("they are read");
    assert_eq!(
        records
            .into_iter()
            .map(|(name, read)| (name, read.ok()))
            .collect::<Vec<_>>(),
        [(shop.clone(), Some(attempt))]
    );
    place.folders.forget_attempts(&shop).expect("it is removed");
    place.folders.forget_attempts(&shop).expect("twice is fine");
    assert!(place.folders.attempts().expect("they are read").is_empty());

    let (key, _, _) = issued("shop.example");
    let record = OrderRecord {
        key,
        asked,
        url: Some("https://ca.example/order/1".into()),
        shown: vec![
            ShownResponse::Http {
                token: "tok-EN_1".into(),
            },
            ShownResponse::Txt {
                dns: "home".into(),
                name: "_acme-challenge.shop.example".into(),
                proof: TxtProof::of("tok-EN_2.thumbprint"),
            },
            ShownResponse::Txt {
                dns: "home".into(),
                name: "_acme-challenge.shop.example".into(),
                proof: TxtProof::of_value("digest"),
            },
        ],
        shown_at: Some(NOW),
    };
    place
        .folders
        .keep_order(&shop, &record)
        .expect("it is written");
    assert_eq!(
        place.folders.order(&shop).expect("it is read"),
        Some(record)
    );
    assert_eq!(mode(place.state.join("orders/shop.example/key.pem")), 0o600);
    assert_eq!(mode(&place.state), 0o700);
    place.folders.drop_order(&shop).expect("it is removed");
    assert_eq!(place.folders.order(&shop).expect("it is read"), None);
}

#[test]
fn accounts_of_two_cas_are_two_and_private() {
    let place = place();
    for directory in ["https://ca.example/dir", "https://ca.example-dir"] {
        place
            .folders
            .keep_account(directory, &Secret::new(directory))
            .expect("it is written");
    }
    for directory in ["https://ca.example/dir", "https://ca.example-dir"] {
        let account = place.folders.account(directory).expect("it is read");
        assert_eq!(account, Some(Secret::new(directory)));
    }
    for folder in fs::read_dir(place.state.join("accounts")).expect("a list") {
        let folder = folder.expect("a folder").path();
        assert_eq!(
            (mode(&folder), mode(folder.join("account.json"))),
            (0o700, 0o600)
        );
    }
}

#[test]
fn a_response_appears_where_it_belongs_and_nowhere_else() {
    let place = place();
    let shown = place.config.join(".well-known/acme-challenge/tok-EN_1");
    let webroots = webroot(&place.shared());
    published(&webroots, &challenge("tok-EN_1")).expect("it is published");
    assert_eq!(
        fs::read_to_string(&shown).expect("it is there"),
        "tok-EN_1.thumbprint"
    );
    assert_eq!(
        (mode(&shown), mode(shown.parent().expect("a folder"))),
        (0o644, 0o755)
    );
    assert_eq!(mode(place.config.join(".well-known")), 0o755);
    withdrawn(&webroots).expect("it is taken away");
    withdrawn(&webroots).expect("twice is fine");
    assert!(!shown.exists());
    let half = shown.with_file_name(".tok-EN_1.new");
    fs::write(&half, "tok").expect("it is written");
    withdrawn(&webroots).expect("what a crash left goes, too");
    assert!(!half.exists());
    for token in ["", "../../x", "a/b", "a.b", "a\0b"] {
        assert!(
            published(&webroots, &challenge(token)).is_err(),
            "{token:?}"
        );
    }
}

#[test]
fn a_link_in_a_webroot_is_refused_and_nothing_is_written_behind_it() {
    for link in [".well-known", ".well-known/acme-challenge"] {
        let place = place();
        let elsewhere = place.config.with_file_name("elsewhere");
        fs::create_dir_all(elsewhere.join("acme-challenge")).expect("a folder");
        fs::write(elsewhere.join("tok-EN_1"), "theirs").expect("a file");
        let link = place.config.join(link);
        fs::create_dir_all(link.parent().expect("a folder")).expect("a folder");
        std::os::unix::fs::symlink(&elsewhere, &link).expect("a link");
        let webroots = webroot(&place.shared());
        for refused in [
            published(&webroots, &challenge("tok-EN_1")),
            withdrawn(&webroots),
        ] {
            let told = refused.expect_err("it is refused").to_string();
            assert!(
                told.contains(&*link.to_string_lossy()) && told.contains("remove it"),
                "{told}"
            );
        }
        assert_eq!(
            fs::read_to_string(elsewhere.join("tok-EN_1")).expect("a file"),
            "theirs"
        );
        assert!(!elsewhere.join("acme-challenge/tok-EN_1").exists());
    }
}

#[test]
fn one_process_works_on_a_state() {
    let place = place();
    let first = Lock::take(&place.state, |_| ())
        .expect("it is taken")
        .expect("nobody has it");
    assert!(
        Lock::take(&place.state, |_| ())
            .expect("it is asked for")
            .is_none()
    );
    drop(first);
    assert!(
        Lock::take(&place.state, |_| ())
            .expect("it is asked for")
            .is_some()
    );
}

#[test]
fn who_has_which_host_is_kept_and_damage_is_told() {
    let place = place();
    assert!(place.folders.holders().expect("it is read").is_empty());
    let host = |word: &str| Host::parse(word).expect("a host");
    let there = Holder {
        project: Some("shop".into()),
        gone: None,
        free: false,
    };
    let gone = Holder {
        project: None,
        gone: Some(NOW),
        free: true,
    };
    let kept = [(host("*.shop.example"), there), (host("::1"), gone)].into();
    place.folders.keep_holders(&kept).expect("it is written");
    assert_eq!(place.folders.holders().expect("it is read"), kept);
    assert_eq!(mode(place.state.join("hosts.json")), 0o600);
    let earlier = r#"{"shop.example": {"project": "shop", "gone": null}}"#;
    fs::write(place.state.join("hosts.json"), earlier).expect("it is written");
    let read = place
        .folders
        .holders()
        .expect("what an earlier build wrote");
    assert_eq!(
        read.values().collect::<Vec<_>>(),
        [&Holder::of(&Some("shop".to_owned()))]
    );
    fs::write(place.state.join("hosts.json"), "{\"x;\": 1}").expect("it is written");
    assert!(matches!(
        place.folders.holders(),
        Err(DiskError::Damaged { .. })
    ));
}

#[test]
fn the_mark_is_made_once() {
    let place = place();
    assert_eq!(place.folders.known_mark_host(), None);
    let mark = place.folders.mark_host().expect("it is made");
    assert_eq!(place.folders.mark_host().expect("it is read"), mark);
    assert_eq!(heard(&place), []);
    fs::write(place.state.join("mark"), "evil; }").expect("it is written");
    let again = place.folders.mark_host().expect("it is made anew");
    let problem = "it does not hold a mark that quaymaster wrote; another mark takes its place";
    assert_eq!(heard(&place), [("mark".into(), problem.to_owned())]);
    assert!(again.starts_with("quaymaster-") && again != "evil; }");
}

#[test]
fn who_was_removed_is_kept_and_is_the_same_container_as_far_as_its_labels_ask() {
    use crate::{
        desire::tests::container,
        observe::{BearerState, Removed},
    };

    let place = place();
    assert_eq!(place.folders.removed().expect("it is read"), []);
    let shop = container("shop", 4).label("host", "shop.example");
    let kept = [Removed::of(&shop, NOW)];
    place.folders.keep_removed(&kept).expect("it is written");
    let read = place.folders.removed().expect("it is read");
    assert_eq!(read, kept);
    let mut expected = shop;
    expected.state = BearerState::Removed { at: NOW };
    expected.endpoints[0].address = None;
    assert_eq!(read[0].bearer(), expected);
    fs::write(place.state.join("removed.json"), "[{}]").expect("it is written");
    assert!(matches!(
        place.folders.removed(),
        Err(DiskError::Damaged { .. })
    ));
}
