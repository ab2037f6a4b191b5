//! The program finds the container that it runs in, however that was started on a real engine.

use std::process::{Command, Output};

use serde_json::Value;

use super::real::{Made, unique};

use crate::support::program::binary;

/// The program of this build with what it is linked to.
struct Image(String);

impl Image {
    fn new() -> Self {
        let name = format!("quaymaster-test-own:{}", unique("own"));
        let script = "set -e; libs=$(ldd \"$0\" | grep -o '/[^ ]*' | grep -v : | sort -u); \
                      tar -chf - \"$0\" $libs | docker import - \"$1\"";
        let words = ["-c", script, binary(), &name];
        let Output { status, stderr, .. } = Command::new("sh").args(words).output().unwrap();
        assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
        Self(name)
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rmi", "-f", &self.0]).output();
    }
}

/// The engine's socket, mounted where the image's link would lead it elsewhere.
fn socket() -> String {
    let engine =
        std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
    format!(
        "{}:/var/run/docker.sock",
        engine
            .strip_prefix("unix://")
            .expect("the engine is on this machine")
    )
}

/// Runs `check` in a container, and returns the container's name and what was found about it, each as state and words.
fn check(image: &Image, state: &Made, options: &[&str]) -> (String, Vec<(String, String)>) {
    let (name, volume) = (unique("own"), format!("{}:/state", state.name));
    let socket = socket();
    let ours = [
        "run",
        "--rm",
        "--name",
        &name,
        "-v",
        &volume,
        "-v",
        &socket,
        "--entrypoint",
    ];
    let check = [
        "check",
        "--format",
        "json",
        "--state",
        "/state",
        "--ca",
        "https://127.0.0.1:1/directory",
    ];
    let words = [&ours[..], &[binary()], options, &[&image.0], &check].concat();
    let Output { stdout, stderr, .. } = Command::new("docker").args(&words).output().unwrap();
    let told: Value = serde_json::from_slice(&stdout).unwrap_or_else(|error| {
        panic!(
            "{options:?}: {error}: {} {}",
            String::from_utf8_lossy(&stdout),
            String::from_utf8_lossy(&stderr)
        )
    });
    let findings = told["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["about"] == "ourselves");
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let whole =
        |finding: &Value| format!("{}; {}", word(&finding["says"]), word(&finding["remedy"]));
    (
        name,
        findings
            .map(|finding| (word(&finding["state"]), whole(finding)))
            .collect(),
    )
}

#[test]
fn our_own_container_is_found_in_each_of_ten_ways_to_run_it() {
    let (image, state, folder) = (Image::new(), Made::volume(), tempfile::tempdir().unwrap());
    // Another that has something at the same places, from elsewhere; and one that others join.
    let (elsewhere, socket) = (Made::volume(), socket());
    let elsewhere = format!("{}:/state", elsewhere.name);
    let _decoy = Made::running(&["-v", &elsewhere, "-v", &socket], &["sleep", "300"]);
    let joined = Made::running(&[], &["sleep", "300"]);
    let joined = format!("container:{}", joined.name);
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let over =
        ["hosts", "hostname", "resolv.conf"].map(|name| format!("{}:/etc/{name}", file.display()));
    let over: Vec<_> = over.iter().flat_map(|mount| ["-v", mount]).collect();
    let private = ["--cgroupns", "private"];
    let hidden = [&over[..], &private, &["--hostname", "odd"]].concat();
    let sure = [&["--network", &joined][..], &private].concat();
    let ways: [(&[&str], bool); 10] = [
        (&[], false),
        (&["--hostname", "odd"], false),
        (&["--network", "host"], false),
        (&["--network", "host", "--uts", "host"], false),
        (&private, false),
        (&["--network", &joined], false),
        (&over, false),
        (
            &[
                "--read-only",
                "--cap-drop",
                "ALL",
                "--security-opt",
                "no-new-privileges",
            ],
            false,
        ),
        (&sure, true),
        (&hidden, true),
    ];
    for (options, by_mounts_alone) in ways {
        let (name, told) = check(&image, &state, options);
        let [(found, words)] = &told[..] else {
            panic!("{options:?}: {told:?}")
        };
        assert!(
            found == "ok" && words.contains(&format!("container {name},")),
            "{options:?}: {words}"
        );
        println!("{options:?}: {words}");
        assert_eq!(
            words.contains("by what is mounted into it"),
            by_mounts_alone,
            "{options:?}: {words}"
        );
    }
}

#[test]
fn a_setting_that_names_another_container_is_a_problem_with_what_to_write() {
    let (image, state) = (Image::new(), Made::volume());
    let other = Made::running(&[], &["sleep", "300"]);
    for word in [other.name.as_str(), "no-such-container"] {
        let (name, told) = check(&image, &state, &["-e", &format!("QUAYMASTER_SELF={word}")]);
        let problem = told
            .iter()
            .find(|(state, _)| state == "problem")
            .map(|(_, words)| words.as_str());
        let problem = problem.unwrap_or_else(|| panic!("{told:?}"));
        assert!(
            problem.contains(&format!("the setting self says {word:?}")),
            "{problem}"
        );
        assert!(
            problem.contains(&format!("write {name} there")),
            "{problem}"
        );
        assert!(
            told.iter()
                .any(|(state, words)| state == "ok" && words.contains(&name)),
            "{told:?}"
        );
    }
}
