//! The scenarios in the middle of which the program is spoilt. Each scenario can begin again and again in one world.

use std::{fs, path::Path};

use super::{
    end::{End, end, json},
    world::World,
};

/// The work under way.
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
    /// Makes a world in which it can begin.
    pub async fn world(self) -> World {
        let world = World::new().await;
        if self == Self::RollBack {
            let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/nginx/site.conf");
            let refused = "{% if host == \"bad.example\" %}\nno_such_directive on;\n{% endif %}\n";
            let template = fs::read_to_string(built_in).unwrap() + refused;
            fs::write(world.path("templates/nginx/site.conf"), template).unwrap();
            world.set(format!("--templates={}", world.path("templates").display()));
        }
        self.wish_before(&world);
        if self != Self::First {
            world.settle(0, |_| true).await.unwrap();
        }
        world.keep();
        world
    }

    /// Makes it as it was before, whatever came last.
    pub async fn prepare(self, world: &World) {
        self.wish_before(world);
        world.restore().await;
    }

    /// Makes the wish that it needs before it begins.
    fn wish_before(self, world: &World) {
        match self {
            Self::First => world.engine.remove("shop"),
            Self::Replacement => world.put_app("shop", "key-type", "ec-256"),
            Self::RollBack => {
                world.put_app("shop", "body-size", "1m");
                world.engine.remove("bad");
            }
            Self::Removal => {
                world.put_app("shop", "body-size", "1m");
                world.put_app("gone", "body-size", "1m");
            }
        }
    }

    /// Changes what is wanted.
    pub fn begin(self, world: &World) {
        match self {
            Self::First => world.put_app("shop", "body-size", "1m"),
            Self::Replacement => world.put_app("shop", "key-type", "ec-384"),
            Self::RollBack => world.put_app("bad", "body-size", "1m"),
            Self::Removal => world.engine.remove("gone"),
        }
    }

    /// The exit code of the program when nothing is left to do: there is a complaint about the site that is refused.
    pub fn code(self) -> i32 {
        if self == Self::RollBack { 3 } else { 0 }
    }

    /// True if that end is reached.
    pub fn is_done(self, world: &World) -> bool {
        let record = json(&world.path("state/deployed/proxy/record.json"));
        self != Self::RollBack
            || record["installed"]["trial"]["refused"]["quaymaster-bad.example.conf"].is_object()
    }

    /// Number of certificates that are ordered.
    pub fn orders(self) -> usize {
        match self {
            Self::First | Self::Replacement => 1,
            Self::RollBack | Self::Removal => 0,
        }
    }

    /// Number of accounts that are registered.
    pub fn accounts(self) -> usize {
        usize::from(self == Self::First)
    }

    /// The end of an undisturbed run.
    pub async fn undisturbed(self, world: &World) -> End {
        self.prepare(world).await;
        self.begin(world);
        let ended = world.run(None).await;
        assert_eq!(
            ended.code,
            Some(self.code()),
            "{self:?}: {}\n{}",
            ended.log,
            world.nginx_log()
        );
        assert!(self.is_done(world), "{self:?}: {}", ended.log);
        end(world, &[SHOP]).await
    }
}
