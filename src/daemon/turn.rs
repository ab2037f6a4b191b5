//! One turn: observe, decide, act.

use std::{borrow::Cow, ops::ControlFlow, rc::Rc};

use super::{BREATH, BURST, HEAD_START, LONGEST_REST, Loop};
use crate::{
    desire::Desired,
    observe::Subject,
    plan::{self, Plan},
    ports::DiskError,
    report::chain,
    values::Timestamp,
};

impl Loop {
    /// One turn: observes, decides, acts, and says when to look again. Rests only on an empty plan: after what was begun
    /// has got under way comes another turn, whose plan leaves it alone.
    pub(super) fn turn(&mut self) -> Timestamp {
        let now = self.daemon.ports.clock.now();
        self.follow_clock(now);
        // A state folder that can't be written is told, and everything that is live stays.
        let breath = self.breathe(now).err();
        if let ControlFlow::Break(wake) = self.observe(breath.as_ref(), now) {
            return wake;
        }
        let desired = self.desired();
        let desired = self.of_asked_cas(desired, now);
        self.look_for(&desired, now);
        self.go_on_with_lives(&desired, now);
        self.forget(&desired, now);
        self.take_over(&desired, now);
        self.show_certificates(&desired);
        let plan = self.memory.plan(
            &desired,
            &self.facts.observed,
            &self.templates.current,
            &self.daemon.plan_rules,
            now,
        );
        self.act(&desired, plan, breath, now)
    }

    /// Takes in what people ask for, what time has brought to an end, and certificates; what the engine says came before.
    /// Breaks with when to look again where nothing can be decided, or nothing has changed.
    fn observe(&mut self, breath: Option<&DiskError>, now: Timestamp) -> ControlFlow<Timestamp> {
        self.look_at_wishes(now);
        if self.told.document_due().is_some_and(|due| due <= now) {
            self.leave_document();
        }
        if !self.facts.seen {
            return ControlFlow::Break(now + BREATH);
        }
        if now.since(self.facts.looked) >= self.daemon.plan_rules.resync {
            self.facts.looked = now;
            self.look_at_all_again();
        }
        self.look_at_releases(now);
        self.look_at_forgets(now);
        self.look_at_hand_overs(now);
        if self.facts.end(now) | self.facts.free_hosts(now) {
            self.forget_plan();
        }
        let well = breath.is_none() && self.told.is_whole();
        if let Some(wake) = self.rests_until.filter(|wake| well && now < *wake) {
            return ControlFlow::Break(wake);
        }
        if !self.facts.certified {
            self.facts.look_at_disk(&self.daemon.ports);
        }
        if !self.facts.certified {
            self.tell_faults(breath.map(|fault| chain(fault)));
            return ControlFlow::Break(now + BREATH);
        }
        self.facts.mend_certificates(&self.daemon.ports);
        ControlFlow::Continue(())
    }

    /// The meaning of the containers' labels.
    pub(super) fn desired(&mut self) -> Rc<Desired> {
        let desired = self.desired.take().unwrap_or_else(|| {
            let mut desired = self
                .reading
                .desire(&self.facts.snapshot, &self.daemon.label_rules);
            self.facts.grace.hold_signals_back(&mut desired);
            desired
        });
        Rc::clone(self.desired.insert(desired))
    }

    /// The same, each certificate of the CA that is asked for it now.
    pub(super) fn of_asked_cas(&self, desired: Rc<Desired>, now: Timestamp) -> Rc<Desired> {
        let rules = &self.daemon.plan_rules;
        match plan::choose_cas(&desired, &self.facts.observed, rules, now) {
            Cow::Borrowed(_) => desired,
            Cow::Owned(chosen) => Rc::new(chosen),
        }
    }

    /// Looks at what only those need to have looked at who ask for something, and writes down what has to outlive us.
    fn look_for(&mut self, desired: &Desired, now: Timestamp) {
        let ports = &self.daemon.ports;
        self.facts.tidy_new_consumers(ports, desired);
        self.facts.look_at_new_consumers(ports, desired);
        self.facts.look_for_files(ports, desired);
        self.facts.look_at_accounts(ports, desired);
        self.facts.remember_hosts(ports, desired, now);
        self.facts.keep_removed(ports);
        self.facts.keep_elsewhere(ports);
        self.facts.keep_busy_cas(ports);
        let cas = &self.daemon.plan_rules.cas;
        self.facts.tidy_ledger(ports, cas, now);
        self.facts.keep_templates(ports, &mut self.templates);
        self.facts.observed.are_any_missed = self.facts.grace.next_end().is_some();
        self.facts.observed.are_any_away = self.facts.elsewhere.are_any_unknown();
    }

    /// Begins the planned actions; reports the state of everything where there are none.
    fn act(
        &mut self,
        desired: &Rc<Desired>,
        mut plan: Plan,
        breath: Option<DiskError>,
        now: Timestamp,
    ) -> Timestamp {
        let finished = self.without_records(std::mem::take(&mut plan.finished));
        let ports = &self.daemon.ports;
        self.facts.finish(ports, &finished);
        for name in &plan.needless {
            let subject = Subject::Fallback(name.clone());
            self.facts.observed.attempts.remove(&subject);
        }
        // The record on disk follows with the next deployment.
        self.facts.observed.clear(&plan.cleared);
        self.facts.keep_signals(ports, desired, &plan.signals);
        self.facts.shut(ports, desired, &plan.shut);
        if self.wishes_only {
            plan.actions
                .retain(|action| self.is_wished_for(action, desired));
        }
        if !plan.actions.is_empty() {
            self.tell_sites(desired);
            self.tell_faults(breath.map(|fault| chain(&fault)));
            plan.actions
                .into_iter()
                .for_each(|action| self.begin(action));
            self.rests_until = None;
            return now + HEAD_START;
        }
        plan.wake = plan.wake.into_iter().chain(self.facts.next_end()).min();
        self.answer_wishes(desired, now);
        let wake = plan.wake.unwrap_or(now + self.daemon.plan_rules.resync);
        self.rests_until = Some(wake.min(now + LONGEST_REST));
        self.tell(desired, plan, breath, now);
        wake
    }

    /// Shows that it turns, and that the state can be written. A burst of turns is one breath: each is a new file.
    fn breathe(&mut self, now: Timestamp) -> Result<(), DiskError> {
        let is_recent = |last: Timestamp| last <= now && now.since(last) < BURST;
        if !self.breathed.is_some_and(is_recent) {
            self.breathed = None;
            self.daemon.ports.vitals.breathe(now)?;
            self.breathed = Some(now);
        }
        Ok(())
    }
}
