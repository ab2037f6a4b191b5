//! Names that the settings ask for, as if a container asked for them: for servers that are no containers.

use std::collections::BTreeSet;

use itertools::Itertools;
use litemap::LiteMap;

use super::spec::{LabelNames, SiteSpec, Spec};
use crate::{
    observe::Bearer,
    values::{ContainerId, ContainerName, Host},
};

/// The beginning of the setting's name in complaints.
const START: &str = "setting ";
const LABEL: &str = "setting names";

/// Who asks for these names; nobody where there are none.
pub fn named(hosts: &BTreeSet<Host>) -> Option<Bearer> {
    if hosts.is_empty() {
        return None;
    }
    let name = ContainerName::of_settings();
    let text = hosts.iter().join(" ");
    let id = ContainerId::parse(name.as_str()).ok()?;
    Some(Bearer {
        labels: LiteMap::from_iter([(LABEL.to_owned(), text)]),
        ..Bearer::plain(id, name)
    })
}

/// The specification of the bearer that stands for the settings.
pub(super) fn read(bearer: &Bearer) -> Spec {
    let text = bearer.labels.get(LABEL).map_or("", String::as_str);
    let site = SiteSpec {
        labels: LabelNames::new(START.to_owned(), &[]),
        uses: text
            .split(' ')
            .filter_map(|word| Host::parse(word).ok())
            .collect(),
        ..SiteSpec::default()
    };
    Spec {
        sites: LiteMap::from_iter([(String::new(), Box::new(site))]),
        ..Spec::default()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::*, *};
    use crate::{
        desire::{Desired, LabelRules, desire},
        observe::{BearerState, Holder, Snapshot},
        values::Grants,
    };

    fn host(name: &str) -> Host {
        Host::parse(name).expect("a host")
    }

    /// These bearers, and the settings that ask for `mail.example`.
    fn with_mail(bearers: impl IntoIterator<Item = Bearer>) -> Snapshot {
        let asking = named(&[host("mail.example")].into());
        snapshot(bearers.into_iter().chain(asking))
    }

    /// The wanted certificates, with who shows and who uses each.
    fn wanted(desired: &Desired) -> Vec<String> {
        let certificates = desired.certificates.iter();
        certificates
            .map(|(name, wanted)| {
                let (by, used) = (
                    wanted.served_by.iter().join("+"),
                    wanted.used_by.iter().join("+"),
                );
                format!(
                    "{name}: {} served by {by}, used by {used}",
                    wanted.names.iter().join(" ")
                )
            })
            .collect()
    }

    #[test]
    fn a_name_of_the_settings_is_wanted_and_the_proxies_answer_for_it() {
        assert_eq!(named(&BTreeSet::new()), None);
        let desired = desire(&with_mail([proxy()]), &rules());
        assert_eq!(complaints(&desired), [""; 0]);
        let expected = "mail.example: mail.example served by proxy, used by _settings";
        assert_eq!(wanted(&desired), [expected]);
        assert_eq!(hosts(&desired), [""; 0], "nobody serves it");
        assert!(desired.hosts.is_empty(), "nobody has it by that");
        assert_eq!(desired.consumers.len(), 1);
    }

    #[test]
    fn where_nobody_answers_that_is_told_unless_we_do() {
        let desired_of = |answers_itself| {
            let rules = LabelRules {
                answers_itself,
                ..rules()
            };
            desire(&with_mail([]), &rules)
        };
        assert_eq!(
            complaints(&desired_of(false)),
            [
                "setting names=\"mail.example\": no proxy is there to answer the CA's challenges for it; start a proxy with \
                 the label quaymaster.kind=nginx, have quaymaster itself answer (setting listen-http) or a \
                 server of yours (setting thumbprint), prove it by challenge=dns-01, or put a certificate for it into \
                 provided/"
            ]
        );
        let answered = desired_of(true);
        assert_eq!(complaints(&answered), [""; 0]);
        assert_eq!(
            wanted(&answered),
            ["mail.example: mail.example served by , used by _settings"]
        );
    }

    #[test]
    fn whoever_serves_it_has_it_and_says_how_its_certificate_is_obtained() {
        let app = || {
            container("mail", 4)
                .label("host", "mail.example")
                .label("key-type", "rsa-2048")
                .project_is("mail")
        };
        let grants =
            || Grants::parse("mail = \"mail.example\"\nedge = \"proxy\"").expect("a table");
        for grants in [None, Some(grants())] {
            let rules = LabelRules { grants, ..rules() };
            let desired = desire(&with_mail([proxy().project_is("edge"), app()]), &rules);
            assert_eq!(complaints(&desired), [""; 0]);
            let expected = "mail.example: mail.example served by proxy, used by _settings";
            assert_eq!(wanted(&desired), [expected]);
            let found = desired.certificates.values().next().expect("it is wanted");
            assert_eq!(found.issuance.key_type.to_string(), "rsa-2048");
            assert_eq!(
                desired.hosts[&host("mail.example")],
                Some("mail".to_owned())
            );
        }
    }

    #[test]
    fn a_name_that_is_kept_for_a_project_stays_with_it_and_is_renewed_for_the_settings() {
        let stopped = Bearer {
            state: BearerState::Other("exited".to_owned()),
            ..container("mail", 4)
                .label("host", "mail.example")
                .project_is("mail")
        };
        let holder = Holder::of(&Some("mail".to_owned()));
        let kept = |bearers: Vec<Bearer>| Snapshot {
            holders: [(host("mail.example"), holder.clone())].into(),
            ..with_mail(bearers)
        };
        let expected = "mail.example: mail.example served by proxy, used by _settings";
        let desired = desire(&kept(vec![proxy(), stopped]), &rules());
        assert_eq!(complaints(&desired), [""; 0]);
        assert_eq!(wanted(&desired), [expected]);
        assert!(desired.keeps(&host("mail.example")));
        // With its container removed, nothing is served, and nobody else got it.
        let other = container("other", 5)
            .label("host", "mail.example")
            .project_is("other");
        let desired = desire(&kept(vec![proxy(), other]), &rules());
        assert_eq!(wanted(&desired), [expected]);
        assert_eq!(hosts(&desired), [""; 0]);
        assert!(
            complaints(&desired)[0].contains("belongs to"),
            "{:?}",
            complaints(&desired)
        );
    }
}
