//! Templates over a few containers.

use super::*;

fn network(name: &str, address: &str) -> NetworkView {
    let compose_name = name.strip_prefix("till_").map(str::to_owned);
    NetworkView {
        id: format!("id-{name}"),
        name: name.to_owned(),
        compose_name,
        ip_address: address.to_owned(),
    }
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
        env: [("HTTP_PORT", "8080"), ("TOKEN", "secret")]
            .map(|pair| own(&pair))
            .into(),
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
    let mut news = container(
        "news",
        &[
            ("nginx-virtual-host", "news.example"),
            ("context-path", "/n"),
        ],
    );
    news.health = "healthy".to_owned();
    let shop = container(
        "shop",
        &[
            ("nginx-virtual-host", "shop.example"),
            ("pygen.target", "till"),
        ],
    );
    let other = container("b-shop", &[("nginx-virtual-host", "shop.example")]);
    ContainersView {
        containers: vec![shop, proxy, gone, news, other],
        own_container_id: Some("7".to_owned()),
    }
}

fn rendered(template: &str) -> String {
    LenientTemplate::new("t", template)
        .and_then(|read| read.render(&view()))
        .map_or_else(|e| e.to_string(), |rendered| rendered.text)
}

#[test]
fn a_template_sees_containers_as_docker_pygen_showed_them() {
    for (template, expected) in [
        (
            "{% for c in containers %}{{ c.name }} {% endfor %}",
            "b-shop news proxy shop ",
        ),
        (
            "{{ all_containers | length }} {{ containers | length }} {{ own_container_id }}",
            "5 4 7",
        ),
        (
            "{{ containers.first.name }} {{ containers.last.name }} {{ containers[1].name }}",
            "b-shop shop news",
        ),
        (
            "{% set c = containers.last %}{{ c.short_id }} {{ c.image }} {{ c.status }}",
            "shop01234567 my/app:1 running",
        ),
        (
            "{{ containers.first.ports.tcp | join(' ') }} {{ containers.first.ports.udp.0 }}",
            "80 8080 53",
        ),
        (
            "{{ containers.first.env.http_port }} {{ containers.first.labels['NGINX-virtual-host'] }}",
            "8080 shop.example",
        ),
        (
            "{{ containers.first.labels.nosuch }}|{{ containers.first.nosuch.deeper }}|{{ nosuch.deeper }}",
            "||",
        ),
        (
            "{{ containers.healthy.first.name }} {{ containers.with_health('unknown') | length }}",
            "news 3",
        ),
        (
            "{{ containers.matching('edge').first.name }} {{ containers.matching('till').first.name }}",
            "proxy shop",
        ),
        ("{{ containers.not_matching('edge') | length }}", "3"),
        (
            "{{ containers.matching('').first.name }}{{ containers.matching('sho').first.name }}",
            "",
        ),
        (
            "{{ containers.matching('shop01234567').first.name }}",
            "shop",
        ),
        (
            "{{ services | length }}{{ nodes.first.name }}{{ services.matching('x') | length }}",
            "00",
        ),
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
    for target in [
        "proxy.networks",
        "proxy",
        "proxy.networks.first",
        "'web'",
        "'id-web'",
    ] {
        assert_eq!(address(target), "10.1.0.2", "{target}");
    }
    assert_eq!(address("'nosuch'"), "");
}

#[test]
fn networks_match_by_their_names_in_the_compose_file_where_none_has_the_whole_name() {
    let mut view = view();
    let address = |view: &ContainersView, matching: &str| {
        let template = format!(
            "{{{{ containers.matching('shop').first.networks.{matching}.first.ip_address }}}}"
        );
        LenientTemplate::new("t", &template)
            .and_then(|read| read.render(view))
            .expect("it is rendered")
            .text
    };
    view.containers[0].networks = vec![
        network("other_web", "10.2.0.2"),
        network("till_web", "10.3.0.2"),
    ];
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
    assert_eq!(
        rendered(template),
        "news.example: news\nshop.example: b-shop shop\n"
    );
}

#[test]
fn what_is_wrong_with_a_template_is_told_with_its_line_and_no_values() {
    for (template, told) in [
        ("a\n{% if %}", "template t, line 2: "),
        (
            "a\nb\n{{ read_config('x') }}",
            "template t, line 3: unknown function",
        ),
        (
            "{{ containers.matching() }}",
            "template t, line 1: invalid operation: matching takes one argument",
        ),
        (
            "{{ containers.nosuch('8080') }}",
            "template t, line 1: unknown method",
        ),
    ] {
        let text = rendered(template);
        assert!(text.starts_with(told) && !text.contains("8080"), "{text}");
    }
}

#[test]
fn environments_are_not_printed_by_accident() {
    assert!(!format!("{:?}", view()).contains("secret"));
    let variables = lists::Texts(view().containers[0].env.clone());
    assert_eq!(format!("{variables:?}"), r#"{"HTTP_PORT", "TOKEN"}"#);
}

#[test]
fn names_that_are_not_there_are_empty_and_told_with_the_nearest_that_is() {
    for (template, expected) in [
        (
            "{{ container.name }}",
            "there is no container, so it is empty; did you mean containers?",
        ),
        (
            "{% for c in containers %}{{ c.network }}{% endfor %}",
            "a container has no network, so it is empty; did you mean networks?",
        ),
        (
            "{{ containers.last.lables.x }}",
            "a container has no lables, so it is empty; did you mean labels?",
        ),
        (
            "{{ containers | map(attribute='raw') | length }}",
            "a container has no raw, so it is empty",
        ),
        (
            "{{ containers.last.networks.first.address }}",
            "a network has no address, so it is empty; did you mean ip_address?",
        ),
        (
            "{{ containers.last.ports.tpc }}",
            "a container's ports have no tpc, so it is empty; did you mean tcp?",
        ),
        (
            "{{ containers.last.ports.tcp.frist }}",
            "a list has no frist, so it is empty; did you mean first?",
        ),
        (
            "{{ containers.matchin }}",
            "a list has no matchin, so it is empty; did you mean matching?",
        ),
        (
            "{{ containers['no\\u001b'] }}",
            "a list has no no\\u{1b}, so it is empty",
        ),
    ] {
        let rendered = LenientTemplate::new("t", template).and_then(|read| read.render(&view()));
        let unknown: Vec<_> = rendered
            .expect("it is rendered")
            .unknown
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(unknown, [expected], "{template}");
    }
}

#[test]
fn names_of_the_users_own_and_names_that_are_there_are_not_told() {
    for template in [
        "{{ containers.first.labels.nosuch }}{{ containers.first.env['nosuch'] }}",
        "{{ containers.first.networks.matching('nosuch').first.ip_address }}{{ containers.matching('x').last.name }}",
        "{{ own_container_id }}{{ containers.first.ports.tcp.last }}{{ containers.healthy[9].name }}{{ services.first }}",
        "{% for c in containers %}{{ loop.index }}{{ range(2) }}{% endfor %}{{ containers | groupby('labels.x') | length }}",
        "{% set ns = namespace(n=0) %}{% set own = 1 %}{% if own %}{% set other = 2 %}{% endif %}{{ own }}{{ other }}{{ ns.n }}",
        "{% macro down(n) %}{% if n %}{{ down(n - 1) }}{% endif %}{% endmacro %}{{ down(2) }}",
    ] {
        let rendered = LenientTemplate::new("t", template).and_then(|read| read.render(&view()));
        assert_eq!(
            rendered.expect("it is rendered").unknown,
            BTreeSet::new(),
            "{template}"
        );
    }
}
