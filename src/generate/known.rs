use std::rc::Rc;

use crate::{observe::Detail, values::ContainerId};

/// All containers, as the engine lists them: the newest first.
#[derive(Debug, Default)]
pub(super) struct Known(Vec<Rc<Detail>>);

impl Known {
    /// Of those that the engine has listed, in its order.
    pub fn new(listed: Vec<Rc<Detail>>) -> Self {
        Self(listed)
    }

    pub fn all(&self) -> impl Iterator<Item = &Detail> {
        self.0.iter().map(Rc::as_ref)
    }

    pub fn get(&self, id: &ContainerId) -> Option<&Detail> {
        self.all().find(|known| known.container.id == *id)
    }

    /// Takes over how a container is now, or that it is gone; whether that is new.
    pub fn take(&mut self, id: &ContainerId, now: Option<Rc<Detail>>) -> bool {
        let place = self.0.iter().position(|known| known.container.id == *id);
        match (place, now) {
            (None, None) => return false,
            (Some(place), None) => drop(self.0.remove(place)),
            (Some(place), Some(now)) if self.0[place] == now => return false,
            (Some(place), Some(now)) => self.0[place] = now,
            (None, Some(now)) => {
                let is_older =
                    |known: &Rc<Detail>| known.container.created <= now.container.created;
                let place = self.0.iter().position(is_older);
                self.0.insert(place.unwrap_or(self.0.len()), now);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::engine::RecordedEngine;

    /// Containers by name, with the second in which each was made.
    async fn made(all: &[(&str, u8)]) -> Vec<Rc<Detail>> {
        use crate::ports::DetailedEngine;
        let one = |(name, second): &(&str, u8)| {
            format!(
                r#"{{"Id": "{name}", "Name": "/{name}", "Created": "2026-11-20T08:00:{second:02}Z"}}"#
            )
        };
        let text = format!("[{}]", all.iter().map(one).collect::<Vec<_>>().join(","));
        let engine = RecordedEngine::read(&text, |_| ()).expect("it is a list");
        let made = engine.details().await.expect("they are recorded");
        made.into_iter().map(Rc::new).collect()
    }

    fn names(known: &Known) -> Vec<&str> {
        known
            .all()
            .map(|detail| detail.container.name.as_str())
            .collect()
    }

    #[tokio::test]
    async fn what_is_new_stands_where_the_engine_would_list_it() {
        let mut known = Known::new(made(&[("third", 30), ("first", 10)]).await);
        for (new, expected) in [
            (("fourth", 40), &["fourth", "third", "first"][..]),
            (("second", 20), &["fourth", "third", "second", "first"]),
            (("none", 1), &["fourth", "third", "second", "first", "none"]),
        ] {
            let detail = made(&[new]).await.remove(0);
            let id = detail.container.id.clone();
            assert!(known.take(&id, Some(detail.clone())), "it is new");
            assert!(!known.take(&id, Some(detail)), "it is the same");
            assert_eq!(names(&known), expected);
        }
        let third = known
            .all()
            .nth(1)
            .expect("it is there")
            .container
            .id
            .clone();
        let changed = made(&[("third", 31)]).await.remove(0);
        assert!(known.take(&third, Some(changed)));
        assert_eq!(names(&known)[1], "third", "it stays where it is");
        assert!(known.take(&third, None) && !known.take(&third, None));
        assert_eq!(names(&known), ["fourth", "second", "first", "none"]);
    }
}
