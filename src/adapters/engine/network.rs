//! A container's place on networks, by the engine's answer: addresses, the ports that it exposes, and where the host
//! publishes them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use super::schema::{EndpointSettings, Published};
use crate::{
    observe::{Endpoint, Joined},
    values::ContainerId,
};

pub(super) fn endpoints(networks: BTreeMap<String, EndpointSettings>) -> Box<[Endpoint]> {
    let networks = networks.into_iter();
    networks
        .map(|(network, settings)| endpoint(network, &settings))
        .collect()
}

/// The container whose network is used; of its name nothing is known yet.
pub(super) fn joined(network_mode: &str) -> Option<Joined> {
    let id = ContainerId::parse(network_mode.strip_prefix("container:")?).ok()?;
    Some(Joined { id, name: None })
}

fn endpoint(network: String, settings: &EndpointSettings) -> Endpoint {
    let address = |text: &str| text.parse::<IpAddr>().ok();
    Endpoint {
        network,
        network_id: settings.network.clone(),
        address: address(&settings.address).or_else(|| address(&settings.address_6)),
        has_ipv6: address(&settings.address_6).is_some(),
        gateway: address(&settings.gateway).or_else(|| address(&settings.gateway_6)),
    }
}

pub(super) fn all_published(
    ports: &BTreeMap<String, Option<Vec<Published>>>,
) -> BTreeMap<u16, BTreeSet<SocketAddr>> {
    ports
        .iter()
        .filter_map(|(port, at)| published(port, at.as_deref()?))
        .filter(|(_, at)| !at.is_empty())
        .collect()
}

/// A port inside, and where the host publishes it.
fn published(port: &str, at: &[Published]) -> Option<(u16, BTreeSet<SocketAddr>)> {
    let address = |published: &Published| {
        // Engines leave the address out where it is any.
        let ip = if published.host_ip.is_empty() {
            "0.0.0.0"
        } else {
            &published.host_ip
        };
        Some(SocketAddr::new(
            ip.parse().ok()?,
            published.host_port.parse().ok()?,
        ))
    };
    Some((tcp_port(port)?, at.iter().filter_map(address).collect()))
}

/// The port of `80/tcp` or `80`.
pub(super) fn tcp_port(key: &str) -> Option<u16> {
    match key.split_once('/') {
        Some((port, "tcp")) => port.parse().ok(),
        Some(_) => None,
        None => key.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::super::meaning::tests::with;

    #[test]
    fn the_user_and_the_ports_to_publish_are_read_also_of_one_that_does_not_run() {
        let read = with(
            r#""Config":{"User":"33:33"},"HostConfig":{"PortBindings":{"8443/tcp":[{"HostIp":"","HostPort":"443"}],
               "80/tcp":[{"HostIp":"","HostPort":""}],"81/tcp":null}},"NetworkSettings":{"Ports":{}}"#,
        );
        let bound = BTreeMap::from([(8443, BTreeSet::from([([0, 0, 0, 0], 443).into()]))]);
        assert_eq!((read.user.as_str(), read.bound), ("33:33", bound));
    }

    #[test]
    fn addresses_are_of_either_family_or_none() {
        for (members, expected, has_ipv6) in [
            (
                r#""IPAddress":"10.0.0.2","GlobalIPv6Address":"fd00::2","Gateway":"10.0.0.1","IPv6Gateway":"fd00::1""#,
                ["10.0.0.2", "10.0.0.1"],
                true,
            ),
            (
                r#""IPAddress":"","GlobalIPv6Address":"fd00::2","Gateway":"","IPv6Gateway":"fd00::1""#,
                ["fd00::2", "fd00::1"],
                true,
            ),
            (
                r#""IPAddress":"10.0.0.2","GlobalIPv6Address":"","LinkLocalIPv6Address":"fe80::2""#,
                ["10.0.0.2", ""],
                false,
            ),
            (r#""IPAddress":"","GlobalIPv6Address":"""#, ["", ""], false),
            (
                r#""IPAddress":null,"GlobalIPv6Address":null"#,
                ["", ""],
                false,
            ),
        ] {
            let read = with(&format!(
                r#""NetworkSettings":{{"Networks":{{"web":{{{members}}}}}}}"#
            ));
            let endpoint = &read.endpoints[0];
            assert_eq!(
                ([endpoint.address, endpoint.gateway], endpoint.has_ipv6),
                (expected.map(|text| text.parse().ok()), has_ipv6),
                "{members}"
            );
        }
    }

    #[test]
    fn only_tcp_ports_are_exposed_for_us() {
        let read = with(
            r#""Config":{"ExposedPorts":{"80/tcp":{},"8080":null,"53/udp":{},"x/tcp":{},"7/sctp":{}}}"#,
        );
        assert_eq!(read.exposed, BTreeSet::from([80, 8080]));
    }
}
