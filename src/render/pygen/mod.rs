//! Containers as docker-pygen's templates see them, and how leniently those are rendered: an unknown name is empty,
//! a missing label or variable is an empty text, and nothing is quoted. The template is the user's own.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, State, UndefinedBehavior, context,
    value::{Enumerator, Object, ObjectRepr, Value},
};

use super::{FieldRow, TemplateError, docker_pygen_whitespace};

/// How much one rendering may compute (minijinja's unit, an instruction): seconds, for thousands of containers.
const FUEL: u64 = 100_000_000;

/// How many characters of an id stand for the whole, as `docker ps` shows it. Fewer could be somebody's name.
const SHORT_ID: usize = 12;

/// A template of the user's for the view here.
#[derive(Debug)]
pub struct LenientTemplate {
    environment: Environment<'static>,
    name: String,
}

/// What a lenient template sees.
#[derive(Debug, Default)]
pub struct ContainersView {
    /// All containers, in whatever order.
    pub containers: Vec<ContainerView>,
    /// The id of the container that we run in.
    pub own_container_id: Option<String>,
}

/// A container as a lenient template sees it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ContainerView {
    /// The engine's unchanging word for it.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The name of its image.
    pub image: String,
    /// What it does, in Docker's word.
    pub status: String,
    /// Whether it counts as one that runs.
    pub is_there: bool,
    /// What its health check says; `unknown` without one.
    pub health: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its environment.
    pub env: BTreeMap<String, String>,
    /// The networks it is on.
    pub networks: Vec<NetworkView>,
    /// Exposed TCP ports.
    pub tcp: BTreeSet<u16>,
    /// Exposed UDP ports.
    pub udp: BTreeSet<u16>,
}

/// A container's place on a network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkView {
    /// The network's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its name in the Compose file that the container is from; nothing where it is from elsewhere.
    pub compose_name: Option<String>,
    /// The container's address there; empty while it has none.
    pub ip_address: String,
}

/// A name on a container: a row of what templates see.
struct Attribute {
    name: &'static str,
    kind: &'static str,
    doc: &'static str,
    read: fn(&ContainerView) -> Value,
}

const ATTRIBUTES: &[Attribute] = &[
    Attribute { name: "id", kind: "text", doc: "its id", read: |container| text(&container.id) },
    Attribute {
        name: "short_id",
        kind: "text",
        doc: "the beginning of its id",
        read: |container| text(container.id.get(..SHORT_ID).unwrap_or(&container.id)),
    },
    Attribute { name: "name", kind: "text", doc: "its name", read: |container| text(&container.name) },
    Attribute { name: "image", kind: "text", doc: "its image", read: |container| text(&container.image) },
    Attribute {
        name: "status",
        kind: "text",
        doc: "what it does, in Docker's word",
        read: |container| text(&container.status),
    },
    Attribute {
        name: "health",
        kind: "text",
        doc: "`healthy`, `unhealthy`, `starting`; `unknown` without a health check",
        read: |container| text(&container.health),
    },
    Attribute {
        name: "labels",
        kind: "labels.NAME or labels['NAME']: text",
        doc: "its labels, in any case; empty where there is none",
        read: |container| texts(&container.labels),
    },
    Attribute {
        name: "env",
        kind: "env.NAME: text",
        doc: "its environment, in any case; empty where there is none",
        read: |container| texts(&container.env),
    },
    Attribute {
        name: "networks",
        kind: "list of id, name, ip_address",
        doc: "networks it is on, by name; networks.matching(OTHERS) are those of another container, list or network, or of \
              this name, whole or as in the container's Compose file",
        read: |container| List::of(container.networks.iter().cloned().map(Value::from_object)),
    },
    Attribute {
        name: "ports",
        kind: "tcp and udp: list of number",
        doc: "ports that it exposes",
        read: |container| ports(container),
    },
];

/// The names that lenient templates see.
pub fn lenient_fields() -> Vec<FieldRow> {
    let row = |of, name, kind: &str, doc| FieldRow { of, name, kind: kind.to_owned(), doc };
    let list = "list of container";
    let lists =
        "those that TARGET names: id or its first 12 characters, name, Compose or Swarm service, label pygen.target";
    let mut rows = vec![
        row("render", "containers", list, "those that run, by name"),
        row("render", "all_containers", list, "those that don't, too"),
        row("render", "own_container_id", "text, or none", "the container that quaymaster runs in"),
        row("render", "services, all_services, nodes", "empty list", "Swarm's, which are not read yet"),
        row("render: list", "first, last", "item", "the first and the last; empty when there is none"),
        row("render: list", "matching(TARGET)", "list", lists),
        row("render: list", "not_matching(TARGET)", "list", "the others"),
        row("render: list", "healthy", list, "those whose health is healthy"),
        row("render: list", "with_health(HEALTH)", list, "those with this health"),
    ];
    rows.extend(ATTRIBUTES.iter().map(|attribute| {
        let Attribute { name, kind, doc, .. } = *attribute;
        row("render: container", name, kind, doc)
    }));
    rows
}

impl LenientTemplate {
    /// Reads a template; `name` is what errors call it.
    ///
    /// # Errors
    /// What is wrong with it, with its line.
    pub fn new(name: &str, text: &str) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Chainable);
        environment.set_syntax(docker_pygen_whitespace());
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_fuel(Some(FUEL));
        // Otherwise errors carry copies of everything that is in the view.
        environment.set_debug(false);
        let added = environment.add_template_owned(name.to_owned(), text.to_owned());
        added.map_err(|error| TemplateError::of(name, &error))?;
        Ok(Self { environment, name: name.to_owned() })
    }

    /// Renders it.
    ///
    /// # Errors
    /// What it got wrong, with its line.
    pub fn render(&self, view: &ContainersView) -> Result<String, TemplateError> {
        let told = |error: Error| TemplateError::of(&self.name, &error);
        self.environment.get_template(&self.name).and_then(|template| template.render(root(view))).map_err(told)
    }
}

fn root(view: &ContainersView) -> Value {
    let mut sorted: Vec<&ContainerView> = view.containers.iter().collect();
    sorted.sort_by(|one, other| one.name.cmp(&other.name));
    let list = |containers: Vec<&ContainerView>| List::of(containers.into_iter().cloned().map(Value::from_object));
    let nobody = List::of([]);
    context! {
        containers => list(sorted.iter().copied().filter(|container| container.is_there).collect()),
        all_containers => list(sorted),
        own_container_id => view.own_container_id.clone(),
        services => nobody.clone(),
        all_services => nobody.clone(),
        nodes => nobody,
    }
}

impl ContainerView {
    /// Whether a user who says `target` means this container.
    pub fn is_meant_by(&self, target: &str) -> bool {
        let label = |name: &str| self.labels.get(name).map(String::as_str);
        let swarm_service = label("com.docker.swarm.service.name");
        let in_stack = label("com.docker.stack.namespace").map(|stack| format!("{stack}_{target}"));
        let words = [
            Some(self.id.as_str()),
            Some(self.name.as_str()),
            label("pygen.target"),
            self.env.get("PYGEN_TARGET").map(String::as_str),
            label("com.docker.compose.service"),
            swarm_service,
        ];
        !target.is_empty() && words.contains(&Some(target))
            || in_stack.is_some() && in_stack.as_deref() == swarm_service
            || target.len() >= SHORT_ID && self.id.starts_with(target)
    }
}

impl fmt::Debug for ContainerView {
    /// Without its environment.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContainerView").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

impl Object for ContainerView {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let found = ATTRIBUTES.iter().find(|attribute| Some(attribute.name) == key.as_str())?;
        Some((found.read)(self))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(ATTRIBUTES.iter().map(|attribute| Value::from(attribute.name)).collect())
    }
}

impl Object for NetworkView {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str()? {
            "id" => Some(text(&self.id)),
            "name" => Some(text(&self.name)),
            "ip_address" => Some(text(&self.ip_address)),
            _ => None,
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Str(&["id", "name", "ip_address"])
    }
}

/// Labels or variables: names are found in any case, and one that is not there is an empty text.
struct Texts(BTreeMap<String, String>);

impl fmt::Debug for Texts {
    /// Names alone: the values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Object for Texts {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = key.as_str()?;
        let in_any_case = || self.0.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, text)| text);
        Some(text(self.0.get(name).or_else(in_any_case).map_or("", String::as_str)))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.keys().map(Value::from).collect())
    }
}

/// A list of containers or networks.
#[derive(Debug)]
struct List(Vec<Value>);

impl List {
    fn of(items: impl IntoIterator<Item = Value>) -> Value {
        Value::from_object(Self(items.into_iter().collect()))
    }

    /// Whether an item is meant. Networks' whole names win over names in Compose files.
    fn meant<'a>(&self, target: &'a Value) -> impl Fn(&Value) -> bool + 'a {
        let is_whole = self.0.iter().any(|item| is_meant(item, target));
        move |item| if is_whole { is_meant(item, target) } else { is_meant_in_compose(item, target) }
    }

    fn only(&self, keeps: impl Fn(&Value) -> bool) -> Value {
        Self::of(self.0.iter().filter(|item| keeps(item)).cloned())
    }
}

impl Object for List {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        if let Some(index) = key.as_usize() {
            return self.0.get(index).cloned();
        }
        match key.as_str()? {
            "first" => self.0.first().cloned(),
            "last" => self.0.last().cloned(),
            "healthy" => Some(self.only(|item| has_health(item, "healthy"))),
            _ => None,
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.0.len())
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, arguments: &[Value]) -> Result<Value, Error> {
        let [argument] = arguments else {
            return Err(Error::new(ErrorKind::InvalidOperation, format!("{method} takes one argument")));
        };
        match method {
            "matching" => Ok(self.only(self.meant(argument))),
            "not_matching" => {
                let meant = self.meant(argument);
                Ok(self.only(|item| !meant(item)))
            }
            "with_health" => Ok(self.only(|item| has_health(item, argument.as_str().unwrap_or_default()))),
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

fn has_health(item: &Value, health: &str) -> bool {
    item.downcast_object_ref::<ContainerView>().is_some_and(|container| container.health == health)
}

/// Whether an item of a list is meant: a container by a word, a network by a word or by what else is on networks.
fn is_meant(item: &Value, target: &Value) -> bool {
    if let Some(container) = item.downcast_object_ref::<ContainerView>() {
        return target.as_str().is_some_and(|target| container.is_meant_by(target));
    }
    let Some(network) = item.downcast_object_ref::<NetworkView>() else { return false };
    if let Some(word) = target.as_str() {
        return !word.is_empty() && [&network.id, &network.name].into_iter().any(|own| own == word);
    }
    if let Some(container) = target.downcast_object_ref::<ContainerView>() {
        return container.networks.iter().any(|other| other.id == network.id);
    }
    let is_same = |value: &Value| value.downcast_object_ref::<NetworkView>().is_some_and(|one| one.id == network.id);
    match target.downcast_object_ref::<List>() {
        Some(list) => list.0.iter().any(is_same),
        None => is_same(target),
    }
}

/// Whether an item is a network that the container's Compose file calls so.
fn is_meant_in_compose(item: &Value, target: &Value) -> bool {
    let name = item.downcast_object_ref::<NetworkView>().and_then(|network| network.compose_name.as_deref());
    name.is_some_and(|name| target.as_str() == Some(name))
}

fn text(text: &str) -> Value {
    Value::from(text)
}

fn ports(container: &ContainerView) -> Value {
    let list = |ports: &BTreeSet<u16>| ports.iter().copied().collect::<Vec<_>>();
    context! { tcp => list(&container.tcp), udp => list(&container.udp) }
}

fn texts(map: &BTreeMap<String, String>) -> Value {
    Value::from_object(Texts(map.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(name: &str, address: &str) -> NetworkView {
        let compose_name = name.strip_prefix("till_").map(str::to_owned);
        NetworkView { id: format!("id-{name}"), name: name.to_owned(), compose_name, ip_address: address.to_owned() }
    }

    fn container(name: &str, labels: &[(&str, &str)]) -> ContainerView {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        ContainerView {
            id: format!("{name}0123456789abcdef"),
            name: name.to_owned(),
            image: "my/app:1".to_owned(),
            status: "running".to_owned(),
            is_there: true,
            health: "unknown".to_owned(),
            labels: labels.iter().map(own).collect(),
            env: [("HTTP_PORT", "8080"), ("TOKEN", "secret")].map(|pair| own(&pair)).into(),
            networks: vec![network("back", "10.0.0.2"), network("web", "10.1.0.2")],
            tcp: BTreeSet::from([80, 8080]),
            udp: BTreeSet::from([53]),
        }
    }

    fn view() -> ContainersView {
        let mut proxy = container("proxy", &[("com.docker.compose.service", "edge")]);
        proxy.networks = vec![network("web", "10.1.0.9")];
        let mut gone = container("gone", &[("nginx-virtual-host", "shop.example")]);
        gone.is_there = false;
        let mut news = container("news", &[("nginx-virtual-host", "news.example"), ("context-path", "/n")]);
        news.health = "healthy".to_owned();
        let shop = container("shop", &[("nginx-virtual-host", "shop.example"), ("pygen.target", "till")]);
        let other = container("b-shop", &[("nginx-virtual-host", "shop.example")]);
        ContainersView { containers: vec![shop, proxy, gone, news, other], own_container_id: Some("7".to_owned()) }
    }

    fn rendered(template: &str) -> String {
        LenientTemplate::new("t", template).and_then(|read| read.render(&view())).unwrap_or_else(|e| e.to_string())
    }

    #[test]
    fn a_template_sees_containers_as_docker_pygen_showed_them() {
        for (template, expected) in [
            ("{% for c in containers %}{{ c.name }} {% endfor %}", "b-shop news proxy shop "),
            ("{{ all_containers | length }} {{ containers | length }} {{ own_container_id }}", "5 4 7"),
            ("{{ containers.first.name }} {{ containers.last.name }} {{ containers[1].name }}", "b-shop shop news"),
            (
                "{% set c = containers.last %}{{ c.short_id }} {{ c.image }} {{ c.status }}",
                "shop01234567 my/app:1 running",
            ),
            ("{{ containers.first.ports.tcp | join(' ') }} {{ containers.first.ports.udp.0 }}", "80 8080 53"),
            (
                "{{ containers.first.env.http_port }} {{ containers.first.labels['NGINX-virtual-host'] }}",
                "8080 shop.example",
            ),
            ("{{ containers.first.labels.nosuch }}|{{ containers.first.nosuch.deeper }}|{{ nosuch.deeper }}", "||"),
            ("{{ containers.healthy.first.name }} {{ containers.with_health('unknown') | length }}", "news 3"),
            ("{{ containers.matching('edge').first.name }} {{ containers.matching('till').first.name }}", "proxy shop"),
            ("{{ containers.not_matching('edge') | length }}", "3"),
            ("{{ containers.matching('').first.name }}{{ containers.matching('sho').first.name }}", ""),
            ("{{ containers.matching('shop01234567').first.name }}", "shop"),
            ("{{ services | length }}{{ nodes.first.name }}{{ services.matching('x') | length }}", "00"),
            (
                "{% for c in containers %}{% if c.name == 'proxy' %}{% break %}{% endif %}{{ c.name }} {% endfor %}",
                "b-shop news ",
            ),
            ("{{ '<a>' }}", "<a>"),
        ] {
            assert_eq!(rendered(template), expected, "{template}");
        }
    }

    #[test]
    fn networks_match_by_what_is_on_them() {
        let address = |target: &str| {
            rendered(&format!(
                "{{% set proxy = containers.matching('proxy').first %}}{{% set shop = containers.matching('shop').first %}}\
                 {{{{ shop.networks.matching({target}).first.ip_address }}}}"
            ))
        };
        for target in ["proxy.networks", "proxy", "proxy.networks.first", "'web'", "'id-web'"] {
            assert_eq!(address(target), "10.1.0.2", "{target}");
        }
        assert_eq!(address("'nosuch'"), "");
    }

    #[test]
    fn networks_match_by_their_names_in_the_compose_file_where_none_has_the_whole_name() {
        let mut view = view();
        let address = |view: &ContainersView, matching: &str| {
            let template = format!("{{{{ containers.matching('shop').first.networks.{matching}.first.ip_address }}}}");
            LenientTemplate::new("t", &template).and_then(|read| read.render(view)).expect("it is rendered")
        };
        view.containers[0].networks = vec![network("other_web", "10.2.0.2"), network("till_web", "10.3.0.2")];
        for (matching, expected) in [
            ("matching('web')", "10.3.0.2"),
            ("matching('till_web')", "10.3.0.2"),
            ("matching('other_web')", "10.2.0.2"),
            ("not_matching('web')", "10.2.0.2"),
            ("matching('')", ""),
        ] {
            assert_eq!(address(&view, matching), expected, "{matching}");
        }
        view.containers[0].networks.push(network("web", "10.1.0.2"));
        assert_eq!(address(&view, "matching('web')"), "10.1.0.2");
    }

    #[test]
    fn containers_are_grouped_by_a_label_with_a_group_of_those_without_it() {
        let template = "{% for host, group in containers | groupby('labels.nginx-virtual-host') %}\n\
                        {% if host %}\n\
                        {{ host }}:{% for c in group %} {{ c.name }}{% endfor %}\n\n\
                        {% endif %}\n\
                        {% endfor %}\n";
        assert_eq!(rendered(template), "news.example: news\nshop.example: b-shop shop\n");
    }

    #[test]
    fn what_is_wrong_with_a_template_is_told_with_its_line_and_no_values() {
        for (template, told) in [
            ("a\n{% if %}", "template t, line 2: "),
            ("a\nb\n{{ read_config('x') }}", "template t, line 3: unknown function"),
            ("{{ containers.matching() }}", "template t, line 1: invalid operation: matching takes one argument"),
            ("{{ containers.nosuch('8080') }}", "template t, line 1: unknown method"),
        ] {
            let text = rendered(template);
            assert!(text.starts_with(told) && !text.contains("8080"), "{text}");
        }
    }

    #[test]
    fn environments_are_not_printed_by_accident() {
        assert!(!format!("{:?}", view()).contains("secret"));
        let variables = Texts(view().containers[0].env.clone());
        assert_eq!(format!("{variables:?}"), r#"{"HTTP_PORT", "TOKEN"}"#);
    }
}
