//! The command `render` at 1,000 containers: a template that groups them twice, how soon a reader is told of a change, and what
//! watching them keeps in memory.

use std::{fs, path::Path, sync::Arc, time::Instant};

use quaymaster::render::{ContainerView, ContainersView, FilesRead, LenientTemplate, NetworkView};
use tokio::{
    runtime::Builder,
    time::{Duration, sleep},
};

use crate::{
    fake::{rest, signalled},
    floor::Floor,
    median, resident,
    support::fake_engine::local,
    table::Table,
    world::World,
};

const CONTAINERS: usize = 1000;
const ROUNDS: usize = 21;
/// Longer than changes are gathered after one that was told at once.
const GATHERED: Duration = Duration::from_secs(3);

/// As docker-pygen's users write it: an upstream for each host and path.
const TEMPLATE: &str = "\
{% for host, of_host in containers | groupby('labels.virtual-host') if host %}
{% for path, group in of_host | groupby('labels.context-path') %}
upstream {{ host }}__{{ path | replace('/', '_') }} {
{% for container in group %}
  server {{ container.networks.first_value.ip_address }}:{{ container.ports.tcp.first }};
{% endfor %}
}
{% endfor %}
{% endfor %}
";

/// Measures these.
pub fn measure(table: &mut Table) {
    let view = ContainersView {
        containers: (0..CONTAINERS).map(container).collect(),
        ..ContainersView::default()
    };
    let template = LenientTemplate::new("nginx.tmpl", TEMPLATE, None).unwrap();
    let mut took = Vec::new();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let text = template.render(&view, &FilesRead::new()).text.unwrap();
        took.push(began.elapsed().as_secs_f64() * 1000.0);
        assert_eq!(text.matches("  server ").count(), CONTAINERS);
    }
    table.figure(
        format!("render: template with groupby, {CONTAINERS} containers"),
        "ms",
        median(took),
        20.0,
    );
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(local(watched(table)));
}

/// Some 300 hosts with three paths each.
fn container(number: usize) -> ContainerView {
    let label = |name: &str, value: String| (name.to_owned(), value);
    ContainerView {
        id: format!("{number:064x}"),
        name: format!("app-{number}"),
        image: "my/app:1".to_owned(),
        status: "running".to_owned(),
        is_there: true,
        health: "healthy".to_owned(),
        labels: [
            label("virtual-host", format!("site{}.example", number % 300)),
            label("context-path", format!("/path{}", number % 3)),
        ]
        .into_iter()
        .collect(),
        networks: vec![NetworkView {
            id: "1".to_owned(),
            name: "edge".to_owned(),
            compose_name: None,
            ip_address: format!("10.1.{}.{}", number / 250, number % 250 + 1),
            inspected: Arc::default(),
        }],
        tcp: vec![8080],
        ..ContainerView::default()
    }
}

async fn watched(table: &mut Table) {
    let world = World::new();
    (0..CONTAINERS).for_each(|n| world.app(&format!("app{n}")));
    let target = world.state_folder().join("out");
    fs::create_dir_all(world.state_folder()).unwrap();
    let words = [
        "render",
        "--watch",
        "--template",
        "#{% for c in containers %}{{ c.name }} {{ c.health }}\n{% endfor %}",
        "--target",
        target.to_str().unwrap(),
        "--signal",
        "proxy",
        "HUP",
    ];
    let program = world.start_with(&words);
    let is_there = |path: &Path| fs::read_to_string(path).is_ok_and(|text| text.contains("app999"));
    program.until("it is rendered", || is_there(&target)).await;
    // What was freed goes back within a moment.
    sleep(Duration::from_secs(2)).await;
    table.figure(
        format!("render: resident memory, {CONTAINERS} containers"),
        "MiB",
        resident(program.id()),
        20.0,
    );
    let _floor = Floor::start(world.socket(), "\"floor\"", "floor");
    while world.asked("GET /events") < 2 {
        sleep(Duration::from_millis(1)).await;
    }
    let (mut ours, mut floors) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let (app, health) = (format!("app{round}"), "unhealthy");
        floors.push(signalled(&world, "floor", "floor", health).await);
        world.change(&app, |app| {
            app["State"]["Health"] = serde_json::json!({"Status": health})
        });
        ours.push(signalled(&world, &app, "proxy", health).await);
        rest(&program).await;
        // A change that comes within the time for gathering is told at its end.
        sleep(GATHERED).await;
    }
    let what = format!("render: event to signal, {CONTAINERS} containers, fake engine");
    table.beside(what, "ms", median(ours), median(floors), 6.0);
}
