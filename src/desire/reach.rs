//! Where containers can be reached, from here and from each other.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use super::Reach;
use crate::observe::{Bearer, Elsewhere};

/// Where we reach the ports of a proxy.
pub(super) fn reach(bearer: &Bearer, own: Option<&Bearer>, http: u16, https: u16) -> Option<Reach> {
    Some(Reach {
        http: port_from_here(bearer, own, http)?,
        https: port_from_here(bearer, own, https)?,
    })
}

/// Where we reach a port of a container: at its own address on a network that we share, else where the host publishes it,
/// as far as that can be reached from our container; on the host itself its own address always can.
pub(super) fn port_from_here(
    bearer: &Bearer,
    own: Option<&Bearer>,
    port: u16,
) -> Option<SocketAddr> {
    if let Some(elsewhere) = &bearer.elsewhere {
        return from_afar(bearer, elsewhere, own, port);
    }
    let inside = match own {
        Some(own) => address(bearer, own).or_else(|| host_of(bearer, own)),
        None => address_for_host(bearer),
    };
    if let Some(address) = inside {
        return Some(SocketAddr::new(address, port));
    }
    let published = bearer.published.get(&port)?;
    published.iter().find_map(|at| from_here(*at, own))
}

/// At which port others than this host find a port of the container: the usual one if it is published there, else the
/// lowest. One that nobody finds from outside has a balancer before it, or a tunnel, which is taken to be at the usual one.
pub(super) fn outside(bearer: &Bearer, port: u16, usual: u16) -> u16 {
    if bearer.is_on_host() {
        return port;
    }
    let [published, bound] = [&bearer.published, &bearer.bound].map(|at| at.get(&port));
    let at = published.filter(|at| !at.is_empty()).or(bound);
    let public = at
        .into_iter()
        .flatten()
        .filter(|at| !at.ip().is_loopback() && at.port() != 0);
    let ports: BTreeSet<_> = public.map(SocketAddr::port).collect();
    match ports.contains(&usual) {
        true => usual,
        false => ports.first().copied().unwrap_or(usual),
    }
}

/// A published port as it is seen from our container: through the gateway of one of its networks. What is published on
/// loopback, or on another address of the host, is not behind it.
fn from_here(published: SocketAddr, own: Option<&Bearer>) -> Option<SocketAddr> {
    let Some(own) = own else {
        let address = match published.ip() {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
            address => address,
        };
        return Some(SocketAddr::new(address, published.port()));
    };
    let gateways: BTreeSet<IpAddr> = own
        .endpoints
        .iter()
        .filter_map(|endpoint| endpoint.gateway)
        .collect();
    // `0.0.0.0` is any IPv4 address, and `::` any IPv6 one.
    let is_any = |gateway: &IpAddr| {
        published.ip().is_unspecified() && published.is_ipv4() == gateway.is_ipv4()
    };
    let reachable = |gateway: &&IpAddr| is_any(gateway) || published.ip() == **gateway;
    gateways
        .iter()
        .find(reachable)
        .map(|gateway| SocketAddr::new(*gateway, published.port()))
}

/// Where a port of a bearer on another engine is reached from a container, or from the host where there is none: at what that
/// engine's host publishes. Only a port that is written down counts, since the engine gives others to somebody else at the next
/// start, of which nobody here hears while it is cut off.
fn from_afar(
    bearer: &Bearer,
    elsewhere: &Elsewhere,
    from: Option<&Bearer>,
    port: u16,
) -> Option<SocketAddr> {
    if bearer.is_on_host() {
        let on_this_machine = || match from {
            Some(from) => host_of(bearer, from),
            None => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        };
        let host = elsewhere.host.or_else(on_this_machine)?;
        return Some(SocketAddr::new(host, port));
    }
    let published = bearer.bound.get(&port)?;
    published.iter().find_map(|at| match elsewhere.host {
        _ if at.port() == 0 => None,
        Some(_) if at.ip().is_loopback() => None,
        Some(host) if at.ip().is_unspecified() => {
            // `0.0.0.0` is any IPv4 address, and `::` any IPv6 one.
            (at.is_ipv4() == host.is_ipv4()).then(|| SocketAddr::new(host, at.port()))
        }
        Some(_) => Some(*at),
        None => from_here(*at, from),
    })
}

/// Where a proxy on another engine reaches a port of the bearer; none where both are on one, and where the bearer is on the
/// engine without a name: at which address others find this machine is not known.
pub(super) fn published(bearer: &Bearer, proxy: &Bearer, port: u16) -> Option<SocketAddr> {
    let elsewhere = bearer.elsewhere.as_ref()?;
    if bearer.is_beside(proxy) {
        return None;
    }
    let from = Some(proxy).filter(|proxy| !proxy.is_on_host());
    from_afar(bearer, elsewhere, from, port)
}

/// Where `from` reaches `container`: on the host's network, each container of its engine at its own address; else on one that
/// both are on.
pub(super) fn address(bearer: &Bearer, from: &Bearer) -> Option<IpAddr> {
    match from.is_on_host() && from.is_beside(bearer) {
        true => address_for_host(bearer),
        false => shared_address(bearer, from),
    }
}

/// True if `from` is where it could reach the container, whether that runs or not.
pub(super) fn is_near(bearer: &Bearer, from: &Bearer) -> bool {
    let mut endpoints = bearer.endpoints.iter();
    match from.is_on_host() && from.is_beside(bearer) {
        // So engines call it where there is no network.
        true => endpoints.any(|endpoint| endpoint.network != "none"),
        false => endpoints.any(|endpoint| is_on(from, &endpoint.network_id)),
    }
}

/// True if quaymaster reaches a proxy's ports whenever it runs, as [`reach`] then does.
pub(super) fn could_be_reached(bearer: &Bearer, own: Option<&Bearer>, ports: [u16; 2]) -> bool {
    let is_published = |port| bearer.bound.get(&port).is_some_and(|at| !at.is_empty());
    own.map_or(bearer.elsewhere.is_none(), |own| is_near(bearer, own))
        || bearer.is_on_host()
        || ports.into_iter().all(is_published)
}

/// Networks without a DNS of the engine's.
const WITHOUT_DNS: [&str; 3] = ["bridge", "host", "none"];

/// True if the engine's DNS shows a container the others on its networks.
pub(super) fn has_dns(bearer: &Bearer) -> bool {
    let mut endpoints = bearer.endpoints.iter();
    endpoints.any(|endpoint| !WITHOUT_DNS.contains(&endpoint.network.as_str()))
}

/// True if the engine shows `asking` where the container is, when asked by its id.
pub(super) fn knows_by_id(asking: &Bearer, bearer: &Bearer) -> bool {
    let mut endpoints = bearer.endpoints.iter();
    endpoints.any(|endpoint| {
        !WITHOUT_DNS.contains(&endpoint.network.as_str()) && is_on(asking, &endpoint.network_id)
    })
}

/// Where the host reaches a container.
fn address_for_host(bearer: &Bearer) -> Option<IpAddr> {
    match bearer.is_on_host() {
        true => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        false => bearer
            .endpoints
            .iter()
            .find_map(|endpoint| endpoint.address),
    }
}

/// Where we reach one that has the host's network: at the host's address on a network of ours.
fn host_of(bearer: &Bearer, own: &Bearer) -> Option<IpAddr> {
    let mut gateways = own.endpoints.iter().filter_map(|endpoint| endpoint.gateway);
    gateways.next().filter(|_| bearer.is_on_host())
}

/// Where `from` reaches `container`: its address on the first network that both are on.
fn shared_address(bearer: &Bearer, from: &Bearer) -> Option<IpAddr> {
    let both = |id: &str| is_on(from, id);
    bearer
        .endpoints
        .iter()
        .find(|endpoint| both(&endpoint.network_id) && endpoint.address.is_some())?
        .address
}

/// True if a container is on the network of this id.
pub(super) fn is_on(bearer: &Bearer, id: &str) -> bool {
    bearer
        .endpoints
        .iter()
        .any(|endpoint| endpoint.network_id == id)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::desire::tests::{container, own, proxy};

    fn elsewhere() -> Bearer {
        let mut proxy = proxy();
        proxy
            .endpoints
            .iter_mut()
            .for_each(|endpoint| endpoint.network_id = "another".to_owned());
        proxy
    }

    fn published(http: &str, https: &str) -> Bearer {
        let at = |text: &str| BTreeSet::from([text.parse().expect("an address")]);
        Bearer {
            published: BTreeMap::from([(80, at(http)), (443, at(https))]),
            ..elsewhere()
        }
    }

    fn behind_a_gateway() -> Bearer {
        let mut own = own();
        own.endpoints
            .iter_mut()
            .for_each(|endpoint| endpoint.gateway = Some(IpAddr::from([10, 0, 0, 1])));
        own
    }

    fn reached(container: &Bearer, own: Option<&Bearer>) -> Option<String> {
        reach(container, own, 80, 443).map(|reach| format!("{} {}", reach.http, reach.https))
    }

    #[test]
    fn a_port_is_outside_where_others_than_this_host_find_it() {
        let at = |texts: &[&str]| -> BTreeSet<SocketAddr> {
            texts
                .iter()
                .map(|text| text.parse().expect("an address"))
                .collect()
        };
        for (what, published, bound, expected) in [
            (
                "not published: a balancer is before it",
                at(&[]),
                at(&[]),
                443,
            ),
            (
                "elsewhere",
                at(&["0.0.0.0:9443", "[::]:9443"]),
                at(&[]),
                9443,
            ),
            (
                "at the usual port, too",
                at(&["0.0.0.0:444", "0.0.0.0:443"]),
                at(&[]),
                443,
            ),
            (
                "on loopback alone",
                at(&["127.0.0.1:9443", "[::1]:9443"]),
                at(&[]),
                443,
            ),
            (
                "on loopback, too",
                at(&["127.0.0.1:444", "10.0.0.1:9443"]),
                at(&[]),
                9443,
            ),
            (
                "while it does not run",
                at(&[]),
                at(&["0.0.0.0:9443"]),
                9443,
            ),
            (
                "chosen by the engine",
                at(&["0.0.0.0:32768"]),
                at(&[]),
                32768,
            ),
        ] {
            let [published, bound] = [published, bound].map(|at| BTreeMap::from([(8443, at)]));
            let container = Bearer {
                published,
                bound,
                ..proxy()
            };
            assert_eq!(outside(&container, 8443, 443), expected, "{what}");
        }
        let mut on_the_host = proxy();
        on_the_host
            .endpoints
            .iter_mut()
            .for_each(|endpoint| endpoint.network = "host".to_owned());
        assert_eq!(
            outside(&on_the_host, 8443, 443),
            8443,
            "it listens on the host itself"
        );
    }

    #[test]
    fn a_shared_network_goes_before_a_published_port_and_that_before_nothing() {
        let gateway = behind_a_gateway();
        for (proxy, own, expected) in [
            (proxy(), Some(own()), Some("10.0.0.3:80 10.0.0.3:443")),
            (elsewhere(), Some(own()), None),
            (published("0.0.0.0:8080", "0.0.0.0:8443"), Some(own()), None),
            (
                published("0.0.0.0:8080", "0.0.0.0:8443"),
                Some(gateway.clone()),
                Some("10.0.0.1:8080 10.0.0.1:8443"),
            ),
            (
                published("10.0.0.1:8080", "0.0.0.0:8443"),
                Some(gateway.clone()),
                Some("10.0.0.1:8080 10.0.0.1:8443"),
            ),
            (
                published("127.0.0.1:8080", "127.0.0.1:8443"),
                Some(gateway),
                None,
            ),
            (elsewhere(), None, Some("10.0.0.3:80 10.0.0.3:443")),
        ] {
            assert_eq!(reached(&proxy, own.as_ref()).as_deref(), expected);
        }
    }

    #[test]
    fn a_published_port_is_reached_over_the_family_that_it_is_published_for() {
        let with_ipv6 = |mut container: Bearer| {
            container.endpoints.iter_mut().for_each(|endpoint| {
                endpoint.gateway = Some("fd00::1".parse().expect("an address"))
            });
            container
        };
        for (proxy, own, expected) in [
            (
                published("[::]:8080", "[::]:8443"),
                Some(behind_a_gateway()),
                None,
            ),
            (
                published("0.0.0.0:8080", "0.0.0.0:8443"),
                Some(with_ipv6(own())),
                None,
            ),
            (
                published("[::]:8080", "[fd00::1]:8443"),
                Some(with_ipv6(own())),
                Some("[fd00::1]:8080 [fd00::1]:8443"),
            ),
        ] {
            assert_eq!(reached(&proxy, own.as_ref()).as_deref(), expected);
        }
        let mut on_host = published("[::]:8080", "0.0.0.0:8443");
        on_host.endpoints = [].into();
        assert_eq!(
            reached(&on_host, None).as_deref(),
            Some("[::1]:8080 127.0.0.1:8443")
        );
    }

    #[test]
    fn a_proxy_on_the_host_s_network_is_reached_at_the_host() {
        let on_host = |name: &str, number| {
            let mut it = container(name, number);
            it.endpoints.iter_mut().for_each(|endpoint| {
                (endpoint.network, endpoint.address) = ("host".to_owned(), None)
            });
            it
        };
        let host = on_host("proxy", 3);
        let loopback = Some("127.0.0.1:80 127.0.0.1:443");
        for (proxy, own, expected) in [
            (&host, None, loopback),
            (&host, Some(on_host("quaymaster", 2)), loopback),
            (
                &host,
                Some(behind_a_gateway()),
                Some("10.0.0.1:80 10.0.0.1:443"),
            ),
            (&host, Some(own()), None),
            (
                &proxy(),
                Some(on_host("quaymaster", 2)),
                Some("10.0.0.3:80 10.0.0.3:443"),
            ),
        ] {
            assert_eq!(reached(proxy, own.as_ref()).as_deref(), expected);
        }
    }

    #[test]
    fn on_the_host_published_ports_are_its_own() {
        let mut proxy = published("0.0.0.0:8080", "127.0.0.1:8443");
        proxy.endpoints = [].into();
        assert_eq!(
            reached(&proxy, None).as_deref(),
            Some("127.0.0.1:8080 127.0.0.1:8443")
        );
        assert_eq!(
            reached(
                &Bearer {
                    endpoints: [].into(),
                    ..container("x", 9)
                },
                None
            ),
            None
        );
    }
}
