//! `compose/down` where the engine does not let a network go.

use std::{env, fs, os::unix::fs::PermissionsExt};

use super::{
    docker::{docker, try_docker},
    quickstart::Copy,
    stack::MARK,
};

/// A network of a stack of which nothing else is left, and a `docker` that says this when it is to remove one.
fn down(word: &str, refusal: &str) -> (bool, String) {
    let copy = Copy(format!("{MARK}-{}-{word}", std::process::id()));
    let label = format!("com.docker.compose.project={}", copy.0);
    let network = format!("{}_default", copy.0);
    docker(&["network", "create", "--label", &label, &network]);

    let folder = tempfile::tempdir().unwrap();
    let stub = folder.path().join("docker");
    let real = String::from_utf8(
        std::process::Command::new("sh")
            .args(["-c", "command -v docker"])
            .output()
            .unwrap()
            .stdout,
    )
    .unwrap();
    let script = format!(
        "#!/bin/sh\nif [ \"$1 $2\" = \"network rm\" ]; then echo '{refusal}' >&2; exit 1; fi\nexec {} \"$@\"\n",
        real.trim()
    );
    fs::write(&stub, script).unwrap();
    fs::set_permissions(&stub, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!(
        "{}:{}",
        folder.path().display(),
        env::var("PATH").unwrap_or_default()
    );
    let said = copy.script(&["down"], &[("PATH", &path)]);
    assert!(try_docker(&["network", "inspect", &network]).is_ok());
    said
}

/// <https://github.com/moby/moby/issues/43286>
#[test]
fn a_container_that_the_engine_counts_on_a_network_for_ever_is_told_and_no_failure() {
    let (is_well, said) = down(
        "counted",
        "Error response from daemon: error while removing network: network n id 0 has active endpoints",
    );
    assert!(is_well, "{said}");
    let told = "-counted_default stays: the engine counts a container on it that is gone";
    assert!(said.contains(told), "{said}");
}

#[test]
fn another_reason_why_a_network_is_not_removed_is_a_failure() {
    let (is_well, said) = down("denied", "Error response from daemon: permission denied");
    assert!(!is_well, "{said}");
    assert!(said.contains("permission denied"), "{said}");
}
