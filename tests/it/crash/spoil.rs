//! Spoils a scenario at one call after the other, starts the program again each time until nothing is left to do, and
//! compares with an undisturbed run.

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    env,
    path::Path,
};

use futures_util::future::join_all;

use super::{
    end::{End, plain},
    judge::Before,
    run::{Aim, Fault, Spoil},
    scenario::{SHOP, Scenario},
    world::World,
};

/// Number of worlds that are spoilt at the same time: most of the time of each is waited for what nginx shows.
const WORLDS: usize = 16;

/// Number of tries to hit each call. Calls at paths that are made by chance are hit by number, which depends on other
/// writes meanwhile.
const ROUNDS: usize = 200;

/// Distances from a call's last number at which it is looked for, round after round.
const NEAR: [i32; 7] = [0, 1, -1, 2, -2, 3, -3];

/// The calls by which a file or folder is made, and made to last: by path in our own folders, by handle in those that
/// others may write to.
pub const MAKING: [&str; 8] = [
    "write",
    "fsync",
    "rename",
    "renameat",
    "mkdir",
    "mkdirat",
    "symlink",
    "symlinkat",
];

/// A world that can be spoilt again and again.
pub struct Ready {
    pub world: World,
    /// The end of an undisturbed run.
    pub wanted: End,
}

impl Ready {
    pub async fn new(scenario: Scenario) -> Self {
        let world = scenario.world().await;
        Self {
            wanted: scenario.undisturbed(&world).await,
            world,
        }
    }
}

/// Which calls are still to be spoilt.
enum Open {
    /// Each from this number on, until a run ends without that many.
    From(u32),
    These(VecDeque<Aim>),
}

/// The next cases, and the findings.
#[derive(Default)]
pub struct Cases {
    open: Vec<(Spoil, Open)>,
    /// The calls that were spoilt, as strace prints them, and how.
    pub spoilt: Vec<(Spoil, String)>,
    wrong: Vec<String>,
}

impl Cases {
    fn take(&mut self) -> Option<(Spoil, Aim)> {
        self.open
            .retain(|(_, open)| !matches!(open, Open::These(these) if these.is_empty()));
        let (spoil, open) = self.open.first_mut()?;
        let aim = match open {
            Open::From(next) => {
                *next += 1;
                Aim::at(*next - 1)
            }
            Open::These(these) => these.pop_front()?,
        };
        Some((*spoil, aim))
    }

    /// A run ended without that many calls.
    fn is_over(&mut self, spoil: Spoil) {
        self.open
            .retain(|(open, calls)| *open != spoil || matches!(calls, Open::These(_)));
    }

    /// Number of calls that were spoilt like this.
    pub fn count(&self, spoil: Spoil) -> usize {
        self.spoilt.iter().filter(|(how, _)| *how == spoil).count()
    }

    fn end(self, scenario: Scenario, spoils: &[Spoil]) -> Self {
        println!("{scenario:?}: {} calls spoilt", self.spoilt.len());
        spoils
            .iter()
            .for_each(|spoil| println!("  {spoil:?}: {}", self.count(*spoil)));
        assert!(
            self.wrong.is_empty(),
            "{} of {}:\n{}",
            self.wrong.len(),
            self.spoilt.len(),
            self.wrong.join("\n")
        );
        self
    }
}

/// Kills the program at each call of these kinds; nothing may come out otherwise than undisturbed.
pub async fn kill_everywhere(scenario: Scenario, spoils: &[Spoil]) -> Cases {
    let mut worlds = join_all((0..WORLDS).map(|_| Ready::new(scenario))).await;
    let open = spoils.iter().map(|spoil| (*spoil, Open::From(1))).collect();
    let cases = RefCell::new(Cases {
        open,
        ..Cases::default()
    });
    join_all(
        worlds
            .iter_mut()
            .map(|ready| spoil_one_world(scenario, ready, &cases)),
    )
    .await;
    cases.into_inner().end(scenario, spoils)
}

/// Fails each call that makes something in the program's folders, with a full disk and a broken one by turns, in `tests/long`
/// with both; nothing may come out otherwise than undisturbed.
pub async fn fail_everywhere(scenario: Scenario) -> Cases {
    let mut worlds = join_all((0..WORLDS).map(|_| Ready::new(scenario))).await;
    let cases = RefCell::new(Cases::default());
    let spoils: Vec<_> = Fault::BOTH
        .into_iter()
        .flat_map(|fault| MAKING.map(|call| Spoil::Fail(call, fault)))
        .collect();
    let wanted = wanted(calls(scenario, &worlds[0].world).await);
    for round in 0.. {
        let calls = calls(scenario, &worlds[round % WORLDS].world).await;
        let open = spoils
            .iter()
            .map(|spoil| (*spoil, missing(&wanted, &calls, *spoil, &cases.borrow())));
        let open: Vec<_> = open.filter(|(_, these)| !these.is_empty()).collect();
        if open.is_empty() || !cases.borrow().wrong.is_empty() {
            break;
        }
        assert!(round < ROUNDS, "{}", never_hit(&open));
        let off = NEAR[round % NEAR.len()];
        cases.borrow_mut().open = open
            .into_iter()
            .map(|(spoil, these)| {
                let aims = these.into_iter().map(|call| call.aim.near(off)).collect();
                (spoil, Open::These(aims))
            })
            .collect();
        join_all(
            worlds
                .iter_mut()
                .map(|ready| spoil_one_world(scenario, ready, &cases)),
        )
        .await;
    }
    cases.into_inner().end(scenario, &spoils)
}

/// Number of times that each call is to be spoilt, and the faults.
type Wanted = BTreeMap<String, (usize, Vec<Fault>)>;

fn wanted(calls: Vec<Call>) -> Wanted {
    let faults = |turn: usize| match env::var_os("QUAYMASTER_TEST_TIMES") {
        None => vec![Fault::BOTH[turn % 2]],
        Some(_) => Fault::BOTH.to_vec(),
    };
    count(calls.into_iter().map(|call| call.what))
        .into_iter()
        .enumerate()
        .map(|(turn, (what, count))| (what, (count, faults(turn))))
        .collect()
}

fn never_hit(open: &[(Spoil, Vec<&Call>)]) -> String {
    let name = |(spoil, those): &(Spoil, Vec<&Call>)| {
        let those: Vec<_> = those.iter().map(|call| &call.what).collect();
        format!("{spoil:?} was never done to {those:?}")
    };
    open.iter().map(name).collect::<Vec<_>>().join("\n")
}

/// A call that makes something in the program's folders.
struct Call {
    /// The aim with which it is hit in another run.
    aim: Aim,
    /// Its name, and what it makes, without what varies by chance; and which one at its path, where it is aimed at by path.
    what: String,
}

/// All such calls of an undisturbed run.
async fn calls(scenario: Scenario, world: &World) -> Vec<Call> {
    scenario.prepare(world).await;
    scenario.begin(world);
    let (ended, trace) = world.traced(&MAKING.join(",")).await;
    assert_eq!(ended.code, Some(scenario.code()), "{}", ended.log);
    let (mut numbers, mut at_path, mut calls) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    for line in trace {
        let Some(name) = MAKING
            .into_iter()
            .find(|name| line.contains(&format!(" {name}(")))
        else {
            continue;
        };
        let number = numbers.entry(name).or_insert(0);
        *number += 1;
        let Some(bare) = path(world, &line) else {
            continue;
        };
        let what = format!("{name} {}", plain(&bare));
        // Strace takes a call that names a folder by its handle for one about that folder.
        let is_sure = !name.ends_with("at") && !bare.starts_with("..") && plain(&bare) == bare;
        let aim = if is_sure {
            let number = at_path.entry(what.clone()).or_insert(0);
            *number += 1;
            Aim {
                number: *number,
                path: Some(bare),
            }
        } else {
            Aim::at(*number)
        };
        let what = which(what, &aim);
        calls.push(Call { aim, what });
    }
    calls
}

/// The effect of a call in strace's words on the program's folders, without what varies by chance; none when it is
/// about anything else.
pub fn what(world: &World, line: &str) -> Option<String> {
    let (_, call) = line.split_once(' ')?;
    let (name, _) = call.trim_start().split_once('(')?;
    Some(format!("{name} {}", plain(&path(world, line)?)))
}

/// Tells the calls at one path from each other; those that are hit by number are as good as each other.
fn which(what: String, aim: &Aim) -> String {
    match aim.path {
        Some(_) => format!("{what} ({})", aim.number),
        None => what,
    }
}

/// The path of a call, below the folder of the world.
fn path(world: &World, line: &str) -> Option<String> {
    let (_, call) = line.split_once(' ')?;
    let (name, arguments) = call.trim_start().split_once('(')?;
    let mut parts = arguments.split(['<', '"', '>']);
    let first = parts.find(|part| part.starts_with('/') || part.starts_with("../"))?;
    // Where a folder is given by its handle, what is made in it comes next, in quotes.
    let path = match name.ends_with("at") {
        true => Path::new(first).join(parts.nth(1)?),
        false => first.into(),
    };
    let bare = path.strip_prefix(world.folder.path()).unwrap_or(&path);
    let bare = bare.to_string_lossy();
    let is_ours = ["state", "conf.d", ".."].contains(&bare.split('/').next()?);
    is_ours.then(|| bare.into_owned())
}

fn count(whats: impl Iterator<Item = String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    whats.for_each(|what| *counts.entry(what).or_default() += 1);
    counts
}

/// The calls that were not yet spoilt like this as often as they should be.
fn missing<'a>(wanted: &Wanted, calls: &'a [Call], spoil: Spoil, cases: &Cases) -> Vec<&'a Call> {
    let Spoil::Fail(name, fault) = spoil else {
        return Vec::new();
    };
    let hit = count(
        cases
            .spoilt
            .iter()
            .filter(|(how, _)| *how == spoil)
            .map(|(_, what)| what.clone()),
    );
    let is_missing = |call: &&Call| {
        let is_about = call.what.split(' ').next() == Some(name);
        let wanted = wanted
            .get(&call.what)
            .filter(|(_, faults)| faults.contains(&fault));
        is_about
            && wanted.is_some_and(|(count, _)| hit.get(&call.what).is_none_or(|hit| hit < count))
    };
    calls.iter().filter(is_missing).collect()
}

async fn spoil_one_world(scenario: Scenario, ready: &mut Ready, cases: &RefCell<Cases>) {
    while let Some((spoil, aim)) = { cases.borrow_mut().take() } {
        let mut spoilt = spoil_once(scenario, ready, spoil, &aim).await;
        if matches!(
            (&spoilt, spoil),
            (Ok(None), Spoil::Kill(_) | Spoil::Signal { .. })
        ) {
            // One run may end with fewer calls than the next: it is over when two do.
            spoilt = spoil_once(scenario, ready, spoil, &aim).await;
        }
        match spoilt {
            Ok(Some(call)) => cases.borrow_mut().spoilt.push((spoil, call)),
            Ok(None) => cases.borrow_mut().is_over(spoil),
            Err(problem) => {
                let what = format!("== {scenario:?}, {spoil:?}, {aim:?}: {problem}");
                // Told at once: the rest takes minutes.
                eprintln!("{what}");
                cases.borrow_mut().wrong.push(what);
                // What went wrong here must not be blamed on the next.
                *ready = Ready::new(scenario).await;
            }
        }
    }
}

/// Spoils one run, goes on until nothing is left to do, and compares; `None` when nothing of ours was spoilt.
async fn spoil_once(
    scenario: Scenario,
    ready: &Ready,
    spoil: Spoil,
    aim: &Aim,
) -> Result<Option<String>, String> {
    let Ready { world, wanted } = ready;
    scenario.prepare(world).await;
    scenario.begin(world);
    let before = Before::look(scenario, world);
    let (done, gaps) = world
        .watched(SHOP, async {
            let ended = world.run(Some((spoil, aim))).await;
            let Some(call) = &ended.spoilt else {
                return Ok(None);
            };
            let call = match spoil {
                Spoil::Fail(..) => what(world, call).map(|what| which(what, aim)),
                Spoil::Kill(_) | Spoil::Signal { .. } => Some(call.clone()),
            };
            let Some(call) = call else { return Ok(None) };
            let ordered = before.is_ordered(world);
            let told = world
                .settle(scenario.code(), |world| scenario.is_done(world))
                .await;
            let told = told
                .map_err(|told| format!("{call}\nspoilt run: {}\nafterwards: {told}", ended.log))?;
            Ok::<_, String>(Some((call, ended, ordered, told)))
        })
        .await;
    let Some((call, ended, ordered, told)) = done? else {
        return Ok(None);
    };
    let mut wrong = gaps;
    wrong.extend(is_badly_ended(spoil, ended.code, &ended.log));
    wrong.extend(before.wrong(world, wanted, ordered).await);
    match wrong.is_empty() {
        true => Ok(Some(call)),
        false => Err(format!(
            "{call}\n{}\nspoilt run: {}\nafterwards: {told}",
            wrong.join("\n"),
            ended.log
        )),
    }
}

/// The fault in the end of a spoilt run: it has to be killed, or to go on and to report what the disk did not take.
fn is_badly_ended(spoil: Spoil, code: Option<i32>, log: &str) -> Option<String> {
    let Spoil::Fail(_, fault) = spoil else {
        return code.map(|code| format!("it was not killed, and ended with {code}"));
    };
    // Exit 1 is a bug, 101 a panic.
    let has_ended_well = matches!(code, Some(0 | 2..=7));
    let is_told = log.contains(fault.words());
    (!is_told || !has_ended_well)
        .then(|| format!("it ended with {code:?} and did not tell: {}", fault.words()))
}
