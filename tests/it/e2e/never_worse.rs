//! Files that a proxy does not take: it keeps what it had, one bad part is held back alone, and everything else becomes
//! live.

use std::{thread, time::Duration};

use super::{
    docker::{docker, field, is_so, pause, try_docker, wait},
    log,
    stack::{ECHO, NGINX, SITE, SOON, Setup, Stack, write_site_template},
    visits::{Visits, all_were_served},
};

/// A user's template that nginx refuses for every host that begins with `bad`.
fn broken_for_bad() -> String {
    format!("{{% if host is startingwith \"bad\" %}}\nnosuch_directive on;\n{{% endif %}}\n{SITE}")
}

#[test]
fn one_site_that_nginx_refuses_is_held_back_and_everything_else_goes_live() {
    let stack = Stack::new(&Setup::default());
    let [good, bad, late] = ["good", "bad", "late"].map(|word| stack.host(word));
    stack.volume("templates");
    write_site_template(&stack.named("templates"), &broken_for_bad());
    stack.proxy();
    stack.app("good", &[("host", &good)]);
    let templates = format!("{}:/templates:ro", stack.named("templates"));
    stack.quaymaster_with(&["-v", &templates], &["QUAYMASTER_TEMPLATES=/templates"]);
    stack.wait_for_site(&good);
    stack.wait_for_rest();
    // Debian's own default server stays, and nobody is alarmed over that.
    stack.wait_for_event("refused", "you need not do anything");
    assert_eq!(log::count(&stack.log(), "taken-back"), 0);
    let visits = Visits::begin(stack.visitor(), stack.at(443).unwrap(), &[&good]);

    // Both in one deployment: one of them is to blame, and it is not known which.
    pause(&stack.named("quaymaster"));
    stack.app("bad", &[("host", &bad)]);
    stack.app("late", &[("host", &late)]);
    docker(&["unpause", &stack.named("quaymaster")]);
    stack.wait_for_site(&late);
    let refused = stack.wait_for_event("complaint", &bad);
    let file = format!("quaymaster-{bad}.conf");
    assert!(
        refused.words.contains(&format!("refuses {file}")),
        "{}",
        refused.words
    );
    // Whoever reads it finds nginx' own words and the template, and is not told of signals: this one was got.
    let logs = format!("`docker logs {}`", stack.named("proxy"));
    assert!(
        [logs.as_str(), "nginx/site.conf"]
            .iter()
            .all(|piece| refused.words.contains(piece)),
        "{}",
        refused.words
    );
    assert!(!refused.words.contains("signal"), "{}", refused.words);
    assert!(!stack.files("edge").contains_key(&file));
    wait(SOON, "status tells why, too", || {
        let told = stack.status();
        let held_back = &told["consumers"][stack.named("proxy")]["installed"]["trial"]["refused"];
        is_so(held_back[&file]["reason"].is_string(), || told.to_string())
    });

    // What lies there is good: a restart of the proxy would not bring it down.
    docker(&["exec", &stack.named("proxy"), "nginx", "-q", "-t"]);
    stack.wait_for_rest();
    let signals = stack.hangups();
    stack.wait_for_rest();
    assert_eq!(stack.hangups(), signals, "it is not tried again as it is");

    // The template is mended.
    write_site_template(&stack.named("templates"), SITE);
    stack.wait_for_site(&bad);
    stack.wait_for_event("complaint-over", &bad);
    all_were_served(&visits.end());
}

#[test]
fn a_configuration_that_somebody_else_has_broken_blames_nobody_and_what_is_live_goes_on() {
    let stack = Stack::new(&Setup::default());
    let (good, late) = (stack.host("good"), stack.host("late"));
    stack.proxy();
    stack.app("good", &[("host", &good)]);
    stack.quaymaster(&[]);
    stack.wait_for_site(&good);
    stack.wait_for_rest();
    let before = stack.files("edge");
    let visits = Visits::begin(stack.visitor(), stack.at(443).unwrap(), &[&good]);

    let proxy = stack.named("proxy");
    let broken = "/etc/nginx/sites-enabled/broken";
    docker(&[
        "exec",
        &proxy,
        "sh",
        "-c",
        &format!("echo 'nosuch_directive on;' > {broken}"),
    ]);
    stack.app("late", &[("host", &late)]);
    let failed = stack.wait_for_event("failed", &proxy);
    assert!(
        failed
            .words
            .contains("the previous one, which was restored"),
        "{}",
        failed.words
    );
    // It is there again and again for a moment, with growing pauses.
    wait(SOON, "the previous one, which was restored", || {
        let files = stack.files("edge");
        is_so(files.keys().eq(before.keys()), || format!("{files:?}"))
    });
    let blamed = log::about(&stack.log(), "complaint", "refuses").len();
    assert_eq!(blamed, 0, "no site is to blame");

    // Mended by whoever broke it; the next try is at most half a minute away.
    docker(&["exec", &proxy, "rm", broken]);
    wait(2 * SOON, "the late one is served", || {
        stack.https(&late).map(drop)
    });
    all_were_served(&visits.end());
}

#[test]
fn ten_kills_in_the_middle_of_its_work_cost_no_visitor_anything() {
    let stack = Stack::new(&Setup::default());
    let good = stack.host("good");
    stack.proxy();
    stack.app("good", &[("host", &good)]);
    stack.quaymaster(&[]);
    stack.wait_for_site(&good);
    let visits = Visits::begin(stack.visitor(), stack.at(443).unwrap(), &[&good]);
    let name = stack.named("quaymaster");
    let hosts: Vec<_> = (0..3)
        .map(|number| stack.host(&format!("late{number}")))
        .collect();
    for round in 0_u64..10 {
        if let Some(host) = hosts.get(usize::try_from(round).unwrap()) {
            stack.app(&format!("late{round}"), &[("host", host)]);
        }
        // Somewhere in what it does about that, another place each time.
        thread::sleep(Duration::from_millis(40 + 70 * round));
        docker(&["kill", "-s", "KILL", &name]);
        docker(&["start", &name]);
    }
    for host in &hosts {
        // An order that was cut off twice pauses for minutes, unless somebody insists.
        if stack.https(host).is_err() {
            docker(&["exec", &name, "/quaymaster", "renew", "--force", host]);
        }
        stack.wait_for_site(host);
    }
    wait(SOON, "nothing is left to do", || {
        let plan = try_docker(&["exec", &name, "/quaymaster", "plan"])?;
        is_so(plan == "# nothing to do", || plan)
    });
    assert!(
        stack.orders() <= 1 + 2 * hosts.len(),
        "{} orders for {} names",
        stack.orders(),
        1 + hosts.len()
    );
    all_were_served(&visits.end());
    let left: Vec<_> = stack
        .files("edge")
        .into_keys()
        .filter(|path| path.contains("acme-challenge/"))
        .collect();
    assert_eq!(left, [""; 0], "no token is left");
}

#[test]
fn a_first_process_that_would_swallow_signals_or_die_of_them_gets_none() {
    for init in [false, true] {
        let stack = Stack::new(&Setup::default());
        let shop = stack.host("shop");
        let edge = format!("{}:/etc/nginx/conf.d:ro", stack.named("edge"));
        let options: &[&str] = if init {
            &["--init", "-v", &edge]
        } else {
            &["-v", &edge]
        };
        stack.proxy_with(options, &["sh", "-c", "nginx -g 'daemon off;'"]);
        stack.app("shop", &[("host", &shop), ("tls", "off")]);
        stack.quaymaster(&[]);
        let told = stack.wait_for_event("complaint", "it can't be reloaded");
        let expected = if init {
            "would end the container"
        } else {
            "keeps signals for itself"
        };
        assert!(
            told.words.contains(expected) && told.words.contains("write `exec`"),
            "{}",
            told.words
        );
        stack.wait_for_event("unproven", "restart it");
        assert_eq!(stack.hangups(), 0);
        // It has its files, reads them when it starts, and that is seen.
        docker(&["restart", "-t", "1", &stack.named("proxy")]);
        stack.wait_for_event("proven", &stack.named("proxy"));
        assert_eq!(
            (stack.http(&shop, "/").unwrap().status, stack.hangups()),
            (200, 0)
        );
    }
}

#[test]
fn a_proxy_on_another_network_is_looked_at_through_its_published_ports_or_told_unproven() {
    let stack = Stack::new(&Setup::default());
    let shop = stack.host("shop");
    let gateway = docker(&[
        "network",
        "inspect",
        "--format",
        "{{(index .IPAM.Config 0).Gateway}}",
        stack.network(),
    ]);
    let aside = stack.named("aside");
    stack.make_network(&aside);
    let edge = format!("{}:/etc/nginx/conf.d:ro", stack.named("edge"));
    let start = |ports: &[&str]| {
        let label = stack.label("kind", "nginx");
        let options = ["--label", &label, "--network", &aside, "-v", &edge];
        stack.run_alone("proxy", &[&options[..], ports].concat(), NGINX);
    };
    start(&[]);
    let label = stack.label("host", &shop);
    let tls = stack.label("tls", "off");
    stack.run_alone(
        "shop",
        &["--label", &label, "--label", &tls, "--network", &aside],
        ECHO,
    );
    stack.quaymaster(&[]);
    let unproven = stack.wait_for_event("unproven", &stack.named("proxy"));
    assert!(
        unproven.words.contains("publish its ports"),
        "{}",
        unproven.words
    );
    assert!(
        stack
            .files("edge")
            .contains_key(&format!("quaymaster-{shop}.conf")),
        "it has its files all the same"
    );
    assert_eq!(log::count(&stack.log(), "taken-back"), 0);

    docker(&["rm", "-f", &stack.named("proxy")]);
    let gateway = gateway.trim();
    start(&[
        "-p",
        &format!("{gateway}::80"),
        "-p",
        &format!("{gateway}::443"),
    ]);
    stack.wait_for_event("proven", &stack.named("proxy"));
    let running = field(&stack.named("proxy"), "{{.State.Running}}");
    assert_eq!(running.trim(), "true");
    // What nobody asked for is tried after that, and is in its folder for a moment.
    wait(SOON, "what lies there is good", || {
        try_docker(&["exec", &stack.named("proxy"), "nginx", "-q", "-t"])
    });
    wait(SOON, "quaymaster rests", || {
        let lines = stack.log();
        is_so(log::count(&lines, "failed") == 0, || {
            format!("{:?}", lines.last())
        })
    });
}

#[test]
fn a_site_that_is_held_back_is_never_served_by_another_s_container() {
    let stack = Stack::new(&Setup::default());
    let [good, bad] = ["good", "bad"].map(|word| stack.host(word));
    stack.volume("templates");
    let refused = "{% for route in routes if route.body_size %}nosuch_directive on;\n{% endfor %}";
    write_site_template(&stack.named("templates"), &format!("{refused}{SITE}"));
    stack.proxy();
    for (word, host) in [("bad", &bad), ("good", &good)] {
        stack.app(word, &[("host", host), ("tls", "both")]);
    }
    let templates = format!("{}:/templates:ro", stack.named("templates"));
    stack.quaymaster_with(&["-v", &templates], &["QUAYMASTER_TEMPLATES=/templates"]);
    [&good, &bad]
        .iter()
        .for_each(|host| drop(stack.wait_for_site(host)));
    stack.wait_for_rest();
    // Another container takes the first one's place, at its address, with a label that nginx refuses. Nobody looks meanwhile:
    // who sees that the first one is gone writes a file for a site without one.
    docker(&["stop", "-t", "5", &stack.named("quaymaster")]);
    docker(&["rm", "-f", &stack.named("bad")]);
    stack.app(
        "bad",
        &[("host", &bad), ("tls", "both"), ("body-size", "1m")],
    );
    docker(&["start", &stack.named("quaymaster")]);
    stack.wait_for_event("complaint", &bad);
    stack.wait_for_rest();
    let answers = |host: &str| {
        stack
            .http(host, "/")
            .map(|answer| answer.body.lines().next().map(str::to_owned))
    };
    let is_by = |host: &str, app: &str| {
        answers(host).is_ok_and(|line| line.is_some_and(|line| line.starts_with(app)))
    };
    assert!(is_by(&bad, "bad in "), "its older file serves it");

    // Both start again, in the other order: the one gets the other's address.
    let address = |word: &str| {
        let networks = field(&stack.named(word), "{{json .NetworkSettings.Networks}}");
        let networks: serde_json::Value = serde_json::from_str(&networks).unwrap();
        networks[stack.network()]["IPAddress"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let [of_good, of_bad] = ["good", "bad"].map(address);
    let apps = ["good", "bad"].map(|word| stack.named(word));
    docker(&["stop", "-t", "0", &apps[0], &apps[1]]);
    apps.iter().for_each(|app| drop(docker(&["start", app])));
    assert_eq!(
        address("good"),
        of_bad,
        "else this test shows nothing; {of_good} was the other's"
    );
    stack.wait_for_event("step", "leads elsewhere");
    wait(SOON, "the older file is gone", || {
        is_so(!is_by(&bad, "good in ") && !is_by(&bad, "bad in "), || {
            format!("{:?}", answers(&bad))
        })
    });
    wait(SOON, "the other is served", || {
        is_so(is_by(&good, "good in "), || format!("{:?}", answers(&good)))
    });
    let told = stack.wait_for_event("complaint", "until then the name is not served");
    assert!(told.words.contains(&bad), "{}", told.words);
    let shown = docker(&["exec", &stack.named("quaymaster"), "/quaymaster", "status"]);
    assert!(shown.contains("not served now"), "{shown}");

    write_site_template(&stack.named("templates"), SITE);
    wait(SOON, "it is served by its own container", || {
        is_so(is_by(&bad, "bad in "), || format!("{:?}", answers(&bad)))
    });
}

#[test]
fn templates_that_nginx_refuses_everywhere_are_held_back_within_seconds_also_over_a_restart() {
    let stack = Stack::new(&Setup::default());
    let hosts: Vec<_> = (0..6)
        .map(|number| stack.host(&format!("app{number}")))
        .collect();
    stack.volume("templates");
    write_site_template(&stack.named("templates"), &format!("# mine\n{SITE}"));
    stack.proxy();
    for (number, host) in hosts.iter().enumerate() {
        stack.app(&format!("app{number}"), &[("host", host), ("tls", "off")]);
    }
    let templates = format!("{}:/templates:ro", stack.named("templates"));
    stack.quaymaster_with(&["-v", &templates], &["QUAYMASTER_TEMPLATES=/templates"]);
    let is_served = |host: &String| {
        stack
            .http(host, "/")
            .is_ok_and(|answer| answer.status == 200)
    };
    let are_served = |hosts: &[String]| hosts.iter().all(is_served);
    wait(SOON, "all are served", || {
        is_so(are_served(&hosts), String::new)
    });
    stack.wait_for_rest();
    let signals = stack.hangups();

    write_site_template(
        &stack.named("templates"),
        &format!("nosuch_directive on;\n{SITE}"),
    );
    let told = stack.wait_for_event(
        "complaint",
        "refuses what your templates make (nginx/site.conf)",
    );
    assert!(
        told.words.contains("the previous templates stay in use"),
        "{}",
        told.words
    );
    // All at once, and taken back. A slow one is tried again.
    let sent = stack.hangups() - signals;
    assert!((2..=4).contains(&sent), "{sent} signals");
    // A site that is served well is well, and says what is not.
    let explained = docker(&[
        "exec",
        &stack.named("quaymaster"),
        "/quaymaster",
        "explain",
        &hosts[0],
    ]);
    let explained = explained.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        explained.contains("refuses what your templates make"),
        "{explained}"
    );
    assert!(are_served(&hosts));

    // One that is broken, and quaymaster starts beside it.
    write_site_template(&stack.named("templates"), "{% if %}");
    stack.wait_for_event("template-broken", "nginx/site.conf");
    docker(&["restart", "-t", "5", &stack.named("quaymaster")]);
    let late = stack.host("late");
    stack.app("late", &[("host", &late), ("tls", "off")]);
    wait(SOON, "a new site is made with what was good", || {
        is_so(is_served(&late), String::new)
    });
    assert!(
        stack
            .text(&format!("edge/quaymaster-{late}.conf"))
            .unwrap()
            .contains("# mine\n")
    );

    write_site_template(&stack.named("templates"), &format!("# mended\n{SITE}"));
    wait(SOON, "the mended one is in use", || {
        let text = stack.text(&format!("edge/quaymaster-{late}.conf"))?;
        is_so(text.contains("# mended\n"), || text.clone())
    });
    stack.wait_for_rest();
    assert!(are_served(&hosts) && is_served(&late));
}
