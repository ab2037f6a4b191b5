//! Tests with a server that ends by its signal.

use std::{fs, os::unix::fs::PermissionsExt};

use super::stage::Stage;
use crate::support::program::Program;

/// Stands for an init that takes a HUP for the end, as that of s6-overlay does, with nginx behind it.
const INIT: &str = "#!/bin/bash
rm -f /etc/nginx/sites-enabled/default
nginx -g 'daemon off;' & N=$!
trap 'echo HUP; kill -TERM $N; wait $N; exit 0' HUP
wait $N
";

/// Puts a proxy with that init in place of the one that is there.
fn put_init(stage: &Stage, labels: &[&str]) {
    let init = stage.engine.folder().join("init");
    if !init.exists() {
        fs::write(&init, INIT).unwrap();
        fs::set_permissions(&init, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let volume = format!("{}:/init:ro", init.display());
    stage.engine.docker(&["rm", "--force", "proxy"]);
    let options = ["--volume", &volume, "--entrypoint", "/init"];
    stage.proxy(&[&options[..], labels].concat(), &[]);
}

/// Number of signals that the proxy got.
fn signals(stage: &Stage) -> usize {
    let log = stage.engine.docker(&["logs", "proxy"]);
    log.lines().filter(|line| *line == "HUP").count()
}

fn complains(program: &Program) -> bool {
    let is_it = |(event, words): &(String, String)| {
        event == "complaint" && words.contains("2 times in a row") && words.contains("reload=none")
    };
    program.told().iter().any(is_it)
}

#[tokio::test]
async fn a_server_that_ends_of_its_signal_gets_two_and_no_more_until_its_labels_change() {
    let stage = Stage::new();
    put_init(&stage, &[]);
    stage.app("app1", "app1", &[]);
    let program = stage.watched(&stage.engine.socket(), &["app1"]).await;
    // Each time its restart policy brings it back, and it reads everything when it starts.
    stage.app("app2", "app2", &[]);
    program
        .until("it has ended twice", || complains(&program))
        .await;
    stage.app("app3", "app3", &[]);
    let sites = ["app1", "app2", "app3"];
    program
        .until("files are there all the same", || stage.sites() == sites)
        .await;
    program
        .until("it is known that it was not told", || {
            program.count("unproven") > 0
        })
        .await;
    assert_eq!((program.count("signalled"), signals(&stage)), (2, 2));
    drop(program);

    let program = stage.watch(&stage.engine.socket());
    program
        .until("it knows from before", || complains(&program))
        .await;
    stage.app("app4", "app4", &[]);
    let sites = ["app1", "app2", "app3", "app4"];
    program
        .until("files are there", || stage.sites() == sites)
        .await;
    program
        .until("it was not told", || program.count("unproven") > 0)
        .await;
    assert_eq!((program.count("signalled"), signals(&stage)), (0, 2));

    // Whoever changes a label may have changed what it does.
    put_init(&stage, &["--label", "quaymaster.reload=HUP"]);
    program
        .until("that is over", || program.count("complaint-over") > 0)
        .await;
    stage.app("app5", "app5", &[]);
    program
        .until("it is told again", || signals(&stage) > 0)
        .await;
}
