//! The templates that come with the program, and which of them a user's template was probably meant to replace.

use std::collections::BTreeMap;

use crate::values::nearest;

/// A template that is built in: a row of the table of templates.
pub struct BuiltIn {
    /// Its name, which a user's template takes to take its place.
    pub name: &'static str,
    /// The product of it.
    pub doc: &'static str,
    /// The template itself.
    pub text: &'static str,
}

/// Every template that is built in.
pub const BUILT_IN: &[BuiltIn] = &[
    BuiltIn {
        name: "nginx/site.conf",
        doc: "once a site; includes client, asked, challenge, content and plain",
        text: include_str!("../../templates/nginx/site.conf"),
    },
    BuiltIn {
        name: "nginx/client.conf",
        doc: "in each server of a site: whose word on the client's address is believed",
        text: include_str!("../../templates/nginx/client.conf"),
    },
    BuiltIn {
        name: "nginx/asked.conf",
        doc: "in each server of a site: what depends on how the client asked, by http or by https; includes plain",
        text: include_str!("../../templates/nginx/asked.conf"),
    },
    BuiltIn {
        name: "nginx/plain.conf",
        doc: "in the servers of a site that is not served in plain text: what plain requests get",
        text: include_str!("../../templates/nginx/plain.conf"),
    },
    BuiltIn {
        name: "nginx/challenge.conf",
        doc: "in each server of a site: the answers to challenges",
        text: include_str!("../../templates/nginx/challenge.conf"),
    },
    BuiltIn {
        name: "nginx/content.conf",
        doc: "in the servers of a site: where it is sent, or its paths; includes towards and route",
        text: include_str!("../../templates/nginx/content.conf"),
    },
    BuiltIn {
        name: "nginx/towards.conf",
        doc: "in the servers of a site: whether requests go by address or, after a start, by the id of a container",
        text: include_str!("../../templates/nginx/towards.conf"),
    },
    BuiltIn {
        name: "nginx/route.conf",
        doc: "in each path of a site: who may ask, and what is passed on to its containers",
        text: include_str!("../../templates/nginx/route.conf"),
    },
    BuiltIn {
        name: "nginx/base.conf",
        doc: "once a proxy: what all sites use, and the answer for names that no site has",
        text: include_str!("../../templates/nginx/base.conf"),
    },
    BuiltIn {
        name: "nginx/open-gate.conf",
        doc: "once a proxy: where quaymaster says that the addresses in its files are right",
        text: include_str!("../../templates/nginx/open-gate.conf"),
    },
    BuiltIn {
        name: "nginx/ipv6.conf",
        doc: "once a proxy whose networks give it an IPv6 address: the first servers that listen there",
        text: include_str!("../../templates/nginx/ipv6.conf"),
    },
    BuiltIn {
        name: "nginx/unknown-http.conf",
        doc: "once a proxy: the answer for names that no site has, as default server for http",
        text: include_str!("../../templates/nginx/unknown-http.conf"),
    },
    BuiltIn {
        name: "nginx/unknown-https.conf",
        doc: "once a proxy: the answer for names that no site has, as default server for https",
        text: include_str!("../../templates/nginx/unknown-https.conf"),
    },
    BuiltIn {
        name: "nginx/names.conf",
        doc: "once a proxy that has a site with a long name: room for it",
        text: include_str!("../../templates/nginx/names.conf"),
    },
    BuiltIn {
        name: "nginx/mark.conf",
        doc: "once a proxy: the page that shows which generation is live",
        text: include_str!("../../templates/nginx/mark.conf"),
    },
    BuiltIn {
        name: "mosquitto/mosquitto.conf",
        doc: "once a mosquitto with the label `config`, as long as it has no configuration of yours: what it starts with",
        text: include_str!("../../templates/mosquitto/mosquitto.conf"),
    },
    BuiltIn {
        name: "certbot/updates.list",
        doc: "once a certificate that a certbot helper is to obtain: its line in the helper's list, whose breaks are blanks",
        text: include_str!("../../templates/certbot/updates.list"),
    },
    BuiltIn {
        name: "command-plan.txt",
        doc: "what `quaymaster plan` prints of each name or proxy",
        text: include_str!("../../templates/command-plan.txt"),
    },
];

/// The built-in template whose place a user's template with another name was probably meant to take.
pub(super) fn probably_meant<T>(name: &str, users: &BTreeMap<String, T>) -> Option<&'static str> {
    let mut free = BUILT_IN
        .iter()
        .map(|row| row.name)
        .filter(|name| !users.contains_key(*name));
    let near = nearest(bare(name), free.clone().map(bare))?;
    free.find(|name| bare(name) == near)
}

/// A template's name without folder and endings, which are alike, and would make any two names so.
fn bare(name: &str) -> &str {
    name.rsplit('/')
        .next()
        .and_then(|file| file.split('.').next())
        .unwrap_or_default()
}
