//! Tests that a part which a proxy refuses is found and held back alone.

use super::*;

#[test]
fn one_site_that_is_refused_is_found_by_halves_and_held_back_alone() {
    let apps = || {
        (10..74).map(|n| container(&format!("app{n}"), n).label("host", &format!("app{n}.example")))
    };
    let desired = desired(apps().chain([proxy()]));
    let mut refusing = Refusing::new("app42.example");
    let observed = refusing.settle(&desired, fresh(&desired), START);
    let held_back: Vec<_> = observed
        .installed
        .values()
        .flat_map(|it| it.trial.refused.keys())
        .collect();
    assert_eq!(
        held_back
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        ["quaymaster-app42.example.conf"]
    );
    let files = observed
        .installed
        .values()
        .map(|installed| installed.files.len())
        .sum::<usize>();
    assert_eq!(files, 63 + 5, "all other sites, and the proxy's own files");
    assert!(
        refusing.refused <= 8,
        "{} of {} deployments were refused",
        refusing.refused,
        refusing.worked
    );
    let complaints = planned(&desired, &observed, START).complaints;
    let told: Vec<_> = complaints.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    let expected = "container app42, label quaymaster.host=\"app42.example\": proxy refuses quaymaster-app42.example.conf: no;";
    assert!(told[0].starts_with(expected), "{told:?}");

    // It is tried again when what it is made from has changed, and not before.
    let mended = apps().map(|app| {
        if app.name.as_str() == "app42" {
            app.label("port", "9")
        } else {
            app
        }
    });
    let mended = desire(&snapshot(mended.chain([proxy()])), &label_rules());
    let steps = told_by(&mended, &observed);
    assert!(
        steps.contains(&"write quaymaster-app42.example.conf --into /edge".to_owned()),
        "{steps:?}"
    );
}

#[test]
fn a_refusal_names_the_templates_of_the_user_that_took_part_in_the_file() {
    let desired = desired([proxy(), shop()]);
    let remedy = |texts: &[(&str, &str)]| {
        let texts = texts
            .iter()
            .map(|(name, text)| ((*name).to_owned(), Ok((*text).to_owned())));
        let templates = Templates::with(&texts.collect());
        let planned = |observed: &Observed| plan(&desired, observed, &templates, &rules(), START);
        let mut observed = foresee(&fresh(&desired), &planned(&fresh(&desired)), START);
        let deploy = |plan: Plan| {
            plan.actions.into_iter().find_map(|action| match action {
                Action::Deploy(deploy) => Some(deploy),
                _ => None,
            })
        };
        observed = foresee(&observed, &planned(&observed), START);
        let site = deploy(planned(&observed))
            .expect("the site has its certificate now")
            .after
            .trying;
        quarantine::refused(&mut installed(&mut observed).trial, &site, "no", START);
        planned(&observed)
            .complaints
            .into_iter()
            .next()
            .expect("it is refused")
            .remedy
    };
    let (mine, part) = (
        ("nginx/site.conf", "# {% include 'nginx/part.conf' %}"),
        ("nginx/part.conf", "mine"),
    );
    let other = ("nginx/base.conf", "# mine\n");
    assert!(
        remedy(&[]).starts_with("change labels or the proxy's own configuration; until then "),
        "{}",
        remedy(&[])
    );
    assert_eq!(remedy(&[other]), remedy(&[]), "it has no part in this file");
    let named = "made with your templates nginx/part.conf, nginx/site.conf, which may be wrong; change these";
    assert!(
        remedy(&[mine, part, other]).contains(named),
        "{}",
        remedy(&[mine, part, other])
    );
    let included = "nginx/client.conf, which may be wrong; change these";
    assert!(
        remedy(&[("nginx/client.conf", "# mine\n")]).contains(included),
        "the built-in one includes it"
    );
}

#[test]
fn a_refusal_blames_nobody_right_after_what_was_there_before_was_refused_too() {
    let desired = desired([proxy(), container("shop", 4).label("host", "shop.example")]);
    let mut observed = fresh(&desired);
    let is_conclusive = |observed: &Observed| {
        let plan = planned(&desired, observed, START);
        let [Action::Deploy(deploy)] = &plan.actions[..] else {
            panic!("{plan:?}")
        };
        deploy.is_conclusive
    };
    assert!(is_conclusive(&observed));
    installed(&mut observed).progress = Progress::TakenBack;
    assert!(!is_conclusive(&observed));
    installed(&mut observed).progress = Progress::Proven { at: START };
    assert!(is_conclusive(&observed));
    installed(&mut observed).is_own_broken = true;
    assert!(!is_conclusive(&observed));
}

#[test]
fn a_knob_that_the_user_has_turned_already_is_held_back_in_silence() {
    let desired = desired([proxy(), shop()]);
    let mut refusing = Refusing::new("-unknown-http");
    let observed = refusing.settle(&desired, fresh(&desired), START);
    assert_eq!(refusing.refused, 1);
    let files: Vec<_> = observed
        .installed
        .values()
        .flat_map(|it| it.files.keys().map(FileName::as_str))
        .collect();
    let expected = ["-base", "-gate", "-mark", "-unknown-https", "shop.example"]
        .map(|name| format!("quaymaster-{name}.conf"));
    assert_eq!(files, expected);
    assert!(planned(&desired, &observed, START).complaints.is_empty());
}

fn told_by(desired: &Desired, observed: &Observed) -> Vec<String> {
    told(desired, observed, START)
}

/// A proxy that refuses its whole configuration as long as one of these is in it.
pub(super) struct Refusing {
    hosts: BTreeSet<&'static str>,
    /// Files that it takes all the same.
    tolerated: BTreeSet<Digest>,
    refuses_all: bool,
    /// A text that no file may contain.
    refused_text: Option<&'static str>,
    /// Certificates that it does not take.
    refused_certificates: BTreeSet<Digest>,
    /// Files as they were written.
    texts: BTreeMap<Digest, String>,
    pub refused: usize,
    pub worked: usize,
    /// The contents when it was last seen to be good, as long as the present ones were not.
    journal: BTreeMap<ContainerName, Installed>,
}

impl Refusing {
    pub fn new(host: &'static str) -> Self {
        Self {
            hosts: BTreeSet::from([host]),
            tolerated: BTreeSet::new(),
            refuses_all: false,
            refused_text: None,
            refused_certificates: BTreeSet::new(),
            texts: BTreeMap::new(),
            refused: 0,
            worked: 0,
            journal: BTreeMap::new(),
        }
    }

    /// It takes the files that are there, though it refuses later ones of these names.
    pub fn tolerates(&mut self, observed: &Observed) {
        let files = observed
            .installed
            .values()
            .flat_map(|installed| installed.files.values());
        self.tolerated.extend(files.map(|file| file.digest));
    }

    /// Has it refuse whatever comes.
    pub fn refuse_all(&mut self, refuses: bool) {
        self.refuses_all = refuses;
    }

    /// It refuses whatever this stands in.
    pub fn refuses_text(&mut self, text: &'static str) {
        self.refused_text = Some(text);
    }

    /// It refuses this certificate, whatever names it.
    pub fn refuses_certificate(&mut self, certificate: Digest) {
        self.refused_certificates.insert(certificate);
    }

    /// The first word of the template that a file was made with.
    pub fn word_of(&self, file: Digest) -> &str {
        let line = self.texts[&file]
            .lines()
            .find(|line| line.starts_with("# ") && line.ends_with(".example"));
        line.and_then(|line| line.split(' ').nth(1))
            .expect("it is made with a template of the test's")
    }

    /// Carries out what one plan has.
    pub fn turn(&mut self, desired: &Desired, observed: Observed, now: Timestamp) -> Observed {
        let turn = planned(desired, &observed, now);
        let mut observed = observed;
        observed.clear(&turn.cleared);
        turn.actions.into_iter().fold(observed, |observed, action| {
            self.carry_out(observed, action, now)
        })
    }

    pub fn open(&mut self, observed: &Observed, deploy: &Deploy) {
        let before = &observed.installed[&deploy.consumer.name];
        if !before.open {
            self.journal
                .insert(deploy.consumer.name.clone(), Installed::clone(before));
        }
    }

    pub fn settle(&mut self, desired: &Desired, observed: Observed, now: Timestamp) -> Observed {
        self.settle_with(&templates(), desired, observed, now)
    }

    pub fn settle_with(
        &mut self,
        templates: &Templates,
        desired: &Desired,
        mut observed: Observed,
        now: Timestamp,
    ) -> Observed {
        for _ in 0..200 {
            let turn = plan(desired, &observed, templates, &rules(), now);
            observed.clear(&turn.cleared);
            if turn.actions.is_empty() {
                return observed;
            }
            for action in turn.actions {
                observed = self.carry_out(observed, action, now);
            }
        }
        let turn = plan(desired, &observed, templates, &rules(), now);
        let steps: Vec<_> = turn
            .actions
            .iter()
            .flat_map(steps)
            .map(|words| words.join(" "))
            .collect();
        panic!(
            "two hundred turns did not settle it: {steps:?}, {:?}",
            observed.installed
        );
    }

    pub fn carry_out(&mut self, observed: Observed, action: Action, now: Timestamp) -> Observed {
        self.worked += 1;
        if let Action::Deploy(deploy) = &action {
            self.texts.extend(
                deploy
                    .write
                    .values()
                    .map(|text| (Digest::of(text), text.clone())),
            );
        }
        match &action {
            Action::Deploy(deploy)
                if deploy.consumer.running && self.takes_badly(&deploy.after) =>
            {
                self.open(&observed, deploy);
                self.refused += 1;
                self.refuse(observed, deploy, now)
            }
            Action::TakeBack(back) => {
                let mut observed = observed;
                let there = self.journal[&back.consumer.name].clone();
                observed
                    .installed
                    .insert(back.consumer.name.clone(), back.taken_back(there).into());
                observed
            }
            _ => {
                if let Action::Deploy(deploy) = &action {
                    self.open(&observed, deploy);
                }
                foresee(
                    &observed,
                    &Plan {
                        actions: vec![action],
                        ..Plan::default()
                    },
                    now,
                )
            }
        }
    }

    /// True if it refuses the present contents.
    pub fn takes_badly(&self, after: &Installed) -> bool {
        let is_named = |file: &FileName| {
            self.hosts
                .iter()
                .any(|host| file.as_str() == format!("quaymaster-{host}.conf"))
        };
        let says_so = |text: &String| {
            self.refused_text
                .is_some_and(|refused| text.contains(refused))
        };
        let mut given = after.certificates.values();
        self.refuses_all
            || given.any(|digest| self.refused_certificates.contains(digest))
            || after.files.iter().any(|(file, it)| {
                let is_bad = is_named(file) && !self.tolerated.contains(&it.digest);
                is_bad || self.texts.get(&it.digest).is_some_and(says_so)
            })
    }

    /// The facts after a deployment was refused and taken back.
    fn refuse(&self, mut observed: Observed, deploy: &Deploy, now: Timestamp) -> Observed {
        let mut there = self.journal[&deploy.consumer.name].clone();
        let mark = deploy.back.shown_by.iter();
        there.files.extend(mark.map(|(file, text)| {
            let read = InstalledFile::read(text.as_bytes());
            (file.clone(), read.expect("it is ours"))
        }));
        let again = SeenAgain {
            at: now,
            took: Duration::ZERO,
            within: deploy.within,
        };
        let (installed, _) = deploy.refused(deploy.taken_back(there), again, "no");
        observed
            .installed
            .insert(deploy.consumer.name.clone(), installed.into());
        observed
    }
}

#[test]
fn what_all_sites_with_certificates_share_is_blamed_on_the_proxy() {
    let apps = || {
        (10..13).map(|n| container(&format!("app{n}"), n).label("host", &format!("app{n}.example")))
    };
    let desired = desired(apps().chain([proxy()]));
    let mut observed = fresh(&desired);
    // The challenges' servers first, then the certificates; then what names them is to be written.
    let parts = loop {
        let next = planned(&desired, &observed, START);
        let tries = next.actions.iter().find_map(|action| match action {
            Action::Deploy(deploy) if !deploy.deliver.is_empty() => {
                Some(deploy.after.trying.clone())
            }
            _ => None,
        });
        if let Some(tries) = tries {
            break tries;
        }
        observed = foresee(&observed, &next, START);
    };
    assert_eq!(parts.len(), 3, "{parts:?}");
    let denied =
        "cannot load certificate key \"/k\": BIO_new_file() failed (13: Permission denied)";
    for (refused, reason, told) in [
        (
            1,
            "no",
            "container app10, label quaymaster.host=\"app10.example\": proxy refuses quaymaster-app10.example.conf: no;",
        ),
        (
            1,
            denied,
            "container proxy, label quaymaster.kind=\"nginx\": proxy can't read the keys of its certificates: ",
        ),
        (
            3,
            "no",
            "container proxy, label quaymaster.kind=\"nginx\": proxy refuses each site that has a certificate: no;",
        ),
        (
            3,
            denied,
            "container proxy, label quaymaster.kind=\"nginx\": proxy can't read the keys of its certificates: ",
        ),
    ] {
        let mut observed = observed.clone();
        for (file, unit) in parts.iter().take(refused) {
            let alone = [(file.clone(), *unit)].into();
            quarantine::refused(&mut installed(&mut observed).trial, &alone, reason, START);
        }
        let complaints = planned(&desired, &observed, START).complaints;
        let complaints: Vec<_> = complaints.iter().map(ToString::to_string).collect();
        assert!(
            complaints.len() == 1 && complaints[0].starts_with(told),
            "{complaints:?}"
        );
    }
}
