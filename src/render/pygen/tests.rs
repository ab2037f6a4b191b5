//! Templates over a few containers.

use super::*;

fn network(name: &str, address: &str) -> NetworkView {
    let compose_name = name.strip_prefix("till_").map(str::to_owned);
    NetworkView {
        id: format!("id-{name}"),
        name: name.to_owned(),
        compose_name,
        ip_address: address.to_owned(),
        inspected: Arc::default(),
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
            .iter()
            .map(own)
            .collect(),
        networks: vec![network("back", "10.0.0.2"), network("web", "10.1.0.2")],
        tcp: vec![443, 80, 8080],
        udp: vec![53],
        inspected: r#"{"Name": "/raw", "HostConfig": {"Memory": 7}}"#.into(),
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
        containers: vec![other, news, proxy, gone, shop],
        own_container_id: Some("news0123456789abcdef".to_owned()),
        variables: Arc::new([("OWN".to_owned(), "ours".to_owned())].into()),
        certificates: Vec::new(),
    }
}

fn render(template: &str, files: &[(&str, &str)]) -> LenientlyRendered {
    let read = files
        .iter()
        .map(|(path, text)| (PathBuf::from(path), Some((*text).to_owned())));
    let read = read.collect();
    LenientTemplate::new("here/t", template, Some(Path::new("here")))
        .expect("it can be read")
        .render(&view(), &read)
}

fn rendered(template: &str) -> String {
    let text = match LenientTemplate::new("t", template, None) {
        Ok(read) => read.render(&view(), &FilesRead::new()).text,
        Err(error) => Err(error),
    };
    text.unwrap_or_else(|error| error.to_string())
}

#[test]
fn a_template_sees_containers_as_docker_pygen_showed_them() {
    for (template, expected) in [
        (
            "{% for c in containers %}{{ c.name }} {% endfor %}",
            "b-shop news proxy shop ",
        ),
        (
            "{{ all_containers | length }} {{ containers | length }} {{ containers.self.name }}",
            "5 4 news",
        ),
        (
            "{{ containers.first.ports.tcp | join(' ') }} {{ containers.first.ports.TCP.first_value }}",
            "443 80 8080 443",
        ),
        (
            "{{ containers.first.raw.HostConfig.Memory }} {{ containers.first.raw.attrs.HostConfig.Memory }} \
             {{ containers.first.raw.name }}",
            "7 7 raw",
        ),
        (
            "{{ containers.first.labels.nosuch }}|{{ containers.first.nosuch }}|{{ containers.first.nosuch.deeper }}",
            "|None|",
        ),
        (
            "{{ containers.matching('')|length }}{{ containers.matching('sho')|length }}\
             {{ containers.matching('shop01234567')|length }}",
            "001",
        ),
        ("a\r\nb\n", "a\nb"),
        ("a\n\n", "a\n"),
        ("{{ '<a>' }}", "<a>"),
    ] {
        assert_eq!(rendered(template), expected, "{template}");
    }
}

#[test]
fn an_attribute_of_nothing_is_refused_with_what_helps() {
    for (template, told) in [
        (
            "a\n{{ containers.matching('helper').first.labels.mail }}",
            "template t, line 2: containers.matching('helper').first.labels.mail: undefined value; what stands before its \
             last name is not there now; write `{% if … %}` around it where it need not be",
        ),
        (
            "{{ containers.matching('shop').labels.mail }}",
            "template t, line 1: containers.matching('shop').labels.mail: undefined value; a list has no labels: write \
             `.first.labels`, or go through it with `for`",
        ),
        (
            "{% set all = [] %}\n{{ all.append(1) }}",
            "template t, line 2: invalid operation: .append() would change what it is called on",
        ),
        (
            "{% set form = '%s' %}\n{{ form % 1 }}",
            "template t, line 2: invalid operation: tried to use % operator on unsupported types string and number; \
             write `text|format(value)`",
        ),
        (
            "{{ containers | groupby('ports.sctp') | length }}",
            "template t, line 1: invalid operation: None and None can't be put in an order",
        ),
        (
            "{{ 'x'.ljust(100001) }}",
            "template t, line 1: invalid operation: a width of 100001 is more than 100000",
        ),
    ] {
        let text = rendered(template);
        assert!(text.starts_with(told), "{text}");
    }
}

#[test]
fn labels_whose_names_have_dots_are_attributes_of_filters_too() {
    for (template, expected) in [
        (
            "{% for s, g in containers | groupby('labels.com.docker.compose.service') %}{{ s }}:{{ g | length }} {% endfor %}",
            ":3 edge:1 ",
        ),
        (
            "{{ containers | selectattr('labels.com.docker.compose.service') | map(attribute='name') | join }}",
            "proxy",
        ),
        (
            "{{ containers | map(attribute='labels.COM.docker.compose.service') | join }}",
            "edge",
        ),
    ] {
        assert_eq!(rendered(template), expected, "{template}");
    }
    let unknown = |template| {
        let unknown = render(template, &[]).unknown.into_iter();
        unknown.map(|name| name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(
        unknown("{{ containers | groupby('labels.no.such') | length }}"),
        ["no container has a label no.such, so all are in one group without a name"]
    );
    assert_eq!(
        unknown("{{ containers | groupby('labels.such') | length }}"),
        [""; 0],
        "so did docker-pygen"
    );
}

#[test]
fn several_names_in_one_value_are_groups_of_their_own() {
    let mut view = view();
    for (place, hosts) in [
        (0, "b.example, a.example"),
        (1, "a.example,,a.example"),
        (2, " "),
    ] {
        view.containers[place].env = [("HOSTS".to_owned(), hosts.to_owned())]
            .into_iter()
            .collect();
    }
    let template = "{% for host, group in containers | groupby('env.HOSTS', split=',') %}\
                    {{ host }}: {{ group | map(attribute='name') | join(' ') }}; {% endfor %}";
    let read = LenientTemplate::new("t", template, None).expect("it can be read");
    let text = read.render(&view, &FilesRead::new()).text;
    assert_eq!(
        text.expect("it is rendered"),
        ": proxy shop; a.example: b-shop news; b.example: b-shop; "
    );
}

#[test]
fn files_that_are_asked_for_are_named_and_read_where_they_were_read_before() {
    let template = "{{ read_config('A', 'app.conf', 'none') }} {{ read_config('OWN') }} \
                    {% include 'parts/note' ignore missing %}{% include '/../out' ignore missing %}";
    let rendered = render(template, &[]);
    assert_eq!(rendered.text.expect("it is rendered"), "none ours ");
    let asked: Vec<_> = rendered
        .files
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    assert_eq!(asked, ["app.conf", "here/parts/note"]);
    let files = [
        ("app.conf", "B=1\r\nA= x=y \r\n"),
        ("here/parts/note", "a note\n"),
    ];
    assert_eq!(
        render(template, &files).text.expect("it is rendered"),
        "x=y ours a note"
    );
    let missing = render("a\n{% include 'parts/gone' %}", &[])
        .text
        .expect_err("it is not there");
    assert_eq!(
        missing.to_string(),
        "template here/t, line 2: template not found: tried to include non-existing template 'parts/gone'"
    );
}

#[test]
fn what_is_asked_of_a_swarm_is_noted_though_it_is_not_there() {
    for (template, expected) in [
        ("{{ services.first.name }}", Some("services")),
        (
            "{{ services.matching('x').first.labels.y }}",
            Some("services"),
        ),
        (
            "{% if 0 %}{{ services }}{% endif %}{{ nodes | length }}",
            Some("nodes"),
        ),
        (
            "{{ containers | length }}{% set services = 1 %}{{ services }}",
            None,
        ),
    ] {
        assert_eq!(render(template, &[]).of_swarm, expected, "{template}");
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
fn networks_match_by_their_whole_names_and_tell_those_of_their_compose_file() {
    for (template, expected) in [
        ("matching('till_back')|length", "1"),
        ("matching('back')|length", "0"),
        ("not_matching('back')|length", "2"),
        ("matching('')|length", "0"),
        (
            "selectattr('compose_name', 'equalto', 'back')|map(attribute='ip_address')|join",
            "10.3.0.2",
        ),
    ] {
        let mut view = view();
        view.containers[0].networks =
            vec![network("web", "10.2.0.2"), network("till_back", "10.3.0.2")];
        let way = if template.starts_with("select") {
            '|'
        } else {
            '.'
        };
        let template = format!("{{{{ containers.first.networks{way}{template} }}}}");
        let read = LenientTemplate::new("t", &template, None).expect("it can be read");
        let text = read.render(&view, &FilesRead::new()).text;
        assert_eq!(text.expect("it is rendered"), expected, "{template}");
    }
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
            "a\nb\n{{ nosuch('x') }}",
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
    let variables = &view().containers[0].env;
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
            "a container has no network, so it is None; did you mean networks?",
        ),
        (
            "{{ containers.last.lables.x }}",
            "a container has no lables, so it is None; did you mean labels?",
        ),
        (
            "{{ containers | map(attribute='rawer') | list }}",
            "a container has no rawer, so it is None; did you mean raw?",
        ),
        (
            "{{ containers.last.networks.first.address }}",
            "a network has no address, so it is None; did you mean ip_address?",
        ),
        (
            "{{ containers.last.ports.tpc }}",
            "a container's ports have no tpc, so it is None; did you mean tcp?",
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
        let rendered = render(template, &[]);
        let unknown: Vec<_> = rendered.unknown.iter().map(ToString::to_string).collect();
        assert_eq!(unknown, [expected], "{template}");
    }
}

#[test]
fn names_of_the_users_own_and_names_that_are_there_are_not_told() {
    for template in [
        "{{ containers.first.labels.nosuch }}{{ containers.first.env['nosuch'] }}",
        "{{ containers.first.networks.matching('nosuch').first.ip_address }}{{ containers.matching('x').last.name }}",
        "{{ own_container_id }}{{ read_config('x') }}{{ containers.first.ports.tcp.last }}{{ containers.healthy[9].name }}{{ services.first }}",
        "{% for c in containers %}{{ loop.index }}{{ range(2) }}{% endfor %}{{ containers | groupby('labels.x') | length }}",
        "{% set ns = namespace(n=0) %}{% set own = 1 %}{% if own %}{% set other = 2 %}{% endif %}{{ own }}{{ other }}{{ ns.n }}",
        "{% macro down(n) %}{% if n %}{{ down(n - 1) }}{% endif %}{% endmacro %}{{ down(2) }}",
    ] {
        assert_eq!(render(template, &[]).unknown, BTreeSet::new(), "{template}");
    }
}
