//! The history of names, of the program as it runs.

use std::{fs, process::Command};

use super::world::World;
use crate::support::{
    fake_engine::local,
    program::{Program, binary},
};

/// What `explain --history` prints of a name.
fn history(world: &World, name: &str) -> String {
    let mut command = Command::new(binary());
    command
        .env_clear()
        .args(["explain", "--history", name, "--state"]);
    let done = command.arg(world.state_folder()).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    String::from_utf8(done.stdout).unwrap()
}

async fn until_kept(world: &World, program: &Program, name: &str, words: &str) -> String {
    program
        .until(words, || history(world, name).contains(words))
        .await;
    history(world, name)
}

#[tokio::test]
async fn what_happens_to_a_name_is_kept_over_starts_and_a_rest_writes_nothing() {
    local(async {
        let world = World::new();
        assert!(history(&world, "shop.example").contains("nothing is kept of shop.example"));
        world.app("shop");
        world.app("other");
        let program = world.watch(&["other", "shop"]).await;
        let seen = "site-seen shop.example is claimed by shop";
        until_kept(&world, &program, "shop.example", seen).await;
        drop(program);

        // What a start tells anew is there once.
        let program = world.start("watch");
        let file = world.state_folder().join("history/new.jsonl");
        let twice = || {
            fs::read_to_string(&file)
                .unwrap()
                .matches("shop.example is claimed by shop")
                .count()
                == 2
        };
        program.until("it is told again", twice).await;
        let told = history(&world, "shop.example");
        assert_eq!(told.matches(seen).count(), 1, "{told}");
        assert!(!told.contains("other.example"), "{told}");

        // Looking at everything again tells nothing about a name, and writes nothing.
        let lines = || {
            let text = fs::read_to_string(&file).unwrap();
            // The CA says nothing, and is asked again from time to time.
            let is_of_ca = |line: &&str| line.contains("\"failed\"") || line.contains("\"step\"");
            text.lines()
                .filter(|line| !is_of_ca(line))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        // Nobody can look at the proxy from here, which its deployment ends with.
        let is_deployed = || fs::read_to_string(&file).unwrap().contains("\"unproven\"");
        program.until("it is deployed to", is_deployed).await;
        let before = lines();
        world.look(&program).await;
        assert_eq!(lines(), before);

        world.remove("shop");
        world.event("shop", "destroy");
        let told = until_kept(
            &world,
            &program,
            "shop.example",
            "site-kept proxy answers 503 for shop.example",
        )
        .await;
        assert!(told.find("site-seen") < told.find("site-kept"), "{told}");
    })
    .await;
}
