//! One program and two engines on two networks that a cable joins: what the second one publishes is served by the proxy of the
//! first, a server on it is given its certificate and a signal, and it is cut off and comes back.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::{engine::Engine, engine::NGINX, relay::Relay, stage::Stage};
use crate::support::program::{Program, SOON};

/// The ends of the cable.
const HERE: &str = "10.213.9.1";
pub const BLUE: &str = "10.213.9.2";

/// Where the proxy's network is.
const WEB: &str = "10.213.8.0/24";

/// Joins the networks of two engines.
pub fn join(here: &Engine, blue: &Engine) {
    let ends = [(here, HERE), (blue, BLUE)];
    let (one, other) = (format!("qm{}", here.id()), format!("qm{}", blue.id()));
    let ids = ends.map(|(engine, _)| engine.id().to_string());
    let link = [
        "link", "add", &one, "netns", &ids[0], "type", "veth", "peer", &other, "netns", &ids[1],
    ];
    run(Command::new("ip").args(link));
    for ((engine, address), name) in ends.into_iter().zip([&one, &other]) {
        let address = format!("{address}/24");
        run(engine
            .beside("ip")
            .args(["address", "add", &address, "dev", name]));
        run(engine.beside("ip").args(["link", "set", name, "up"]));
        run(engine.beside("ip").args(["link", "set", "lo", "up"]));
    }
    run(blue.beside("ip").args(["route", "add", WEB, "via", HERE]));
    run(here.beside("sysctl").args(["-qw", "net.ipv4.ip_forward=1"]));
}

pub fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {told}");
}

/// Runs an app of blue that answers with its name at a port of its host.
pub fn app(blue: &Engine, name: &str, port: u16) {
    let publish = format!("{port}:80");
    let host = format!("quaymaster.host={name}.example");
    let script =
        format!("echo {name} >/var/www/html/index.nginx-debian.html; exec nginx -g 'daemon off;'");
    blue.docker(&[
        "run",
        "--detach",
        "--name",
        name,
        "--publish",
        &publish,
        "--label",
        &host,
        "--label",
        "quaymaster.tls=off",
        "--label",
        "quaymaster.port=80",
        NGINX,
        "sh",
        "-c",
        &script,
    ]);
}

/// Runs a server of blue that writes down which certificate lies in its folder when it is signalled.
fn reader(blue: &Engine) {
    let script = "trap 'cp /tls/fullchain.pem /seen.pem' HUP; while :; do sleep 0.1 & wait; done";
    let mut words = vec!["run", "--detach", "--name", "reader", "--restart", "always"];
    for label in [
        "quaymaster.use=mqtt.example",
        "quaymaster.ca=self-signed",
        "quaymaster.files=/tls",
        "quaymaster.layout=fullchain=fullchain.pem, privkey=privkey.pem",
        "quaymaster.reload=HUP",
        "quaymaster.copy=true",
        "com.docker.compose.project=mail",
    ] {
        words.extend(["--label", label]);
    }
    words.extend([NGINX, "bash", "-c", script]);
    blue.docker(&words);
}

/// A program that follows both engines, blue at this socket.
fn watch(stage: &Stage, socket: &Path) -> Program {
    let grants =
        "\"mail@blue\" = \"mqtt.example keys copy\"\n\"@blue\" = \"*\"\nedge = \"proxy *\"";
    stage.watch_with(
        &stage.engine.socket(),
        &[
            (
                "QUAYMASTER_ENGINE__BLUE__ADDRESS",
                &socket.display().to_string(),
            ),
            ("QUAYMASTER_ENGINE__BLUE__HOST", BLUE),
            ("QUAYMASTER_GRANTS", grants),
        ],
    )
}

#[tokio::test]
async fn a_second_engine_is_served_by_the_proxy_of_the_first_and_what_it_said_outlives_its_absence()
{
    let stage = Stage::of_project("edge");
    let blue = Engine::start();
    join(&stage.engine, &blue);
    let edge = ["--label", "com.docker.compose.project=edge"];
    stage.app("app1", "app1", &edge);
    app(&blue, "app2", 9002);
    reader(&blue);
    let relay = Relay::start(blue.folder().join("relay.sock"), blue.socket());
    let program = watch(&stage, &relay.socket);
    let at_rest = |sites: &[&str]| stage.serves(sites) && stage.status()["at_rest"] == true;
    program
        .until("both engines are served", || at_rest(&["app1", "app2"]))
        .await;
    let upstream = &stage.status()["sites"][1]["upstreams"]["/"][0];
    assert_eq!(*upstream, format!("{BLUE}:9002"));
    // It was given its files and told of them.
    let seen = || {
        blue.command()
            .args(["exec", "reader", "cat", "/seen.pem"])
            .output()
    };
    program
        .until("the server on blue is told of its certificate", || {
            seen().unwrap().status.success()
        })
        .await;
    let key = ["exec", "reader", "stat", "-Lc", "%a", "/tls/privkey.pem"];
    assert_eq!(blue.docker(&key), "600");

    relay.away(true);
    program
        .until("it is told that blue is away", || {
            program.count("engine-lost") > 0
        })
        .await;
    // It holds up nobody.
    stage.app("app3", "app3", &edge);
    program
        .until("what comes here meanwhile is served", || {
            at_rest(&["app1", "app2", "app3"])
        })
        .await;
    assert!(stage.status()["engines_away"]["blue"].is_string());
    // What it said last is known to the next process, too.
    drop(program);
    let program = watch(&stage, &relay.socket);
    program
        .until("the next process has looked", || {
            program.count("engine-lost") > 0 && at_rest(&["app1", "app2", "app3"])
        })
        .await;
    assert_eq!(program.count("step"), 0, "{:#?}", program.told());
    // Nor does a start of the proxy change where it is, while nobody looks after it.
    drop(program);
    stage.engine.docker(&["restart", "proxy"]);
    let began = Instant::now();
    while stage.answer("app2") != "200 app2" {
        assert!(began.elapsed() < SOON, "it says {}", stage.answer("app2"));
        sleep(Duration::from_millis(50)).await;
    }
    let program = watch(&stage, &relay.socket);
    program
        .until("it is looked after again", || {
            at_rest(&["app1", "app2", "app3"])
        })
        .await;

    app(&blue, "app4", 9004);
    blue.docker(&["rm", "--force", "reader"]);
    reader(&blue);
    relay.away(false);
    program
        .within(SOON, "what came there meanwhile is served", || {
            at_rest(&["app1", "app2", "app3", "app4"])
        })
        .await;
    assert!(stage.status()["engines_away"].is_null());
    program
        .until(
            "a server that is made anew is given its files again",
            || seen().unwrap().status.success(),
        )
        .await;
    blue.docker(&["rm", "--force", "app2"]);
    program
        .until("what is removed there answers no more", || {
            stage.answer("app2") == "503"
        })
        .await;
}
