//! Outputs of `watch`, over a record and on a disk that a test sets.

use futures_util::FutureExt;

use super::*;
use crate::{observe::BearerState, render::CertificateRecord, values::VariableNames};

/// A reader with a folder of the host's, and its environment.
const READER: &str = r#"{"Id": "1", "Name": "/reader", "State": {"Status": "running"},
    "Config": {"Env": ["PORT=80", "SECRET=hush", "PUBLIC_URL=/x"], "Labels": {"com.docker.compose.service": "readers"}},
    "Mounts": [{"Type": "bind", "Source": "/srv", "Destination": "/etc/reader", "RW": true}]}"#;

const OUT: &str = "/srv/out";

fn engine_of(containers: &[&str], files: &Rc<Files>) -> Rc<Scripted> {
    let text = format!("[{}]", containers.join(","));
    let recorded = RecordedEngine::read(&text, |_| ()).expect("it is a list");
    let (files, answer) = (Rc::clone(files), Cell::new(Answer::Code(0)));
    Rc::new(Scripted {
        recorded,
        files,
        answer,
        asked: RefCell::default(),
        manages_swarm: Some(false),
        feed: RefCell::default(),
        looks: Cell::default(),
        ended: Cell::default(),
        starts: Cell::default(),
    })
}

/// The pair of `t` and `/etc/reader/out` of the reader, which gets a HUP.
fn output(engine: &Rc<Scripted>, consumer: Option<&str>) -> Rendering {
    let engine_as_port = Rc::clone(engine) as Rc<dyn DetailedEngine>;
    let mut given = rendering(engine_as_port, &engine.files, "reader");
    given.pairs[0].target = Some("/etc/reader/out".into());
    given.output = Some(PartOfWatch {
        name: "list".to_owned(),
        consumer: consumer.map(str::to_owned),
        variables: VariableNames::parse("PORT PUBLIC_*").expect("they are names"),
        resync: Duration::from_secs(3600),
        board: Rc::default(),
    });
    given
}

fn board(given: &Rendering) -> Rc<OutputBoard> {
    let output = given.output.as_ref().expect("it is one");
    Rc::clone(&output.board)
}

/// Complaints about the output.
fn complaints(board: &OutputBoard) -> Vec<String> {
    let states = board.states();
    let all = states.values().flat_map(|state| &state.complaints);
    all.map(ToString::to_string).collect()
}

#[tokio::test]
async fn variables_are_seen_by_name_alone_in_what_inspect_tells_too() {
    let text = "{% set c = containers.first %}{{ c.env.PORT }} {{ c.env.SECRET }} {{ c.env.PUBLIC_URL }}\n\
                {% for entry in c.raw.Config.Env %}{{ entry }} {% endfor %}";
    let files = Files::new(&[("t", text)]);
    let engine = engine_of(&[READER], &files);
    output(&engine, Some("reader"))
        .once()
        .await
        .expect("it is seen");
    let expected = "80  /x\nPORT=80 PUBLIC_URL=/x ";
    assert_eq!(files.at(OUT).as_deref(), Some(expected));
}

#[tokio::test]
async fn certificates_are_seen_with_paths_as_the_consumer_sees_them_once_they_are_known() {
    let text = "{% for c in certificates %}{{ c.name }} {{ c.names.first }} {{ c.not_after }} {{ c.fullchain }}{% endfor %}";
    let record = |files: Option<[&str; 2]>| CertificateRecord {
        name: "shop".to_owned(),
        names: vec!["shop.example".to_owned()],
        not_after: "2027-01-31T08:00:00Z".to_owned(),
        files: files.map(|files| files.map(str::to_owned)),
        ..CertificateRecord::default()
    };
    let name = crate::values::ContainerName::parse("reader").expect("a name");
    let theirs = record(Some(["/certs/fullchain.pem", "/certs/privkey.pem"]));
    let known = KnownCertificates {
        plain: vec![record(None)],
        given: [(name, vec![theirs])].into(),
        ours: vec![record(Some(["/live/f", "/live/k"]))],
    };
    for (consumer, at, expected) in [
        (Some("readers"), OUT, "/certs/fullchain.pem"),
        (Some("other"), "/srv/other", "None"),
        (None, "/etc/reader/out", "/live/f"),
    ] {
        let files = Files::new(&[("t", text)]);
        let other = READER.replace("reader", "other");
        let other = other.replace("\"1\"", "\"2\"");
        let engine = engine_of(&[READER, &other], &files);
        let mut given = output(&engine, consumer);
        if consumer == Some("other") {
            given.pairs[0].target = Some("/etc/other/other".into());
        }
        let board = board(&given);
        let given = Rc::new(given);
        let mut turning = Turning::new(Rc::clone(&given));
        turning.replace(given.look().await.expect("it is seen").0);
        turning.note();
        assert_eq!(
            turning.wake(),
            None,
            "without them it would be another text"
        );
        board.hold(known.clone());
        assert!(turning.wake().is_some());
        turning.turn().await;
        let expected = format!("shop shop.example 2027-01-31T08:00:00Z {expected}");
        assert_eq!(files.at(at), Some(expected), "{consumer:?}");
    }
}

#[tokio::test]
async fn a_target_that_can_not_be_reached_is_told_with_what_to_do_and_nothing_is_written() {
    let single = r#"{"Id": "2", "Name": "/single", "State": {"Status": "running"},
        "Mounts": [{"Type": "bind", "Source": "/srv/f", "Destination": "/etc/reader/out", "RW": true}]}"#;
    let bare = r#"{"Id": "3", "Name": "/bare", "State": {"Status": "running"}, "Mounts": []}"#;
    let elsewhere = READER.replace("/srv", "/other").replace("\"1\"", "\"4\"");
    let elsewhere = elsewhere.replace("/reader\"", "/second\"");
    let elsewhere = elsewhere.replace("/etc/second\"", "/etc/reader\"");
    for (consumer, expected) in [
        (
            "nobody",
            "no container has the name or id nobody, and none is of a service called so; start it",
        ),
        (
            "single",
            "container single: /etc/reader/out is mounted by itself",
        ),
        (
            "bare",
            "container bare: its folder /etc/reader is on no volume, so nothing can be written there; in Compose, add",
        ),
        (
            "readers",
            "are both called readers, and have this file in different places; name one of them",
        ),
    ] {
        let files = Files::new(&[("t", "text")]);
        let engine = engine_of(&[READER, single, bare, &elsewhere], &files);
        let given = output(&engine, Some(consumer));
        let board = board(&given);
        let is_whole = given.once().await.expect("it is seen").is_whole;
        let told = complaints(&board);
        assert_eq!((is_whole, told.len()), (false, 1), "{told:?}");
        let is_told = told[0].starts_with("outputs.list: ")
            && told[0].contains(expected)
            && told[0].ends_with("until that is fixed, the previous file stays");
        assert!(is_told, "{told:?}");
        assert_eq!(files.at(OUT), None);
        assert_eq!(engine.asked.take(), [""; 0]);
    }
}

#[tokio::test]
async fn a_consumer_is_meant_by_its_name_or_as_a_service_of_a_project_and_by_nothing_that_others_say_of_themselves()
 {
    let one = |id: &str, labels: &str| {
        format!(
            r#"{{"Id": "{id}", "Name": "/c{id}", "State": {{"Status": "running"}}, "Config": {{"Env": ["PYGEN_TARGET=web"],
            "Labels": {{{labels}}}}}}}"#
        )
    };
    let of = |project: &str, service: &str| {
        let label = |key: &str, value: &str| format!(r#""com.docker.compose.{key}": "{value}""#);
        format!(
            "{}, {}",
            label("project", project),
            label("service", service)
        )
    };
    let one_off = format!(
        r#"{}, "com.docker.compose.oneoff": "True""#,
        of("ours", "web")
    );
    let all = [
        one("1", &of("ours", "web")),
        one("2", &of("theirs", "web")),
        one("3", &of("theirs", "c1")),
        one("4", r#""pygen.target": "web""#),
        one("5", &one_off),
        one("0123456789abcdef", &of("ours", "quaymaster")),
    ];
    let all: Vec<_> = all.iter().map(String::as_str).collect();
    for (word, own, expected) in [
        ("web", Some("0123456789abcdef"), &["c1"][..]),
        ("web", None, &["c1", "c2"]),
        ("theirs/web", Some("0123456789abcdef"), &["c2"]),
        ("c1", None, &["c1"]),
        ("2", None, &["c2"]),
        ("0123456789ab", None, &["c0123456789abcdef"]),
        ("0123456789a", None, &[]),
        ("c", None, &[]),
    ] {
        let files = Files::new(&[]);
        let engine = engine_of(&all, &files);
        let mut given = output(&engine, Some(word));
        given.own = own.map(|id| ContainerId::parse(id).expect("an id"));
        let details = given.look().await.expect("it is seen").0;
        let mut turning = Turning::new(Rc::new(given));
        turning.replace(details);
        assert_eq!(turning.who(word), expected, "{word} {own:?}");
    }
}

#[tokio::test]
async fn a_broken_template_keeps_the_file_and_is_told_with_its_line_until_it_is_mended() {
    let files = Files::new(&[("t", "\n{{ nosuch() }}"), (OUT, "before")]);
    let engine = engine_of(&[READER], &files);
    let given = output(&engine, Some("reader"));
    let board = board(&given);
    board.hold(KnownCertificates::default());
    let given = Rc::new(given);
    let mut turning = Turning::new(Rc::clone(&given));
    turning.replace(given.look().await.expect("it is seen").0);
    turning.note();
    turning.turn().await;
    let told = complaints(&board);
    assert!(
        told.len() == 1 && told[0].contains("template t, line 2: unknown function"),
        "{told:?}"
    );
    assert_eq!(files.at(OUT).as_deref(), Some("before"));
    assert!(!board.states()["list"].status.current);
    files.write("t", "mended");
    turning.render().await;
    turning.tell_state();
    assert_eq!(complaints(&board), [""; 0]);
    assert_eq!(files.at(OUT).as_deref(), Some("mended"));
}

#[tokio::test(start_paused = true)]
async fn who_ends_of_a_new_file_gets_what_was_there_before_until_the_file_changes() {
    let files = Files::new(&[("t", "deadly"), (OUT, "before")]);
    let engine = engine_of(&[READER], &files);
    let given = output(&engine, Some("reader"));
    let board = board(&given);
    board.hold(KnownCertificates::default());
    let given = Rc::new(given);
    let mut turning = Turning::new(Rc::clone(&given));
    turning.replace(given.look().await.expect("it is seen").0);
    turning.note();
    turning.turn().await;
    assert_eq!(engine.asked.take(), [TELL]);
    assert_eq!(files.at(OUT).as_deref(), Some("deadly"));
    assert!(board.states()["list"].status.owed, "it is still to be seen");
    engine.ended.set(true);
    tokio::time::sleep_until(turning.wake().expect("it is looked at")).await;
    turning.turn().await;
    assert_eq!(files.at(OUT).as_deref(), Some("before"));
    assert!(files.aside.borrow().is_empty());
    let told = complaints(&board);
    assert!(
        told.len() == 1
            && told[0].contains("reader: it ended when it was reloaded with the new file"),
        "{told:?}"
    );
    // The same is not tried again, though the reader starts again.
    engine.ended.set(false);
    turning.render().await;
    assert_eq!(files.at(OUT).as_deref(), Some("before"));
    files.write("t", "good");
    turning.note();
    tokio::time::sleep(Duration::from_secs(5)).await;
    turning.turn().await;
    assert_eq!(engine.asked.take(), [TELL]);
    tokio::time::sleep_until(turning.wake().expect("it is looked at")).await;
    turning.turn().await;
    assert_eq!(files.at(OUT).as_deref(), Some("good"));
    assert_eq!(complaints(&board), [""; 0]);
    assert!(files.aside.borrow().is_empty() && !board.states()["list"].status.owed);
}

#[tokio::test(start_paused = true)]
async fn who_starts_again_of_a_new_file_is_looked_at_twice_and_ends_again_and_again_for_nothing() {
    for (by, starts, is_kept, expected) in [
        (
            By::Signal(Signal::HUP),
            [1, 1],
            true,
            "reader ended when it was reloaded, and read the new file when it was started again",
        ),
        (
            By::Signal(Signal::HUP),
            [1, 2],
            false,
            "since it was reloaded with the new file it ends again and again",
        ),
        (By::Restart, [1, 1], true, ""),
        (
            By::Restart,
            [1, 2],
            false,
            "since it was reloaded with the new file it ends again and again",
        ),
    ] {
        let files = Files::new(&[("t", "new"), (OUT, "before")]);
        let engine = engine_of(&[READER], &files);
        let mut given = output(&engine, Some("reader"));
        given.tellings[0].by = by.clone();
        let board = board(&given);
        board.hold(KnownCertificates::default());
        let given = Rc::new(given);
        let mut turning = Turning::new(Rc::clone(&given));
        turning.replace(given.look().await.expect("it is seen").0);
        turning.note();
        turning.turn().await;
        for starts in starts {
            assert!(board.states()["list"].status.owed);
            engine.starts.set(starts);
            tokio::time::sleep_until(turning.wake().expect("it is looked at")).await;
            turning.turn().await;
        }
        let out = if is_kept { "new" } else { "before" };
        assert_eq!(files.at(OUT).as_deref(), Some(out), "{by:?} {starts:?}");
        assert!(files.aside.borrow().is_empty() && !board.states()["list"].status.owed);
        let told = complaints(&board);
        assert_eq!(told.is_empty(), expected.is_empty(), "{told:?}");
        assert!(told.iter().all(|told| told.contains(expected)), "{told:?}");
    }
}

#[tokio::test]
async fn words_that_fail_to_tell_a_consumer_take_the_new_file_back() {
    let files = Files::new(&[("t", "bad"), (OUT, "before")]);
    let engine = engine_of(&[READER], &files);
    files.write("out", "bad");
    engine.answer.set(Answer::Code(1));
    let mut given = output(&engine, Some("reader"));
    given.tellings[0].by = By::Exec(vec!["reload".to_owned()]);
    let board = board(&given);
    assert!(!given.once().await.expect("it is seen").is_whole);
    assert_eq!(files.at(OUT).as_deref(), Some("before"));
    assert_eq!(engine.asked.take(), ["1 reload"]);
    let told = complaints(&board);
    assert!(told.len() == 1 && told[0].contains("`reload`"), "{told:?}");
}

#[tokio::test]
async fn what_is_foreseen_is_not_done() {
    let files = Files::new(&[("t", "new"), (OUT, "before")]);
    let engine = engine_of(&[READER], &files);
    let mut given = output(&engine, Some("reader"));
    given.checks.push(Checking {
        target: "reader".to_owned(),
        words: vec!["look".to_owned()],
    });
    let given = [Rc::new(given)];
    let foreseen = foresee(&given).await.expect("it is seen");
    let steps: Vec<_> = foreseen[0]
        .steps
        .iter()
        .map(|step| step.join(" "))
        .collect();
    let expected = [
        "write out --into /srv",
        "check reader -- look",
        "signal reader HUP",
    ];
    assert_eq!(steps, expected);
    assert_eq!(files.at(OUT).as_deref(), Some("before"));
    assert_eq!(engine.asked.take(), [""; 0]);
    files.write("t", "before");
    let foreseen = foresee(&given).await.expect("it is seen");
    assert!(foreseen[0].steps.is_empty() && foreseen[0].complaints.is_empty());
}

#[tokio::test]
async fn whoever_gives_files_to_a_consumer_waits_until_the_other_is_done() {
    let files = Files::new(&[("t", "new")]);
    let engine = engine_of(&[READER], &files);
    let given = output(&engine, Some("reader"));
    let board = board(&given);
    let given = Rc::new(given);
    let mut turning = Turning::new(Rc::clone(&given));
    turning.replace(given.look().await.expect("it is seen").0);
    let name = crate::values::ContainerName::parse("reader").expect("a name");
    let turn = board.turn_of(&name).await;
    assert!(turning.render().now_or_never().is_none());
    assert_eq!(files.at(OUT), None);
    drop(turn);
    turning.render().await;
    assert_eq!(files.at(OUT).as_deref(), Some("new"));
}

#[tokio::test]
async fn a_template_that_takes_its_time_holds_up_nobody_else() {
    let text = "{% for i in range(1000) %}{% for j in range(1000) %}{% set k = i + j %}{% endfor %}{% endfor %}done";
    let files = Files::new(&[("t", text)]);
    let engine = engine_of(&[READER], &files);
    let given = Rc::new(output(&engine, Some("reader")));
    let mut turning = Turning::new(Rc::clone(&given));
    turning.replace(given.look().await.expect("it is seen").0);
    let mut rendering = Box::pin(turning.render());
    tokio::select! {
        biased;
        _ = &mut rendering => unreachable!("it takes a while"),
        () = tokio::task::yield_now() => {}
    }
    rendering.await;
    assert_eq!(files.at(OUT).as_deref(), Some("done"));
}

impl Turning {
    /// The names of those who are meant by a consumer's word.
    fn who(&self, word: &str) -> Vec<&str> {
        let all = self.consumers(word).into_iter();
        all.map(|container| container.name.as_str()).collect()
    }
}

/// The container once it has ended, as the engine describes it.
pub(super) fn ended(container: Bearer) -> Bearer {
    Bearer {
        state: BearerState::Other("exited".into()),
        ..container
    }
}
