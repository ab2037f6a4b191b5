//! The tables of labels of one's own, `[dialects.NAME]`: which label stands for which of ours. What ours are called is not
//! known here.

use std::collections::BTreeMap;

use super::{
    SettingsError,
    named_tables::{OwnValue, TablePlace, WrittenValues},
};

/// The tables by their name: the whole names of their labels by ours.
pub type DialectTables = BTreeMap<String, BTreeMap<String, String>>;

/// The place of the tables `[dialects.NAME]`.
pub(super) const PLACE: TablePlace = TablePlace {
    setting: "dialects",
    own: Some(OwnValue {
        key: "order",
        doc: "those that are read",
    }),
};

/// Reads the tables in the file.
pub(super) fn of_file(
    all: toml::Table,
    origin: &str,
    values: &mut WrittenValues,
) -> Result<DialectTables, SettingsError> {
    let mut tables = DialectTables::new();
    for (name, origin, table) in PLACE.tables(all, origin, values)? {
        let mut labels = BTreeMap::new();
        for (key, value) in table {
            let toml::Value::String(label) = value else {
                return Err(SettingsError::File(format!(
                    "{origin}.{key} must be the name of a label, in quotes"
                )));
            };
            labels.insert(key, label);
        }
        tables.insert(name, labels);
    }
    Ok(tables)
}

/// All of them, from the file and, before that, the environment.
pub(super) fn read(
    mut tables: DialectTables,
    environment: &BTreeMap<String, String>,
) -> DialectTables {
    for (name, label) in environment {
        if let Some((dialect, key)) = PLACE.variable(name) {
            let table = tables.entry(dialect).or_default();
            table.insert(key, label.trim().to_owned());
        }
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::super::{SettingSources, Settings};

    fn read(file: &str, environment: &[(&str, &str)]) -> Result<Settings, String> {
        let each = environment.iter();
        let written = SettingSources {
            file: Some(("q.toml".into(), file.to_owned())),
            environment: each
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            ..SettingSources::default()
        };
        let (settings, strangers) = Settings::read(&written).map_err(|error| error.to_string())?;
        assert_eq!(strangers, [""; 0]);
        Ok(settings)
    }

    #[test]
    fn tables_come_from_the_file_and_the_environment_goes_before_it() {
        let file = "[dialects]\norder = \"mine, native\"\n[dialects.mine]\nhost = \"com.example.domain\"\npath = \"p\"";
        let settings = read(
            file,
            &[
                ("QUAYMASTER_DIALECTS__MINE__PATH", "com.example.path"),
                ("QUAYMASTER_DIALECTS__MINE__BODY_SIZE", "com.example.size"),
            ],
        )
        .expect("all is good");
        let expected = [
            ("body-size", "com.example.size"),
            ("host", "com.example.domain"),
            ("path", "com.example.path"),
        ];
        let expected = expected.map(|(key, label)| (key.to_owned(), label.to_owned()));
        assert_eq!(settings.dialect_tables["mine"], expected.into());
        let order = settings.dialects.expect("it is written");
        assert_eq!(order, ["mine", "native"]);
        assert_eq!(read("", &[]).expect("nothing is wrong").dialects, None);
        let order = read(
            "dialects = \"routing\"",
            &[("QUAYMASTER_DIALECTS", "native")],
        );
        assert_eq!(
            order.expect("all is good").dialects,
            Some(vec!["native".to_owned()])
        );
    }

    #[test]
    fn what_is_no_table_of_labels_is_told() {
        for (file, expected) in [
            (
                "[dialects.mine]\nhost = 1",
                "q.toml: dialects.mine.host must be the name of a label, in quotes",
            ),
            (
                "[dialects]\nmine = \"x\"",
                "q.toml: dialects.mine must be a table; write [dialects.mine], or order for those that are read",
            ),
            ("dialects = \"\"", "there is no word in it"),
        ] {
            let error = read(file, &[]).expect_err("it must be refused");
            assert!(error.contains(expected), "{error}");
        }
    }
}
