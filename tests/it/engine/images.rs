//! Labels that came with an image: told from those of the container by one call for each image, where that is allowed.

use std::{cell::Cell, rc::Rc};

use quaymaster::{
    desire::Dialects,
    observe::Bearer,
    ports::{Engine, EngineError},
};
use serde_json::{Value, json};

use super::real::{Made, unique};
use crate::support::fake_engine::{Fake, Reply, local};

/// An id of 64 digits, all of them this one.
fn id(digit: char) -> String {
    digit.to_string().repeat(64)
}

fn container(name: &str, image: char, labels: &Value) -> Value {
    json!({"Id": name, "Name": format!("/{name}"), "Image": format!("sha256:{}", id(image)), "Config": {"Labels": labels}})
}

/// An engine with these containers, whose images all have these labels; each call for an image is answered with this
/// status.
fn engine_of(containers: Vec<Value>, labels: Value, status: Rc<Cell<u16>>) -> Fake {
    Fake::start(move |line| {
        let path = line.split(['?', ' ']).nth(1).unwrap();
        if path.starts_with("/images/") {
            return match status.get() {
                200 => Reply::new(200, json!({"Config": {"Labels": labels}}).to_string()),
                other => Reply::new(other, "<html>no</html>"),
            };
        }
        if path == "/containers/json" {
            let listed = containers
                .iter()
                .map(|it| json!({"Id": it["Id"], "Labels": it["Config"]["Labels"]}));
            return Reply::new(200, Value::from(listed.collect::<Vec<_>>()).to_string());
        }
        let named =
            |it: &&Value| path == format!("/containers/{}/json", it["Id"].as_str().unwrap());
        match containers.iter().find(named) {
            Some(found) => Reply::new(200, found.to_string()),
            None => Reply::new(404, r#"{"message": "No such container"}"#),
        }
    })
}

/// The calls for images, in their order.
fn asked(fake: &Fake) -> Vec<String> {
    let seen = fake.seen.borrow();
    let of_images = seen.iter().filter(|line| line.starts_with("GET /images/"));
    of_images.cloned().collect()
}

/// The bearers, each with the labels that it has of its image.
fn of_images(bearers: &[Bearer]) -> Vec<(&str, Vec<&str>)> {
    let mut found = Vec::new();
    for bearer in bearers {
        let labels = bearer.of_image.iter().map(String::as_str).collect();
        found.push((bearer.name.as_str(), labels));
    }
    found
}

#[tokio::test]
async fn an_image_is_asked_for_once_and_only_where_a_label_of_it_could_matter() {
    local(async {
        let of_image = json!({"q.kind": "nginx", "q.use": "*", "q.host": "a.example"});
        let containers = vec![
            container("app", '1', &json!({"q.host": "a.example", "q.port": "80"})),
            container(
                "one",
                '2',
                &json!({"q.kind": "nginx", "q.use": "b.example"}),
            ),
            container("two", '2', &json!({"q.kind": "nginx ", "q.reload": "HUP"})),
            container("three", '3', &json!({"q.host": "a.example", "q.use": "*"})),
        ];
        let fake = engine_of(containers, of_image, Rc::new(Cell::new(200)));
        let engine = fake.engine();
        for _ in 0..3 {
            let bearers = engine
                .bearers(&Dialects::native("q").interest())
                .await
                .unwrap();
            assert_eq!(
                of_images(&bearers),
                [
                    ("app", vec![]),
                    ("one", vec!["q.kind"]),
                    ("three", vec!["q.use"]),
                    ("two", vec![])
                ]
            );
        }
        let one = engine
            .bearer("one", &Dialects::native("q").interest())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(of_images(&[one]), [("one", vec!["q.kind"])]);
        // What nobody reads the labels of costs nothing.
        engine.inspect("three").await.unwrap();
        let expected = ['2', '3'].map(|image| format!("GET /images/sha256:{}/json", id(image)));
        assert_eq!(asked(&fake), expected);
    })
    .await;
}

#[tokio::test]
async fn where_images_can_not_be_seen_all_labels_count_until_they_can() {
    local(async {
        for refusal in [403, 404, 500] {
            let labels = json!({"q.kind": "nginx"});
            let status = Rc::new(Cell::new(refusal));
            let containers = ["one", "two"].map(|name| container(name, '2', &labels));
            let fake = engine_of(containers.into(), labels, Rc::clone(&status));
            let engine = fake.engine();
            let bearers = engine
                .bearers(&Dialects::native("q").interest())
                .await
                .unwrap();
            assert_eq!(of_images(&bearers), [("one", vec![]), ("two", vec![])]);
            engine
                .bearer("one", &Dialects::native("q").interest())
                .await
                .unwrap();
            assert_eq!(
                asked(&fake).len(),
                1,
                "{refusal}: an event does not have it asked for again"
            );
            status.set(200);
            let bearers = engine
                .bearers(&Dialects::native("q").interest())
                .await
                .unwrap();
            assert_eq!(
                of_images(&bearers),
                [("one", vec!["q.kind"]), ("two", vec!["q.kind"])]
            );
            assert_eq!(asked(&fake).len(), 2, "{refusal}");
        }
    })
    .await;
}

#[tokio::test]
async fn an_engine_that_breaks_off_is_lost_and_not_taken_for_one_that_forbids() {
    local(async {
        let labels = json!({"q.kind": "nginx"});
        let containers = json!([container("one", '2', &labels)]);
        let fake = Fake::start(move |line| match line.split(['?', ' ']).nth(1).unwrap() {
            "/containers/json" => {
                Reply::new(200, json!([{"Id": "one", "Labels": labels}]).to_string())
            }
            "/containers/one/json" => Reply::new(200, containers[0].to_string()),
            _ => Reply::raw(b""),
        });
        let error = fake
            .engine()
            .bearers(&Dialects::native("q").interest())
            .await
            .expect_err("it is gone");
        assert!(
            matches!(error, EngineError::Unreachable { .. }),
            "{error:?}"
        );
    })
    .await;
}

/// As images from anywhere come to be containers: by `docker run`, whose labels are the image's and those of the command.
#[tokio::test]
async fn labels_of_a_built_image_are_told_from_those_of_its_container() {
    let image = Made::image(&[
        "quaymaster.use=*",
        "quaymaster.kind=nginx",
        "quaymaster.host=a.example",
    ]);
    let name = unique("engine");
    let options = ["--label", "quaymaster.kind=nginx "];
    let _container = Made::container_of(&image.name, &name, &options);
    let engine = super::real::engine();
    let found = engine
        .bearer(&name, &Dialects::native("quaymaster").interest())
        .await
        .unwrap()
        .unwrap();
    let label = |key: &str| found.labels.get(key).map(String::as_str);
    assert_eq!(
        ["kind", "use", "host"].map(|key| label(&format!("quaymaster.{key}"))),
        [Some("nginx "), Some("*"), Some("a.example")]
    );
    assert_eq!(
        of_images(&[found]),
        [(name.as_str(), vec!["quaymaster.use"])]
    );
}
