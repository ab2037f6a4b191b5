//! Tables of the file whose names are the user's, such as `[ca.NAME]`, and the variables that stand for their keys.

use std::collections::BTreeMap;

use super::{
    SettingsError, Written, scalar,
    table::{SettingRow, VARIABLES},
};
use crate::values::nearest;

/// The written values of one table, by the row's name.
type WrittenTable = BTreeMap<&'static str, Written>;

/// The written values of each table of a kind, by its name.
pub(super) type WrittenTables = BTreeMap<String, WrittenTable>;

/// The values of the file that are settings themselves, by the row's name.
pub(super) type WrittenValues = BTreeMap<String, Written>;

/// A kind of tables.
pub(super) struct NamedTables<T: 'static> {
    /// Their place: `ca` for `[ca.NAME]`.
    pub place: TablePlace,
    /// The settings of one of them.
    pub rows: &'static [SettingRow<T>],
}

/// The place of tables in the file.
pub(super) struct TablePlace {
    /// The setting that has tables, or is them.
    pub setting: &'static str,
    /// The setting's own value among them, where it has one.
    pub own: Option<OwnValue>,
}

/// The value of a setting that has tables beside it: TOML does not let `ca` be a text beside `[ca.NAME]`.
pub(super) struct OwnValue {
    /// Its key among the tables.
    pub key: &'static str,
    /// Its meaning, in words.
    pub doc: &'static str,
}

/// One table, as it was read.
pub(super) struct NamedTable<T> {
    /// Its name.
    pub name: String,
    /// Its settings.
    pub settings: T,
    /// The rows that were written.
    pub fields: Vec<&'static str>,
}

impl TablePlace {
    /// The tables that stand here in the file, by name and with their origin. The setting's own value goes to the others.
    pub fn tables(
        &self,
        all: toml::Table,
        origin: &str,
        values: &mut WrittenValues,
    ) -> Result<Vec<(String, String, toml::Table)>, SettingsError> {
        let mut tables = Vec::new();
        for (name, value) in all {
            let origin = format!("{origin}.{name}");
            match value {
                toml::Value::Table(table) => tables.push((name, origin, table)),
                value if self.own.as_ref().is_some_and(|own| own.key == name) => {
                    let value = scalar(value, &origin)?;
                    values.insert(self.setting.to_owned(), Written { origin, value });
                }
                _ => return Err(self.no_table(&origin, &name)),
            }
        }
        Ok(tables)
    }

    fn no_table(&self, origin: &str, name: &str) -> SettingsError {
        let setting = self.setting;
        SettingsError::File(match &self.own {
            Some(OwnValue { key, doc }) => {
                format!("{origin} must be a table; write [{setting}.{name}], or {key} for {doc}")
            }
            None => format!(
                "{origin} must be a table; write [{setting}.NAME], and in it what you have there"
            ),
        })
    }

    /// The name of the table and the key that a variable is about, as in `QUAYMASTER_CA__CORP__AGREE_TOS`.
    pub fn variable(&self, name: &str) -> Option<(String, String)> {
        let setting = self.setting.to_ascii_uppercase();
        let words = name.strip_prefix(VARIABLES)?.strip_prefix(&setting)?;
        let (table, key) = words.strip_prefix("__")?.split_once("__")?;
        let [table, key] = [table, key].map(|word| word.to_ascii_lowercase().replace('_', "-"));
        Some((table, key))
    }
}

impl<T: Default> NamedTables<T> {
    fn row(&self, key: &str) -> Option<&'static SettingRow<T>> {
        self.rows.iter().find(|row| row.name == key)
    }

    /// The name of the table and the row that a variable is about.
    fn variable(&self, name: &str) -> Option<(String, &'static SettingRow<T>)> {
        let (table, key) = self.place.variable(name)?;
        Some((table, self.row(&key)?))
    }

    /// True if a variable is about one of these tables.
    pub fn is_variable(&self, name: &str) -> bool {
        self.variable(name).is_some()
    }

    /// Reads the tables in the file.
    pub fn of_file(
        &self,
        all: toml::Table,
        origin: &str,
        values: &mut WrittenValues,
    ) -> Result<WrittenTables, SettingsError> {
        let mut written = WrittenTables::new();
        for (name, origin, table) in self.place.tables(all, origin, values)? {
            written.insert(name, self.of_table(table, &origin)?);
        }
        Ok(written)
    }

    fn of_table(&self, table: toml::Table, origin: &str) -> Result<WrittenTable, SettingsError> {
        let mut written = WrittenTable::new();
        for (key, value) in table {
            let origin = format!("{origin}.{key}");
            let Some(row) = self.row(&key) else {
                let nearest = nearest(&key, self.rows.iter().map(|row| row.name));
                return Err(SettingsError::Unknown { origin, nearest });
            };
            let value = scalar(value, &origin)?;
            written.insert(row.name, Written { origin, value });
        }
        Ok(written)
    }

    /// All tables, from the file and, before that, the environment.
    pub fn read(
        &self,
        mut written: WrittenTables,
        environment: &BTreeMap<String, String>,
    ) -> Result<Vec<NamedTable<T>>, SettingsError> {
        for (name, value) in environment {
            if let Some((table, row)) = self.variable(name) {
                let (origin, value) = (name.clone(), value.clone());
                let table = written.entry(table).or_default();
                table.insert(row.name, Written { origin, value });
            }
        }
        let mut tables = Vec::new();
        for (name, written) in written {
            let mut settings = T::default();
            for row in self.rows {
                if let Some(written) = written.get(row.name) {
                    row.take(&mut settings, written)?;
                }
            }
            let fields = written.into_keys().collect();
            tables.push(NamedTable {
                name,
                settings,
                fields,
            });
        }
        Ok(tables)
    }

    /// All tables, from lines of TOML.
    pub fn of_text(&self, text: &str) -> Result<Vec<NamedTable<T>>, SettingsError> {
        let all: Result<toml::Table, toml::de::Error> = text.parse();
        let all = all.map_err(|error| SettingsError::File(error.message().to_owned()))?;
        let written = self.of_file(all, self.place.setting, &mut WrittenValues::new())?;
        self.read(written, &BTreeMap::new())
    }
}
