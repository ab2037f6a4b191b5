//! The page and the numbers of the program as it runs.

use std::{
    cell::Cell,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    rc::Rc,
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, task::JoinSet};

use super::world::World;
use crate::support::{
    fake_engine::local,
    program::{Program, SOON},
};

/// A port that was free just now.
fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// Status and body of an answer; nothing where nobody listens.
async fn asked(at: SocketAddr, path: &str) -> Option<(u16, String)> {
    let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    let asking = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(at).ok()?;
        stream.write_all(request.as_bytes()).ok()?;
        let mut said = String::new();
        stream.read_to_string(&mut said).ok()?;
        Some(said)
    });
    let said = asking.await.unwrap()?;
    let (head, body) = said.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

/// Waits until a page has these words.
async fn until_shown(at: SocketAddr, program: &Program, path: &str, words: &str) -> String {
    let began = std::time::Instant::now();
    loop {
        let shown = asked(at, path).await;
        match shown {
            Some((_, body)) if body.contains(words) => return body,
            shown => assert!(
                began.elapsed() < SOON,
                "{path} has no {words:?}: {shown:?}; it told {:#?}",
                program.told()
            ),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn listening(world: &World, at: SocketAddr) -> Program {
    world.start_with(&["watch", "--listen", &at.to_string()])
}

#[tokio::test]
async fn what_is_wrong_is_shown_from_the_start_to_its_end_and_the_engine_s_absence_too() {
    local(async {
        let world = World::new();
        world.app("shop");
        world.set("odd", "quaymaster.host", "odd.example", |odd| {
            odd["Config"]["ExposedPorts"] = json!({"8080/tcp": {}, "9090/tcp": {}});
        });
        world.away(true);
        let at = free();
        let program = listening(&world, at);
        // It listens before the engine has answered, and says that nothing turns.
        until_shown(at, &program, "/healthz", "the loop does not turn").await;
        world.away(false);
        until_shown(at, &program, "/readyz", "ready").await;
        assert_eq!(
            asked(at, "/healthz").await.map(|(status, _)| status),
            Some(200)
        );
        let page = until_shown(at, &program, "/", "shop.example").await;
        assert!(
            page.contains("container odd, label quaymaster.port"),
            "{page}"
        );
        let story = until_shown(at, &program, "/name/shop.example", "quaymaster.host").await;
        assert!(story.contains("container shop asks for it"), "{story}");
        let document = until_shown(at, &program, "/status.json", "shop.example").await;
        let status: Value = serde_json::from_str(&document).unwrap();
        assert_eq!(status["complaints"][0]["container"], "odd");
        let numbers = until_shown(
            at,
            &program,
            "/metrics",
            r#"quaymaster_engine_up{engine=""} 1"#,
        )
        .await;
        assert!(
            numbers.contains("quaymaster_certificate_ready{name=\"shop.example\"} 0"),
            "{numbers}"
        );
        assert!(
            numbers.contains("quaymaster_warnings{about=\"complaint\"} 1"),
            "{numbers}"
        );
        assert!(numbers.ends_with("# EOF\n"), "{numbers}");
        assert_eq!(
            asked(at, "/nothing").await.map(|(status, _)| status),
            Some(404)
        );
        assert_eq!(program.count("page-exposed"), 0, "it is shown here alone");

        world.remove("odd");
        world.event("odd", "destroy");
        until_shown(
            at,
            &program,
            "/metrics",
            "quaymaster_warnings{about=\"complaint\"} 0",
        )
        .await;
        world.away(true);
        until_shown(
            at,
            &program,
            "/metrics",
            r#"quaymaster_engine_up{engine=""} 0"#,
        )
        .await;
        until_shown(at, &program, "/", "engine not reached").await;
    })
    .await;
}

/// Clients at the same time, each of which has a file of the system open here.
const MANY: usize = 10_000;

#[tokio::test]
async fn ten_thousand_clients_that_send_a_byte_now_and_then_delay_no_signal_and_leave_no_trace() {
    local(async {
        let world = World::new();
        world.app("shop");
        world.app("late");
        let at = free();
        let program = listening(&world, at);
        until_shown(at, &program, "/", "shop.example").await;
        world.look(&program).await;
        let heard = Rc::new(Cell::new(0));
        let mut clients = JoinSet::new();
        for _ in 0..MANY {
            clients.spawn_local(send_slowly(at, Rc::clone(&heard)));
        }
        program
            .until("some of them are heard", || heard.get() > 200)
            .await;
        // Each time another one: who comes and goes again and again waits.
        for id in ["shop", "late"] {
            let before = world.asked("POST /containers/proxy/");
            world.change(id, |app| {
                app["State"]["Health"] = json!({ "Status": "unhealthy" })
            });
            world.event(id, "health_status: unhealthy");
            let took = program
                .within(SOON, "the proxy is signalled", || {
                    world.asked("POST /containers/proxy/") > before
                })
                .await;
            // What they may cost is measured elsewhere; here is a bound that a busy machine keeps, too.
            assert!(took < Duration::from_secs(10), "{took:?}");
        }
        clients.shutdown().await;
        until_shown(at, &program, "/", "shop.example").await;
        assert!(program.told().iter().all(|(event, _)| !event.is_empty()));
    })
    .await;
}

/// A client that never comes to the end of its request.
async fn send_slowly(at: SocketAddr, heard: Rc<Cell<usize>>) {
    // Those beyond what the system keeps waiting come in when others leave.
    let Ok(mut stream) = tokio::net::TcpStream::connect(at).await else {
        return;
    };
    while stream.write_all(b"G").await.is_ok() {
        heard.set(heard.get() + 1);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test]
async fn a_port_that_is_in_use_is_told_at_the_start() {
    local(async {
        let world = World::new();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = taken.local_addr().unwrap();
        let mut program = listening(&world, at);
        assert_eq!(program.ended().await, Some(2));
        let told = format!("{:?}", program.told());
        assert!(
            told.contains(&format!("listen: nobody can listen at {at} from here")),
            "{told}"
        );
    })
    .await;
}

#[tokio::test]
async fn render_shows_what_it_did_under_docker_pygen_s_names() {
    local(async {
        let world = World::new();
        world.app("shop");
        let at = free();
        let port = at.port().to_string();
        let program = world.start_with(&[
            "render",
            "--template",
            "#{{ containers|length }}",
            "--tell-printed",
            "--signal",
            "shop",
            "HUP",
            "--watch",
            "--metrics",
            &port,
        ]);
        let told = "pygen_signal_action_seconds_count{signal=\"HUP\",target=\"shop\"} 1";
        let numbers = until_shown(at, &program, "/metrics", told).await;
        for line in [
            "pygen_generation_seconds_count 1",
            "pygen_target_update_seconds_count 1",
            "pygen_template_errors 0",
            "pygen_api_containers_seconds_count{list_all=\"0\"} 1",
        ] {
            assert!(
                numbers.lines().any(|shown| shown == line),
                "{line}: {numbers}"
            );
        }
    })
    .await;
}
