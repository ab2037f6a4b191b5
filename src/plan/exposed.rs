use std::{collections::BTreeSet, net::SocketAddr};

use crate::observe::Bearer;

/// Where others than those on this machine, and than containers beside us, can look at what is shown at an address of
/// ours. In a container the ports that the engine publishes decide that, and not the address.
pub fn exposed(at: SocketAddr, own: Option<&Bearer>) -> BTreeSet<SocketAddr> {
    let places = match own.filter(|own| !own.is_on_host()) {
        Some(own) => own.published.get(&at.port()).cloned().unwrap_or_default(),
        None => [at].into(),
    };
    let is_exposed = |place: &SocketAddr| !place.ip().is_loopback();
    places.into_iter().filter(is_exposed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::container;

    #[test]
    fn what_the_engine_publishes_counts_and_not_the_address_in_the_container() {
        let at: SocketAddr = "0.0.0.0:9180".parse().expect("an address");
        let here: SocketAddr = "127.0.0.1:9180".parse().expect("an address");
        let everywhere: SocketAddr = "0.0.0.0:80".parse().expect("an address");
        let mut own = container("quaymaster", 9);
        assert_eq!(exposed(at, Some(&own)), [].into());
        own.published = [(9180, [here].into()), (443, [everywhere].into())].into();
        assert_eq!(exposed(at, Some(&own)), [].into());
        own.published = [(9180, [here, everywhere].into())].into();
        assert_eq!(exposed(at, Some(&own)), [everywhere].into());
        // On a host the address is what others reach.
        assert_eq!(exposed(at, None), [at].into());
        assert_eq!(exposed(here, None), [].into());
    }
}
