use std::{collections::BTreeSet, rc::Rc, time::Duration};

use futures_util::future;

use super::{
    Daemon,
    facts::Facts,
    templates::{self, InUse},
};
use crate::{
    desire::{Complaint, Desired, desire, named},
    observe::{Bearer, Interest, Observed, Snapshot, Wait},
    plan::{self, Plan},
    ports::{DiskError, EngineError},
    render::Templates,
    report::{Status, chain},
    values::{EngineName, Timestamp},
};

/// The reason why nothing can be foreseen.
#[derive(Debug, thiserror::Error)]
pub enum ForeseeError {
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The certificates.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// Everything that is known at one moment.
pub struct Survey {
    /// That moment.
    pub now: Timestamp,
    /// The engine's description of its containers.
    pub snapshot: Snapshot,
    /// The meaning of the labels.
    pub desired: Desired,
    /// The certificates, records and attempts.
    pub observed: Observed,
    /// The templates that would be rendered.
    pub templates: Templates,
    /// The plan for now.
    pub plan: Plan,
    /// Problems on disk and with the user's templates.
    pub faults: Vec<String>,
}

impl Survey {
    /// Complaints about labels that can't be followed.
    pub fn complaints(&self) -> BTreeSet<Complaint> {
        self.desired
            .complaints
            .union(&self.plan.complaints)
            .cloned()
            .collect()
    }
}

/// A daemon writes its status anew at least once a minute: what an older one says of waiting is over.
const BELIEVED_FOR: Duration = Duration::from_secs(180);

impl Daemon {
    /// The bearers of the engine that concern us.
    pub(super) fn interest(&self) -> Interest {
        self.label_rules.dialects.interest()
    }

    /// What the engine without a name has, and the settings ask for, and our own container.
    pub(super) async fn look(&self) -> Result<(Vec<Bearer>, Option<Bearer>), EngineError> {
        let (engine, interest) = (&self.ports.engine, self.interest());
        let mut bearers = engine.bearers(&interest).await?;
        bearers.extend(named(&self.label_rules.names));
        let own = match &self.own {
            Some(id) => engine.bearer(id.as_str(), &interest).await?,
            None => None,
        };
        Ok((bearers, own))
    }

    /// What each of the engines has that have a name, all asked at the same time.
    pub(super) async fn look_elsewhere(
        &self,
    ) -> Vec<(EngineName, Result<Vec<Bearer>, EngineError>)> {
        let interest = self.interest();
        let others = self.ports.other_engines.iter();
        let looks = others.map(|(name, engine)| {
            let interest = &interest;
            async move { (name.clone(), engine.bearers(interest).await) }
        });
        future::join_all(looks).await
    }

    /// Everything that is known now, and what would be done; touches nothing.
    ///
    /// # Errors
    /// When the engine can't be asked, or state can't be read.
    pub async fn survey(&self) -> Result<Survey, ForeseeError> {
        let mut facts = Facts::read(&self.ports, &self.label_rules.dialects);
        facts.look_at_certificates(&self.ports)?;
        // What is wrong with them is among the faults, for whoever asked to tell.
        let (kept, unread) = templates::kept(&*self.ports.records);
        let templates = InUse::read(self.template_files.clone(), kept, |_| {});
        let (containers, own) = self.look().await?;
        let elsewhere = self.look_elsewhere().await;
        let now = self.ports.clock.now();
        facts.replace((None, containers), own, false, now);
        let mut away = Vec::new();
        for (engine, looked) in elsewhere {
            match looked {
                Ok(containers) => {
                    facts.replace((Some(&engine), containers), None, false, now);
                }
                Err(error) => away.push(format!(
                    "engine {engine}: {}; what it said last counts",
                    chain(&error)
                )),
            }
        }
        facts.end(now);
        facts.free_hosts(now);
        self.take_waits(&mut facts.snapshot, now);
        let desired = desire(&facts.snapshot, &self.label_rules);
        facts.look_at_new_consumers(&self.ports, &desired);
        facts.look_for_files(&self.ports, &desired);
        facts.look_at_accounts(&self.ports, &desired);
        let lives = plan::lives(&desired, &facts.observed, &self.plan_rules, now);
        lives.foresee(&mut facts.observed);
        let desired =
            plan::choose_cas(&desired, &facts.observed, &self.plan_rules, now).into_owned();
        let plan = plan::plan(
            &desired,
            &facts.observed,
            &templates.current,
            &self.plan_rules,
            now,
        );
        let faults = facts
            .faults()
            .into_iter()
            .chain(templates.faults().iter().cloned())
            .chain(unread)
            .chain(away)
            .collect();
        let (snapshot, observed) = (facts.snapshot, facts.observed);
        Ok(Survey {
            now,
            snapshot,
            desired,
            observed,
            templates: templates.current,
            plan,
            faults,
        })
    }

    /// Lets containers wait that wait by the status of the daemon at work: a single look does not show that a container
    /// comes and goes.
    fn take_waits(&self, snapshot: &mut Snapshot, now: Timestamp) {
        // Who can't read it is told where that is told.
        let told = self.ports.vitals.status().ok().flatten();
        let status = told.and_then(|text| serde_json::from_str::<Status>(&text).ok());
        let Some(status) = status.filter(|status| now.since(status.written) < BELIEVED_FOR) else {
            return;
        };
        let is_over = |wait: &Wait| wait.until.is_some_and(|until| until <= now);
        let waits = status.sites.into_iter().flat_map(|site| site.waits);
        for (name, wait) in waits.filter(|(_, wait)| !is_over(wait)) {
            let container = snapshot.bearers.get_mut(&name);
            if let Some(container) = container.filter(|it| it.is_kept_going()) {
                Rc::make_mut(container).waits = Some(wait);
            }
        }
    }
}
