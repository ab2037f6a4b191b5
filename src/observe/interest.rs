use litemap::LiteMap;

use super::Bearer;

/// The labels and environment variables by which bearers concern us; nobody is asked for any other variable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    /// Beginnings of labels.
    pub labels: Vec<String>,
    /// Names of variables.
    pub variables: Vec<&'static str>,
    /// Labels of which it matters whether a bearer has them of its image. Only of bearers with one of them is the image
    /// asked for.
    pub of_image: Vec<String>,
}

impl Interest {
    /// Says if a bearer with these labels may concern us. Lists and events have no variables: where some are read, each
    /// has to be looked at.
    pub fn may_be_in<'l>(&self, labels: impl IntoIterator<Item = &'l String>) -> bool {
        !self.variables.is_empty() || self.is_in_labels(labels)
    }

    /// Says if this bearer concerns us.
    pub fn is_in(&self, bearer: &Bearer) -> bool {
        let mut variables = self.variables.iter();
        self.is_in_labels(bearer.labels.keys())
            || variables.any(|name| bearer.variables.contains_key(*name))
    }

    /// Those variables of an environment that are read.
    pub fn variables_of(
        &self,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> LiteMap<String, String> {
        let is_read = |(name, _): &(String, String)| self.variables.contains(&name.as_str());
        environment.into_iter().filter(is_read).collect()
    }

    fn is_in_labels<'l>(&self, labels: impl IntoIterator<Item = &'l String>) -> bool {
        let is_ours = |label: &String| self.labels.iter().any(|start| label.starts_with(start));
        labels.into_iter().any(is_ours)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desire::tests::container;

    #[test]
    fn a_bearer_concerns_us_by_a_label_or_by_a_variable_that_is_read() {
        let interest = |labels: &[&str], variables: &[&'static str]| Interest {
            labels: labels.iter().map(|start| (*start).to_owned()).collect(),
            variables: variables.to_vec(),
            of_image: Vec::new(),
        };
        let labelled = container("shop", 4).label("host", "shop.example");
        let mut spoken = container("blog", 5);
        spoken.variables.insert("HOST".to_owned(), String::new());
        let bare = container("bare", 6);
        for (interest, may_be, is) in [
            (
                interest(&["quaymaster."], &[]),
                [true, false, false],
                [true, false, false],
            ),
            (
                interest(&["quaymaster"], &[]),
                [true, false, false],
                [true, false, false],
            ),
            (interest(&["quay."], &[]), [false; 3], [false; 3]),
            (interest(&[], &["HOST"]), [true; 3], [false, true, false]),
            (
                interest(&["quaymaster."], &["PORT"]),
                [true; 3],
                [true, false, false],
            ),
            (
                interest(&["quaymaster."], &["PORT", "HOST"]),
                [true; 3],
                [true, true, false],
            ),
            (interest(&[], &[]), [false; 3], [false; 3]),
        ] {
            let all = [&labelled, &spoken, &bare];
            assert_eq!(
                all.map(|it| interest.may_be_in(it.labels.keys())),
                may_be,
                "{interest:?}"
            );
            assert_eq!(all.map(|it| interest.is_in(it)), is, "{interest:?}");
        }
    }

    #[test]
    fn of_an_environment_only_what_is_read_is_taken() {
        let environment = [("HOST", "a.example"), ("PASSWORD", "hidden")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let interest = Interest {
            variables: vec!["HOST", "PORT"],
            ..Interest::default()
        };
        let read: Vec<_> = interest
            .variables_of(environment.clone())
            .into_iter()
            .collect();
        assert_eq!(read, [("HOST".to_owned(), "a.example".to_owned())]);
        assert!(Interest::default().variables_of(environment).is_empty());
    }
}
