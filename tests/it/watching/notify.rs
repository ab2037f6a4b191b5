//! News of the program as it runs, at a receiver that hangs, and over a kill.

use std::{
    fs,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};

use super::world::World;
use crate::support::{
    canned::{Asked, Canned, Reply},
    fake_engine::local,
    program::Program,
};

/// What a receiver was sent.
type Sent = Arc<Mutex<Vec<Asked>>>;

/// A receiver that says nothing to as many requests, and takes those that follow.
async fn receiver(hangs: usize) -> (Canned, Sent) {
    let sent = Sent::default();
    let all = Arc::clone(&sent);
    let canned = Canned::start_with(move |asked| {
        let all = Arc::clone(&all);
        async move {
            let mut all = all.lock().unwrap();
            all.push(asked);
            match all.len() <= hangs {
                true => Reply::Hang,
                false => Reply::new(200, &[], "an answer that is nobody's business"),
            }
        }
    })
    .await;
    (canned, sent)
}

fn watching(world: &World, canned: &Canned) -> Program {
    let root = world.state_folder().with_file_name("root.pem");
    fs::write(&root, &canned.root).unwrap();
    let url = canned.url("/s3cret");
    let tables = format!(
        "phone = {{ url = {url:?}, root = {root:?}, events = \"complaint\", after = \"0s\", headers = \"X-Key: s3cret\" }}"
    );
    world.start_with(&["watch", "--log", "debug", "--notify", &tables])
}

fn bodies(sent: &Sent) -> Vec<Value> {
    let sent = sent.lock().unwrap();
    let bodies = sent
        .iter()
        .map(|asked| serde_json::from_slice(&asked.body).unwrap());
    bodies.collect()
}

#[tokio::test]
async fn what_is_wrong_is_told_once_and_its_end_though_the_receiver_hangs_and_the_program_is_killed()
 {
    local(async {
        let world = World::new();
        world.app("shop");
        world.set("odd", "quaymaster.host", "odd.example", |odd| {
            odd["Config"]["ExposedPorts"] = json!({"8080/tcp": {}, "9090/tcp": {}});
        });
        let (canned, sent) = receiver(1).await;
        let program = watching(&world, &canned);
        program
            .until("it is told", || bodies(&sent).len() == 1)
            .await;
        // The receiver says nothing, and turns go on.
        world.app("late");
        world.event("late", "start");
        program
            .until("the site is there", || {
                world.sites().contains(&"late".to_owned())
            })
            .await;
        let log = format!("{:?}", program.told());
        assert!(
            !log.contains("s3cret") && !log.contains("nobody's business"),
            "{log}"
        );
        // Killed between "owed" and "delivered".
        drop(program);

        let program = watching(&world, &canned);
        program
            .until("it is told again", || bodies(&sent).len() == 2)
            .await;
        let first = bodies(&sent);
        assert_eq!(first[0], first[1], "at least once, and with the same id");
        assert_eq!(first[0]["event"], "complaint");
        assert_eq!(first[0]["names"], json!(["odd"]));
        let text = first[0]["text"].as_str().unwrap();
        assert!(
            text.contains("container odd, label quaymaster.port"),
            "{text}"
        );
        world.look(&program).await;

        world.remove("odd");
        world.event("odd", "destroy");
        program
            .until("its end is told", || bodies(&sent).len() == 3)
            .await;
        let over = &bodies(&sent)[2];
        assert_eq!(
            (&over["is_over"], &over["matter"]),
            (&json!(true), &first[0]["matter"])
        );
        let over = over["text"].as_str().unwrap();
        assert!(over.starts_with("resolved: container odd"), "{over}");
        let asked = sent.lock().unwrap();
        assert_eq!(
            (asked[2].line().as_str(), asked[2].header("x-key")),
            ("POST /s3cret", Some("s3cret"))
        );
        drop(asked);
        let log = format!("{:?}", program.told());
        assert!(
            !log.contains("s3cret") && !log.contains("nobody's business"),
            "{log}"
        );
    })
    .await;
}
