//! Tests of what templates may and may not print, and of the built-in ones' texts for a view.

use serde_json::json;

use super::*;

fn rendered(template: &str, view: serde_json::Value) -> Result<String, String> {
    Templates::new([("t", template)])
        .and_then(|templates| templates.render("t", &view))
        .map_err(|error| error.to_string())
}

#[test]
fn plain_words_and_numbers_print() {
    let view = json!({"name": "shop.example", "port": 80, "path": "/a/b_c-d.conf"});
    assert_eq!(
        rendered("{{ name }}:{{ port }} {{ path }}\n", view),
        Ok("shop.example:80 /a/b_c-d.conf\n".into())
    );
}

#[test]
fn what_prints_by_accident_is_an_error_with_its_line() {
    for (value, what) in [
        (json!(null), "nothing (none)"),
        (json!(true), "a truth value"),
        (json!(["a"]), "a list or a map"),
        (json!({"a": 1}), "a list or a map"),
        (json!(""), "an empty text"),
        (
            json!("a; b"),
            "a text with characters that may mean something",
        ),
        (
            json!("a\nb"),
            "a text with characters that may mean something",
        ),
        (
            json!("$host"),
            "a text with characters that may mean something",
        ),
        (json!("ä"), "a text with characters that may mean something"),
    ] {
        let error =
            rendered("first\n{{ x }}", json!({ "x": value })).expect_err("it must not print");
        assert!(
            error.contains("template t, line 2") && error.contains(what),
            "{error}"
        );
    }
    let error = rendered("{{ nosuch }}", json!({})).expect_err("it must not print");
    assert!(error.contains("line 1"), "{error}");
}

#[test]
fn there_is_no_way_round_the_quoting() {
    for template in [
        "{{ x | safe }}",
        "{{ x | e }}",
        "{% autoescape false %}{{ x }}{% endautoescape %}",
    ] {
        assert!(
            rendered(template, json!({"x": "a; b"})).is_err(),
            "{template}"
        );
    }
}

#[test]
fn quote_writes_one_parameter_or_refuses() {
    let view = |text: &str| json!({ "x": text });
    assert_eq!(
        rendered("{{ x | quote }}", view(r#"a "b" \ ; }"#)),
        Ok(r#""a \"b\" \\ ; }""#.into())
    );
    for text in ["$host", "a\nb", "a\0"] {
        assert!(rendered("{{ x | quote }}", view(text)).is_err(), "{text:?}");
    }
    assert!(rendered("{{ x | quote }}", view(&"x".repeat(5000))).is_err());
}

#[test]
fn words_are_quoted_as_a_shell_reads_them() {
    let view = json!({"x": ["write", "it's; rm -rf", ""]});
    let line = rendered("{{ x | words }}", view).expect("it prints");
    assert_eq!(
        shell_words::split(&line),
        Ok(vec!["write".into(), "it's; rm -rf".into(), String::new()])
    );
    assert!(rendered("{{ x | words }}", json!({"x": ["a\nb"]})).is_err());
}

#[test]
fn an_error_does_not_tell_the_view() {
    let error = rendered("{{ secret }}{{ nosuch }}", json!({"secret": "hunter2"}))
        .expect_err("nosuch is unknown");
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn a_template_that_never_ends_is_stopped() {
    let endless = "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
    let error = rendered(endless, json!({})).expect_err("it must be stopped");
    assert!(error.contains("fuel"), "{error}");
}

#[test]
fn a_broken_template_is_told_with_its_line() {
    let error = Templates::new([("nginx/site.conf", "ok\n{% if %}")]).expect_err("it is broken");
    assert_eq!(
        (error.template.as_str(), error.line),
        ("nginx/site.conf", 2)
    );
}

fn users(texts: &[(&str, &str)]) -> Templates {
    Templates::with(
        &texts
            .iter()
            .map(|(name, text)| ((*name).to_owned(), Ok((*text).to_owned())))
            .collect(),
    )
}

fn faults(templates: &Templates) -> Vec<String> {
    templates.faults().map(ToString::to_string).collect()
}

#[test]
fn the_built_in_templates_stand_every_trial() {
    assert_eq!(faults(&users(&[])), [""; 0]);
}

#[test]
fn a_users_template_takes_the_place_of_the_built_in_one() {
    let part = "listen {{ http_port }};\n";
    let templates = users(&[
        ("nginx/base.conf", "{% include 'nginx/part.conf' %}"),
        ("nginx/part.conf", part),
    ]);
    assert_eq!(faults(&templates), [""; 0]);
    let view = json!({"http_port": 80});
    assert_eq!(
        templates.render("nginx/base.conf", &view),
        Ok("listen 80;\n".to_owned())
    );
}

#[test]
fn a_users_template_that_nothing_renders_is_known_with_what_was_probably_meant() {
    for (names, unused, meant) in [
        (
            &["nginx/sites.conf"][..],
            "nginx/sites.conf",
            Some("nginx/site.conf"),
        ),
        (&["site.conf"], "site.conf", Some("nginx/site.conf")),
        (
            &["ngnix/base.conf"],
            "ngnix/base.conf",
            Some("nginx/base.conf"),
        ),
        (
            &["nginx/base.conf.j2"],
            "nginx/base.conf.j2",
            Some("nginx/base.conf"),
        ),
        (&["nginx/headers.conf"], "nginx/headers.conf", None),
        // What was meant has its place already.
        (
            &["nginx/site.conf", "nginx/site.conf.bak"],
            "nginx/site.conf.bak",
            None,
        ),
    ] {
        let texts: Vec<_> = names.iter().map(|name| (*name, "# mine\n")).collect();
        assert_eq!(
            users(&texts).unused(),
            &BTreeMap::from([(unused.to_owned(), meant)])
        );
    }
    let included = [
        ("nginx/site.conf", "{% include 'nginx/one.conf' %}"),
        ("nginx/one.conf", "# mine\n"),
    ];
    assert!(users(&included).unused().is_empty() && users(&[]).unused().is_empty());
}

#[test]
fn what_is_wrong_in_any_branch_is_found_at_once() {
    for (branch, what) in [
        (
            "{% if certificate %}{{ certificate.path }}{% endif %}",
            "undefined value: certificate.path",
        ),
        (
            "{% if not certificate %}{{ host | nosuch }}{% endif %}",
            "filter nosuch is unknown",
        ),
        (
            "{% if redirect %}{{ nosuch }}{% endif %}",
            "undefined value: nosuch",
        ),
        (
            "{% for route in routes if not route.servers %}{{ nosuch() }}{% endfor %}",
            "nosuch is unknown",
        ),
        (
            "{% if routes | length > 1 %}{{ routes }}{% endif %}",
            "a list or a map",
        ),
        (
            "{% if plain == 'refuse' %}{% include 'nosuch' %}{% endif %}",
            "nosuch",
        ),
        (
            "{% for route in routes if route.scheme == 'grpcs' %}{{ uri }}{% endfor %}",
            "undefined value: uri",
        ),
        (
            "{% for route in routes if route.auth %}auth_basic {{ route.auth.realm }};{% endfor %}",
            "use `| quote`",
        ),
        (
            "{% if hsts %}a \"{{ host | quote }}\";{% endif %}",
            "inside quotes",
        ),
    ] {
        let told = faults(&users(&[("nginx/site.conf", &format!("# site\n{branch}"))]));
        assert_eq!(told.len(), 1, "{branch}: {told:?}");
        assert!(
            told[0].starts_with("template nginx/site.conf, line 2: ") && told[0].contains(what),
            "{told:?}"
        );
    }
    assert_eq!(
        faults(&users(&[(
            "command-plan.txt",
            "{% for step in steps %}{{ step }}{% endfor %}"
        )]))
        .len(),
        1
    );
}

#[test]
fn a_broken_template_is_not_replaced_by_the_built_in_one() {
    let templates = users(&[("nginx/site.conf", "ok\n{% if %}")]);
    let error = templates
        .render("nginx/site.conf", &json!({}))
        .expect_err("it is broken");
    assert_eq!(
        (error.template.as_str(), error.line),
        ("nginx/site.conf", 2)
    );
    let view = json!({"http_port": 80, "https_port": 443, "public_http_port": 80, "public_https_port": 443, "webroot": "/w", "answers": [], "trusted_proxies": [], "listens_ipv6": false,
        "certificate": null});
    assert!(
        templates.render("nginx/base.conf", &view).is_ok(),
        "another template is not concerned"
    );
}

#[test]
fn a_template_that_could_not_be_read_is_told_without_a_line_and_without_control_characters() {
    let unread = [(
        "nginx/site.conf".to_owned(),
        Err("it is \u{1b}[2J too large".to_owned()),
    )];
    let templates = Templates::with(&unread.into_iter().collect());
    assert_eq!(
        faults(&templates),
        ["template nginx/site.conf: it is \\u{1b}[2J too large"]
    );
}

#[test]
fn the_table_of_views_lists_what_templates_really_see() {
    /// Notes the names of a view and of those within it.
    fn walk(of: &str, view: &serde_json::Value, seen: &mut BTreeSet<(String, String)>) {
        match view {
            serde_json::Value::Array(each) => each.iter().for_each(|one| walk(of, one, seen)),
            serde_json::Value::Object(members) => {
                for (name, member) in members {
                    seen.insert((of.to_owned(), name.clone()));
                    let row = fields()
                        .into_iter()
                        .find(|row| row.of == of && row.name == name)
                        .expect(name);
                    walk(
                        row.kind
                            .trim_start_matches("list of ")
                            .trim_end_matches(", or none"),
                        member,
                        seen,
                    );
                }
            }
            _ => {}
        }
    }
    let mut seen = BTreeSet::new();
    for (template, view) in samples::samples() {
        let of = match template {
            "nginx/base.conf"
            | "nginx/open-gate.conf"
            | "nginx/ipv6.conf"
            | "nginx/names.conf"
            | "nginx/unknown-http.conf"
            | "nginx/unknown-https.conf" => "proxy",
            "nginx/mark.conf" => "mark",
            "nginx/site.conf" => "site",
            "mosquitto/mosquitto.conf" => "default",
            "certbot/updates.list" => "helper's line",
            "command-plan.txt" => "command plan",
            other => panic!("nobody has said what {other} sees"),
        };
        walk(
            of,
            &serde_json::to_value(view).expect("it is plain data"),
            &mut seen,
        );
    }
    let told = fields()
        .into_iter()
        .map(|row| (row.of.to_owned(), row.name.to_owned()))
        .collect();
    assert_eq!(seen, told);
}

#[test]
fn the_example_of_each_filter_renders() {
    for row in FILTERS {
        assert!(
            row.example.contains(&format!("| {}", row.name)),
            "{}",
            row.name
        );
        assert_eq!(rendered(row.example, json!({})).err(), None, "{}", row.name);
    }
}

#[test]
fn a_users_template_that_goes_round_gates_is_known() {
    let heeds = |name: &str, text: &str| {
        let users = [(name.to_owned(), Ok(text.to_owned()))].into();
        let templates = Templates::with(&users);
        assert_eq!(templates.faults().next(), None, "{name}");
        templates.heed_gates()
    };
    let built_in = |name: &str| {
        let row = BUILT_IN.iter().find(|row| row.name == name);
        row.expect("it is built in").text
    };
    let commented = format!("# mine\n{}", built_in("nginx/site.conf"));
    assert!(heeds("nginx/site.conf", &commented));
    let by_address = "proxy_pass http://{{ route.upstream }};\n";
    assert!(!heeds("nginx/route.conf", by_address));
}
