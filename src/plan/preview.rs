//! Looks at names when nothing is ordered: those that an order would begin with.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Obtain, PlanRules, SelfCheck, Why,
    answered::is_answered,
    helper::helper_of,
    ledger::Asking,
    obtain::{DueOrder, obtain},
};
use crate::{desire::Desired, observe::Observed, values::Timestamp};

/// The orders of all certificates that are wanted, as far as names are looked at before them and a proxy shows the response, or
/// a server by the thumbprint: what only we answer, the process shows that listens.
pub fn looked_at(
    desired: &Desired,
    observed: &Observed,
    rules: &PlanRules,
    now: Timestamp,
) -> Vec<Obtain> {
    let nobody = BTreeSet::new();
    let rule = rules.self_check;
    let by_thumbprint = rule.is_by_thumbprint && !rule.is_by_listener;
    let wanted = desired.certificates.iter().filter(|(name, wanted)| {
        helper_of(wanted, observed.lasting(name)).is_none()
            && is_answered(name, wanted, desired, observed, &nobody, by_thumbprint)
    });
    let orders = wanted.map(|(name, wanted)| {
        let held = observed.lasting(name);
        let directory = wanted.issuance.issuer.directory();
        let limits = directory.map(|directory| rules.cas.limits(directory));
        let order = DueOrder {
            name,
            wanted,
            held,
            why: Why::Asked,
            asking: Asking::of(desired, wanted, held, limits.unwrap_or_default()),
        };
        let seen = (desired, observed);
        obtain(&order, None, seen, &BTreeMap::new(), (rules, now))
    });
    orders
        .filter(|order| {
            let is_shown = |it: &SelfCheck| {
                by_thumbprint && it.is_by_thumbprint || !order.webroots.folders.is_empty()
            };
            order.self_check.as_ref().is_some_and(is_shown)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{super::tests::*, *};
    use crate::{
        desire::tests::{own, proxy},
        plan::SelfCheckRule,
    };

    #[test]
    fn names_are_looked_at_whose_proxy_would_show_the_response_whether_or_not_they_are_due() {
        let rules = PlanRules {
            self_check: SelfCheckRule {
                is_on: true,
                is_resolver_named: true,
                is_by_thumbprint: false,
                is_by_listener: false,
            },
            ..rules()
        };
        let desired = desired([own(), proxy(), shop()]);
        let observed = fresh(&desired);
        let looked = |observed: &Observed, rules: &PlanRules| {
            let orders = looked_at(&desired, observed, rules, START).into_iter();
            let names = orders.map(|order| order.certificate.to_string());
            names.collect::<Vec<_>>()
        };
        assert_eq!(looked(&observed, &rules), [""; 0], "no site is installed");
        let observed = settled(&desired, observed, START);
        assert_eq!(looked(&observed, &rules), ["shop.example"]);
        let off = PlanRules {
            self_check: SelfCheckRule {
                is_on: false,
                is_resolver_named: true,
                is_by_thumbprint: false,
                is_by_listener: false,
            },
            ..super::super::tests::rules()
        };
        assert_eq!(looked(&observed, &off), [""; 0]);
    }
}
