//! The judgement of events that must not have happened, however the program was spoilt.

use std::{fs, path::PathBuf};

use super::{
    end::{End, difference, end, json},
    scenario::{SHOP, Scenario},
    world::World,
};

/// The state before the program was spoilt.
pub struct Before {
    scenario: Scenario,
    /// The version of the certificate that is served.
    live: Option<PathBuf>,
    orders: usize,
    accounts: usize,
}

impl Before {
    pub fn look(scenario: Scenario, world: &World) -> Self {
        let (orders, accounts) = (world.asked("/order-plz"), world.asked("/sign-me-up"));
        Self {
            scenario,
            live: live(world),
            orders,
            accounts,
        }
    }

    /// True if the order is on record, or its outcome is.
    pub fn is_ordered(&self, world: &World) -> bool {
        json(&world.path("state/orders/shop.example/order.json"))["url"].is_string()
            || live(world) != self.live
    }

    /// The faults that remain when all is done. `ordered` is true if the order was on record when the program ended.
    pub async fn wrong(&self, world: &World, wanted: &End, ordered: bool) -> Vec<String> {
        let mut wrong = Vec::new();
        let found = end(world, &[SHOP]).await;
        if found != *wanted {
            wrong.push(difference(wanted, &found));
        }
        let spare = usize::from(self.scenario.orders() > 0 && !ordered);
        let orders = world.asked("/order-plz") - self.orders;
        if orders < self.scenario.orders() || orders > self.scenario.orders() + spare {
            wrong.push(format!(
                "{orders} orders, where the one on record was {ordered}"
            ));
        }
        // The request for one whose answer was lost is sent again, and finds the same account.
        let accounts = world.asked("/sign-me-up") - self.accounts;
        if accounts < self.scenario.accounts() || accounts > 2 * self.scenario.accounts() {
            wrong.push(format!("{accounts} registrations"));
        }
        wrong
    }
}

fn live(world: &World) -> Option<PathBuf> {
    fs::read_link(world.path("state/certificates/live").join(SHOP)).ok()
}
