//! Forecasts before anything is done.

use serde_json::Value;

use super::stack::{Setup, Stack};

#[test]
fn plan_touches_nothing() {
    let stack = Stack::new(&Setup::default());
    let (shop, page) = (stack.host("shop"), stack.host("page"));
    stack.proxy();
    stack.app("shop", &[("host", &shop)]);
    stack.app("page", &[("host", &page), ("prot", "80")]);

    let shown = stack.command("state", &[], &["plan"]);
    let text = String::from_utf8_lossy(&shown.stdout);
    let plain = text
        .replace(&shop, "SHOP")
        .replace(&page, "PAGE")
        .replace(&stack.named("proxy"), "PROXY");
    assert_eq!(
        shown.status.code(),
        Some(3),
        "a label can't be followed: {shown:?}"
    );
    assert_eq!(plain, include_str!("plan.txt"), "{plain}");

    let shown = stack.command("state", &[], &["plan", "--format", "json"]);
    let document: Value = serde_json::from_slice(&shown.stdout).unwrap();
    let subjects: Vec<_> = document["command_plans"]
        .as_array()
        .unwrap()
        .iter()
        .map(|plan| &plan["subject"])
        .collect();
    assert_eq!(
        subjects,
        [
            &Value::from(page),
            &Value::from(stack.named("proxy")),
            &Value::from(shop.clone())
        ]
    );
    assert_eq!(
        document["complaints"][0]["label"],
        stack.key("prot"),
        "{document}"
    );

    assert_eq!(
        (stack.files("state").len(), stack.files("edge").len()),
        (0, 0)
    );
    assert_eq!((stack.orders(), stack.hangups()), (0, 0));

    // Carried out, nothing is left of it.
    stack.quaymaster(&[]);
    stack.wait_for_site(&shop);
    stack.wait_for_rest();
    let (files, hangups) = (stack.files("state"), stack.hangups());
    let shown = stack.command("state", &[], &["plan"]);
    assert_eq!(
        String::from_utf8_lossy(&shown.stdout),
        "# nothing to do until what is wrong is fixed\n"
    );
    assert_eq!((stack.files("state"), stack.hangups()), (files, hangups));
}
