//! Decisions: what has to be done, why, and when to look again. Pure: facts, meaning and a time go in, a [`Plan`] comes
//! out, the same every time.
//!
//! Nobody writes the sequence of a first certificate: the turn that sees differing configuration deploys it, the next
//! sees a missing certificate and obtains it, the next deploys what can now have its TLS server.

mod answered;
mod asked_ca;
mod backoff;
mod by_hand;
mod caa;
mod candidates;
mod case;
mod changes;
mod check;
mod command_plan;
mod complaints;
mod consumer;
mod content;
mod default_config;
mod deploy;
mod edition;
mod exposed;
mod fallback;
mod foresee;
mod gate;
mod held_back;
mod helper;
mod in_force;
mod ledger;
mod life;
mod needs;
mod newer;
pub mod news;
mod notice;
mod obtain;
mod pages;
mod part;
mod pauses;
mod preview;
mod propagation;
mod quarantine;
mod rehearsal;
mod renewal;
mod selection;
mod self_check;
mod server;
mod signals;
mod slots;
mod suggested;
mod taken_over;
mod used;
mod views;
mod why;
mod wish;

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

pub use asked_ca::{OtherCa, PassedOver, choose_cas};
pub use backoff::next_try;
pub use by_hand::{AskedByHand, NotByHand, by_hand};
pub use candidates::{Asked, Candidate, Skipped, candidates};
pub use check::{Check, run_failed};
pub use command_plan::{CommandPlan, command_plans, steps};
pub use exposed::exposed;
pub use fallback::Fallback;
pub use foresee::foresee;
pub use gate::Opening;
pub use helper::{HelperOrder, helper_of};
pub use in_force::{InForce, Overruled};
pub use ledger::{Counts, LimitReached, Limited, names_digest};
pub use life::{LifeStep, Lives, forgotten, lives};
pub use notice::{About, Notice};
pub use obtain::is_failure;
pub use pages::{other_account, stranger};
pub use part::site_file;
pub use pauses::{Closed, again, closed, is_held_up};
pub use preview::looked_at;
pub use propagation::{next_look, stands_from};
pub use quarantine::{Refusal, SeenAgain, Verdict};
pub use rehearsal::{NoRehearsal, rehearsal};
pub use renewal::{due_by, kept_until};
pub use selection::{CertificateUse, ChosenBy, of_unknown, served};
pub use self_check::{
    LOOK_LIMIT, NameVerdict, SelfCheck, SelfCheckFailed, SelfCheckRule, WebPorts, judge,
    judge_proofs, self_check,
};
pub use suggested::{DueRenewal, due_renewal, next_renewal_read, suggestion};
pub use taken_over::taken_over;
pub use why::Why;
pub use wish::answer;

use content::{PartInputs, Parts};
use in_force::InForceMemory;
use needs::NeedMemory;
use selection::Selection;

use crate::{
    desire::{Complaint, Consumer, Desired, Issuance},
    observe::{
        Attempt, CertificateVersion, Installed, Observed, PartName, Signals, Subject, Webroots,
    },
    render::Templates,
    values::{
        CaTable, CertificateId, CertificateName, ContainerName, Digest, DnsNames, FallbackRule,
        FileName, Host, KeyType, Signal, Timestamp,
    },
};

/// Orders that run at the same time at one CA. Debian's Pebble hangs above eight, Let's Encrypt asks for restraint; four keep
/// both content and a batch of names quick.
pub const ORDERS_AT_ONCE: usize = 4;

/// The settings for planning.
#[derive(Debug)]
pub struct PlanRules {
    /// The host name under which proxies show their mark; kept in state, so that it stays the same.
    pub mark_host: String,
    /// The longest rest before everything is looked at again.
    pub resync: Duration,
    /// Time before its end at which a certificate without a successor brings a warning; none where its life decides.
    pub warn_before: Option<Duration>,
    /// Time that a certificate that quaymaster obtained stays live after it was last wanted.
    pub archive_after: Duration,
    /// Time that it is kept after it was last wanted.
    pub delete_after: Duration,
    /// Which certificates get a self-signed one as long as nothing can be served for them.
    pub fallback: FallbackRule,
    /// The type of the key of what takes the place of a default certificate.
    pub key_type: KeyType,
    /// True if quaymaster, or a server by the thumbprint, answers challenges where no proxy does.
    pub answers_itself: bool,
    /// A digest of all but labels that requests to CAs depend on: settings about all CAs, and this version.
    pub circumstances: Digest,
    /// The CAs, with their limits.
    pub cas: CaTable,
    /// The tables by which TXT records are set.
    pub dns: DnsNames,
    /// The rule for looks at names before a CA is asked.
    pub self_check: SelfCheckRule,
}

/// The actions for now, and the time of the next look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// At most one a subject; they don't depend on each other.
    pub actions: Vec<Action>,
    /// When to look again though nothing happened; at most a resync away.
    pub wake: Option<Timestamp>,
    /// Complaints about files that can't be rendered, and about certificates that are there.
    pub complaints: BTreeSet<Complaint>,
    /// The notices about certificates.
    pub notices: BTreeSet<Notice>,
    /// Certificates whose last try was cut off when all that it was for was done, or that nobody wants any more: what is
    /// written down of tries and orders can go.
    pub finished: BTreeSet<CertificateName>,
    /// Certificates in whose place no self-signed one is needed any more: what is known of failures to make one can go.
    pub needless: BTreeSet<CertificateName>,
    /// Parts that were refused or in doubt in another form and are as they should be: what is known of that can go.
    pub cleared: BTreeSet<(ContainerName, PartName)>,
    /// The results of signals, where they differ from the record.
    pub signals: BTreeMap<ContainerName, Signals>,
    /// Certificates that are due and not obtained now, since a limit of their CA is reached.
    pub limited: BTreeMap<CertificateName, LimitReached>,
    /// Certificates that are due and asked of another CA than the first of their list, or that all CAs of it have failed at,
    /// with why the one is asked.
    pub other_cas: BTreeMap<CertificateName, OtherCa>,
    /// The certificates that it was made with.
    pub in_force: InForce,
    /// The sites of a consumer that are to be shut, and no others, where these are not all that are.
    pub shut: BTreeMap<ContainerName, BTreeSet<FileName>>,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Bring a consumer's files up to date and make it take them up.
    Deploy(Box<Deploy>),
    /// Bring back what was in a consumer's folder before a deployment that it did not live to show.
    TakeBack(Box<TakeBack>),
    /// Get a certificate.
    Obtain(Box<Obtain>),
    /// Make a self-signed certificate that serves until there is a better one.
    FallBack(Box<Fallback>),
}

/// Bring a consumer's files up to date and make it take them up; or, if it does not, bring back what was there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deploy {
    /// The consumer.
    pub consumer: Rc<Consumer>,
    /// The reasons; at least one.
    pub why: BTreeSet<Why>,
    /// Files to write, by name in its config folder.
    pub write: BTreeMap<FileName, String>,
    /// Files of ours to take away.
    pub remove: BTreeSet<FileName>,
    /// Held certificates to copy into its folder first, by what they are called there.
    pub deliver: BTreeMap<CertificateName, CertificateVersion>,
    /// Copies of certificates that nothing names any more once this is proven.
    pub forget: BTreeSet<CertificateName>,
    /// The present contents of the folder.
    pub before: Rc<Installed>,
    /// The contents of the folder afterwards.
    pub after: Installed,
    /// The check by its own tool before it reloads; none where nothing is run, or nothing is new to it.
    pub check: Option<Check>,
    /// The way to make the consumer reload.
    pub tell: Tell,
    /// The proof for a client that it was taken up.
    pub proof: Proof,
    /// The longest time for that.
    pub within: Duration,
    /// The proof for a client that it was not, and the earlier files are back.
    pub back: Back,
    /// True if it brings only files that some servers are known to refuse, and that no label asked for.
    pub is_optional: bool,
    /// The edition of the user's templates that it tries: a refusal speaks against that.
    pub edition: Option<Digest>,
    /// True if a refusal speaks against the new files. False right after the consumer refused the earlier files, too:
    /// the user who broke its own configuration may have mended it between one signal and the other.
    pub is_conclusive: bool,
    /// The sites that are shut unless it is taken up soon, since what is live leads to none of their containers.
    pub shut_if_late: BTreeSet<FileName>,
    /// The gate that is opened once this is in use.
    pub opening: Option<Opening>,
    /// The record of this try.
    pub attempt: Attempt,
}

/// The proof for a client that a deployment was taken up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The host name under which the mark is shown.
    pub mark_host: String,
    /// The mark.
    pub mark: u64,
    /// The serial number that must be served for each of these names.
    pub serials: BTreeMap<Host, String>,
}

/// The way to make a consumer reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tell {
    /// By this signal.
    Signal(Signal),
    /// By these words, which are run in it.
    Exec(Vec<String>),
    /// By a restart of its container.
    Restart,
    /// It was started since, and has read everything.
    Started,
    /// Not before it starts again.
    Nothing {
        /// The reason.
        reason: String,
    },
}

/// The mark of what was there before: seen, it shows that the consumer reads its files and refused the others; not
/// seen, that it does not read them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Back {
    /// The file that shows it, with its text; none where the consumer shows none.
    pub shown_by: Option<(FileName, String)>,
    /// The mark.
    pub mark: u64,
    /// The way to make the consumer reload.
    pub tell: Tell,
}

/// Bring back what was in a consumer's folder before a deployment that it did not live to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakeBack {
    /// The consumer.
    pub consumer: Rc<Consumer>,
    /// The present contents of the folder.
    pub before: Rc<Installed>,
    /// The record of this try.
    pub attempt: Attempt,
}

impl Deploy {
    /// True if the consumer has something to return to: a consumer without a configuration of ours that gets its first
    /// certificate was never seen to use any. A crash since then changes nothing about that.
    pub fn returns_to_something(&self) -> bool {
        self.consumer.proxy.is_some() || self.after.open && self.after.has_earlier
    }

    /// True if anything in the consumer's folders differs from before.
    pub fn changes_folders(&self) -> bool {
        !(self.write.is_empty() && self.remove.is_empty() && self.deliver.is_empty())
    }
}

impl Back {
    /// The proof of the earlier files, given the proof that the new ones should have shown.
    pub fn proof(&self, new: &Proof) -> Proof {
        Proof {
            mark_host: new.mark_host.clone(),
            mark: self.mark,
            serials: BTreeMap::new(),
        }
    }
}

/// Get a certificate from its issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obtain {
    /// The certificate's future name.
    pub certificate: CertificateName,
    /// The names it must cover.
    pub names: BTreeSet<Host>,
    /// Who issues it, and what kind it is.
    pub issuance: Issuance,
    /// The reason.
    pub why: Why,
    /// The one that it takes the place of, where its CA is to know.
    pub replaces: Option<CertificateId>,
    /// Number of certificates in the chain of the held certificate; 0 where none is held, or that is not known.
    pub held_chain: usize,
    /// Where responses to challenges are put, and who shows them.
    pub webroots: Webroots,
    /// The helper that obtains it in our place; none where we do.
    pub helper: Option<Box<HelperOrder>>,
    /// The record of this try, written down before it is made.
    pub attempt: Attempt,
    /// The parts of it that are written into the ledger.
    pub counts: Counts,
    /// True if other CAs may be asked for it, too.
    pub is_of_list: bool,
    /// That another CA is asked than for the last try; nothing where it is the same.
    pub other_ca: Option<OtherCa>,
    /// Time that a TXT record has to stand before the CA looks, at least.
    pub record_wait: Duration,
    /// The look at the names before; none where they are not looked at.
    pub self_check: Option<SelfCheck>,
}

impl Action {
    /// The subject of the action.
    pub fn subject(&self) -> Subject {
        match self {
            Self::Deploy(deploy) => Subject::Consumer(deploy.consumer.name.clone()),
            Self::TakeBack(back) => Subject::Consumer(back.consumer.name.clone()),
            Self::Obtain(obtain) => Subject::Certificate(obtain.certificate.clone()),
            Self::FallBack(fallback) => Subject::Fallback(fallback.certificate.clone()),
        }
    }
}

/// Plans the actions for `now`.
pub fn plan(
    desired: &Desired,
    observed: &Observed,
    templates: &Templates,
    rules: &PlanRules,
    now: Timestamp,
) -> Plan {
    Planner::default().plan(desired, observed, templates, rules, now)
}

/// The last plans' results, so that the next looks only at the changes. They decide nothing: without them the plan is
/// the same, and takes longer where there are thousands of sites.
#[derive(Debug, Default)]
pub struct Planner {
    in_force: InForceMemory,
    parts: BTreeMap<ContainerName, Parts>,
    /// The same by templates that are on trial.
    on_trial: BTreeMap<ContainerName, Parts>,
    needs: NeedMemory,
}

impl Planner {
    /// Plans the actions for `now`: the same as [`plan`].
    pub fn plan(
        &mut self,
        desired: &Desired,
        observed: &Observed,
        templates: &Templates,
        rules: &PlanRules,
        now: Timestamp,
    ) -> Plan {
        let (desired, other_cas) = asked_ca::chosen(desired, observed, rules, now);
        let desired = &*desired;
        let mut draft = Draft::new(rules, now);
        draft.plan.other_cas = other_cas;
        draft.plan.notices = notice::notices(desired, observed, rules, now);
        let in_force = self.in_force.follow(desired, observed, now);
        let (live, observed) = (&self.in_force.live(), &*in_force.within(observed));
        let selection = Selection::with(&observed.held, self.in_force.index(), now);
        self.parts
            .retain(|name, _| desired.consumers.contains_key(name));
        self.on_trial
            .retain(|name, _| desired.consumers.contains_key(name));
        for consumer in desired.consumers.values() {
            consumer::plan(
                consumer,
                (observed, live, &selection),
                templates,
                rules,
                now,
                (self, &mut draft),
            );
        }
        let deploying: BTreeSet<ContainerName> =
            draft.plan.actions.iter().filter_map(deployed_to).collect();
        fallback::plan(desired, (observed, live), &selection, rules, &mut draft);
        let made = (templates, rules);
        obtain::plan(
            desired,
            (observed, live),
            &deploying,
            made,
            (&mut self.needs, &mut draft),
        );
        if draft.plan.actions.is_empty() && observed.under_way.is_empty() {
            let last = draft.last.drain(..).map(Box::new);
            draft.plan.actions.extend(last.map(Action::Deploy));
        }
        let told = complaints::of(desired, observed, now);
        let limited = complaints::limited(desired, &draft.plan.limited);
        draft
            .plan
            .complaints
            .extend(told.into_iter().chain(limited));
        draft.plan.wake = Some(draft.wake);
        draft.plan.in_force = in_force;
        draft.plan
    }

    /// The wanted contents of a consumer's folder; and the same by templates on trial, as long as a trial is due.
    fn parts(
        &mut self,
        wanted: &PartInputs<'_>,
        is_trial_due: bool,
    ) -> (&mut Parts, &mut BTreeMap<ContainerName, Parts>) {
        let name = &wanted.consumer.name;
        let is_wanted = |tried: &Parts| tried.templates() == wanted.templates.digest();
        if !is_trial_due && let Some(tried) = self.on_trial.remove(name).filter(is_wanted) {
            self.parts.insert(name.clone(), tried);
        }
        let parts = self.parts.entry(name.clone()).or_insert_with(Parts::none);
        parts.follow(wanted);
        (parts, &mut self.on_trial)
    }
}

/// A plan in the making.
struct Draft {
    plan: Plan,
    now: Timestamp,
    /// The first time at which something becomes due, or everything is looked at again.
    wake: Timestamp,
    /// Deployments that some servers are known to refuse, which costs seconds: they come when nothing else is to be done.
    last: Vec<Deploy>,
}

impl Draft {
    /// One with nothing to do.
    fn new(rules: &PlanRules, now: Timestamp) -> Self {
        Self {
            plan: Plan::default(),
            now,
            wake: now + rules.resync,
            last: Vec::new(),
        }
    }

    /// Something becomes due at this time.
    fn wake_at(&mut self, time: Timestamp) {
        if time > self.now {
            self.wake = self.wake.min(time);
        }
    }
}

fn deployed_to(action: &Action) -> Option<ContainerName> {
    match action {
        Action::Deploy(deploy) => Some(deploy.consumer.name.clone()),
        Action::TakeBack(back) => Some(back.consumer.name.clone()),
        Action::Obtain(_) | Action::FallBack(_) => None,
    }
}

#[cfg(test)]
mod provided {
    mod giving_way;
    mod tests;
}
#[cfg(test)]
mod tests;
