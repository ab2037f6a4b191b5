//! Plans as people read them: one command plan a name, one step a line.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{
    Action, Deploy, Fallback, Obtain, PlanRules, TakeBack, Tell, Why, foresee, part::site_file,
    plan,
};
use crate::{
    desire::{CertificateFolder, Desired, Destination},
    observe::Observed,
    render::{CommandPlanView, TemplateError, Templates},
    values::{CertificateName, Host, Issuer, Timestamp},
};

/// Turns after which a plan that still finds something to do is a bug, not a long plan.
const MOST_TURNS: usize = 10;

/// The steps planned for one name or one proxy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CommandPlan {
    /// The certificate, the proxy or the output that it is about.
    pub subject: String,
    /// The reasons, each once, in the order in which they come up.
    pub why: Vec<Why>,
    /// The steps, each as its words.
    pub steps: Vec<Vec<String>>,
}

impl CommandPlan {
    /// The plan for an output; none where it is as it should be.
    pub fn of_output(name: &str, steps: Vec<Vec<String>>) -> Option<Self> {
        (!steps.is_empty()).then(|| Self {
            subject: format!("outputs.{name}"),
            why: vec![Why::ContentChanged],
            steps,
        })
    }

    /// As text, by the template `command-plan.txt`.
    ///
    /// # Errors
    /// What that template got wrong.
    pub fn render(&self, templates: &Templates) -> Result<String, TemplateError> {
        let why = self
            .why
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", then ");
        templates.render(
            "command-plan.txt",
            &CommandPlanView {
                subject: &self.subject,
                why: &why,
                steps: &self.steps,
            },
        )
    }
}

/// The plans, turn after turn until nothing is left, if everything succeeds: one for each name, and one for each proxy
/// whose own file changes.
pub fn command_plans(
    desired: &Desired,
    observed: &Observed,
    templates: &Templates,
    rules: &PlanRules,
    now: Timestamp,
) -> Vec<CommandPlan> {
    let mut plans = BTreeMap::new();
    let mut observed = observed.clone();
    for _ in 0..MOST_TURNS {
        let turn = plan(desired, &observed, templates, rules, now);
        if turn.actions.is_empty() {
            break;
        }
        turn.actions
            .iter()
            .for_each(|action| tell(action, &mut plans));
        observed = foresee(&observed, &turn, now);
    }
    plans.into_values().collect()
}

/// The steps of one action, as shown to people while it is carried out.
pub fn steps(action: &Action) -> Vec<Vec<String>> {
    match action {
        Action::Obtain(obtain) => vec![obtain_step(obtain)],
        Action::FallBack(fallback) => vec![fallback_step(fallback)],
        Action::TakeBack(back) => vec![take_back_step(back)],
        Action::Deploy(deploy) => {
            let everything = |_: &str| true;
            let mut steps = file_steps(deploy, &everything);
            steps.extend(reload_steps(deploy));
            steps
        }
    }
}

type Plans = BTreeMap<String, CommandPlan>;

fn tell(action: &Action, plans: &mut Plans) {
    match action {
        Action::Obtain(obtain) => add(
            plans,
            obtain.certificate.as_str(),
            [obtain.why],
            vec![obtain_step(obtain)],
        ),
        Action::FallBack(fallback) => add(
            plans,
            fallback.certificate.as_str(),
            [fallback.why],
            vec![fallback_step(fallback)],
        ),
        Action::TakeBack(back) => {
            add(
                plans,
                back.consumer.name.as_str(),
                [Why::ConsumerDied],
                vec![take_back_step(back)],
            );
        }
        Action::Deploy(deploy) => tell_deploy(deploy, plans),
    }
}

/// Adds a deployment to the plan of each name whose file or certificate it changes, and to the proxy's when it has a
/// part in it that belongs to no name.
fn tell_deploy(deploy: &Deploy, plans: &mut Plans) {
    let mut told = BTreeSet::new();
    for (host, site) in &deploy.consumer.sites {
        let file = site_file(host);
        let certificate = site.certificate.as_ref().map(|name| name.as_str());
        let is_its_own = |word: &str| word == file.as_str() || Some(word) == certificate;
        let mut steps = file_steps(deploy, &is_its_own);
        if steps.is_empty() {
            continue;
        }
        told.extend(steps.iter().filter_map(|step| step.get(1).cloned()));
        steps.extend(reload_steps(deploy));
        add(plans, host.as_str(), deploy.why.iter().copied(), steps);
    }
    let is_nobodys = |word: &str| !told.contains(word);
    let rest = file_steps(deploy, &is_nobodys);
    if !rest.is_empty() || told.is_empty() {
        let steps = rest.into_iter().chain(reload_steps(deploy)).collect();
        add(
            plans,
            deploy.consumer.name.as_str(),
            deploy.why.iter().copied(),
            steps,
        );
    }
}

fn add(
    plans: &mut Plans,
    subject: &str,
    why: impl IntoIterator<Item = Why>,
    steps: Vec<Vec<String>>,
) {
    let plan = plans
        .entry(subject.to_owned())
        .or_insert_with(|| CommandPlan {
            subject: subject.to_owned(),
            why: Vec::new(),
            steps: Vec::new(),
        });
    for reason in why {
        if !plan.why.contains(&reason) {
            plan.why.push(reason);
        }
    }
    plan.steps.extend(steps);
}

fn words<'a>(words: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    words.into_iter().map(str::to_owned).collect()
}

/// True if a certificate has a single host, and its name.
fn is_named_by_default(names: &BTreeSet<Host>, certificate: &CertificateName) -> bool {
    let host = names.first().filter(|_| names.len() == 1);
    host.is_some_and(|host| CertificateName::from(host) == *certificate)
}

fn obtain_step(obtain: &Obtain) -> Vec<String> {
    let names = obtain.names.iter().map(|name| name.as_str());
    let own = (!is_named_by_default(&obtain.names, &obtain.certificate))
        .then_some(["--certificate", obtain.certificate.as_str()]);
    let mut step = words(
        ["obtain"]
            .into_iter()
            .chain(names)
            .chain(own.into_iter().flatten()),
    );
    if obtain.issuance.issuer == Issuer::SelfSigned {
        step.extend(words(["--ca", Issuer::SELF_SIGNED]));
        return step;
    }
    if let Some(helper) = &obtain.helper {
        step.extend(words(["--by", helper.consumer.name.as_str()]));
        return step;
    }
    if obtain.is_of_list {
        step.extend(["--ca".to_owned(), obtain.issuance.issuer.to_string()]);
    }
    step.extend([
        "--challenge".to_owned(),
        obtain.issuance.challenge.to_string(),
    ]);
    for webroot in &obtain.webroots.folders {
        step.extend(["--webroot".to_owned(), webroot.to_string()]);
    }
    if let Some(dns) = &obtain.webroots.dns {
        step.extend(words(["--dns", dns]));
    }
    step
}

fn fallback_step(fallback: &Fallback) -> Vec<String> {
    let names = fallback.names.iter().map(|name| name.as_str());
    let is_named_after_it = is_named_by_default(&fallback.names, &fallback.certificate);
    let own = (!is_named_after_it).then_some(["--certificate", fallback.certificate.as_str()]);
    words(
        ["self-sign"]
            .into_iter()
            .chain(names)
            .chain(own.into_iter().flatten()),
    )
}

fn take_back_step(back: &TakeBack) -> Vec<String> {
    words(["take-back", back.consumer.name.as_str()])
}

/// The steps for the files whose second word (the file, the certificate) passes the test.
fn file_steps(deploy: &Deploy, passes: &dyn Fn(&str) -> bool) -> Vec<Vec<String>> {
    let mut steps = Vec::new();
    if let CertificateFolder::Delivered(delivery) = &deploy.consumer.certificates {
        let (step, into) = match &delivery.to {
            Destination::Folder(folder) => ("deliver", folder.ours.to_string()),
            Destination::Inside(folder) => {
                let into = format!("{}:{}", deploy.consumer.name, folder.display());
                ("copy", into)
            }
        };
        let names = deploy.deliver.keys();
        steps.extend(names.map(|name| words([step, name.as_str(), "--into", &into])));
    }
    if let Some(config) = deploy.consumer.config() {
        let config = config.ours.to_string();
        // The mark changes with every deployment: nothing to read about.
        let mark = deploy.consumer.proxy.as_ref();
        let mark = mark.map(|proxy| proxy.kind.mark_file);
        let files = deploy.write.keys();
        let files = files.filter(|file| Some(file.as_str()) != mark);
        steps.extend(files.map(|file| words(["write", file.as_str(), "--into", &config])));
        let gone = deploy.remove.iter();
        steps.extend(gone.map(|file| words(["remove", file.as_str(), "--from", &config])));
    }
    steps.retain(|step| step.get(1).is_some_and(|word| passes(word)));
    steps
}

fn reload_steps(deploy: &Deploy) -> Vec<Vec<String>> {
    if !deploy.consumer.running {
        return Vec::new();
    }
    let consumer = deploy.consumer.name.as_str();
    let run = |step: &str, run: &[String]| [&words([step, consumer, "--"])[..], run].concat();
    let prove = words(["prove", consumer]);
    let check = deploy
        .check
        .as_ref()
        .map(|check| run("check", &check.words));
    let told = match &deploy.tell {
        Tell::Signal(signal) => vec![words(["signal", consumer, &signal.to_string()]), prove],
        Tell::Exec(words) => vec![run("exec", words), prove],
        Tell::Restart => vec![words(["restart", consumer]), prove],
        Tell::Started => vec![prove],
        Tell::Nothing { .. } => Vec::new(),
    };
    let opening = deploy
        .opening
        .as_ref()
        .map(|_| words(["open-gate", consumer]));
    check.into_iter().chain(told).chain(opening).collect()
}
