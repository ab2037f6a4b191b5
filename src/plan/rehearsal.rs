//! Rehearsals: what would be asked for a certificate, asked of a CA that is there for trying out.

use std::collections::BTreeMap;

use thiserror::Error;

use super::{
    Obtain, PlanRules, Why,
    helper::helper_of,
    ledger::Asking,
    obtain::{DueOrder, obtain},
};
use crate::{
    desire::{Desired, Wanted},
    observe::Observed,
    values::{CaTable, CertificateName, ContainerName, Issuer, Timestamp},
};

/// The reason why an order can't be rehearsed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NoRehearsal {
    /// Nobody is asked for it but us.
    #[error("it is self-signed: no CA is asked for it, and there is nothing to try out")]
    SelfSigned,
    /// Its helper obtains it.
    #[error(
        "the helper {0} obtains it; try it out there: `docker exec {0} certbot certonly --dry-run`"
    )]
    Helper(ContainerName),
    /// No other CA is known for trying out.
    #[error(
        "no directory for trying out is known of the CA at {directory}; name one by `staging` in {table}"
    )]
    NoStaging {
        /// The URL of the CA's directory.
        directory: String,
        /// The table in which that could be said.
        table: String,
    },
    /// Nothing would show the CA what it asks for.
    #[error(
        "no proxy answers challenges for it, and listen-http is not set; `quaymaster explain {0}` says why"
    )]
    Unanswered(CertificateName),
    /// The account for trying out has another key than the one that a server answers for.
    #[error(
        "a server answers its challenges by the thumbprint of one account's key (setting thumbprint), and the account for \
         trying out has another key; it can be tried out with listen-http or challenge=dns-01"
    )]
    OtherKey,
}

/// The order for a wanted certificate at the staging CA of the real one, whether or not the certificate is due.
///
/// # Errors
/// Says why that can't be tried out.
pub fn rehearsal(
    name: &CertificateName,
    wanted: &Wanted,
    (desired, observed): (&Desired, &Observed),
    rules: &PlanRules,
    now: Timestamp,
) -> Result<Obtain, NoRehearsal> {
    let held = observed.lasting(name);
    if let Some(helper) = helper_of(wanted, held) {
        return Err(NoRehearsal::Helper(helper.clone()));
    }
    let Issuer::Ca(directory) = &wanted.issuance.issuer else {
        return Err(NoRehearsal::SelfSigned);
    };
    let staging = rules.cas.staging_of(directory);
    let staging = staging.ok_or_else(|| NoRehearsal::NoStaging {
        directory: directory.clone(),
        table: table(&rules.cas, directory),
    })?;
    let limits = rules.cas.limits(staging);
    let mut wanted = wanted.clone();
    let staging = Issuer::Ca(staging.to_owned());
    wanted.issuers = staging.clone().into();
    wanted.issuance.issuer = staging;
    let order = DueOrder {
        name,
        wanted: &wanted,
        held,
        why: Why::Asked,
        asking: Asking::of(desired, &wanted, held, limits),
    };
    let seen = (desired, observed);
    let obtain = obtain(&order, None, seen, &BTreeMap::new(), (rules, now));
    let is_shown = !obtain.webroots.folders.is_empty() || obtain.webroots.dns.is_some();
    let rule = rules.self_check;
    match () {
        () if is_shown || rule.is_by_listener => Ok(obtain),
        () if rule.is_by_thumbprint => Err(NoRehearsal::OtherKey),
        () if rules.answers_itself => Ok(obtain),
        () => Err(NoRehearsal::Unanswered(name.clone())),
    }
}

/// The table of the settings that is about a CA.
fn table(cas: &CaTable, directory: &str) -> String {
    match cas.name_of(directory) {
        Some(name) => format!("the table [ca.{name}]"),
        None => format!("a table [ca.NAME] whose directory is {directory}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tests::*, *};
    use crate::{
        desire::tests::{container, proxy},
        observe::{Attempt, HeldCertificate, Source, Subject},
        values::CA_PRESETS,
    };

    const NAME: &str = "shop.org";

    /// The rehearsal for a site with these labels, on a proxy or on none.
    fn rehearsed(labels: &[(&str, &str)], is_served: bool) -> Result<Obtain, NoRehearsal> {
        rehearsed_by(&rules(), labels, is_served)
    }

    fn rehearsed_by(
        rules: &PlanRules,
        labels: &[(&str, &str)],
        is_served: bool,
    ) -> Result<Obtain, NoRehearsal> {
        let shop = labels.iter().fold(
            container("shop", 4).label("host", NAME),
            |shop, (key, value)| shop.label(key, value),
        );
        let others = is_served.then(proxy);
        let desired = desired(others.into_iter().chain([shop]));
        let mut observed = fresh(&desired);
        let name = CertificateName::parse(NAME).expect("a name");
        // It is not due, and its last try has failed just now.
        let held = HeldCertificate {
            source: Source::Acme(CA_PRESETS[0].directory.to_owned()),
            not_before: START,
            ..crate::fixtures::held(&[NAME])
        };
        observed.hold(name.clone(), held);
        let subject = Subject::Certificate(name.clone());
        observed
            .attempts
            .insert(subject, Attempt::broken_off(START));
        let wanted = &desired.certificates[&name];
        rehearsal(&name, wanted, (&desired, &observed), rules, START)
    }

    #[test]
    fn what_is_not_due_is_asked_of_the_staging_ca_of_its_own() {
        for (ca, staging) in [
            ("letsencrypt", "staging"),
            ("staging", "staging"),
            ("google", "google-staging"),
        ] {
            let order = rehearsed(&[("ca", ca)], true).expect("it can be tried out");
            let preset = CA_PRESETS.iter().find(|preset| preset.name == staging);
            let expected = preset.map(|preset| preset.directory);
            assert_eq!(order.issuance.issuer.directory(), expected, "{ca}");
            assert_eq!(order.names.len(), 1);
            assert_eq!(order.replaces, None, "{ca}: that is another CA's");
            assert!(!order.webroots.folders.is_empty());
        }
    }

    #[test]
    fn a_server_that_answers_by_one_thumbprint_answers_no_other_account_at_the_staging_ca() {
        let mut rules = PlanRules {
            answers_itself: true,
            ..rules()
        };
        rules.self_check.is_by_thumbprint = true;
        let labels = [("ca", "letsencrypt")];
        let told = rehearsed_by(&rules, &labels, false).expect_err("it can't be");
        assert!(told.to_string().contains("another key"), "{told}");
        rehearsed_by(&rules, &labels, true).expect("the proxy shows the response");
        rules.self_check.is_by_listener = true;
        rehearsed_by(&rules, &labels, false).expect("the listener may show it");
    }

    #[test]
    fn what_can_not_be_tried_out_is_told_with_what_to_write_instead() {
        for (labels, is_served, expected) in [
            (
                &[("ca", "zerossl")][..],
                true,
                "`staging` in the table [ca.zerossl]",
            ),
            (
                &[],
                true,
                "`staging` in a table [ca.NAME] whose directory is",
            ),
            (&[("ca", "self-signed")], true, "no CA is asked for it"),
            (
                &[("ca", "letsencrypt")],
                false,
                "no proxy answers challenges for it",
            ),
        ] {
            let told = rehearsed(labels, is_served)
                .expect_err("it can't be")
                .to_string();
            assert!(told.contains(expected), "{labels:?}: {told}");
        }
    }
}
