use std::{collections::BTreeSet, rc::Rc};

use crate::{
    ports::{DiskError, GoodTemplates, Records, TemplateFiles, TemplateTexts},
    render::{BUILT_IN, Templates},
    report::{Event, TemplateEvent, chain},
    values::Digest,
};

/// The templates that are rendered, and what is wrong with those that lie in the user's folder. They part where the
/// user breaks one: what was good stays in use until all is mended.
pub(super) struct InUse {
    files: Option<Rc<dyn TemplateFiles>>,
    /// The templates that are rendered, beside the earlier ones: consumers may still use those.
    pub current: Templates,
    /// The user's texts in `current`.
    texts: TemplateTexts,
    /// The user's texts of each time when none was broken, the newest last.
    known: Vec<(Digest, GoodTemplates)>,
    /// Those of them that lie on disk, in this order; none when that could not be read, so that it is written anew.
    kept: Option<Vec<Digest>>,
    faults: BTreeSet<String>,
    report: fn(&Event),
}

impl InUse {
    /// Reads the user's templates for the first time. Where some are broken, those that were `kept` last are used, `None`
    /// when that could not be read; where none are known, the broken ones: what needs them fails, and what is live stays, whatever it was rendered with.
    /// What happens to them is reported by `report`.
    pub fn read(
        files: Option<Rc<dyn TemplateFiles>>,
        kept: Option<Vec<GoodTemplates>>,
        report: fn(&Event),
    ) -> Self {
        let was_read = kept.is_some();
        let known: Vec<_> = kept
            .unwrap_or_default()
            .into_iter()
            .map(|good| (Templates::with(&texts(&good)).version(), good))
            .collect();
        let last = known.last().filter(|_| files.is_some());
        let texts = last.map(|(_, good)| texts(good)).unwrap_or_default();
        let may_replace = texts.is_empty();
        let kept = was_read.then(|| known.iter().map(|(digest, _)| *digest).collect());
        let current = made(&texts, &known);
        let mut in_use = Self {
            files,
            current,
            texts,
            known,
            kept,
            faults: BTreeSet::new(),
            report,
        };
        in_use.take_over(|current| may_replace || current.faults().next().is_some());
        in_use
    }

    /// Keeps the last few editions and what consumers use, and forgets the rest.
    ///
    /// # Errors
    /// When it can't be written; it is tried again with the next call.
    pub fn keep(
        &mut self,
        records: &dyn Records,
        is_used: impl Fn(Digest) -> bool,
    ) -> Result<(), DiskError> {
        // A consumer that is away for now may have used any of the last few.
        let old = self.known.len().saturating_sub(MOST_KNOWN);
        let mut number = 0;
        self.known.retain(|(version, _)| {
            number += 1;
            number > old || is_used(*version)
        });
        let wanted: Vec<_> = self.known.iter().map(|(digest, _)| *digest).collect();
        if self.kept.as_ref() != Some(&wanted) {
            let texts: Vec<_> = self.known.iter().map(|(_, good)| good.clone()).collect();
            records.keep_templates(&texts)?;
            self.kept = Some(wanted);
        }
        Ok(())
    }

    /// Problems with the user's templates as they lie there now.
    pub fn faults(&self) -> &BTreeSet<String> {
        &self.faults
    }

    /// Takes over what the watcher says.
    pub fn take(&mut self, change: Result<(), DiskError>) {
        match change {
            Ok(()) => self.look(),
            Err(error) => (self.report)(&Event::DiskFault {
                problem: format!(
                    "{}; templates are read again on SIGHUP and after each `resync`",
                    chain(&error)
                ),
            }),
        }
    }

    /// Reads and tries the user's templates anew; only when all are good they replace those in use. Broken ones replace
    /// broken ones, so that a complaint about what is held back is about what lies there.
    pub fn look(&mut self) {
        self.take_over(|current| current.faults().next().is_some());
    }

    /// Takes over what lies there when it is good, or when broken templates `may_replace` those in use.
    fn take_over(&mut self, may_replace: impl FnOnce(&Templates) -> bool) {
        let Some(files) = &self.files else { return };
        let (texts, unreadable) = match files.texts() {
            Ok(Some(texts)) => (texts, None),
            // To make a folder anew is to remove it for a moment.
            Ok(None) => return self.tell(BTreeSet::from([MISSING.to_owned()])),
            // Which of them it holds is not known.
            Err(error) => {
                let problem = chain(&error);
                (
                    BUILT_IN
                        .iter()
                        .map(|row| (row.name.to_owned(), Err(problem.clone())))
                        .collect(),
                    Some(problem),
                )
            }
        };
        let new = Templates::with(&texts);
        let unused: BTreeSet<String> = new.unused().iter().map(unused).collect();
        let mut faults: BTreeSet<String> = match unreadable {
            Some(problem) => BTreeSet::from([problem]),
            None => new.faults().map(ToString::to_string).collect(),
        };
        let is_other = texts != self.texts;
        if is_other && faults.is_empty() {
            let names = texts
                .keys()
                .filter(|name| !new.unused().contains_key(*name))
                .cloned()
                .collect();
            (self.report)(&Event::Template(TemplateEvent::Taken { names }));
        }
        if is_other && (faults.is_empty() || may_replace(&self.current)) {
            let good: Option<GoodTemplates> = texts
                .iter()
                .map(|(name, text)| Some((name.clone(), text.clone().ok()?)))
                .collect();
            if let Some(good) = good.filter(|good| faults.is_empty() && !good.is_empty()) {
                self.known.retain(|(version, _)| *version != new.version());
                self.known.push((new.version(), good));
            }
            self.current = beside(new, &texts, &self.known);
            self.texts = texts;
        }
        faults.extend(unused);
        self.tell(faults);
    }

    fn tell(&mut self, faults: BTreeSet<String>) {
        for problem in faults.difference(&self.faults) {
            (self.report)(&Event::Template(TemplateEvent::Broken {
                problem: problem.clone(),
            }));
        }
        for problem in self.faults.difference(&faults) {
            (self.report)(&Event::Template(TemplateEvent::Mended {
                problem: problem.clone(),
            }));
        }
        self.faults = faults;
    }
}

/// The templates that were kept, or the reason why they can't be read.
pub(super) fn kept(records: &dyn Records) -> (Option<Vec<GoodTemplates>>, Option<String>) {
    match records.templates() {
        Ok(kept) => (Some(kept), None),
        Err(error) => (None, Some(chain(&error))),
    }
}

fn texts(good: &GoodTemplates) -> TemplateTexts {
    good.iter()
        .map(|(name, text)| (name.clone(), Ok(text.clone())))
        .collect()
}

fn made(texts: &TemplateTexts, known: &[(Digest, GoodTemplates)]) -> Templates {
    beside(Templates::with(texts), texts, known)
}

/// These, with those that were in use before, the built-in ones among them. Where all are built in there is nothing to
/// try, and nothing to go back to.
fn beside(
    current: Templates,
    users: &TemplateTexts,
    known: &[(Digest, GoodTemplates)],
) -> Templates {
    if users.is_empty() {
        return current;
    }
    let version = current.version();
    let others = known
        .iter()
        .filter(|(other, _)| *other != version)
        .map(|(_, good)| texts(good));
    current.after(
        others
            .chain([TemplateTexts::new()])
            .map(|texts| Templates::with(&texts)),
    )
}

/// Said of a template that does nothing.
fn unused((name, meant): (&String, &Option<&'static str>)) -> String {
    let remedy = match meant {
        Some(meant) => format!("did you mean {meant}?"),
        None => "include it, or remove it".to_owned(),
    };
    format!(
        "template {name} does nothing: no built-in one is called so, and none in use includes it; {remedy}"
    )
}

/// So many editions of the user's templates are kept.
const MOST_KNOWN: usize = 8;

/// Said while there is no folder of templates.
const MISSING: &str = "the folder of the setting templates does not exist; what was read before stays in use, and the \
                       built-in templates where nothing was";

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use futures_util::stream::LocalBoxStream;
    use serde_json::json;

    use super::*;
    use crate::report::report;

    /// A folder whose contents a test sets.
    #[derive(Default)]
    struct Folder {
        texts: RefCell<Option<TemplateTexts>>,
        is_unreadable: Cell<bool>,
    }

    impl TemplateFiles for Folder {
        fn texts(&self) -> Result<Option<TemplateTexts>, DiskError> {
            match self.is_unreadable.get() {
                true => Err(DiskError::Damaged {
                    path: "/templates".into(),
                    problem: "it is not ours".to_owned(),
                }),
                false => Ok(self.texts.borrow().clone()),
            }
        }

        fn changes(&self) -> Result<LocalBoxStream<'static, Result<(), DiskError>>, DiskError> {
            unreachable!("nobody watches")
        }
    }

    impl Folder {
        fn holds(&self, texts: &[(&str, &str)]) {
            let texts = texts
                .iter()
                .map(|(name, text)| ((*name).to_owned(), Ok((*text).to_owned())));
            *self.texts.borrow_mut() = Some(texts.collect());
        }
    }

    /// The proxy's own file, as it would be.
    fn proxy_file(in_use: &InUse) -> Result<String, String> {
        let view = json!({"http_port": 80, "https_port": 443, "public_http_port": 80, "public_https_port": 443, "webroot": "/w", "answers": [], "trusted_proxies": [], "listens_ipv6": false,
            "certificate": null});
        in_use
            .current
            .render("nginx/base.conf", &view)
            .map_err(|error| error.to_string())
    }

    fn faults(in_use: &InUse) -> Vec<&str> {
        in_use.faults().iter().map(String::as_str).collect()
    }

    const ONE: (&str, &str) = ("nginx/base.conf", "# one\n");
    const TWO: (&str, &str) = ("nginx/base.conf", "# two\n");
    const BROKEN: (&str, &str) = ("nginx/base.conf", "# three\n{{ nosuch }}\n");
    const BROKEN_ALSO: (&str, &str) = ("nginx/site.conf", "{% if %}");

    #[test]
    fn what_was_good_stays_in_use_until_all_is_mended() {
        let folder = Rc::new(Folder::default());
        folder.holds(&[ONE]);
        let mut in_use = InUse::read(Some(folder.clone()), Some(Vec::new()), report);
        for (texts, expected, broken) in [
            (&[TWO][..], "# two\n", 0),
            (&[BROKEN], "# two\n", 1),
            (&[BROKEN, BROKEN_ALSO], "# two\n", 2),
            (&[ONE, BROKEN_ALSO], "# two\n", 1),
            (&[ONE], "# one\n", 0),
        ] {
            folder.holds(texts);
            in_use.look();
            assert_eq!(proxy_file(&in_use).as_deref(), Ok(expected), "{texts:?}");
            assert_eq!(faults(&in_use).len(), broken, "{texts:?}");
        }
        folder.holds(&[]);
        in_use.look();
        assert!(
            proxy_file(&in_use)
                .expect("it is built in")
                .contains("map $http_upgrade")
        );
    }

    #[test]
    fn one_that_does_nothing_is_told_with_what_was_probably_meant_and_keeps_nothing_back() {
        let folder = Rc::new(Folder::default());
        folder.holds(&[ONE, ("nginx/sites.conf", "# mine\n")]);
        let mut in_use = InUse::read(Some(folder.clone()), Some(Vec::new()), report);
        let told = "template nginx/sites.conf does nothing: no built-in one is called so, and none in use includes it; \
                    did you mean nginx/site.conf?";
        assert_eq!(
            (proxy_file(&in_use).as_deref(), faults(&in_use)),
            (Ok("# one\n"), vec![told])
        );
        folder.holds(&[TWO, ("nginx/headers.conf", "# mine\n")]);
        in_use.look();
        assert_eq!(proxy_file(&in_use).as_deref(), Ok("# two\n"));
        assert!(
            faults(&in_use)[0].ends_with("; include it, or remove it"),
            "{:?}",
            faults(&in_use)
        );
        folder.holds(&[
            ("nginx/base.conf", "{% include 'nginx/headers.conf' %}"),
            ("nginx/headers.conf", "# mine\n"),
        ]);
        in_use.look();
        assert_eq!(
            (proxy_file(&in_use).as_deref(), faults(&in_use).len()),
            (Ok("# mine\n"), 0)
        );
    }

    #[test]
    fn one_that_is_broken_from_the_start_holds_back_what_needs_it_until_it_is_mended() {
        let folder = Rc::new(Folder::default());
        folder.holds(&[BROKEN]);
        let mut in_use = InUse::read(Some(folder.clone()), Some(Vec::new()), report);
        let problem = "template nginx/base.conf, line 2: undefined value";
        assert!(
            proxy_file(&in_use)
                .expect_err("it is held back")
                .starts_with(problem)
        );
        assert!(faults(&in_use)[0].starts_with(problem));
        folder.holds(&[("nginx/base.conf", "{% if %}")]);
        in_use.look();
        assert!(
            proxy_file(&in_use)
                .expect_err("it is held back")
                .contains("line 1"),
            "the newest fault is told"
        );
        folder.holds(&[ONE]);
        in_use.look();
        assert_eq!(
            (proxy_file(&in_use).as_deref(), faults(&in_use).len()),
            (Ok("# one\n"), 0)
        );
    }

    #[test]
    fn one_that_is_broken_from_the_start_leaves_in_use_what_was_kept_last() {
        let good =
            |(name, text): (&str, &str)| GoodTemplates::from([(name.to_owned(), text.to_owned())]);
        let folder = Rc::new(Folder::default());
        folder.holds(&[BROKEN]);
        let kept = || vec![good(ONE), good(TWO)];
        let mut in_use = InUse::read(Some(folder.clone()), Some(kept()), report);
        assert_eq!(
            (proxy_file(&in_use).as_deref(), faults(&in_use).len()),
            (Ok("# two\n"), 1)
        );
        let version = |(name, text): (&str, &str)| {
            Templates::with(&TemplateTexts::from([(
                name.to_owned(),
                Ok(text.to_owned()),
            )]))
            .version()
        };
        assert!(
            in_use.current.earlier(version(ONE)).is_some(),
            "a proxy may still use it"
        );
        folder.holds(&[ONE]);
        in_use.look();
        assert_eq!(proxy_file(&in_use).as_deref(), Ok("# one\n"));
        assert!(in_use.current.earlier(version(TWO)).is_some());
        let none = InUse::read(None, Some(kept()), report);
        assert!(
            proxy_file(&none)
                .expect("it is built in")
                .contains("map $http_upgrade"),
            "none are wished for"
        );
    }

    #[test]
    fn those_that_are_in_use_are_the_last_that_are_known_also_when_they_are_put_back() {
        let folder = Rc::new(Folder::default());
        folder.holds(&[ONE]);
        let mut in_use = InUse::read(Some(folder.clone()), Some(Vec::new()), report);
        for texts in [&[TWO], &[ONE]] {
            folder.holds(texts);
            in_use.look();
        }
        let known: Vec<_> = in_use
            .known
            .iter()
            .map(|(_, good)| good["nginx/base.conf"].as_str())
            .collect();
        assert_eq!(known, ["# two\n", "# one\n"]);
    }

    #[test]
    fn a_folder_that_can_not_be_read_holds_back_everything_or_changes_nothing() {
        let folder = Rc::new(Folder::default());
        folder.holds(&[ONE]);
        folder.is_unreadable.set(true);
        let mut in_use = InUse::read(Some(folder.clone()), Some(Vec::new()), report);
        let problem = "/templates can't be understood: it is not ours";
        let held_back = format!("template nginx/base.conf: {problem}");
        assert_eq!(
            (proxy_file(&in_use), faults(&in_use)),
            (Err(held_back), vec![problem])
        );
        folder.is_unreadable.set(false);
        in_use.look();
        folder.is_unreadable.set(true);
        in_use.look();
        assert_eq!(
            (proxy_file(&in_use).as_deref(), faults(&in_use)),
            (Ok("# one\n"), vec![problem])
        );
    }

    #[test]
    fn a_folder_that_is_gone_for_a_moment_takes_nothing_out_of_use() {
        let folder = Rc::new(Folder::default());
        let mut in_use = InUse::read(Some(folder.clone()), Some(Vec::new()), report);
        assert!(
            proxy_file(&in_use)
                .expect("it is built in")
                .contains("map $http_upgrade")
        );
        assert_eq!(faults(&in_use), [MISSING]);
        folder.holds(&[ONE]);
        in_use.look();
        *folder.texts.borrow_mut() = None;
        in_use.look();
        assert_eq!(
            (proxy_file(&in_use).as_deref(), faults(&in_use)),
            (Ok("# one\n"), vec![MISSING])
        );
        folder.holds(&[ONE]);
        in_use.look();
        assert_eq!(faults(&in_use), [""; 0]);
    }
}
