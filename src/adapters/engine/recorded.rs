use async_trait::async_trait;
use futures_util::stream::LocalBoxStream;

use super::{EVENTS, KILL, RESTART, archive, decode, exec};
use crate::{
    observe::{Bearer, Detail, EngineEvent, Interest, Way},
    ports::{DetailedEngine, Engine, EngineError, Parcel, Ran, Remarks},
    values::{ContainerId, Signal, Timestamp},
};

/// An engine made of the output of `docker inspect`: it can be looked at, and nothing happens there.
#[derive(Debug)]
pub struct RecordedEngine(Vec<Detail>);

impl RecordedEngine {
    /// Reads what `docker inspect` printed. A container that can't be read is left out, with a remark.
    ///
    /// # Errors
    /// When the text is no list, in words.
    pub fn read(text: &str, remarks: Remarks) -> Result<Self, String> {
        decode::details(text, remarks).map(Self)
    }

    /// By name, id, or the beginning of an id, as engines do.
    fn find(&self, word: &str) -> Option<&Detail> {
        let is_it = |Detail { container, .. }: &&Detail| {
            container.name.as_str() == word || container.id.as_str().starts_with(word)
        };
        self.0.iter().filter(|_| !word.is_empty()).find(is_it)
    }

    /// The container with the network that it uses, be it another's, and with the variables that are of interest.
    fn seen(&self, detail: &Detail, interest: &Interest) -> Bearer {
        let joins = detail.container.joins.as_ref();
        let owner = joins.and_then(|joins| self.find(joins.id.as_str()));
        let bearer = Bearer {
            variables: interest.variables_of(detail.environment.iter().cloned()),
            ..detail.container.clone()
        };
        bearer.joined_to(owner.map(|owner| owner.container.clone()))
    }
}

#[async_trait(?Send)]
impl Engine for RecordedEngine {
    async fn events(
        &self,
    ) -> Result<LocalBoxStream<'static, Result<EngineEvent, EngineError>>, EngineError> {
        Err(refused(EVENTS))
    }

    async fn bearers(&self, interest: &Interest) -> Result<Vec<Bearer>, EngineError> {
        let mut all: Vec<_> = self.0.iter().map(|it| self.seen(it, interest)).collect();
        all.retain(|bearer| interest.is_in(bearer));
        Ok(all)
    }

    async fn bearer(&self, word: &str, interest: &Interest) -> Result<Option<Bearer>, EngineError> {
        Ok(self.find(word).map(|found| self.seen(found, interest)))
    }

    async fn kill(&self, _: &ContainerId, _: Signal, _: Way) -> Result<Way, EngineError> {
        Err(refused(KILL))
    }

    async fn exec(&self, _: &ContainerId, _: &[String]) -> Result<Ran, EngineError> {
        Err(refused(exec::CREATE))
    }

    async fn put(&self, _: &Parcel, _: Timestamp) -> Result<(), EngineError> {
        Err(refused(archive::PUT))
    }

    async fn restart(&self, _: &ContainerId) -> Result<(), EngineError> {
        Err(refused(RESTART))
    }

    async fn ping(&self) -> Result<(), EngineError> {
        Ok(())
    }
}

#[async_trait(?Send)]
impl DetailedEngine for RecordedEngine {
    async fn details(&self) -> Result<Vec<Detail>, EngineError> {
        Ok(self.0.clone())
    }

    async fn detail(&self, word: &str) -> Result<Option<Detail>, EngineError> {
        Ok(self.find(word).cloned())
    }

    /// False: the output of `docker inspect` does not name a Swarm.
    async fn manages_swarm(&self) -> Result<bool, EngineError> {
        Ok(false)
    }
}

fn refused(call: &str) -> EngineError {
    EngineError::Refused {
        call: call.to_owned(),
        status: 501,
        message: "this is a record, not an engine".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desire::Dialects;

    #[tokio::test]
    async fn what_can_be_read_of_a_file_is_read() {
        let recorded = include_str!("../../../tests/recorded/engine/inspect-20.10.json");
        let text = format!(
            r#"[{recorded}, {{"Id":"1","Name":"/other"}}, {{"Id":"2","Name":7}}, 3,
                {{"Name":"bridge","Id":"4","Labels":{{"quaymaster.host":"a network"}}}}]"#
        );
        let engine = RecordedEngine::read(&text, |_| ()).unwrap();
        let ours: Vec<_> = engine
            .bearers(&Dialects::native("quaymaster").interest())
            .await
            .unwrap()
            .into_iter()
            .map(|c| c.name)
            .collect();
        assert_eq!(
            ours.iter().map(|name| name.as_str()).collect::<Vec<_>>(),
            ["quaymaster-test-rec-17103-m"]
        );
        for (word, found) in [
            ("other", true),
            ("1", true),
            ("2ec31d1c2b8b", true),
            ("7", false),
            ("", false),
        ] {
            assert_eq!(
                engine.inspect(word).await.unwrap().is_some(),
                found,
                "{word}"
            );
        }
        assert!(engine.events().await.is_err());
    }

    #[tokio::test]
    async fn one_that_uses_another_s_network_has_its_address() {
        let text = r#"[
            {"Id": "11", "Name": "/vpn", "NetworkSettings": {"Networks": {"web": {"NetworkID": "n", "IPAddress": "10.0.0.6"}}}},
            {"Id": "12", "Name": "/app", "Config": {"Labels": {"q.host": "a.example"}}, "HostConfig": {"NetworkMode": "container:11"}},
            {"Id": "13", "Name": "/left", "Config": {"Labels": {"q.host": "b.example"}}, "HostConfig": {"NetworkMode": "container:99"}}
        ]"#;
        let found = RecordedEngine::read(text, |_| ())
            .unwrap()
            .bearers(&Dialects::native("q").interest())
            .await
            .unwrap();
        let seen: Vec<_> = found
            .iter()
            .map(|it| {
                let owner = it.joins.as_ref().and_then(|joins| joins.name.as_ref());
                let address = it.endpoints.first().and_then(|endpoint| endpoint.address);
                (it.name.as_str(), owner.map(|name| name.as_str()), address)
            })
            .collect();
        let address = "10.0.0.6".parse().ok();
        assert_eq!(seen, [("app", Some("vpn"), address), ("left", None, None)]);
    }

    #[tokio::test]
    async fn variables_are_read_by_name_and_concern_us_as_labels_do() {
        let text = r#"[
            {"Id": "11", "Name": "/shop", "Config": {"Env": ["HOST=a.example", "PASSWORD=hidden"]}},
            {"Id": "12", "Name": "/blog", "Config": {"Env": ["PASSWORD=hidden"], "Labels": {"q.host": "b.example"}}},
            {"Id": "13", "Name": "/other", "Config": {"Env": ["PASSWORD=hidden"]}}
        ]"#;
        let engine = RecordedEngine::read(text, |_| ()).unwrap();
        let interest = Interest {
            variables: vec!["HOST"],
            ..Dialects::native("q").interest()
        };
        let found = engine.bearers(&interest).await.unwrap();
        let seen: Vec<_> = found
            .iter()
            .map(|it| (it.name.as_str(), it.variables.iter().next()))
            .collect();
        let host = ("HOST".to_owned(), "a.example".to_owned());
        assert_eq!(seen, [("shop", Some((&host.0, &host.1))), ("blog", None)]);
        let known = engine.inspect("shop").await.unwrap().unwrap();
        assert!(known.variables.is_empty(), "nobody asked for them");
    }

    #[test]
    fn what_is_no_list_is_told() {
        for text in ["", "{}", "<html>"] {
            assert!(RecordedEngine::read(text, |_| ()).is_err(), "{text}");
        }
    }
}
