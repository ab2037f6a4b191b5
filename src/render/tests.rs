//! What templates may and may not print, and what the built-in ones make of a view.

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
    assert_eq!(rendered("{{ name }}:{{ port }} {{ path }}\n", view), Ok("shop.example:80 /a/b_c-d.conf\n".into()));
}

#[test]
fn what_prints_by_accident_is_an_error_with_its_line() {
    for (value, what) in [
        (json!(null), "nothing (none)"),
        (json!(true), "a truth value"),
        (json!(["a"]), "a list or a map"),
        (json!({"a": 1}), "a list or a map"),
        (json!(""), "an empty text"),
        (json!("a; b"), "a text with characters that may mean something"),
        (json!("a\nb"), "a text with characters that may mean something"),
        (json!("$host"), "a text with characters that may mean something"),
        (json!("ä"), "a text with characters that may mean something"),
    ] {
        let error = rendered("first\n{{ x }}", json!({ "x": value })).expect_err("it must not print");
        assert!(error.contains("template t, line 2") && error.contains(what), "{error}");
    }
    let error = rendered("{{ nosuch }}", json!({})).expect_err("it must not print");
    assert!(error.contains("line 1"), "{error}");
}

#[test]
fn there_is_no_way_round_the_quoting() {
    for template in ["{{ x | safe }}", "{{ x | e }}", "{% autoescape false %}{{ x }}{% endautoescape %}"] {
        assert!(rendered(template, json!({"x": "a; b"})).is_err(), "{template}");
    }
}

#[test]
fn quote_writes_one_parameter_or_refuses() {
    let view = |text: &str| json!({ "x": text });
    assert_eq!(rendered("{{ x | quote }}", view(r#"a "b" \ ; }"#)), Ok(r#""a \"b\" \\ ; }""#.into()));
    for text in ["$host", "a\nb", "a\0"] {
        assert!(rendered("{{ x | quote }}", view(text)).is_err(), "{text:?}");
    }
    assert!(rendered("{{ x | quote }}", view(&"x".repeat(5000))).is_err());
}

#[test]
fn words_are_quoted_as_a_shell_reads_them() {
    let view = json!({"x": ["write", "it's; rm -rf", ""]});
    let line = rendered("{{ x | words }}", view).expect("it prints");
    assert_eq!(shell_words::split(&line), Ok(vec!["write".into(), "it's; rm -rf".into(), String::new()]));
    assert!(rendered("{{ x | words }}", json!({"x": ["a\nb"]})).is_err());
}

#[test]
fn an_error_does_not_tell_the_view() {
    let error = rendered("{{ secret }}{{ nosuch }}", json!({"secret": "hunter2"})).expect_err("nosuch is unknown");
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
    assert_eq!((error.template.as_str(), error.line), ("nginx/site.conf", 2));
}
