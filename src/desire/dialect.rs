//! The ways of saying on a bearer what is wanted of us: our own labels, and those that other tools read, whose names a row
//! maps onto ours. Several may stand on one bearer.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use thiserror::Error;

use super::{
    Complaint, Origin,
    complaint::shortened,
    labels::{self, LABELS, Word},
    named,
    spec::Spec,
};
use crate::{
    observe::{Bearer, Interest},
    values::{DnsName, nearest},
};

/// Another tool's labels: a row of the table.
pub struct DialectRow {
    /// The dialect's name in the setting.
    pub name: &'static str,
    /// Whose labels these are.
    pub doc: &'static str,
    /// Its labels.
    pub labels: &'static [DialectLabel],
}

/// One label of another tool.
pub struct DialectLabel {
    /// Its whole name.
    pub label: &'static str,
    /// The key of our label that it stands for, after the prefix and the dot.
    pub key: &'static str,
    /// The meaning in our own labels.
    means: Meaning,
}

/// The way in which a value of another tool's label becomes a value of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// It is the same.
    Same,
    /// Whatever it is, ours would say this.
    Always(&'static str),
    /// `true` stands for the first, `false` for the second.
    Truth(&'static str, &'static str),
}

impl DialectLabel {
    /// The name of our label with the same meaning, without the prefix.
    pub fn here(&self) -> String {
        match self.means {
            Meaning::Same => self.key.to_owned(),
            Meaning::Always(ours) | Meaning::Truth(ours, _) => format!("{}={ours}", self.key),
        }
    }
}

const fn same(label: &'static str, key: &'static str) -> DialectLabel {
    DialectLabel {
        label,
        key,
        means: Meaning::Same,
    }
}

/// The label of the container with certbot, in both articles: it is a helper by that, and has this address.
const HELPER_EMAIL: DialectLabel = same("letsencrypt_email", "email");
const IS_HELPER: DialectLabel = DialectLabel {
    label: HELPER_EMAIL.label,
    key: "kind",
    means: Meaning::Always("certbot"),
};

/// The name of our own labels in the setting.
pub const NATIVE: &str = "native";

/// The other tools whose labels are known.
pub const DIALECTS: &[DialectRow] = &[
    DialectRow {
        name: "nginx-virtual-host",
        doc: "the first article on docker-pygen with the certbot helper",
        labels: &[same("nginx-virtual-host", "host"), HELPER_EMAIL, IS_HELPER],
    },
    DialectRow {
        name: "virtual-host",
        doc: "the nginx example of docker-pygen",
        labels: &[same("virtual-host", "host"), same("context-path", "path")],
    },
    DialectRow {
        name: "routing",
        doc: "the later articles on docker-pygen, on Swarm",
        labels: &[
            same("routing-host", "host"),
            same("routing-context", "path"),
            same("routing-port", "port"),
            same("routing-internal-context", "upstream-path"),
            same("routing-max-body", "body-size"),
            same("routing-auth", "auth"),
            same("routing-auth-realm", "auth-realm"),
            DialectLabel {
                label: "routing-on-https",
                key: "scheme",
                means: Meaning::Truth("https", "http"),
            },
            HELPER_EMAIL,
            IS_HELPER,
        ],
    },
    DialectRow {
        name: "domain-automation",
        doc: "domain-automation, by the same author; its short names are completed by the setting `default-domain`",
        labels: &[
            same("discovery.domain.name", "host"),
            same("domain.automation.signal", "reload"),
            DialectLabel {
                label: "domain.automation.signal",
                key: "use",
                means: Meaning::Always("*"),
            },
        ],
    },
];

/// Whose labels are read, and how.
#[derive(Clone, Debug)]
pub struct Dialects {
    /// The prefix of our own labels, without the dot.
    pub prefix: String,
    /// The domain that completes names without a dot.
    default_domain: Option<DnsName>,
    /// The strongest first.
    read: Rc<[Dialect]>,
}

#[derive(Debug)]
enum Dialect {
    Native,
    Mapped(Vec<Mapped>),
}

#[derive(Debug)]
struct Mapped {
    label: Cow<'static, str>,
    key: &'static str,
    means: Meaning,
}

/// The reason why it is not clear whose labels to read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DialectError {
    /// The setting names one that there is not.
    #[error("dialects={name:?}: there is no dialect of that name; known are {}", known.join(", "))]
    Unknown {
        /// As it is written.
        name: String,
        /// All there are.
        known: Vec<String>,
    },
    /// A table has the name of one that there is anyway.
    #[error("[dialects.{0}]: there is a dialect of that name already; give the table another name")]
    Taken(String),
    /// A table that nobody reads.
    #[error("[dialects.{0}]: it would not be read; add {0} to the setting dialects")]
    Unread(String),
    /// A table names a label of ours that does not exist.
    #[error("[dialects.{dialect}] {key}: quaymaster has no such label{}", nearest.as_ref().map(|it| format!("; did you mean {it}?")).unwrap_or_default())]
    Key {
        /// The table.
        dialect: String,
        /// As it is written.
        key: String,
        /// The name that was probably meant.
        nearest: Option<&'static str>,
    },
    /// A table maps a label that can't be one.
    #[error(
        "[dialects.{dialect}] {key}={label:?}: {problem}; write the name of a label, such as com.example.{key}"
    )]
    Label {
        /// The table.
        dialect: String,
        /// The label of ours.
        key: String,
        /// As it is written.
        label: String,
        /// The problem with it.
        problem: &'static str,
    },
}

impl Dialects {
    /// Our own labels alone.
    pub fn native(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            default_domain: None,
            read: [Dialect::Native].into(),
        }
    }

    /// Those that are named, the strongest first; else our own, and then those of one's own. `own` has them by name: the
    /// whole names of their labels by ours.
    ///
    /// # Errors
    /// When one is named that there is not, or one of one's own can't be followed.
    pub fn new(
        prefix: &str,
        order: Option<&[String]>,
        own: &BTreeMap<String, BTreeMap<String, String>>,
        default_domain: Option<DnsName>,
    ) -> Result<Self, DialectError> {
        let mut tables = BTreeMap::new();
        for (name, table) in own {
            if name == NATIVE || DIALECTS.iter().any(|row| row.name == name) {
                return Err(DialectError::Taken(name.clone()));
            }
            if order.is_some_and(|order| !order.contains(name)) {
                return Err(DialectError::Unread(name.clone()));
            }
            tables.insert(name.as_str(), Mapped::of_table(name, table, prefix)?);
        }
        let usual = || {
            let own = own.keys().map(String::as_str);
            std::iter::once(NATIVE).chain(own).map(str::to_owned)
        };
        let order = order.map_or_else(|| usual().collect(), <[String]>::to_vec);
        let mut read = Vec::new();
        for name in order {
            let row = DIALECTS.iter().find(|row| row.name == name);
            read.push(match (row, tables.remove(name.as_str())) {
                (_, Some(table)) => Dialect::Mapped(table),
                (Some(row), None) => {
                    Dialect::Mapped(row.labels.iter().map(Mapped::of_row).collect())
                }
                (None, None) if name == NATIVE => Dialect::Native,
                (None, None) => {
                    let known = DIALECTS.iter().map(|row| row.name.to_owned());
                    let known = usual().chain(known).collect();
                    return Err(DialectError::Unknown { name, known });
                }
            });
        }
        Ok(Self {
            prefix: prefix.to_owned(),
            default_domain,
            read: read.into(),
        })
    }

    /// A name as labels have it, with the rest that goes without saying.
    pub(super) fn completed<'w>(&self, word: &'w str) -> Cow<'w, str> {
        match &self.default_domain {
            Some(domain) if !word.contains(['.', ':']) => Cow::Owned(format!("{word}.{domain}")),
            _ => Cow::Borrowed(word),
        }
    }

    /// The bearers that any of them concerns.
    pub fn interest(&self) -> Interest {
        let mut all = Interest::default();
        for dialect in &*self.read {
            match dialect {
                Dialect::Native => {
                    let of_container = LABELS.iter().filter(|row| row.is_of_container());
                    all.labels.push(format!("{}.", self.prefix));
                    all.of_image
                        .extend(of_container.map(|row| format!("{}.{}", self.prefix, row.key)));
                }
                Dialect::Mapped(labels) => {
                    let names = labels.iter().map(|mapped| mapped.label.to_string());
                    all.labels.extend(names);
                    let of_container = labels.iter().filter(|mapped| mapped.is_of_container());
                    all.of_image
                        .extend(of_container.map(|mapped| mapped.label.to_string()));
                }
            }
        }
        all
    }

    /// The words of a bearer, in all dialects together: where two say otherwise, the stronger one counts. Those of a
    /// one-off container of Compose are its service's: it asks for nothing itself, be it a shell beside an app or
    /// `nginx -t` beside a proxy.
    pub(super) fn read(&self, bearer: &Bearer, complaints: &mut BTreeSet<Complaint>) -> Spec {
        if bearer.name.is_settings() {
            return named::read(bearer);
        }
        if bearer.is_one_off() {
            return Spec::default();
        }
        let all = self.read.iter().enumerate();
        let said = all.flat_map(|(strength, dialect)| {
            let of_dialect = dialect.words(bearer, &self.prefix);
            of_dialect.map(move |word| (strength, word))
        });
        let mut contradicted = Vec::new();
        let counted = said.filter_map(|(strength, word)| {
            let Some(stronger) = self.stronger(bearer, strength, &word) else {
                return Some(word);
            };
            if stronger.value.trim() != word.value.trim() {
                contradicted.push(contradiction(bearer, &word, &stronger));
            }
            None
        });
        let spec = labels::read(bearer, counted, self, complaints);
        complaints.extend(contradicted);
        spec
    }

    /// The word of a stronger dialect about the same, on the same bearer.
    fn stronger<'a>(
        &'a self,
        bearer: &'a Bearer,
        strength: usize,
        word: &Word<'a>,
    ) -> Option<Word<'a>> {
        let mut stronger = self.read[..strength].iter();
        stronger.find_map(|dialect| dialect.word(bearer, &self.prefix, word.key))
    }
}

impl Dialect {
    /// All that a bearer says in it.
    fn words<'a>(
        &'a self,
        bearer: &'a Bearer,
        prefix: &'a str,
    ) -> Box<dyn Iterator<Item = Word<'a>> + 'a> {
        match self {
            Self::Native => Box::new(bearer.labels.iter().filter_map(move |(label, value)| {
                let key = label.strip_prefix(prefix)?.strip_prefix('.')?;
                Some(Word {
                    label: Cow::Borrowed(label),
                    key,
                    value: Cow::Borrowed(value),
                    is_ours: true,
                })
            })),
            Self::Mapped(labels) => {
                Box::new(labels.iter().filter_map(|mapped| mapped.word(bearer)))
            }
        }
    }

    /// A bearer's word in this dialect about one of our labels.
    fn word<'a>(&'a self, bearer: &'a Bearer, prefix: &str, key: &'a str) -> Option<Word<'a>> {
        match self {
            Self::Native => {
                let label = format!("{prefix}.{key}");
                Some(Word {
                    value: Cow::Borrowed(bearer.labels.get(&label)?),
                    label: Cow::Owned(label),
                    key,
                    is_ours: true,
                })
            }
            Self::Mapped(labels) => {
                let mut labels = labels.iter().filter(|mapped| mapped.key == key);
                labels.find_map(|mapped| mapped.word(bearer))
            }
        }
    }
}

impl Mapped {
    fn of_row(row: &DialectLabel) -> Self {
        Self {
            label: Cow::Borrowed(row.label),
            key: row.key,
            means: row.means,
        }
    }

    /// Those of a table of one's own.
    fn of_table(
        dialect: &str,
        table: &BTreeMap<String, String>,
        prefix: &str,
    ) -> Result<Vec<Self>, DialectError> {
        let each = table.iter().map(|(key, label)| {
            let Some(row) = LABELS.iter().find(|row| row.key == key) else {
                return Err(DialectError::Key {
                    dialect: dialect.to_owned(),
                    key: key.clone(),
                    nearest: nearest(key, LABELS.iter().map(|row| row.key)),
                });
            };
            let is_odd = |c: char| c.is_whitespace() || c.is_control() || c == '=';
            let problem = match label {
                label if label.is_empty() => Some("it is empty"),
                label if label.contains(is_odd) => {
                    Some("blanks and = can't stand in the name of a label")
                }
                label
                    if label
                        .strip_prefix(prefix)
                        .is_some_and(|rest| rest.starts_with('.')) =>
                {
                    Some("it is one of quaymaster's own labels")
                }
                _ => None,
            };
            match problem {
                Some(problem) => Err(DialectError::Label {
                    dialect: dialect.to_owned(),
                    key: key.clone(),
                    label: label.clone(),
                    problem,
                }),
                None => Ok(Self {
                    label: Cow::Owned(label.clone()),
                    key: row.key,
                    means: Meaning::Same,
                }),
            }
        });
        each.collect()
    }

    fn is_of_container(&self) -> bool {
        let mut rows = LABELS.iter().filter(|row| row.key == self.key);
        rows.any(labels::LabelRow::is_of_container)
    }

    fn word<'a>(&'a self, bearer: &'a Bearer) -> Option<Word<'a>> {
        Some(Word {
            label: Cow::Borrowed(&self.label),
            key: self.key,
            value: self.means.of(bearer.labels.get(&*self.label)?),
            is_ours: false,
        })
    }
}

impl Meaning {
    fn of(self, value: &str) -> Cow<'_, str> {
        match self {
            Self::Same => Cow::Borrowed(value),
            Self::Always(ours) => Cow::Borrowed(ours),
            Self::Truth(yes, no) => match labels::truth(value.trim()) {
                Ok(true) => Cow::Borrowed(yes),
                Ok(false) => Cow::Borrowed(no),
                // The reader of ours says what it takes.
                Err(_) => Cow::Borrowed(value),
            },
        }
    }
}

fn contradiction(bearer: &Bearer, word: &Word<'_>, stronger: &Word<'_>) -> Complaint {
    let written = bearer.labels.get(&*word.label).map_or("", String::as_str);
    let problem = format!(
        "{}={} says something else about the same, and counts",
        stronger.label,
        shortened(&stronger.value)
    );
    let remedy = "take one of them out, or change the order in the setting dialects".to_owned();
    Origin::new(&bearer.name, &word.label, written).complains(problem, remedy)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            Desired, LabelRules, Reload, desire,
            tests::{complaints, container, hosts, proxy, rules, snapshot},
        },
        *,
    };
    use crate::{fixtures::volume, values::Signal};

    fn dialects(order: &[&str]) -> Dialects {
        let order: Vec<_> = order.iter().map(|name| (*name).to_owned()).collect();
        Dialects::new("quaymaster", Some(&order), &BTreeMap::new(), None).expect("they are known")
    }

    fn table(labels: &[(&str, &str)]) -> BTreeMap<String, BTreeMap<String, String>> {
        let each = labels.iter();
        let labels = each.map(|(key, label)| ((*key).to_owned(), (*label).to_owned()));
        [("mine".to_owned(), labels.collect())].into()
    }

    fn in_words_of(dialects: Dialects, bearers: impl IntoIterator<Item = Bearer>) -> Desired {
        desire(
            &snapshot(bearers),
            &LabelRules {
                dialects,
                ..rules()
            },
        )
    }

    fn bearing(name: &str, number: u8, labels: &[(&str, &str)]) -> Bearer {
        let mut bearer = container(name, number);
        for (label, value) in labels {
            let label = (*label).to_owned();
            bearer.labels.insert(label, (*value).to_owned());
        }
        bearer
    }

    #[test]
    fn each_row_stands_for_labels_of_ours_and_each_name_stands_once() {
        for row in DIALECTS {
            assert_ne!(row.name, NATIVE);
            assert_eq!(DIALECTS.iter().filter(|it| it.name == row.name).count(), 1);
            for label in row.labels {
                let mut ours = LABELS.iter();
                assert!(ours.any(|it| it.key == label.key), "{}", label.label);
            }
        }
    }

    #[test]
    fn an_app_with_labels_of_another_tool_is_served_without_one_of_ours() {
        for (dialect, labels) in [
            (
                "nginx-virtual-host",
                &[("nginx-virtual-host", "shop.example")][..],
            ),
            (
                "virtual-host",
                &[("virtual-host", "shop.example"), ("context-path", "/")],
            ),
            (
                "routing",
                &[
                    ("routing-host", "shop.example"),
                    ("routing-port", "80"),
                    ("routing-max-body", "10m"),
                    ("routing-on-https", "true"),
                ],
            ),
            (
                "domain-automation",
                &[("discovery.domain.name", "shop.example")],
            ),
        ] {
            let desired = in_words_of(
                dialects(&["native", dialect]),
                [proxy(), bearing("shop", 4, labels)],
            );
            assert_eq!(complaints(&desired), [""; 0], "{dialect}");
            assert_eq!(hosts(&desired), ["shop.example"], "{dialect}");
            assert_eq!(desired.certificates.len(), 1, "{dialect}");
            // Nobody reads it where the setting does not say so.
            let unread = in_words_of(dialects(&["native"]), [proxy(), bearing("shop", 4, labels)]);
            assert_eq!(hosts(&unread), [""; 0], "{dialect}");
        }
    }

    #[test]
    fn a_complaint_names_the_label_as_it_is_written() {
        let shop = bearing(
            "shop",
            4,
            &[
                ("routing-host", "shop.example"),
                ("routing-port", "eighty"),
                ("routing-on-https", "perhaps"),
            ],
        );
        let desired = in_words_of(dialects(&["routing"]), [proxy(), shop]);
        let told = complaints(&desired);
        let about = |start: &str| told.iter().any(|it| it.starts_with(start));
        assert!(
            about("container shop, label routing-port=\"eighty\": it is not a port"),
            "{told:?}"
        );
        assert!(
            about("container shop, label routing-on-https=\"perhaps\": "),
            "{told:?}"
        );
        assert_eq!(told.len(), 2, "{told:?}");
    }

    #[test]
    fn of_two_that_differ_the_stronger_counts_and_the_other_is_told() {
        let shop = || {
            bearing(
                "shop",
                4,
                &[("virtual-host", "other.example"), ("context-path", "/api")],
            )
            .label("host", "shop.example")
            .label("path", " /api")
        };
        for (order, served, told) in [
            (
                ["native", "virtual-host"],
                "shop.example",
                "label virtual-host=\"other.example\": quaymaster.host=shop.example says something else",
            ),
            (
                ["virtual-host", "native"],
                "other.example",
                "label quaymaster.host=\"shop.example\": virtual-host=other.example says something else",
            ),
        ] {
            let desired = in_words_of(dialects(&order), [proxy(), shop()]);
            assert_eq!(hosts(&desired), [served]);
            // The paths are the same.
            let [complaint] = &complaints(&desired)[..] else {
                panic!("{:?}", complaints(&desired));
            };
            assert!(complaint.contains(told), "{complaint}");
        }
    }

    #[test]
    fn labels_of_two_dialects_on_one_container_add_up() {
        let shop = bearing("shop", 4, &[("virtual-host", "shop.example")]).label("port", "9000");
        let desired = in_words_of(dialects(&["native", "virtual-host"]), [proxy(), shop]);
        assert_eq!(hosts(&desired), ["shop.example"]);
        assert_eq!(complaints(&desired), [""; 0]);
        let shops = [
            bearing("first", 4, &[("virtual-host", "shop.example")]),
            container("second", 5).label("host", "shop.example"),
        ];
        let desired = in_words_of(
            dialects(&["native", "virtual-host"]),
            shops.into_iter().chain([proxy()]),
        );
        assert_eq!(hosts(&desired), ["shop.example"]);
    }

    #[test]
    fn labels_of_one_s_own_are_read_unless_the_order_leaves_them_out() {
        let own = table(&[
            ("host", "com.example.domain"),
            ("reload", "com.example.signal"),
        ]);
        let dialects = Dialects::new("quaymaster", None, &own, None).expect("a good table");
        let shop = bearing("shop", 4, &[("com.example.domain", "shop.example")]);
        let desired = in_words_of(dialects.clone(), [proxy(), shop]);
        assert_eq!(hosts(&desired), ["shop.example"]);
        let interest = dialects.interest();
        assert_eq!(
            interest.labels,
            ["quaymaster.", "com.example.domain", "com.example.signal"]
        );
        // What has something done in a container can't be said by its image.
        let mut of_image = interest.of_image.iter();
        assert!(of_image.any(|label| label == "com.example.signal"));
        assert!(!interest.of_image.contains(&"com.example.domain".to_owned()));
    }

    #[test]
    fn a_table_or_an_order_that_can_t_be_followed_is_told() {
        let new = |order: Option<&str>, own: &BTreeMap<_, _>| {
            let order: Option<Vec<_>> =
                order.map(|order| order.split(' ').map(str::to_owned).collect());
            let made = Dialects::new("quaymaster", order.as_deref(), own, None);
            made.map(|_| ()).map_err(|error| error.to_string())
        };
        for (order, own, expected) in [
            (
                Some("native routng"),
                BTreeMap::new(),
                "dialects=\"routng\": there is no dialect of that name; known are native, nginx-virtual-host, \
                 virtual-host, routing, domain-automation",
            ),
            (
                Some("native"),
                table(&[("host", "x")]),
                "[dialects.mine]: it would not be read; add mine to the setting dialects",
            ),
            (
                None,
                table(&[("hots", "x")]),
                "[dialects.mine] hots: quaymaster has no such label; did you mean host?",
            ),
            (
                None,
                table(&[("host", "a b")]),
                "[dialects.mine] host=\"a b\": blanks and = can't stand in the name of a label; write the name of a \
                 label, such as com.example.host",
            ),
            (
                None,
                table(&[("host", "quaymaster.host")]),
                "[dialects.mine] host=\"quaymaster.host\": it is one of quaymaster's own labels; write the name of a \
                 label, such as com.example.host",
            ),
            (
                None,
                [("routing".to_owned(), BTreeMap::new())].into(),
                "[dialects.routing]: there is a dialect of that name already; give the table another name",
            ),
        ] {
            assert_eq!(new(order, &own), Err(expected.to_owned()));
        }
        assert_eq!(new(Some("mine native"), &table(&[("host", "x")])), Ok(()));
    }

    #[test]
    fn whoever_asks_to_be_told_of_new_certificates_gets_the_signal_that_the_label_says() {
        let mut front = bearing("front", 3, &[("domain.automation.signal", "USR1")]);
        let shop = bearing("shop", 4, &[("discovery.domain.name", "shop.example")]);
        front
            .mounts
            .push(volume("state", "/etc/letsencrypt", false));
        let dialects = dialects(&["native", "domain-automation"]);
        let desired = in_words_of(dialects.clone(), [front.clone(), shop.clone(), proxy()]);
        let consumer = desired
            .consumers
            .values()
            .find(|it| it.name.as_str() == "front");
        let consumer = consumer.expect("it is a server");
        assert_eq!(
            consumer.reload,
            Reload::Signal("USR1".parse::<Signal>().expect("a signal"))
        );
        // Its image must not say so.
        front.of_image = ["domain.automation.signal".to_owned()].into();
        let desired = in_words_of(dialects, [front, shop, proxy()]);
        assert!(
            desired
                .consumers
                .values()
                .all(|it| it.name.as_str() != "front")
        );
        let told = complaints(&desired);
        assert!(
            told[0].contains("its image has this label with the same value"),
            "{told:?}"
        );
    }

    #[test]
    fn a_name_without_a_dot_is_completed_by_the_default_domain() {
        let domain = DnsName::parse("example.org").expect("a domain");
        let order = ["domain-automation".to_owned(), NATIVE.to_owned()];
        let own = BTreeMap::new();
        let dialects = Dialects::new("quaymaster", Some(&order), &own, Some(domain));
        let desired = in_words_of(
            dialects.expect("they are known"),
            [
                proxy(),
                bearing(
                    "shop",
                    4,
                    &[("discovery.domain.name", "shop, www.shop.example")],
                ),
                container("blog", 5).label("host", "blog"),
            ],
        );
        assert_eq!(
            hosts(&desired),
            ["blog.example.org", "shop.example.org", "www.shop.example"]
        );
    }
}
