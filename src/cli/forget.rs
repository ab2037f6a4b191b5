use super::{
    Call, Exit, Failure,
    asking::{self, Needs},
    block_on, print, setup,
};
use crate::{
    adapters::disk::Folders,
    daemon::Survey,
    observe::{CertificateUser, Forget, Forgotten},
    plan,
    ports::Wishes,
    values::{CertificateName, Host, nearest},
};

pub(super) fn run(call: &Call) -> Result<Exit, Failure> {
    let word = call
        .options
        .get_one::<String>("name")
        .map(String::as_str)
        .unwrap_or_default();
    let name = named(word)?;
    block_on(async {
        let (engine, own) = setup::reached(call).await?;
        let (daemon, folders) = setup::reader(call, engine, own.as_ref())?;
        let survey = daemon.survey().await?;
        drop(daemon);
        let outcome = match plan::forgotten(&name, &survey.desired, &survey.observed, survey.now) {
            Some(Forgotten::NotHeld) => return Err(not_held(&name, &survey)),
            Some(Forgotten::Archived) | None => {
                folders.keep_forget(&Forget {
                    certificate: name.clone(),
                    asked: survey.now,
                    outcome: None,
                })?;
                let is_answered =
                    || Ok(left(&name, &folders)?.is_none_or(|it| it.outcome.is_some()));
                let collect = || {
                    let outcome = left(&name, &folders)?.and_then(|forget| forget.outcome);
                    folders.drop_forget(&name)?;
                    Ok(outcome)
                };
                match asking::answers(call, &folders, Needs::State, &is_answered, collect).await? {
                    Some(outcome) => outcome,
                    None => return Ok(Exit::Interrupted),
                }
            }
            foreseen => foreseen,
        };
        print(&format!("{name}: {}\n", told(outcome.as_ref())))?;
        Ok(exit(outcome.as_ref()))
    })
}

/// The certificate that a word means: its own name, or that of a host.
pub(super) fn named(word: &str) -> Result<CertificateName, Failure> {
    match (CertificateName::parse(word), Host::parse(word)) {
        (Ok(name), _) => Ok(name),
        (Err(_), Ok(host)) => Ok(CertificateName::from(&host)),
        (Err(error), Err(_)) => Err(Failure::Usage(format!(
            "{word:?} is not the name of a certificate: {error}"
        ))),
    }
}

/// The request as it lies in state now.
fn left(name: &CertificateName, folders: &Folders) -> Result<Option<Forget>, Failure> {
    let (forgets, _) = folders.forgets()?;
    let mut forgets = forgets.into_iter();
    Ok(forgets.find(|forget| forget.certificate == *name))
}

fn not_held(name: &CertificateName, survey: &Survey) -> Failure {
    let held = survey.observed.held.keys().map(CertificateName::as_str);
    let remedy = nearest(name.as_str(), held).map_or_else(
        || "`quaymaster status` lists those that are there".to_owned(),
        |nearest| format!("did you mean {nearest}?"),
    );
    Failure::Usage(format!("no certificate {name} is live; {remedy}"))
}

fn told(outcome: Option<&Forgotten>) -> String {
    match outcome {
        Some(Forgotten::Archived) => {
            "archived; it is used again when a label asks for it".to_owned()
        }
        Some(Forgotten::AlreadyArchived) => "it is archived already".to_owned(),
        Some(Forgotten::NotHeld) => "it is not live any more".to_owned(),
        Some(Forgotten::Wanted { by }) if by.is_settings() => {
            "not archived: the setting names asks for it; take the name from there first".to_owned()
        }
        Some(Forgotten::Wanted { by }) => format!(
            "not archived: container {by} asks for it by its labels; remove the container, or the name from its labels, \
             first"
        ),
        Some(Forgotten::InUse {
            by: CertificateUser::Consumer(by),
        }) => format!(
            "not archived: it lies in the folder of {by}, where a site may be kept for a container that is away; ask again \
             when that site is gone"
        ),
        Some(Forgotten::InUse {
            by: CertificateUser::SitesOf(wanted),
        }) => format!(
            "not archived: it serves sites that ask for {wanted}; try again when that certificate serves them"
        ),
        Some(Forgotten::InUse {
            by: CertificateUser::Clients,
        }) => "not archived: it is served to clients as master or default certificate, or because of a label; change \
               that first"
            .to_owned(),
        Some(Forgotten::NotObtained) => {
            "not archived: quaymaster did not obtain it, and leaves it where it is".to_owned()
        }
        Some(Forgotten::Failed { problem }) => format!("not archived: {problem}"),
        None => "could not be archived; `quaymaster status` says what is under way".to_owned(),
    }
}

fn exit(outcome: Option<&Forgotten>) -> Exit {
    match outcome {
        Some(Forgotten::Archived | Forgotten::AlreadyArchived | Forgotten::NotHeld) => Exit::Done,
        Some(
            Forgotten::Wanted { .. }
            | Forgotten::InUse { .. }
            | Forgotten::NotObtained
            | Forgotten::Failed { .. },
        )
        | None => Exit::Partly,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::ContainerName;

    #[test]
    fn a_refusal_says_who_needs_the_certificate_and_ends_with_3() {
        let by = || ContainerName::parse("shop").expect("a name");
        for (refusal, words) in [
            (
                Forgotten::Wanted { by: by() },
                "container shop asks for it by its labels",
            ),
            (
                Forgotten::InUse {
                    by: CertificateUser::Consumer(by()),
                },
                "it lies in the folder of shop",
            ),
            (Forgotten::NotObtained, "quaymaster did not obtain it"),
            (
                Forgotten::Failed {
                    problem: "the disk is full".to_owned(),
                },
                "the disk is full",
            ),
        ] {
            let text = told(Some(&refusal));
            assert!(text.starts_with("not archived: "), "{text}");
            assert!(text.contains(words), "{text}");
            assert_eq!(exit(Some(&refusal)), Exit::Partly);
        }
        assert_eq!(exit(None), Exit::Partly);
        for done in [Forgotten::Archived, Forgotten::AlreadyArchived] {
            assert_eq!(exit(Some(&done)), Exit::Done);
        }
    }

    #[test]
    fn a_host_means_the_certificate_that_is_called_after_it() {
        for (word, expected) in [
            ("shop.example", "shop.example"),
            ("*.shop.example", "_.shop.example"),
            ("all", "all"),
        ] {
            let name = named(word).expect("a name");
            assert_eq!(name.as_str(), expected);
        }
        assert!(named("../etc").is_err());
    }
}
