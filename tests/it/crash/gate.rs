//! The gate of a proxy that is started again while it is being opened.

use super::{scenario::Scenario, world::World};
use crate::support::fake_engine::local;

const MEANWHILE: &str = "the engine does not say whether it was started again meanwhile";

#[tokio::test]
async fn the_gate_is_closed_again_where_the_proxy_was_started_meanwhile() {
    local(async {
        let world = World::new().await;
        Scenario::First.begin(&world);
        world.settle(0, |_| true).await.unwrap();
        let gate = world.gate().unwrap();
        assert!(gate.exists(), "{}", gate.display());

        // As at each start. It is opened anew, and what is looked at then tells of the next.
        std::fs::remove_file(&gate).unwrap();
        world.engine.restart_at(gate.clone());
        world.engine.start_again();
        let ended = world.run(None).await;
        assert!(ended.log.contains(MEANWHILE), "{}", ended.log);
        assert!(!ended.log.contains("to DELETE"), "{}", ended.log);
        assert!(!gate.exists(), "it is open: {}", ended.log);
    })
    .await;
}
