//! The system's DNS servers.
//!
//! <https://man7.org/linux/man-pages/man5/resolv.conf.5.html>

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6},
};

/// Where the system names them.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// The port of DNS.
pub(super) const PORT: u16 = 53;

/// The system's own limit.
const MOST_SERVERS: usize = 3;

/// Those that the system names now; one on this machine where it names none, as the system's own look-ups do.
pub(super) fn system_servers() -> Vec<SocketAddr> {
    let named = fs::read_to_string(RESOLV_CONF).map(|text| servers(&text));
    match named {
        Ok(named) if !named.is_empty() => named,
        _ => vec![(Ipv4Addr::LOCALHOST, PORT).into()],
    }
}

fn servers(text: &str) -> Vec<SocketAddr> {
    let server = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        match (words.next(), words.next()) {
            (Some("nameserver"), Some(address)) => address_of(address),
            _ => None,
        }
    };
    text.lines().filter_map(server).take(MOST_SERVERS).collect()
}

/// An address, also one of a link (`fe80::1%2`), whose zone must be a number.
fn address_of(word: &str) -> Option<SocketAddr> {
    let (address, zone) = word.split_once('%').unwrap_or((word, "0"));
    match address.parse().ok()? {
        IpAddr::V4(address) => Some((address, PORT).into()),
        IpAddr::V6(address) => {
            let zone = zone.parse().ok()?;
            Some(SocketAddrV6::new(address, PORT, 0, zone).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_of_the_system_are_read_as_the_system_reads_them() {
        let text = "# made by somebody\nsearch example\nnameserver 10.0.0.1\n  nameserver\tfd00::1 \n\
                    nameserver nonsense\nnameserver fe80::1%3\nnameserver 10.0.0.9\noptions ndots:0\n";
        let read: Vec<_> = servers(text).iter().map(ToString::to_string).collect();
        assert_eq!(read, ["10.0.0.1:53", "[fd00::1]:53", "[fe80::1%3]:53"]);
        assert_eq!(servers("nameserver\nnameserver fe80::1%eth0\n"), []);
    }
}
