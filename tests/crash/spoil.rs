//! Spoils a scenario at one call after the other, restarts the program each time until nothing is left to do, and
//! compares with an undisturbed run.

use std::{cell::RefCell, fs, path::PathBuf};

use futures_util::future::join_all;

use crate::{
    end::{End, difference, end, json},
    scenario::{SHOP, Scenario},
    world::World,
};

/// How many worlds are spoilt at the same time: most of the time of each is waited.
const WORLDS: usize = 4;

/// What strace does to a call, and to which.
#[derive(Clone, Copy)]
pub struct Spoil {
    /// Strace's word for the call, as x86-64 has it.
    pub call: &'static str,
    /// Strace's words for what is done to it.
    pub how: &'static str,
    /// From the first on, each how manieth.
    pub step: u32,
}

/// What comes next, and what was found.
#[derive(Default)]
pub struct Cases {
    open: Vec<(Spoil, u32)>,
    /// The calls that were spoilt, as strace prints them.
    pub spoilt: Vec<String>,
    wrong: Vec<String>,
}

impl Cases {
    fn take(&mut self) -> Option<(Spoil, u32)> {
        let (spoil, next) = self.open.first_mut()?;
        *next += spoil.step;
        Some((*spoil, *next - spoil.step))
    }

    /// There is nothing more to spoil like this.
    fn is_over(&mut self, call: &str) {
        self.open.retain(|(open, _)| open.call != call);
    }

    /// How many calls of this name were spoilt.
    pub fn count(&self, call: &str) -> usize {
        self.spoilt.iter().filter(|line| line.contains(&format!(" {call}("))).count()
    }
}

/// Spoils a scenario wherever it can be, in several worlds; nothing may come out otherwise than undisturbed.
pub async fn spoil_everywhere(scenario: Scenario, spoils: &[Spoil]) -> Cases {
    let open = spoils.iter().map(|spoil| (*spoil, 1)).collect();
    let cases = RefCell::new(Cases { open, ..Cases::default() });
    join_all((0..WORLDS).map(|_| spoil_one_world(scenario, &cases))).await;
    let cases = cases.into_inner();
    println!("{scenario:?}: {} calls spoilt", cases.spoilt.len());
    for call in spoils.iter().map(|spoil| spoil.call) {
        println!("  {call}: {}", cases.count(call));
    }
    assert!(cases.wrong.is_empty(), "{} of {}:\n{}", cases.wrong.len(), cases.spoilt.len(), cases.wrong.join("\n"));
    cases
}

async fn spoil_one_world(scenario: Scenario, cases: &RefCell<Cases>) {
    let mut world = scenario.world().await;
    let (mut wanted, _) = scenario.undisturbed(&world, 0).await;
    let mut turn = 0;
    while let Some((spoil, number)) = { cases.borrow_mut().take() } {
        turn += 1;
        match spoil_once(scenario, &world, turn, &wanted, spoil, number).await {
            Ok(Some(call)) if spoil.how.starts_with("error=") && !is_on_disk(&call) => {}
            Ok(Some(call)) => cases.borrow_mut().spoilt.push(call),
            Ok(None) => cases.borrow_mut().is_over(spoil.call),
            Err(problem) => {
                let what = format!("== {scenario:?}, {}, {}, number {number}: {problem}", spoil.call, spoil.how);
                // Told at once: the rest takes minutes.
                eprintln!("{what}");
                cases.borrow_mut().wrong.push(what);
                // What went wrong here must not be blamed on the next.
                world = scenario.world().await;
                wanted = scenario.undisturbed(&world, turn).await.0;
            }
        }
    }
}

/// Spoils one run, goes on until nothing is left to do, and compares; `None` when there was nothing more to spoil.
async fn spoil_once(
    scenario: Scenario,
    world: &World,
    turn: u32,
    wanted: &End,
    spoil: Spoil,
    number: u32,
) -> Result<Option<String>, String> {
    scenario.prepare(world, turn).await?;
    scenario.begin(world, turn);
    let live = live(world);
    let (orders, accounts) = (world.asked("/order-plz"), world.asked("/sign-me-up"));
    let (done, gaps) = world
        .watched(SHOP, async {
            let words = format!("{}:{}:when={number}", spoil.call, spoil.how);
            let ended = world.run(Some(&words)).await;
            let Some(call) = ended.spoilt else { return Ok(None) };
            let ordered = is_ordered(world, &live);
            let told = world.settle(scenario.code(), |world| scenario.is_done(world)).await?;
            Ok::<_, String>(Some((call, ended.code, ended.log, ordered, told)))
        })
        .await;
    let Some((call, code, log, ordered, told)) = done? else { return Ok(None) };
    let mut wrong = gaps;
    wrong.extend(is_badly_ended(spoil, &call, code, &log));
    let found = end(world, &[SHOP]).await;
    if found != *wanted {
        wrong.push(difference(wanted, &found));
    }
    let spare = usize::from(scenario.orders() > 0 && !ordered);
    let orders = world.asked("/order-plz") - orders;
    if orders < scenario.orders() || orders > scenario.orders() + spare {
        wrong.push(format!("{orders} orders, where the one on record was {ordered}"));
    }
    let accounts = world.asked("/sign-me-up") - accounts;
    if accounts < scenario.accounts() || accounts > 2 * scenario.accounts() {
        wrong.push(format!("{accounts} registrations"));
    }
    match wrong.is_empty() {
        true => Ok(Some(call)),
        false => Err(format!("{call}\n{}\nspoilt run: {log}\nafterwards: {told}", wrong.join("\n"))),
    }
}

/// Whether it is about our files: lines of the log and what wakes the program's own loop are written, too, and no disk
/// fails there.
fn is_on_disk(call: &str) -> bool {
    ["/state/", "/conf.d/", "/conf.d>"].iter().any(|inner| call.contains(inner))
}

/// What is wrong with how a spoilt run ended: killed it has to be, or to go on and to tell what the disk did not take.
fn is_badly_ended(spoil: Spoil, call: &str, code: Option<i32>, log: &str) -> Option<String> {
    let Some(error) = spoil.how.strip_prefix("error=") else {
        return code.map(|code| format!("it was not killed, and ended with {code}"));
    };
    let words = if error == "ENOSPC" { "No space left on device" } else { "Input/output error" };
    if !is_on_disk(call) {
        return None;
    }
    let is_told = log.contains(words);
    // Exit 1 is a bug, 101 a panic.
    let has_ended_well = matches!(code, Some(0 | 2..=7));
    (!is_told || !has_ended_well).then(|| format!("it ended with {code:?} and did not tell: {words}"))
}

/// Whether the order is on record, or what came of it is.
fn is_ordered(world: &World, before: &Option<PathBuf>) -> bool {
    json(&world.path("state/orders/shop.example/order.json"))["url"].is_string() || live(world) != *before
}

/// The version of the certificate that is served.
fn live(world: &World) -> Option<PathBuf> {
    fs::read_link(world.path("state/certificates/live/shop.example")).ok()
}
