//! The daemon killed at calls all over what it does, and started again each time.

use std::{
    cell::RefCell,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use nix::sys::signal::Signal;

use super::{
    end::{End, difference, end},
    judge::Before,
    run::{Aim, Spoil},
    scenario::{SHOP, Scenario},
    spoil::Ready,
    world::World,
};
use crate::support::{fake_engine::local, program::Program};

/// Number of worlds that are spoilt at the same time.
const WORLDS: usize = 5;

/// Where the daemon is killed, as parts of all calls of that name that an undisturbed one makes: what it does is the same
/// as what `once` does, which is killed at every call.
const KILLS: [(&str, u32, u32); 8] = [
    ("rename", 1, 4),
    ("rename", 3, 4),
    ("renameat", 1, 4),
    ("renameat", 3, 4),
    ("fsync", 1, 3),
    ("fsync", 2, 3),
    ("connect", 1, 3),
    ("connect", 2, 3),
];

/// Time within which the daemon should reach its end: the pause after a try that was cut off, and the work.
const ENDS_UP_WITHIN: Duration = Duration::from_secs(180);

/// For so long nothing more may happen.
const RESTS_FOR: Duration = Duration::from_secs(1);

const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Starts the daemon, and changes what is wanted once it has looked; it may be killed before or later.
async fn begin(scenario: Scenario, world: &World, spoil: Option<(Spoil, &Aim)>) -> Program {
    let mut program = world.start("watch", spoil);
    let mut has_ended = false;
    while !has_ended && program.count("engine-seen") == 0 {
        has_ended = program.has_ended();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    scenario.begin(world);
    program
}

/// Waits until everything is as it has to be.
async fn end_up(
    scenario: Scenario,
    world: &World,
    wanted: &End,
    program: &Program,
) -> Result<(), String> {
    let began = Instant::now();
    loop {
        let found = end(world, &[SHOP]).await;
        if found == *wanted && scenario.is_done(world) {
            return Ok(());
        }
        if began.elapsed() > ENDS_UP_WITHIN {
            return Err(format!(
                "{}\nit told {:#?}",
                difference(wanted, &found),
                program.told()
            ));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Ends the daemon as its service would.
async fn stop(program: &mut Program) -> Result<(), String> {
    program.signal(Signal::SIGTERM);
    match program.ended().await {
        Some(0) => Ok(()),
        code => Err(format!(
            "SIGTERM ended it with {code:?}: {:#?}",
            program.told()
        )),
    }
}

/// The calls of an undisturbed daemon, by name, and the number of its signals.
async fn calls(scenario: Scenario, ready: &Ready) -> (Vec<String>, u32) {
    let Ready { world, wanted } = ready;
    scenario.prepare(world).await;
    // More than strace counts to is an error.
    let never = Aim::at(60_000);
    let mut program = begin(
        scenario,
        world,
        Some((Spoil::Kill("rename,renameat,fsync,connect"), &never)),
    )
    .await;
    end_up(scenario, world, wanted, &program).await.unwrap();
    stop(&mut program).await.unwrap();
    (world.trace(), world.engine.signals())
}

/// Kills the daemon once, starts it again, and compares.
async fn kill_once(
    scenario: Scenario,
    ready: &Ready,
    spoil: Spoil,
    aim: &Aim,
) -> Result<(), String> {
    let Ready { world, wanted } = ready;
    scenario.prepare(world).await;
    let before = Before::look(scenario, world);
    let (done, gaps) = world
        .watched(SHOP, async {
            let program = begin(scenario, world, Some((spoil, aim))).await;
            let ended = world.ended(program).await;
            if ended.code.is_some() {
                return Err(format!(
                    "it was not killed, and ended with {:?}",
                    ended.code
                ));
            }
            let ordered = before.is_ordered(world);
            let mut program = world.start("watch", None);
            end_up(scenario, world, wanted, &program).await?;
            tokio::time::sleep(RESTS_FOR).await;
            stop(&mut program).await?;
            Ok(ordered)
        })
        .await;
    let mut wrong = gaps;
    wrong.extend(before.wrong(world, wanted, done?).await);
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(wrong.join("\n"))
    }
}

async fn kill_the_daemon(scenario: Scenario) {
    let worlds = join_all((0..WORLDS).map(|_| Ready::new(scenario))).await;
    let (trace, signals) = calls(scenario, &worlds[0]).await;
    let count = |call: &str| {
        trace
            .iter()
            .filter(|line| line.contains(&format!(" {call}(")))
            .count()
    };
    let place = |(call, part, of): (&'static str, u32, u32)| {
        (
            Spoil::Kill(call),
            Aim::at((u32::try_from(count(call)).unwrap() * part / of).max(1)),
        )
    };
    let mut open: Vec<_> = KILLS.into_iter().map(place).collect();
    open.extend([
        (Spoil::Signal { arrives: true }, Aim::at(signals)),
        (Spoil::Signal { arrives: false }, Aim::at(1)),
    ]);
    println!("{scenario:?}: {open:?}");
    let (open, wrong) = (RefCell::new(open), RefCell::new(Vec::new()));
    let one_world = async |ready: &Ready| {
        while let Some((spoil, aim)) = { open.borrow_mut().pop() } {
            let outcome = kill_once(scenario, ready, spoil, &aim).await;
            wrong.borrow_mut().extend(
                outcome
                    .err()
                    .map(|wrong| format!("== {spoil:?}, {aim:?}: {wrong}")),
            );
        }
    };
    join_all(worlds.iter().map(one_world)).await;
    assert!(
        wrong.borrow().is_empty(),
        "{scenario:?}:\n{}",
        wrong.borrow().join("\n")
    );
}

#[tokio::test]
async fn a_daemon_that_is_killed_and_started_again_gets_a_first_certificate() {
    local(kill_the_daemon(Scenario::First)).await;
}

#[tokio::test]
async fn a_daemon_that_is_killed_and_started_again_replaces_a_certificate() {
    local(kill_the_daemon(Scenario::Replacement)).await;
}

#[tokio::test]
async fn a_daemon_that_is_killed_and_started_again_holds_a_refused_site_back() {
    local(kill_the_daemon(Scenario::RollBack)).await;
}
