use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use itertools::{Itertools, merge};

use super::Tally;
use crate::{
    desire::{Complaint, Consumer, Desired, LabelRules},
    observe::{Attempt, HeldCertificate, Observed, PartName, Refused, Snapshot, Subject},
    plan::{self, Plan},
    values::{CertificateName, Timestamp},
};

/// Everything at one moment, as pages and metrics are made from it. It shares what the loop has: making one copies little,
/// however much there is.
pub struct Overview {
    /// That moment.
    pub now: Timestamp,
    /// When the program began.
    pub began: Timestamp,
    /// True if everything was looked at, and a first plan was made: before that, nothing is known.
    pub is_ready: bool,
    /// The engine's description of its containers.
    pub snapshot: Snapshot,
    /// The meaning of the labels.
    pub desired: Rc<Desired>,
    /// The certificates, records and attempts.
    pub observed: Observed,
    /// The plan.
    pub plan: Rc<Plan>,
    /// Complaints about labels that can't be followed.
    pub complaints: Rc<BTreeSet<Complaint>>,
    /// Problems on disk.
    pub faults: BTreeSet<String>,
    /// Problems with the user's templates.
    pub templates: BTreeSet<String>,
    /// For certificates that are wanted, another one that does what they are wanted for.
    pub instead: Rc<BTreeMap<CertificateName, CertificateName>>,
    /// The directory URLs of the CAs that certificates are asked of.
    pub cas: Vec<String>,
    /// The rules for reading labels.
    pub label_rules: LabelRules,
    /// When it was last shown that the loop turns.
    pub breathed: Option<Timestamp>,
    /// The counted events.
    pub tally: Tally,
}

impl Overview {
    /// The names of certificates that are wanted or held, in order.
    pub fn certificate_names(&self) -> Vec<CertificateName> {
        let wanted = self.desired.certificates.keys();
        let held = self.plan.in_force.certificates.keys();
        merge(wanted, held).dedup().cloned().collect()
    }

    /// The certificate of this name.
    pub fn held(&self, name: &CertificateName) -> Option<&HeldCertificate> {
        self.plan
            .in_force
            .certificates
            .get(name)
            .map(|held| &**held)
    }

    /// The certificate that is served where this one is wanted: itself, or one that does as well.
    pub fn serving(&self, name: &CertificateName) -> Option<&HeldCertificate> {
        self.held(self.instead.get(name).unwrap_or(name))
    }

    /// When the certificate is to be renewed; nothing where it is not renewed.
    pub fn renewal(&self, name: &CertificateName) -> Option<Timestamp> {
        let held = self.held(name).filter(|held| held.is_renewed())?;
        let is_wanted = self.desired.certificates.contains_key(name);
        let record = self.observed.renewal(name);
        (is_wanted && !self.instead.contains_key(name)).then(|| plan::due_renewal(held, record).at)
    }

    /// The parts that a server refused and that are held back, without those that some servers are known to refuse: these do
    /// no harm.
    pub fn held_back<'o>(
        &'o self,
        consumer: &'o Consumer,
    ) -> impl Iterator<Item = (&'o PartName, &'o Refused)> {
        let installed = self.observed.installed.get(&consumer.name);
        let refused = installed.into_iter().flat_map(|it| &it.trial.refused);
        let is_excused = |part: &PartName| {
            let mut own = consumer.own_files().iter();
            own.any(|own| {
                own.excuse.is_some() && part.file().is_some_and(|it| it.as_str() == own.file)
            })
        };
        refused.filter(move |(part, _)| !is_excused(part))
    }

    /// The last try at this, if it failed and nothing has come of it since.
    pub fn failure(&self, subject: &Subject) -> Option<&Attempt> {
        let attempt = self.observed.attempts.get(subject)?;
        let is_under_way = self.observed.under_way.contains(subject);
        (!is_under_way && plan::is_failure(subject, attempt, &self.desired)).then_some(attempt)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        desire::{
            desire,
            tests::{rules, snapshot},
        },
        fixtures::plan_rules,
        observe::Bearer,
        plan::{foresee, plan},
        render::Templates,
    };

    pub const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    /// The overview once all that these containers ask for was done.
    pub fn overview(containers: impl IntoIterator<Item = Bearer>) -> Overview {
        settled(containers, Observed::default())
    }

    /// The same, where this was there before.
    pub fn settled(containers: impl IntoIterator<Item = Bearer>, observed: Observed) -> Overview {
        made(containers, observed, true)
    }

    /// The overview before anything of it was done.
    pub fn begun(containers: impl IntoIterator<Item = Bearer>) -> Overview {
        made(containers, Observed::default(), false)
    }

    fn made(
        containers: impl IntoIterator<Item = Bearer>,
        mut observed: Observed,
        settles: bool,
    ) -> Overview {
        let templates = Templates::built_in().expect("they are tested");
        let plan_rules = plan_rules();
        let label_rules = rules();
        let snapshot = snapshot(containers);
        let desired = Rc::new(desire(&snapshot, &label_rules));
        for name in desired.consumers.keys() {
            observed.installed.entry(name.clone()).or_default();
        }
        let mut planned = plan(&desired, &observed, &templates, &plan_rules, NOW);
        while settles && !planned.actions.is_empty() {
            observed = foresee(&observed, &planned, NOW);
            planned = plan(&desired, &observed, &templates, &plan_rules, NOW);
        }
        let complaints = desired.complaints.union(&planned.complaints);
        Overview {
            now: NOW,
            began: NOW,
            is_ready: true,
            complaints: Rc::new(complaints.cloned().collect()),
            snapshot,
            desired,
            observed,
            plan: Rc::new(planned),
            faults: BTreeSet::new(),
            templates: BTreeSet::new(),
            instead: Rc::default(),
            cas: vec!["https://ca.example/directory".to_owned()],
            label_rules,
            breathed: Some(NOW),
            tally: Tally {
                is_engine_followed: true,
                ..Tally::default()
            },
        }
    }
}
