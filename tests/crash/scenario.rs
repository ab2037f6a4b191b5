//! What the program is in the middle of when it is spoilt. Each scenario can begin again and again in one world.

use std::{fs, path::Path, time::Duration};

use crate::{
    end::{End, end, json},
    world::{Ended, World},
};

/// What is going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// A first certificate: port 80, the order, TLS, and what comes last.
    First,
    /// Another certificate in place of one that is served, as at a renewal.
    Replacement,
    /// A site that nginx refuses, beside one that is served.
    RollBack,
    /// A site that goes, beside one that stays.
    Removal,
}

/// The site that must be served all the time, once it was.
pub const SHOP: &str = "shop.example";

impl Scenario {
    /// Makes a world for it.
    pub async fn world(self) -> World {
        let world = World::new().await;
        if self == Self::RollBack {
            let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/nginx/site.conf");
            let refused = "{% if host == \"bad.example\" %}\nno_such_directive on;\n{% endif %}\n";
            let template = fs::read_to_string(built_in).unwrap() + refused;
            fs::write(world.path("templates/nginx/site.conf"), template).unwrap();
            world.set(format!("--templates={}", world.path("templates").display()));
        }
        world
    }

    /// Makes it as it was before, whatever came last.
    pub async fn prepare(self, world: &World, turn: u32) -> Result<(), String> {
        match self {
            Self::First => {
                world.forget_everything();
                world.remove_app("shop");
                // What nginx served before is not to be taken for what comes; its old workers go on for a moment.
                let mut quiet = 0;
                while quiet < 15 {
                    let is_served = world.page(SHOP).await.is_ok() || world.serial(SHOP).await.is_ok();
                    quiet = if is_served { 0 } else { quiet + 1 };
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                return Ok(());
            }
            Self::Replacement => world.put_app("shop", "key-type", key_type(turn)),
            Self::RollBack => {
                world.put_app("shop", "body-size", "1m");
                world.remove_app("bad");
            }
            Self::Removal => {
                world.put_app("shop", "body-size", "1m");
                world.put_app("gone", "body-size", "1m");
            }
        }
        world.settle(0, |_| true).await.map(drop)
    }

    /// Changes what is wanted.
    pub fn begin(self, world: &World, turn: u32) {
        match self {
            Self::First => world.put_app("shop", "body-size", "1m"),
            Self::Replacement => world.put_app("shop", "key-type", key_type(turn + 1)),
            // Another text each time: what was refused once is not tried again.
            Self::RollBack => world.put_app("bad", "body-size", &format!("{}m", turn + 1)),
            Self::Removal => world.remove_app("gone"),
        }
    }

    /// How the program ends when nothing is left to do: the site that is refused is complained about.
    pub fn code(self) -> i32 {
        if self == Self::RollBack { 3 } else { 0 }
    }

    /// Whether that end is reached.
    pub fn is_done(self, world: &World) -> bool {
        let record = json(&world.path("state/deployed/proxy/record.json"));
        self != Self::RollBack || record["installed"]["trial"]["refused"]["quaymaster-bad.example.conf"].is_object()
    }

    /// How many certificates are ordered.
    pub fn orders(self) -> usize {
        match self {
            Self::First | Self::Replacement => 1,
            Self::RollBack | Self::Removal => 0,
        }
    }

    /// How many accounts are registered.
    pub fn accounts(self) -> usize {
        usize::from(self == Self::First)
    }

    /// What is there when an undisturbed run is over, and how that run went.
    pub async fn undisturbed(self, world: &World, turn: u32) -> (End, Ended) {
        self.prepare(world, turn).await.unwrap();
        self.begin(world, turn);
        let ended = world.run(None).await;
        assert_eq!(ended.code, Some(self.code()), "{self:?}: {}\n{}", ended.log, world.nginx_log());
        assert!(self.is_done(world), "{self:?}: {}", ended.log);
        (end(world, &[SHOP]).await, ended)
    }
}

fn key_type(turn: u32) -> &'static str {
    if turn.is_multiple_of(2) { "ec-256" } else { "ec-384" }
}
