use crate::values::Signal;

/// A kind of server that uses certificates or configuration: a row of the kinds table.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// The word in `quaymaster.kind`.
    pub name: &'static str,
    /// What it is, for `quaymaster reference` and README.
    pub doc: &'static str,
    /// The folder in the container where rendered files go.
    pub config: &'static str,
    /// What makes it read its configuration again.
    pub reload: Signal,
    /// The template of each site.
    pub site_template: &'static str,
    /// The template of what is there once: unknown names, and the mark that shows which generation is live.
    pub proxy_template: &'static str,
}

/// Every kind there is.
pub const KINDS: &[Kind] = &[Kind {
    name: "nginx",
    doc: "nginx with `include …/conf.d/*.conf` in its `http` block, as Debian's package and the official image have it",
    config: "/etc/nginx/conf.d",
    reload: Signal::HUP,
    site_template: "nginx/site.conf",
    proxy_template: "nginx/proxy.conf",
}];

/// The row of that name.
pub(super) fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}
