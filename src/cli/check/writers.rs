//! Who else may write, or has written, where a file decides what names are served or which account a CA believes.

use std::{collections::BTreeSet, path::Path};

use super::folders::{LEFT_OVERS, to_run};
use crate::{
    adapters::{
        acme,
        disk::{self, Folders, LyingResponse},
    },
    cli::Failure,
    daemon::Survey,
    desire::{Desired, LabelRules, writers},
    observe::{Bearer, SharedPath},
    report::Findings,
};

pub(super) const ABOUT: &str = "writers";

/// Folders of proxies where challenges are answered, each once.
fn webroots(survey: &Survey) -> BTreeSet<&SharedPath> {
    let consumers = survey.desired.consumers.values();
    let proxies = consumers.filter_map(|consumer| consumer.proxy.as_ref());
    proxies.map(|proxy| &proxy.webroot.ours).collect()
}

/// The folders with lists of helpers.
fn lists(desired: &Desired) -> impl Iterator<Item = &Path> {
    let helpers = desired.consumers.values();
    let helpers = helpers.filter_map(|consumer| consumer.helper.as_ref());
    helpers.map(|helper| helper.folder.ours.as_path())
}

/// Containers that may write where certificates lie, answers to challenges, or what a helper runs.
pub(super) fn mounts(
    all: &[Bearer],
    own: Option<&Bearer>,
    (rules, desired): (&LabelRules, &Desired),
    told: &mut Findings,
) {
    let certificates = [("certificates", rules.certificates.as_path(), SPOILS)];
    let webroot = rules
        .webroot
        .as_deref()
        .map(|path| ("webroot", path, PLANTS));
    let mut is_any = false;
    let lists = lists(desired).map(|path| ("the list of the helper", path, RUNS));
    for (what, folder, harm) in certificates.into_iter().chain(webroot).chain(lists) {
        for writer in writers(folder, all, own, rules) {
            is_any = true;
            let (name, theirs) = (&writer.container, writer.theirs.display());
            let says =
                format!("{name} can write to {what} at {theirs} without the right keys: {harm}");
            told.problem(ABOUT, says, writer.remedy);
        }
    }
    if !is_any {
        told.ok(
            ABOUT,
            "no container without the right keys can write to certificates or webroot",
        );
    }
}

const SPOILS: &str = "a certificate that it overwrites is served in place of the original";
const PLANTS: &str = "with a file there, somebody else can get certificates for your names";

const RUNS: &str = "the helper, which holds all keys, runs what is written there";

/// Files that answer challenges, for accounts that are not ours, or when no challenge is under way.
pub(super) fn responses(
    folders: &Folders,
    survey: &Survey,
    told: &mut Findings,
) -> Result<(), Failure> {
    let accounts = folders.accounts()?.into_iter();
    let ours: Vec<_> = accounts
        .filter_map(|(_, account)| acme::thumbprint(&account))
        .collect();
    let is_any_due = !folders.orders()?.is_empty();
    let has_helper = lists(&survey.desired).next().is_some();
    for webroot in webroots(survey) {
        for found in disk::responses(webroot)? {
            let path = found.path.display();
            if is_foreign(&found, &ours) && has_helper {
                let says = format!(
                    "{path} answers a challenge, and quaymaster did not write it: it is the helper's, or somebody else's"
                );
                told.note(ABOUT, says);
            } else if is_foreign(&found, &ours) {
                let (says, remedy) = foreign(&found.path, survey.snapshot.own.as_ref());
                told.problem(ABOUT, says, remedy);
            } else if !is_any_due {
                told.note(
                    LEFT_OVERS,
                    format!("a left-over response to a challenge: {path}"),
                );
            }
        }
    }
    Ok(())
}

/// True if a CA that is shown this would take it for the word of another account: a response is the token, a dot and
/// the thumbprint of the account's key.
///
/// <https://www.rfc-editor.org/rfc/rfc8555#section-8.1>
fn is_foreign(found: &LyingResponse, ours: &[String]) -> bool {
    let Some(token) = &found.token else {
        return false;
    };
    let is_of =
        |text: &String, thumbprint: &String| text.trim_end() == format!("{token}.{thumbprint}");
    let text = found.text.as_ref();
    !text.is_some_and(|text| ours.iter().any(|thumbprint| is_of(text, thumbprint)))
}

fn foreign(path: &Path, own: Option<&Bearer>) -> (String, String) {
    let says = format!(
        "{} answers a challenge and was not written by quaymaster: with that file, somebody else can get certificates \
         for the names that are served from this folder",
        path.display()
    );
    let remedy = format!(
        "find out who put it there; unless it was another ACME client of yours, remove it ({}), and let nobody but \
         quaymaster write to that folder",
        to_run("rm", path, own)
    );
    (says, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        desire::{
            desire,
            tests::{container, rules as label_rules, snapshot},
        },
        fixtures::volume,
        observe::Snapshot,
    };

    #[test]
    fn who_may_write_to_the_list_of_a_helper_without_the_right_keys_is_told() {
        let lists = |destination, writable| volume("lines", destination, writable);
        let mut own = container("quaymaster", 2).project_is("ours");
        own.mounts = vec![
            lists("/lines", true),
            volume("certificates", "/certificates", true),
            volume("challenge", "/challenge", true),
        ];
        let helper = container("certbot", 6)
            .project_is("ours")
            .label("kind", "certbot")
            .mount(lists("/etc/certbot-helper", true))
            .mount(volume("certificates", "/etc/letsencrypt", true))
            .mount(volume("challenge", "/var/www/challenge", true));
        let stranger = container("backup", 7)
            .project_is("other")
            .mount(lists("/lists", true));
        let reader = container("reader", 8)
            .project_is("other")
            .mount(lists("/lists", false));
        let rules = LabelRules {
            certificates: "/certificates".into(),
            webroot: Some("/challenge".into()),
            ..label_rules()
        };
        let all = [helper.clone(), stranger, reader];
        let seen = Snapshot {
            own: Some(own.clone()),
            ..snapshot([helper])
        };
        let desired = desire(&seen, &rules);
        let mut told = Findings::default();
        mounts(&all, Some(&own), (&rules, &desired), &mut told);
        let says: Vec<_> = told.problems().map(|it| it.says.as_str()).collect();
        assert_eq!(
            says,
            [
                "backup can write to the list of the helper at /lists without the right keys: the helper, which holds \
                 all keys, runs what is written there"
            ]
        );
    }

    #[test]
    fn a_planted_token_is_told_from_an_answer_of_ours() {
        let ours = ["older".to_owned(), "current".to_owned()];
        for (token, text, expected) in [
            (Some("token"), Some("token.current"), false),
            (Some("token"), Some("token.older\n"), false),
            (Some("token"), Some("token.attacker"), true),
            (Some("token"), Some("other.current"), true),
            (Some("token"), Some(""), true),
            // A link, a folder, or what is too long to be an answer.
            (Some("token"), None, true),
            // What no CA asks for.
            (None, Some("token.attacker"), false),
            (None, None, false),
        ] {
            let found = LyingResponse {
                path: "/w/token".into(),
                token: token.map(str::to_owned),
                text: text.map(str::to_owned),
            };
            assert_eq!(is_foreign(&found, &ours), expected, "{found:?}");
        }
    }
}
