//! A helper that does with its list what certbot would.

use std::collections::BTreeSet;

use super::*;
use crate::{
    desire::LabelRules,
    fixtures::volume,
    observe::{Attempt, Source},
    values::{CertificateName, KeyType},
};

const LIST: &str = "lines/updates.list";

/// A container with certbot, and the engine through which it is reloaded.
#[derive(Default)]
struct Certbot {
    folder: PathBuf,
    /// The list at each of its reloads.
    told: RefCell<Vec<Vec<String>>>,
    /// True for each time that the attempts on disk were those of its lines.
    were_noted: RefCell<Vec<bool>>,
    /// For which names it obtains something.
    obtains: BTreeSet<&'static str>,
    /// Number of times that the engine fails first.
    refusals: Cell<u32>,
    /// The key and the chain of each name.
    made: RefCell<BTreeMap<String, (String, String)>>,
}

impl Certbot {
    fn list(&self) -> Vec<String> {
        let text = text_of(&self.folder.join(LIST));
        text.lines().map(str::to_owned).collect()
    }

    /// Puts a certificate into `live/` as certbot does.
    fn bring(&self, name: &str) {
        let (key, chain) = self.made.borrow()[name].clone();
        let certificates = self.folder.join("certificates");
        let [live, archive, renewal] =
            ["live", "archive", "renewal"].map(|it| certificates.join(it));
        let [live, archive] = [live, archive].map(|it| it.join(name));
        write(&renewal.join(format!("{name}.conf")), "");
        for (file, text) in [
            ("privkey", &key),
            ("cert", &chain),
            ("chain", &chain),
            ("fullchain", &chain),
        ] {
            write(&archive.join(format!("{file}1.pem")), text);
            let link = live.join(format!("{file}.pem"));
            link_to(&format!("../../archive/{name}/{file}1.pem"), &link);
        }
    }
}

#[async_trait(?Send)]
impl Engine for Certbot {
    async fn events(
        &self,
    ) -> Result<LocalBoxStream<'static, Result<EngineEvent, EngineError>>, EngineError> {
        unreachable!("an order follows no events")
    }

    async fn bearers(&self, _: &Interest) -> Result<Vec<Bearer>, EngineError> {
        unreachable!("an order lists nothing")
    }

    async fn bearer(&self, _: &str, _: &Interest) -> Result<Option<Bearer>, EngineError> {
        unreachable!("an order inspects nothing")
    }

    async fn kill(&self, _: &ContainerId, _: Signal, way: Way) -> Result<Way, EngineError> {
        if self.refusals.get() > 0 {
            self.refusals.set(self.refusals.get() - 1);
            return Err(EngineError::Address("nowhere".to_owned()));
        }
        let list = self.list();
        let noted = entries(&self.folder.join("state/attempts"));
        self.were_noted.borrow_mut().push(noted == list.len());
        for name in &self.obtains {
            if list.iter().any(|line| line.contains(name)) {
                self.bring(name);
            }
        }
        self.told.borrow_mut().push(list);
        Ok(way)
    }

    async fn exec(&self, _: &ContainerId, _: &[String]) -> Result<Ran, EngineError> {
        unreachable!("it is told by a signal")
    }

    async fn put(&self, _: &Parcel, _: Timestamp) -> Result<(), EngineError> {
        unreachable!("its folders are mounted here")
    }

    async fn restart(&self, _: &ContainerId) -> Result<(), EngineError> {
        unreachable!("it is told by a signal")
    }

    async fn ping(&self) -> Result<(), EngineError> {
        Ok(())
    }
}

#[async_trait(?Send)]
impl Probe for Certbot {
    async fn certificate(
        &self,
        _: SocketAddr,
        _: Protocol,
        _: &Host,
    ) -> Result<Served, ProbeError> {
        unreachable!("a helper shows nothing")
    }

    async fn listens(&self, _: SocketAddr) -> Result<(), ProbeError> {
        unreachable!("a helper listens nowhere")
    }

    async fn ask(&self, _: Method, _: SocketAddr, _: &str, _: &str) -> Result<Page, ProbeError> {
        unreachable!("a helper is asked nothing")
    }
}

/// The plan for sites of these names beside a helper, as soon as the proxy answers.
fn orders(folder: &Path, hosts: &[&str]) -> Vec<Action> {
    let helper = container("certbot", 6)
        .label("kind", "certbot")
        .mount(volume("lines", "/etc/certbot-helper", false))
        .mount(volume("certificates", "/etc/letsencrypt", true))
        .mount(volume("challenge", "/var/www/challenge", true));
    let proxy = proxy().mount(volume("challenge", "/var/www/challenge", false));
    let app = |(number, host): (u8, &&str)| {
        let name = host.split('.').next().expect("a word");
        container(name, 10 + number).label("host", host)
    };
    let apps = (0..).zip(hosts).map(app);
    let mut seen = snapshot(apps.chain([helper, proxy]));
    let mut own = seen.own.clone().expect("we are in a container");
    for name in ["lines", "certificates", "challenge"] {
        let here = folder.join(name);
        own.mounts
            .push(volume(name, here.to_str().expect("a text"), true));
    }
    seen.own = Some(own);
    let rules = LabelRules {
        certificates: folder.join("certificates"),
        webroot: Some(folder.join("challenge")),
        ..rules()
    };
    let desired = desire(&seen, &rules);
    assert_eq!(desired.complaints, [].into());
    let installed = desired.consumers.keys();
    let mut observed = Observed {
        installed: installed
            .map(|name| (name.clone(), Rc::default()))
            .collect(),
        ..Observed::default()
    };
    let templates = Templates::built_in().expect("they are tested");
    let first = plan(&desired, &observed, &templates, &plan_rules(), START);
    observed = crate::plan::foresee(&observed, &first, START);
    observed.held = Rc::default();
    let second = plan(&desired, &observed, &templates, &plan_rules(), START);
    let orders = second.actions.into_iter();
    orders
        .filter(|it| matches!(it, Action::Obtain(_)))
        .collect()
}

/// A helper that obtains something for these of all names.
async fn world(obtains: &[&'static str]) -> (TempDir, Rc<Certbot>, Ports) {
    let folder = tempfile::tempdir().expect("a folder");
    // What another program left there.
    let list = folder.path().join(LIST);
    write(&list, "certbot certonly -d old.example\n");
    let certbot = Rc::new(Certbot {
        folder: folder.path().to_owned(),
        obtains: obtains.iter().copied().collect(),
        ..Certbot::default()
    });
    let ports = ports(folder.path(), &certbot);
    for name in obtains {
        let authorities = &ports.issuing.authorities;
        let key = authorities.new_key(KeyType::Ec256).await.expect("a key");
        let names = [Host::parse(name).expect("a host")].into();
        let chain = authorities
            .self_signed(&key, &names, START)
            .expect("a chain");
        let pair = (key.expose().to_owned(), chain);
        certbot.made.borrow_mut().insert((*name).to_owned(), pair);
    }
    (folder, certbot, ports)
}

async fn carried_out(ports: &Ports, orders: &mut [Action]) -> Vec<Result<Source, Box<Attempt>>> {
    let outcomes = orders.iter_mut().map(|order| execute(ports, order));
    let outcomes = futures_util::future::join_all(outcomes).await.into_iter();
    let source = |learned| match learned {
        Learned::Held(_, held) => held.source,
        Learned::Installed(..) => unreachable!("nothing is deployed"),
    };
    outcomes
        .map(|outcome| outcome.result.map(source).map_err(Box::new))
        .collect()
}

fn noted(ports: &Ports) -> usize {
    let attempts = ports.issuing.attempts.attempts();
    attempts.expect("they can be read").len()
}

#[tokio::test(start_paused = true)]
async fn lines_that_come_together_are_one_signal_and_each_goes_when_its_certificate_is_there() {
    let (folder, certbot, ports) = world(&["one.example", "two.example"]).await;
    let mut orders = orders(
        folder.path(),
        &["one.example", "two.example", "three.example"],
    );
    assert_eq!(orders.len(), 3);
    let began = Instant::now();
    let outcomes = carried_out(&ports, &mut orders).await;
    assert_eq!(certbot.told.borrow().len(), 1, "one signal");
    let told = certbot.told.borrow()[0].clone();
    let domains: Vec<_> = told.iter().map(|line| line.split(" -d ").last()).collect();
    let all = ["one.example", "three.example", "two.example"];
    assert_eq!(domains, all.map(Some));
    assert_eq!(*certbot.were_noted.borrow(), [true], "attempts come before");
    // In the plan's order.
    assert_eq!(outcomes[0], Ok(Source::Provided));
    assert_eq!(outcomes[2], Ok(Source::Provided));
    let failed = outcomes[1].as_ref().expect_err("nothing came");
    let problem = failed.problem.as_deref().unwrap_or_default();
    assert!(
        problem.starts_with("the helper certbot has not obtained it within")
            && problem.contains("nothing is in live/three.example")
            && problem.contains("`docker logs certbot`"),
        "{problem}"
    );
    assert_eq!(failed.count, 1);
    let waited = began.elapsed();
    assert!((300..600).contains(&waited.as_secs()), "{waited:?}");
    // Neither a line is left, nor an attempt but that which failed.
    assert_eq!(certbot.list(), [""; 0]);
    assert_eq!(noted(&ports), 1);
}

#[tokio::test(start_paused = true)]
async fn a_line_goes_with_an_order_that_is_cut_off_and_its_attempt_stays() {
    let (folder, certbot, ports) = world(&[]).await;
    let mut orders = orders(folder.path(), &["one.example"]);
    let cut_off = carried_out(&ports, &mut orders);
    let ended = tokio::time::timeout(Duration::from_secs(10), cut_off).await;
    assert!(ended.is_err());
    assert_eq!(certbot.told.borrow().len(), 1);
    assert_eq!(certbot.list(), [""; 0]);
    assert_eq!(noted(&ports), 1);
}

#[tokio::test(start_paused = true)]
async fn a_signal_that_fails_is_sent_for_the_lines_that_still_wait() {
    let (folder, certbot, ports) = world(&["one.example", "two.example"]).await;
    certbot.refusals.set(1);
    let mut orders = orders(folder.path(), &["one.example", "two.example"]);
    let outcomes = carried_out(&ports, &mut orders).await;
    assert!(outcomes[0].is_err());
    assert_eq!(outcomes[1], Ok(Source::Provided));
    assert_eq!(certbot.told.borrow().len(), 1);
    assert_eq!(certbot.list(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_for_where_certbot_could_not_put_it() {
    let (folder, certbot, ports) = world(&["one.example"]).await;
    let name = CertificateName::parse("one.example").expect("a name");
    let certificates = &ports.issuing.certificates;
    assert_eq!(certificates.in_certbots_way(&name), None);
    // By hand, without what certbot renews it by.
    certbot.bring("one.example");
    assert_eq!(certificates.in_certbots_way(&name), None);
    remove(&folder.path().join("certificates/renewal"));
    let live = folder.path().join("certificates/live/one.example");
    assert_eq!(certificates.in_certbots_way(&name), Some(live.clone()));
    remove(&live);
    let archive = folder.path().join("certificates/archive/one.example");
    assert_eq!(certificates.in_certbots_way(&name), Some(archive));
    let mut orders = orders(folder.path(), &["one.example"]);
    let outcomes = carried_out(&ports, &mut orders).await;
    let failed = outcomes[0].as_ref().expect_err("it is in the way");
    let problem = failed.problem.as_deref().unwrap_or_default();
    assert!(
        problem.contains("archive/one.example was not put there by certbot"),
        "{problem}"
    );
    assert_eq!(certbot.told.borrow().len(), 0);
}

#[tokio::test]
async fn a_list_that_another_program_left_is_ours() {
    let (folder, certbot, ports) = world(&[]).await;
    let mut orders = orders(folder.path(), &["one.example"]);
    let Some(Action::Obtain(obtain)) = orders.pop() else {
        panic!("it is asked for");
    };
    let order = obtain.helper.expect("by the helper");
    let helper = order.consumer.helper.as_ref().expect("it is one");
    assert_eq!(certbot.list().len(), 1);
    ports.lists.tidy(list_place(helper)).expect("it is written");
    assert_eq!(certbot.list(), [""; 0]);
}
