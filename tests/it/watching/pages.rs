//! The page and the numbers of the program as it runs.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
};

use serde_json::{Value, json};

use super::world::World;
use crate::support::{fake_engine::local, program::Program};

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
                began.elapsed() < crate::support::program::SOON,
                "{path} has no {words:?}: {shown:?}; it told {:#?}",
                program.told()
            ),
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
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
        let numbers = until_shown(at, &program, "/metrics", "quaymaster_engine_up 1").await;
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
        until_shown(at, &program, "/metrics", "quaymaster_engine_up 0").await;
        until_shown(at, &program, "/", "engine not reached").await;
    })
    .await;
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
