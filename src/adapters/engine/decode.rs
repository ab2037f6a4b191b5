//! The engine's answers, read: what is missing or null has a default, and fields that nobody reads may be anything. What
//! has another type than expected is an error, not a default: labels that can't be read are not no labels.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use serde_json::value::RawValue;

use super::{
    meaning,
    schema::{CalledSo, Info, InspectedDetail, InspectedImage, Listed, ListedMounts},
};
use crate::{
    observe::{Bearer, Detail, Interest},
    ports::{Remark, Remarks},
    values::ContainerId,
};

/// The ids of the listed containers whose labels are of interest. A container that can't be read is left out, with a
/// remark.
///
/// # Errors
/// When the answer is no list.
pub(super) fn listed(
    answer: &[u8],
    is_of_interest: impl Fn(&BTreeMap<String, String>) -> bool,
    remarks: Remarks,
) -> Result<Vec<ContainerId>, String> {
    let list: Vec<serde_json::Value> =
        serde_json::from_slice(answer).map_err(|error| problem(&error))?;
    let read = |entry| {
        let listed: Listed = serde_json::from_value(entry).map_err(|error| problem(&error))?;
        is_of_interest(&listed.labels)
            .then(|| ContainerId::parse(listed.id).map_err(|error| error.to_string()))
            .transpose()
    };
    let told = |entry: Result<_, String>| {
        entry.unwrap_or_else(|problem| {
            remarks(Remark::ContainerLeftOut {
                problem: format!("a container is left out of the list: {problem}"),
            });
            None
        })
    };
    Ok(list.into_iter().map(read).filter_map(told).collect())
}

/// The ids of the listed containers, and where the engine says that something is mounted into each.
///
/// # Errors
/// When the answer is no list.
pub(super) fn mounted(answer: &[u8]) -> Result<Vec<(ContainerId, BTreeSet<PathBuf>)>, String> {
    let list: Vec<ListedMounts> =
        serde_json::from_slice(answer).map_err(|error| problem(&error))?;
    let read = |listed: ListedMounts| {
        let destinations = listed
            .mounts
            .into_iter()
            .map(|mount| mount.destination.into())
            .collect();
        Some((ContainerId::parse(listed.id).ok()?, destinations))
    };
    Ok(list.into_iter().filter_map(read).collect())
}

/// Reads a container from inspect's answer, with those variables that are of interest: where there are none, no
/// environment is read.
///
/// # Errors
/// When it can't be read, or what it is called can't be the name of a container.
pub(super) fn bearer(answer: &[u8], interest: &Interest) -> Result<Bearer, String> {
    let mut bearer =
        meaning::bearer(serde_json::from_slice(answer).map_err(|error| problem(&error))?)?;
    if !interest.variables.is_empty() {
        let InspectedDetail { config } =
            serde_json::from_slice(answer).map_err(|error| problem(&error))?;
        bearer.variables = interest.variables_of(variables(&config.env));
    }
    Ok(bearer)
}

/// The labels of an image.
///
/// # Errors
/// When they can't be read.
pub(super) fn labels_of_image(answer: &[u8]) -> Result<BTreeMap<String, String>, String> {
    let read: InspectedImage = serde_json::from_slice(answer).map_err(|error| problem(&error))?;
    Ok(read.config.labels)
}

/// Reads a container from inspect's answer, with its environment and all else.
///
/// # Errors
/// As [`bearer`].
pub(super) fn detail(answer: &[u8]) -> Result<Detail, String> {
    let text = std::str::from_utf8(answer).map_err(|error| error.to_string())?;
    detailed(text, problem)
}

/// The containers in what the command `docker inspect` prints, in its order. A container that can't be read is left
/// out, with a remark.
///
/// # Errors
/// When the text is no list.
pub(super) fn details(text: &str, remarks: Remarks) -> Result<Vec<Detail>, String> {
    let list: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| problem(&error))?;
    let read = |(index, entry): (usize, &RawValue)| {
        detailed(entry.get(), problem_in_list)
            .map_err(|problem| {
                let named = serde_json::from_str(entry.get());
                let name = named.map(|CalledSo { name }| name).unwrap_or_default();
                let number = index + 1;
                remarks(Remark::ContainerLeftOut {
                    problem: format!("container {number}, {name:?}, is left out: {problem}"),
                });
            })
            .ok()
    };
    Ok(list.into_iter().enumerate().filter_map(read).collect())
}

/// True if an engine says of itself that it manages a Swarm.
///
/// # Errors
/// When the answer can't be read.
pub(super) fn manages_swarm(answer: &[u8]) -> Result<bool, String> {
    let info: Info = serde_json::from_slice(answer).map_err(|error| problem(&error))?;
    Ok(info.swarm.control_available)
}

fn detailed(text: &str, problem: fn(&serde_json::Error) -> String) -> Result<Detail, String> {
    let InspectedDetail { config } = serde_json::from_str(text).map_err(|error| problem(&error))?;
    let container = meaning::bearer(serde_json::from_str(text).map_err(|error| problem(&error))?)?;
    let exposed = |ending: &str| {
        let names = config.exposed_ports.0.iter();
        names
            .filter_map(|port| port.strip_suffix(ending)?.parse().ok())
            .collect()
    };
    Ok(Detail {
        container,
        environment: variables(&config.env).collect(),
        exposed_tcp: exposed("/tcp"),
        exposed_udp: exposed("/udp"),
        image: config.image,
        inspected: text.into(),
    })
}

/// Variables; each stands there as `NAME=value`.
fn variables(entries: &[String]) -> impl Iterator<Item = (String, String)> {
    let variable = |entry: &String| {
        entry
            .split_once('=')
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    entries.iter().filter_map(variable)
}

/// The problem, without the values that stood there: they may be anybody's.
fn problem(error: &serde_json::Error) -> String {
    match error.is_data() {
        true => format!(
            "a field is of another type (line {}, column {})",
            error.line(),
            error.column()
        ),
        false => format!("it is not the JSON that was expected ({error})"),
    }
}

/// The same of one in a list, where lines are counted from its own beginning.
fn problem_in_list(error: &serde_json::Error) -> String {
    match error.is_data() {
        true => "a field is missing or of another type".to_owned(),
        false => problem(error),
    }
}

#[cfg(test)]
mod tests {
    use litemap::LiteMap;

    use super::*;

    const RECORDED_LIST: &[u8] = include_bytes!("../../../tests/recorded/engine/list-20.10.json");

    #[test]
    fn what_can_be_no_container_is_an_error_without_its_values() {
        for answer in [
            "<html>",
            "[]",
            r#"{"Id":"2e"}"#,
            r#"{"Id":"2e","Name":"/.."}"#,
            r#"{"Id":"","Name":"/shop"}"#,
            r#"{"Id":"2e","Name":"/shop","Config":{"Labels":["hidden"]}}"#,
            r#"{"Id":"2e","Name":"/shop","Config":{"Labels":"hidden"}}"#,
        ] {
            let problem = bearer(answer.as_bytes(), &Interest::default()).expect_err(answer);
            assert!(!problem.contains("hidden"), "{problem}");
        }
    }

    #[test]
    fn of_an_environment_only_the_variables_of_interest_are_read() {
        let answer = br#"{"Id":"2e","Name":"/shop","Config":{"Env":["HOST=a.example=b","PASSWORD=hidden","HOST2"]}}"#;
        let interest = Interest {
            variables: vec!["HOST", "HOST2"],
            ..Interest::default()
        };
        let read = bearer(answer, &interest).unwrap();
        let expected = ("HOST".to_owned(), "a.example=b".to_owned());
        assert_eq!(read.variables, LiteMap::from_iter([expected]));
        // Where none is, an environment may be anything.
        let odd = br#"{"Id":"2e","Name":"/shop","Config":{"Env":7}}"#;
        assert!(
            bearer(odd, &Interest::default())
                .unwrap()
                .variables
                .is_empty()
        );
        assert!(bearer(odd, &interest).is_err());
    }

    #[test]
    fn the_labels_of_an_image_are_read_where_it_has_any() {
        let read = |answer: &str| labels_of_image(answer.as_bytes());
        let labels = [("q.kind".to_owned(), "nginx".to_owned())].into();
        let text =
            r#"{"Id":"sha256:1","Config":{"Labels":{"q.kind":"nginx"},"Env":["PASSWORD=hidden"]}}"#;
        assert_eq!(read(text), Ok(labels));
        for none in [
            r#"{"Config":{"Labels":null}}"#,
            r#"{"Config":{}}"#,
            r#"{"Config":null}"#,
            "{}",
        ] {
            assert_eq!(read(none), Ok(BTreeMap::new()), "{none}");
        }
        for odd in ["<html>", "7", r#"{"Config":{"Labels":["hidden"]}}"#] {
            let problem = read(odd).expect_err(odd);
            assert!(!problem.contains("hidden"), "{problem}");
        }
    }

    #[test]
    fn a_list_gives_those_with_our_labels() {
        let read =
            |list: &[u8], word: &str| listed(list, |labels| labels.contains_key(word), |_| ());
        assert_eq!(read(RECORDED_LIST, "quaymaster.host").unwrap().len(), 1);
        assert_eq!(read(RECORDED_LIST, "quaymaster").unwrap(), []);
        assert!(read(b"{}", "quaymaster.host").is_err());
    }

    #[test]
    fn one_bad_entry_spoils_only_itself() {
        let list = br#"[{"Id":"1","Labels":{"q.host":"a"}}, {"Id":2,"Labels":{"q.host":"a"}}, 7,
            {"Id":"../x","Labels":{"q.host":"a"}}, {"Id":"3","Labels":[1]}, {"Id":"4","Labels":null},
            {"Id":"5","Labels":{"q.host":"b"},"State":{"new":"shape"}}]"#;
        let ids: Vec<_> = listed(list, |labels| labels.contains_key("q.host"), |_| ())
            .unwrap()
            .into_iter()
            .map(String::from)
            .collect();
        assert_eq!(ids, ["1", "5"]);
    }
}
