//! The look before an order, at servers and a DNS that do not answer.

use std::{collections::BTreeSet, net::IpAddr};

use url::Url;

use super::*;
use crate::{
    execute::self_check::{Looking, own_response},
    observe::{Addresses, CaaRecords, LookupFault, Webroots},
    plan::{NameVerdict, SelfCheck, WebPorts},
    ports::{Answered, Resolver, Visitor},
    values::{CertificateName, ChallengeType},
};

/// Has all names lead to two addresses, and says nothing of those of one zone.
struct Zones;

#[async_trait(?Send)]
impl Resolver for Zones {
    async fn addresses(&self, name: &Host) -> Result<Addresses, LookupFault> {
        match name.as_str().ends_with("silent.org") {
            true => std::future::pending().await,
            false => Ok(Addresses {
                all: ["1.2.3.4", "2606:4700::1"].map(address).to_vec(),
                alias: None,
            }),
        }
    }

    async fn caa(&self, _: &Host) -> Result<Option<CaaRecords>, LookupFault> {
        Ok(None)
    }

    async fn proofs(&self, _: &Host) -> Result<BTreeSet<String>, LookupFault> {
        Ok(BTreeSet::new())
    }
}

/// Leads each request on, to a server that takes the connection and says nothing more; one name has an older server at its
/// other address, which is not ours.
struct Tarpit;

#[async_trait(?Send)]
impl Visitor for Tarpit {
    async fn visit(&self, at: SocketAddr, url: &Url) -> Result<Answered, ProbeError> {
        let is_other = url.host_str() == Some("other.org") && at.is_ipv4();
        match (is_other, url.scheme()) {
            (true, _) => Ok(Answered {
                status: 404,
                ..Answered::default()
            }),
            (false, "http") => {
                tokio::time::sleep(Duration::from_secs(7)).await;
                let host = url.host_str().unwrap_or_default();
                Ok(Answered {
                    status: 301,
                    location: Some(format!("https://{host}{}", url.path())),
                    ..Answered::default()
                })
            }
            _ => std::future::pending().await,
        }
    }
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[tokio::test(start_paused = true)]
async fn a_look_ends_in_time_however_many_names_it_is_about_and_what_is_known_by_then_counts() {
    let mut world = World::new().await;
    world.ports.issuing.resolver = Rc::new(Zones);
    world.ports.issuing.visitor = Rc::new(Tarpit);
    let names: Vec<_> = (0..50)
        .map(|number| format!("{number}.shop.org"))
        .chain(["other.org", "a.silent.org", "silent.org"].map(str::to_owned))
        .map(|name| Host::parse(&name).expect("a name"))
        .collect();
    let check = SelfCheck {
        method: ChallengeType::Http01,
        is_public: true,
        is_resolver_named: true,
        is_by_thumbprint: false,
        was_validated: false,
        is_urgent: false,
        identities: &["ca.example"],
        ports: WebPorts::USUAL,
    };
    let name = CertificateName::parse("shop").expect("a name");
    let response = own_response(&name, START, None);
    let webroots = Webroots::default();
    let began = Instant::now();
    let looking = Looking::begun(&world.ports.issuing, &webroots, &check, None);
    let verdicts = looking.verdicts(&names, &response).await;
    assert_eq!(began.elapsed(), Duration::from_secs(20));
    assert_eq!(verdicts.len(), names.len());
    for (name, verdict) in verdicts {
        match (name.as_str(), &verdict) {
            ("other.org", NameVerdict::Unseen(why)) => {
                assert!(why.contains("answers with status 404"), "{why}");
            }
            (name, NameVerdict::Unsure(why)) if name != "other.org" => {
                assert!(why.contains("within 20s"), "{name}: {why}");
            }
            _ => panic!("{name}: {verdict:?}"),
        }
    }
}

/// Says where CAA records were asked for, and knows no address.
#[derive(Default)]
struct Noting(RefCell<Vec<String>>);

#[async_trait(?Send)]
impl Resolver for Noting {
    async fn addresses(&self, name: &Host) -> Result<Addresses, LookupFault> {
        panic!("nobody visits {name}")
    }

    async fn caa(&self, name: &Host) -> Result<Option<CaaRecords>, LookupFault> {
        self.0.borrow_mut().push(name.as_str().to_owned());
        Ok(None)
    }

    async fn proofs(&self, name: &Host) -> Result<BTreeSet<String>, LookupFault> {
        panic!("nothing is set for {name}")
    }
}

#[tokio::test]
async fn of_names_that_are_proven_by_dns_caa_records_are_looked_up_and_nothing_is_visited() {
    let mut world = World::new().await;
    let resolver = Rc::new(Noting::default());
    world.ports.issuing.resolver = resolver.clone();
    let check = SelfCheck {
        method: ChallengeType::Dns01,
        is_public: true,
        is_resolver_named: false,
        is_by_thumbprint: false,
        was_validated: false,
        is_urgent: false,
        identities: &["ca.example"],
        ports: WebPorts::USUAL,
    };
    let name = CertificateName::parse("shop").expect("a name");
    let webroots = Webroots::of_dns("home");
    let names = ["*.shop.org", "mail.shop.org"].map(|name| Host::parse(name).expect("a name"));
    let looking = Looking::begun(&world.ports.issuing, &webroots, &check, None);
    let verdicts = looking
        .verdicts(&names, &own_response(&name, START, None))
        .await;
    assert!(
        verdicts
            .iter()
            .all(|(_, verdict)| *verdict == NameVerdict::Seen),
        "{verdicts:?}"
    );
    let mut asked = resolver.0.take();
    asked.sort();
    assert_eq!(asked, ["mail.shop.org", "shop.org"]);
}
