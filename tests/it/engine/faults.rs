use std::{error::Error, rc::Rc, time::Duration};

use futures_util::StreamExt;
use quaymaster::{
    adapters::engine::{DockerEngine, TlsFiles},
    desire::Dialects,
    observe::{EngineEvent, EventKind, Way},
    ports::{Engine, EngineError, Item, Parcel},
    values::{ContainerId, Signal, Timestamp},
};

use crate::support::fake_engine::{Fake, Reply, answer, local};

fn container(id: &str) -> String {
    format!(r#"{{"Id":"{id}","Name":"/name-{id}","Config":{{"Labels":{{"q.host":"a.example"}}}}}}"#)
}

fn start(id: &str) -> String {
    format!(
        r#"{{"Type":"container","Action":"start","Actor":{{"ID":"{id}","Attributes":{{"q.host":"a"}}}}}}"#
    )
}

/// The words of an error, without the socket's path, which differs each time.
fn told(error: &EngineError, fake: &Fake) -> String {
    error
        .to_string()
        .replace(&format!("unix://{}", fake.socket.display()), "ENGINE")
}

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// A link for a container.
fn parcel(container: &ContainerId) -> Parcel {
    Parcel {
        container: container.clone(),
        folder: "/certs".into(),
        items: vec![("link".into(), Item::Link("target".into()))],
        may_replace_folders: false,
    }
}

/// Each call's errors, one after the other.
async fn every_error(fake: &Fake) -> Vec<String> {
    let engine = fake.engine();
    let id = ContainerId::parse("2e").unwrap();
    let errors = [
        engine.ping().await.expect_err("ping"),
        engine.events().await.map(drop).expect_err("events"),
        engine
            .bearers(&Dialects::native("q").interest())
            .await
            .expect_err("list"),
        engine.inspect("2e").await.expect_err("inspect"),
        engine
            .kill(&id, Signal::HUP, Way::Engine)
            .await
            .expect_err("kill"),
        engine
            .exec(&id, &["true".to_owned()])
            .await
            .expect_err("exec"),
        engine.restart(&id).await.expect_err("restart"),
        engine.put(&parcel(&id), NOW).await.expect_err("put"),
    ];
    errors.iter().map(|error| told(error, fake)).collect()
}

/// Events up to the end of the stream, and what ended it.
async fn drain(engine: &DockerEngine) -> (Vec<EngineEvent>, Option<EngineError>) {
    let (mut stream, mut events) = (engine.events().await.unwrap(), Vec::new());
    while let Some(next) = stream.next().await {
        match next {
            Ok(event) => events.push(event),
            Err(error) => {
                assert!(
                    stream.next().await.is_none(),
                    "nothing comes after an error"
                );
                return (events, Some(error));
            }
        }
    }
    (events, None)
}

fn ids(events: &[EngineEvent]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event.container.as_str())
        .collect()
}

#[tokio::test]
async fn a_socket_proxy_that_forbids_is_told_with_the_call() {
    local(async {
        let fake = Fake::start(|_| Reply::new(403, "<html><body>403 Forbidden</body></html>"));
        let denied = |call: &str| {
            format!(
                "`{call}` is not allowed at ENGINE (403); allow this call in the socket proxy, or use another socket"
            )
        };
        assert_eq!(
            every_error(&fake).await,
            [
                denied("GET /_ping"),
                denied("GET /_ping"),
                denied("GET /containers/json"),
                denied("GET /containers/{id}/json"),
                denied("POST /containers/{id}/kill"),
                denied("POST /containers/{id}/exec"),
                denied("POST /containers/{id}/restart"),
                denied("PUT /containers/{id}/archive"),
            ]
        );
        let fake = Fake::start(|line| Reply::new(if line.starts_with("GET /events") { 403 } else { 200 }, ""));
        let error = fake.engine().events().await.map(drop).expect_err("denied");
        assert_eq!(told(&error, &fake), denied("GET /events"));
    })
    .await;
}

#[tokio::test]
async fn a_container_that_takes_no_files_is_told_with_what_to_mount() {
    local(async {
        let fake = Fake::start(|_| {
            Reply::new(
                403,
                r#"{"message":"container rootfs is marked read-only"}"#,
            )
        });
        let id = ContainerId::parse("2e").unwrap();
        let error = fake.engine().put(&parcel(&id), NOW).await.expect_err("read-only");
        assert_eq!(
            told(&error, &fake),
            "the Docker engine can't put files there (`PUT /containers/{id}/archive`): container rootfs is marked read-only; \
             mount a volume on that folder without `:ro`, or better one that quaymaster mounts too"
        );
    })
    .await;
}

#[tokio::test]
async fn refusals_carry_the_engines_words() {
    local(async {
        let fake = Fake::start(|_| Reply::new(500, "{\"message\":\"server is\\nbroken\"}\n"));
        let refused =
            |call: &str| format!("the Docker engine refuses `{call}` (500): server is broken");
        assert_eq!(
            every_error(&fake).await,
            [
                refused("GET /_ping"),
                refused("GET /_ping"),
                refused("GET /containers/json"),
                refused("GET /containers/{id}/json"),
                refused("POST /containers/{id}/kill"),
                refused("POST /containers/{id}/exec"),
                refused("POST /containers/{id}/restart"),
                refused("PUT /containers/{id}/archive"),
            ]
        );
    })
    .await;
}

#[tokio::test]
async fn what_is_no_engine_is_not_understood() {
    local(async {
        let page = Fake::start(|_| Reply::new(200, "<html>secret</html>"));
        let engine = page.engine();
        for error in [
            engine
                .bearers(&Dialects::native("q").interest())
                .await
                .expect_err("page"),
            engine.inspect("2e").await.expect_err("page"),
        ] {
            assert!(
                matches!(error, EngineError::NotUnderstood { .. }),
                "{error:?}"
            );
            assert!(
                !error.to_string().contains("secret"),
                "bodies are not repeated: {error}"
            );
        }
        let no_http = Fake::start(|_| Reply::raw(b"SSH-2.0-OpenSSH_9.2\r\n"));
        for error in every_error(&no_http).await {
            assert!(
                error.contains("can't be understood: it is not HTTP"),
                "{error}"
            );
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_says_nothing_is_left_in_time() {
    local(async {
        let fake = Fake::start(|_| Reply::raw(b"").then_hangs());
        let silent = |call: &str, limit: &str| {
            format!("the Docker engine at ENGINE does not answer `{call}` within {limit}")
        };
        let errors = tokio::time::timeout(Duration::from_secs(3600), every_error(&fake))
            .await
            .expect("a limit each");
        assert_eq!(
            errors,
            [
                silent("GET /_ping", "5s"),
                silent("GET /_ping", "5s"),
                silent("GET /containers/json", "30s"),
                silent("GET /containers/{id}/json", "30s"),
                silent("POST /containers/{id}/kill", "30s"),
                silent("POST /containers/{id}/exec", "30s"),
                silent("POST /containers/{id}/restart", "30s"),
                silent("PUT /containers/{id}/archive", "30s"),
            ]
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stalls_is_left_in_time() {
    local(async {
        let fake = Fake::start(|_| Reply::stream(&[b"[{\"Id\":"]).then_hangs());
        let engine = fake.engine();
        let calls = async {
            (
                engine.ping().await,
                engine.bearers(&Dialects::native("q").interest()).await,
                engine.inspect("2e").await,
            )
        };
        let (ping, list, inspect) = tokio::time::timeout(Duration::from_secs(3600), calls)
            .await
            .expect("a limit each");
        for error in [
            ping.expect_err("ping"),
            list.expect_err("list"),
            inspect.expect_err("inspect"),
        ] {
            assert!(matches!(error, EngineError::Silent { .. }), "{error:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_engine_that_is_not_there_or_breaks_off_is_unreachable() {
    local(async {
        let gone = DockerEngine::new("unix:///nowhere/docker.sock", None, |_| ()).expect("nothing is connected yet");
        let error = gone.ping().await.expect_err("no socket");
        assert!(matches!(&error, EngineError::Unreachable { engine, .. } if engine == "unix:///nowhere/docker.sock"));

        let mute = Fake::start(|_| Reply::raw(b""));
        for error in every_error(&mute).await {
            assert_eq!(
                error,
                "the Docker engine at ENGINE can't be reached; is it running, and is its socket mounted?"
            );
        }
        let cut = Fake::start(|_| Reply::stream(&[b"[{\"Id\":"]));
        for error in [cut.engine().ping().await.expect_err("cut"), cut.engine().bearers(&Dialects::native("q").interest()).await.expect_err("cut")]
        {
            assert!(matches!(error, EngineError::Unreachable { .. }), "{error:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn events_are_asked_for_from_the_engines_own_time_on() {
    local(async {
        let fake = Fake::start(|line| match line.starts_with("GET /events") {
            true => Reply::stream(&[]).then_hangs(),
            false => Reply::new(200, "OK"),
        });
        let stream = fake.engine().events().await.unwrap();
        let filters = "%7B%22type%22%3A%5B%22container%22%2C%22network%22%5D%7D";
        let asked = format!("GET /events?filters={filters}&since=1795373168");
        assert_eq!(*fake.seen.borrow(), ["GET /_ping", asked.as_str()]);

        drop(stream);
        let closed = format!("closed {asked}");
        tokio::time::timeout(Duration::from_secs(5), async {
            while fake.seen.borrow().last() != Some(&closed) {
                tokio::task::yield_now().await;
            }
        })
        .await
        .expect("a dropped stream hangs up");
    })
    .await;
}

#[tokio::test]
async fn events_come_whole_over_any_chunk_borders() {
    local(async {
        let text = format!(
            "{}\n{{\"Type\":\"image\",\"Action\":\"pull\"}}\n\n{}\n",
            start("1"),
            start("2")
        );
        for size in [1, 2, 7, 50, text.len()] {
            let bytes = text.clone();
            let fake = Fake::start(move |line| match line.starts_with("GET /events") {
                true => {
                    Reply::stream(&bytes.as_bytes().chunks(size).collect::<Vec<_>>()).then_ends()
                }
                false => Reply::new(200, "OK"),
            });
            let (events, error) = drain(&fake.engine()).await;
            assert_eq!(
                (ids(&events), error.is_none()),
                (vec!["1", "2"], true),
                "chunks of {size}: {error:?}"
            );
            assert_eq!(events[0].action, EventKind::Changed);
            assert_eq!(
                events[0].labels.get("q.host").map(String::as_str),
                Some("a")
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_breaks_ends_with_why() {
    local(async {
        for (case, tail, understood) in
            [("junk", "<html>\n", false), ("cut off", "{\"Type\":", true)]
        {
            let parts = [format!("{}\n", start("1")), tail.to_owned()];
            let fake = Fake::start(move |line| match line.starts_with("GET /events") {
                true => Reply::stream(&parts.each_ref().map(|part| part.as_bytes())),
                false => Reply::new(200, "OK"),
            });
            let (events, error) = drain(&fake.engine()).await;
            assert_eq!(ids(&events), ["1"], "{case}: what came before counts");
            match error {
                Some(EngineError::NotUnderstood { call, .. }) if !understood => {
                    assert_eq!(call, "GET /events")
                }
                Some(EngineError::Unreachable { source, .. }) if understood => {
                    assert!(!source.to_string().is_empty())
                }
                other => panic!("{case}: {other:?}"),
            }
        }
    })
    .await;
}

#[tokio::test]
async fn an_event_with_labels_of_megabytes_takes_no_other_away() {
    local(async {
        let long = start("2").replace(r#":"a"}"#, &format!(r#":"{}"}}"#, "x".repeat(5_000_000)));
        let text = format!("{}\n{long}\n{}\n", start("1"), start("3"));
        let fake = Fake::start(move |line| match line.starts_with("GET /events") {
            true => Reply::stream(&text.as_bytes().chunks(60_000).collect::<Vec<_>>()).then_ends(),
            false => Reply::new(200, "OK"),
        });
        let (events, error) = drain(&fake.engine()).await;
        assert_eq!(
            (ids(&events), error.is_none()),
            (vec!["1", "3"], true),
            "{error:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn one_broken_container_of_two_thousand_is_left_out() {
    local(async {
        let fake = Fake::start(|line| match line {
            "GET /containers/json?all=true" => {
                let listed =
                    |n: u32| format!(r#"{{"Id":"{n}","Labels":{{"q.host":"a.example"}}}}"#);
                let mut all: Vec<_> = (0..2000).map(listed).collect();
                all[7] = r#"{"Id":7,"Labels":["q.host"]}"#.to_owned();
                all.push(r#"{"Id":"other","Labels":{"quay.host":"a","qq":"b"}}"#.to_owned());
                Reply::new(200, format!("[{}]", all.join(",")))
            }
            "GET /containers/8/json" => Reply::new(404, r#"{"message":"No such container: 8"}"#),
            "GET /containers/9/json" => Reply::new(200, r#"{"Id":"9","Name":7}"#),
            "GET /containers/10/json" => {
                Reply::new(500, r#"{"message":"RWLayer is unexpectedly nil"}"#)
            }
            "GET /containers/other/json" => panic!("it has no label of ours"),
            line => Reply::new(200, container(line.split('/').nth(2).unwrap())),
        });
        let found = fake
            .engine()
            .bearers(&Dialects::native("q").interest())
            .await
            .unwrap();
        assert_eq!(found.len(), 1996);
        assert!(found.is_sorted_by(|a, b| a.name < b.name));
        assert!(
            (2..=17).contains(&fake.peak.get()),
            "{} at once",
            fake.peak.get()
        );
    })
    .await;
}

#[tokio::test]
async fn a_list_of_which_nothing_can_be_inspected_is_not_empty_but_an_error() {
    local(async {
        let fake = Fake::start(|line| match line {
            "GET /containers/json?all=true" => {
                Reply::new(200, r#"[{"Id":"1","Labels":{"q.host":"a"}}]"#)
            }
            _ => Reply::new(500, r#"{"message":"out of memory"}"#),
        });
        let error = fake
            .engine()
            .bearers(&Dialects::native("q").interest())
            .await
            .expect_err("nothing is known");
        assert!(
            matches!(error, EngineError::Refused { status: 500, .. }),
            "{error:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn words_that_name_no_container_are_not_asked_for() {
    local(async {
        let fake = Fake::start(|_| Reply::new(200, container("2e")));
        for word in ["", "..", "../info", "a/b", "a?b", "a b", "a\r\nb"] {
            assert_eq!(fake.engine().inspect(word).await.unwrap(), None, "{word:?}");
        }
        assert!(fake.seen.borrow().is_empty());
    })
    .await;
}

mod tls {
    use std::{fs, path::Path, sync::Arc};

    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
    use tokio_rustls::{
        TlsAcceptor,
        rustls::{RootCertStore, ServerConfig, crypto::aws_lc_rs, server::WebPkiClientVerifier},
    };

    use super::*;

    type Ca = CertifiedIssuer<'static, KeyPair>;

    fn authority() -> Ca {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    fn signed(ca: &Ca) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params =
            CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        (
            params.signed_by(&key, ca).unwrap().pem(),
            key.serialize_pem(),
        )
    }

    fn files(folder: &Path, trusted: &Ca, ours: &Ca) -> TlsFiles {
        let (certificate, key) = signed(ours);
        fs::write(folder.join("ca.pem"), trusted.pem()).unwrap();
        fs::write(folder.join("cert.pem"), certificate).unwrap();
        fs::write(folder.join("key.pem"), key).unwrap();
        TlsFiles::in_folder(folder)
    }

    fn acceptor(ca: &Ca) -> TlsAcceptor {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(ca.der().clone()).unwrap();
        let clients =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let (certificate, key) = signed(ca);
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients.build().unwrap())
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }

    #[tokio::test]
    async fn both_sides_must_come_from_the_given_ca() {
        local(async {
            let (ca, other) = (authority(), authority());
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let acceptor = acceptor(&ca);
            tokio::task::spawn_local(async move {
                let seen = Rc::default();
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    if let Ok(stream) = acceptor.accept(stream).await {
                        answer(stream, &|_| Reply::new(200, "OK"), &seen).await;
                    }
                }
            });
            for (case, trusted, ours, works) in [
                ("all right", &ca, &ca, true),
                ("an engine of another CA", &other, &ca, false),
                ("we are of another CA", &ca, &other, false),
            ] {
                let folder = tempfile::tempdir().unwrap();
                let files = files(folder.path(), trusted, ours);
                for address in [
                    format!("tcp://localhost:{port}"),
                    format!("https://127.0.0.1:{port}/"),
                ] {
                    let answer = DockerEngine::new(&address, Some(&files), |_| ())
                        .unwrap()
                        .ping()
                        .await;
                    assert_eq!(answer.is_ok(), works, "{case}: {answer:?}");
                    if let Err(error) = answer {
                        assert!(
                            matches!(&error, EngineError::Unreachable { .. })
                                && error.source().is_some()
                        );
                    }
                }
            }
        })
        .await;
    }
}
