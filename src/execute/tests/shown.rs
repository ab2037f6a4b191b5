//! A broker that reads the certificate of one port again when it reloads, and that of another when it starts.

use super::*;
use crate::{
    execute::{proof::Unseen, shown},
    fixtures::{held, volume},
    observe::{Installed, Process},
    plan::{Proof, Tell},
    values::{CertificateName, ContainerName},
};

const NEW: &str = "beef";
/// The stand-in for a server that speaks no TLS.
const PLAIN: &str = "plain";
/// The stand-in for a server that takes a connection and says nothing.
const SILENT: &str = "silent";

/// The certificate shown at each port; nobody listens at others.
struct Broker(BTreeMap<u16, &'static str>);

#[async_trait(?Send)]
impl Engine for Broker {
    async fn events(
        &self,
    ) -> Result<LocalBoxStream<'static, Result<EngineEvent, EngineError>>, EngineError> {
        unreachable!("a look follows no events")
    }

    async fn bearers(&self, _: &Interest) -> Result<Vec<Bearer>, EngineError> {
        unreachable!("a look lists nothing")
    }

    async fn bearer(&self, _: &str, _: &Interest) -> Result<Option<Bearer>, EngineError> {
        unreachable!("a look asks the engine nothing")
    }

    async fn kill(&self, _: &ContainerId, _: Signal, _: Way) -> Result<Way, EngineError> {
        unreachable!("a look is no signal")
    }

    async fn exec(&self, _: &ContainerId, _: &[String]) -> Result<Ran, EngineError> {
        unreachable!("a look runs nothing")
    }

    async fn put(&self, _: &Parcel, _: Timestamp) -> Result<(), EngineError> {
        unreachable!("a look brings nothing")
    }

    async fn restart(&self, _: &ContainerId) -> Result<(), EngineError> {
        unreachable!("a look is no restart")
    }

    async fn ping(&self) -> Result<(), EngineError> {
        Ok(())
    }
}

#[async_trait(?Send)]
impl Probe for Broker {
    async fn certificate(
        &self,
        at: SocketAddr,
        _: Protocol,
        _: &Host,
    ) -> Result<Served, ProbeError> {
        self.listens(at).await?;
        match self.0[&at.port()] {
            PLAIN => Err(ProbeError::NoTls { at }),
            SILENT => Err(ProbeError::Silent {
                at,
                limit: Duration::from_secs(10),
            }),
            serial => Ok(Served {
                serial: serial.to_owned(),
            }),
        }
    }

    async fn listens(&self, at: SocketAddr) -> Result<(), ProbeError> {
        let source = std::io::ErrorKind::ConnectionRefused.into();
        match self.0.contains_key(&at.port()) {
            true => Ok(()),
            false => Err(ProbeError::Unreachable { at, source }),
        }
    }

    async fn ask(&self, _: Method, _: SocketAddr, _: &str, _: &str) -> Result<Page, ProbeError> {
        unreachable!("a broker has no pages")
    }
}

fn broker() -> Bearer {
    let mut broker = container("mqtt", 5)
        .label("kind", "mosquitto")
        .label("use", "mqtt.example");
    broker.mounts = vec![volume("state", "/mosquitto/certs", false)];
    broker
}

fn consumer(desired: &Desired) -> &crate::desire::Consumer {
    &desired.consumers[&ContainerName::parse("mqtt").expect("a name")]
}

fn proof() -> Proof {
    let host = Host::parse("mqtt.example").expect("a host");
    Proof {
        mark_host: String::new(),
        mark: 1,
        serials: [(host, NEW.to_owned())].into(),
    }
}

/// The result of a look at a broker that shows this: none, or the reason, with true if it can change by itself.
async fn look(shown: &[(u16, &'static str)], broker: Bearer) -> Result<(), (String, bool)> {
    let folder = tempfile::tempdir().expect("a folder");
    let ports = ports(
        folder.path(),
        &Rc::new(Broker(shown.iter().copied().collect())),
    );
    let desired = desire(&snapshot([proxy(), broker]), &rules());
    let within = Duration::from_secs(5);
    match shown::prove(&ports, consumer(&desired), &proof(), within).await {
        Ok(_) => Ok(()),
        Err(Unseen::InTime { reason, .. }) => Err((reason, true)),
        Err(Unseen::Ever { reason }) => Err((reason, false)),
    }
}

#[tokio::test(start_paused = true)]
async fn a_port_that_is_read_at_the_start_alone_speaks_against_no_new_certificate() {
    let seen = look(&[(8883, NEW), (8083, "old")], broker()).await;
    let (reason, can_change) = seen.expect_err("one port shows the old one");
    assert!(!can_change);
    assert_eq!(
        reason,
        "10.0.0.5:8083 serves the certificate old for mqtt.example, not beef; the server reads the certificate of this port \
         only when it starts: `docker restart mqtt`, or have it restarted after each renewal by the label \
         quaymaster.reload=restart"
    );
    // The label makes no difference to what a server can do.
    let said = broker().label("probe", "8083, 8883");
    let seen = look(&[(8883, NEW), (8083, "old")], said).await;
    assert!(matches!(seen, Err((_, false))), "{seen:?}");
    // What would follow a reload and does not has refused it.
    let seen = look(&[(8883, "old"), (8083, "old")], broker()).await;
    assert!(
        matches!(&seen, Err((reason, true)) if reason.contains("8883")),
        "{seen:?}"
    );
    // Nor is there a reason where it was started again, or has no such port.
    assert_eq!(look(&[(8883, NEW), (8083, NEW)], broker()).await, Ok(()));
    assert_eq!(look(&[(8883, NEW)], broker()).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_port_without_tls_counts_only_where_a_label_names_it() {
    assert_eq!(look(&[(8883, NEW), (8083, PLAIN)], broker()).await, Ok(()));
    for broker in [broker(), broker().label("reload", "none")] {
        let seen = look(&[(8883, PLAIN), (8083, PLAIN)], broker).await;
        assert!(
            matches!(&seen, Err((reason, false)) if reason.contains("not in TLS")),
            "{seen:?}"
        );
    }
    let said = broker().label("probe", "8883, 1883");
    let seen = look(&[(8883, NEW), (1883, PLAIN)], said).await;
    assert!(
        matches!(&seen, Err((reason, true)) if reason.contains("1883")),
        "{seen:?}"
    );
}

/// As postfix at 587 for a minute, where dovecot was not there to be asked for passwords.
#[tokio::test(start_paused = true)]
async fn a_port_that_says_nothing_speaks_against_no_new_certificate() {
    for shown in [
        [(8883, NEW), (8083, SILENT)],
        [(8883, SILENT), (8083, NEW)],
        [(8883, SILENT), (8083, SILENT)],
    ] {
        let (reason, can_change) = look(&shown, broker()).await.expect_err("one is silent");
        assert!(!can_change, "{reason}");
        let told =
            "takes connections, but it says nothing within 10s; `docker logs mqtt` may say why";
        assert!(reason.ends_with(told), "{reason}");
    }
    // A port that shows another one does.
    let seen = look(&[(8883, "old"), (8083, SILENT)], broker()).await;
    assert!(matches!(&seen, Err((_, true))), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_back_is_not_seen_by_a_port_that_shows_older_ones_anyway_or_says_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let desired = desire(&snapshot([proxy(), broker()]), &rules());
    let within = Duration::from_secs(5);
    for (at_reload, is_back) in [(NEW, false), (SILENT, false), ("old", true)] {
        let shown = [(8883, at_reload), (8083, "older")].into();
        let ports = ports(folder.path(), &Rc::new(Broker(shown)));
        let seen = shown::prove_others(&ports, consumer(&desired), &proof(), within).await;
        assert_eq!(seen.is_ok(), is_back, "{at_reload}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_stays_unseen_is_looked_for_with_growing_pauses() {
    let folder = tempfile::tempdir().expect("a folder");
    let ports = ports(
        folder.path(),
        &Rc::new(Broker([(8883, NEW), (8083, "old")].into())),
    );
    let name = CertificateName::parse("mqtt.example").expect("a name");
    let held = HeldCertificate {
        serial: NEW.to_owned(),
        ..held(&["mqtt.example"])
    };
    let desired = desire(&snapshot([broker()]), &rules());
    let consumer = consumer(&desired);
    let installed = Installed {
        certificates: [(name.clone(), held.digest)].into(),
        progress: Progress::Unproven {
            reason: "as before".to_owned(),
        },
        process: Process {
            running: true,
            started_at: consumer.started_at,
        },
        ..Installed::default()
    };
    let mut observed = Observed::default();
    observed.hold(name, held);
    observed
        .installed
        .insert(consumer.name.clone(), installed.into());
    let templates = Templates::built_in().expect("they are tested");
    let now = ports.clock.now();
    let planned = plan(&desired, &observed, &templates, &plan_rules(), now);
    let mut deploys = planned.actions.into_iter();
    let mut action = deploys
        .find(|action| matches!(action, Action::Deploy(_)))
        .expect("the proof is owed");
    let Action::Deploy(deploy) = &action else {
        unreachable!("it is one")
    };
    assert!(deploy.tell == Tell::Started && !deploy.changes_folders());
    let outcome = execute(&ports, &mut action).await;
    let attempt = outcome.result.expect_err("it is not seen");
    let problem = attempt.problem.expect("there is a reason");
    assert!(
        problem.contains("still does not appear: 10.0.0.5:8083"),
        "{problem}"
    );
}
