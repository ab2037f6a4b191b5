//! The tables of CAs, `[ca.NAME]`: their rows, and how they are read from the file and the environment.

use std::collections::BTreeMap;

use super::{
    SettingsError,
    named_tables::{NamedTables, OwnValue, TablePlace, WrittenTables},
    table::{DefaultValue, SettingRow},
    values::{filled, folder, limit, per_second, root_name, set, truth},
};
use crate::values::{CaError, CaSettings, CaTable, Secret, email};

/// The settings of one CA.
pub const CA_SETTINGS: &[SettingRow<CaSettings>] = &[
    SettingRow {
        name: "directory",
        value: "URL",
        default: DefaultValue::Words("that of the preset of this name; else a must"),
        doc: "the URL of the CA's directory, as its documentation names it",
        example: "https://ca.corp.example/acme/directory",
        read: |ca, value| {
            let read = CaSettings::read_directory(value).map(Some);
            set(
                &mut ca.directory,
                read.map_err(|error: CaError| error.to_string()),
            )
        },
    },
    SettingRow {
        name: "root",
        value: "FILE",
        default: DefaultValue::Words("the setting ca-root"),
        doc: "PEM file whose roots are trusted in addition to the usual ones when this CA is asked",
        example: "/etc/quaymaster/corp.pem",
        read: |ca, value| set(&mut ca.root, folder(value).map(Some)),
    },
    SettingRow {
        name: "agree-tos",
        value: "BOOL",
        default: DefaultValue::Words(
            "the setting agree-tos, where this is one of the setting ca; else false",
        ),
        doc: "you agree to the terms of service of this CA",
        example: "true",
        read: |ca, value| set(&mut ca.agree_tos, truth(value).map(Some)),
    },
    SettingRow {
        name: "email",
        value: "ADDRESS",
        default: DefaultValue::Words("the setting email"),
        doc: "where this CA may write to",
        example: "certificates@corp.example",
        read: |ca, value| set(&mut ca.email, email(value).map(Some)),
    },
    SettingRow {
        name: "eab-key-id",
        value: "ID",
        default: DefaultValue::Words("none: the CA makes accounts for anybody"),
        doc: "what the CA calls the key that it gave out at its web site (external account binding). Used once, to make the \
              account",
        example: "kid-1",
        read: |ca, value| set(&mut ca.eab_key_id, filled(value).map(Some)),
    },
    SettingRow {
        name: "eab-key",
        value: "KEY",
        default: DefaultValue::Words("that in eab-key-file"),
        doc: "that key, in base64url as the CA shows it; eab-key-file keeps it out of the settings",
        example: "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wE",
        // What is wrong about it is told elsewhere, without the key.
        read: |ca, value| set(&mut ca.eab_key, Ok(Some(Secret::new(value)))),
    },
    SettingRow {
        name: "eab-key-file",
        value: "FILE",
        default: DefaultValue::Words("none"),
        doc: "a file with that key",
        example: "/run/secrets/eab",
        read: |ca, value| set(&mut ca.eab_key_file, folder(value).map(Some)),
    },
    SettingRow {
        name: "eab-algorithm",
        value: "NAME",
        default: DefaultValue::Words("HS256"),
        doc: "how that key signs: HS256, HS384 or HS512",
        example: "HS256",
        read: |ca, value| set(&mut ca.eab_algorithm, value.parse().map(Some)),
    },
    SettingRow {
        name: "chain",
        value: "ROOT",
        default: DefaultValue::Words("the CA's usual chain"),
        doc: "the root at which the chain of a new certificate is to end, where this CA offers several chains: the \
              common name of who has issued the chain's last certificate. Where no chain ends there, the usual one is \
              used, and event chain-missing lists the names that there are",
        example: "ISRG Root X1",
        read: |ca, value| set(&mut ca.chain, root_name(value).map(Some)),
    },
    SettingRow {
        name: "staging",
        value: "NAME",
        default: DefaultValue::Words("that of the preset of this name; else none"),
        doc: "the name of the CA at which `quaymaster renew --dry-run` tries out what this one would be asked for: a preset, or \
              another table [ca.NAME]",
        example: "corp-test",
        read: |ca, value| set(&mut ca.staging, filled(value).map(Some)),
    },
    SettingRow {
        name: "orders",
        value: "NUMBER/TIME",
        default: DefaultValue::Words("that of the preset of this name; else none"),
        doc: "how many new orders this CA accepts from one account within a time, or none for no limit. If renewals \
              count, too, a tenth is kept for them",
        example: "300/3h",
        read: |ca, value| set(&mut ca.orders, limit(value).map(Some)),
    },
    SettingRow {
        name: "same-names",
        value: "NUMBER/TIME",
        default: DefaultValue::Words("that of the preset of this name; else none"),
        doc: "how many certificates for exactly the same names this CA issues within a time, or none for no limit. The last \
              one is kept for a renewal, and for `quaymaster renew --force`",
        example: "5/7days",
        read: |ca, value| set(&mut ca.same_names, limit(value).map(Some)),
    },
    SettingRow {
        name: "failures",
        value: "NUMBER/TIME",
        default: DefaultValue::Words("that of the preset of this name; else none"),
        doc: "how often this CA may fail to validate one name within a time, or none for no limit",
        example: "5/1h",
        read: |ca, value| set(&mut ca.failures, limit(value).map(Some)),
    },
    SettingRow {
        name: "orders-per-second",
        value: "NUMBER",
        default: DefaultValue::Words("that of the preset of this name; else none"),
        doc: "how many new orders this CA takes in any second, or none for no limit",
        example: "9",
        read: |ca, value| set(&mut ca.orders_per_second, per_second(value).map(Some)),
    },
    SettingRow {
        name: "renewals-exempt",
        value: "BOOL",
        default: DefaultValue::Words("that of the preset of this name; else false"),
        doc: "whether orders for exactly the names of a certificate that this CA has issued do not count as new orders",
        example: "true",
        read: |ca, value| set(&mut ca.are_renewals_exempt, truth(value).map(Some)),
    },
];

/// The tables `[ca.NAME]`.
pub(super) const TABLES: NamedTables<CaSettings> = NamedTables {
    place: TablePlace {
        setting: "ca",
        own: Some(OwnValue {
            key: CaTable::DEFAULT,
            doc: "the one that is asked if no label says otherwise",
        }),
    },
    rows: CA_SETTINGS,
};

/// All CAs, from the file and, before that, the environment.
pub(super) fn read(
    written: WrittenTables,
    environment: &BTreeMap<String, String>,
) -> Result<CaTable, SettingsError> {
    let mut cas = BTreeMap::new();
    for table in TABLES.read(written, environment)? {
        cas.insert(table.name, table.settings);
    }
    Ok(CaTable::new(cas)?)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{SettingSources, Settings},
        *,
    };
    use crate::values::Issuer;

    const CORP: &str = "https://ca.corp.example/dir";

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
    fn each_row_reads_its_own_example() {
        for row in CA_SETTINGS {
            let read = (row.read)(&mut CaSettings::default(), row.example);
            assert_eq!(read, Ok(()), "{}", row.name);
        }
    }

    #[test]
    fn a_ca_is_read_from_the_file_or_the_environment_and_chosen_by_its_name() {
        let file = "[ca]
            default = \"corp-2\"
            [ca.corp-2]
            directory = \"HTTPS://CA.corp.example:443/dir\"
            root = \"/r\"
            agree-tos = true
            email = \"a@b.example\"
            chain = \" Corp Root G2 \"";
        let variables = [
            ("QUAYMASTER_CA", "corp-2"),
            ("QUAYMASTER_CA__CORP_2__DIRECTORY", CORP),
            ("QUAYMASTER_CA__CORP_2__ROOT", "/r"),
            ("QUAYMASTER_CA__CORP_2__AGREE_TOS", "yes"),
            ("QUAYMASTER_CA__CORP_2__EMAIL", "a@b.example"),
            ("QUAYMASTER_CA__CORP_2__CHAIN", "Corp Root G2"),
        ];
        let expected = CaSettings {
            directory: Some(CORP.to_owned()),
            root: Some("/r".into()),
            agree_tos: Some(true),
            email: Some("a@b.example".to_owned()),
            chain: Some("Corp Root G2".to_owned()),
            ..CaSettings::default()
        };
        let settings = read(file, &[]).expect("a CA");
        let own: Vec<_> = settings.cas.own().collect();
        assert_eq!(own, [(CORP, &expected)]);
        assert_eq!(settings.ca, Some(Issuer::Ca(CORP.to_owned()).into()));
        assert_eq!(read("", &variables), Ok(settings));
    }

    #[test]
    fn the_setting_is_a_list_of_cas_by_name_or_url() {
        let file = format!("[ca]\ndefault = \"letsencrypt corp\"\n[ca.corp]\ndirectory = {CORP:?}");
        let settings = read(&file, &[]).expect("CAs");
        let issuers = settings.ca.map(|issuers| issuers.to_string());
        assert_eq!(issuers, Some(format!("letsencrypt, {CORP}")));
        let settings = read("ca = \"zerossl, https://ca.example/dir\"", &[]).expect("CAs");
        let issuers = settings.ca.map(|issuers| issuers.to_string());
        assert_eq!(issuers.as_deref(), Some("zerossl, https://ca.example/dir"));
        for (list, problem) in [
            ("letsencrypt crop", r#""crop" is not a known CA; "#),
            ("letsencrypt none", "none stands alone"),
            ("self-signed zerossl", "self-signed stands alone"),
            ("zerossl, zerossl", "zerossl is in the list of CAs twice"),
        ] {
            let told = read(&format!("ca = {list:?}"), &[]).expect_err("no list");
            assert!(told.to_string().contains(problem), "{told}");
        }
    }

    #[test]
    fn a_variable_beats_the_file_key_by_key() {
        let file = format!("[ca.corp]\ndirectory = {CORP:?}\nemail = \"a@b.example\"");
        let settings = read(&file, &[("QUAYMASTER_CA__CORP__EMAIL", "c@d.example")]);
        let settings = settings.expect("a CA");
        let (directory, ca) = settings.cas.own().next().expect("a CA");
        assert_eq!(
            (directory, ca.email.as_deref()),
            (CORP, Some("c@d.example"))
        );
    }

    #[test]
    fn the_ca_for_trying_out_is_that_of_the_preset_or_of_the_table_and_must_be_known() {
        const TEST: &str = "https://test.corp.example/dir";
        let file = format!(
            "[ca.corp]\ndirectory = {CORP:?}\nstaging = \"corp-test\"\n[ca.corp-test]\ndirectory = {TEST:?}\n\
             [ca.google]\nstaging = \"corp-test\""
        );
        let cas = read(&file, &[]).expect("CAs").cas;
        let preset = |name: &str| {
            let mut presets = crate::values::CA_PRESETS.iter();
            presets
                .find(|preset| preset.name == name)
                .expect("a preset")
                .directory
        };
        for (directory, staging) in [
            (CORP, Some(TEST)),
            (TEST, None),
            (preset("google"), Some(TEST)),
            (preset("letsencrypt"), Some(preset("staging"))),
            (preset("staging"), Some(preset("staging"))),
            (preset("zerossl"), None),
        ] {
            assert_eq!(cas.staging_of(directory), staging, "{directory}");
        }
        assert_eq!(cas.name_of(TEST), Some("corp-test"));
        let told = read("[ca.zerossl]\nstaging = \"stagin\"", &[]).expect_err("nobody has it");
        assert!(
            told.contains(
                "[ca.zerossl]: staging = \"stagin\" is not the name of a CA; did you mean \"staging\"?"
            ),
            "{told}"
        );
    }

    #[test]
    fn limits_are_those_of_the_preset_or_of_the_table_and_a_ca_of_ones_own_has_none() {
        let file = format!(
            "[ca.letsencrypt]\norders = \"1500 / 3h\"\nsame-names = \"none\"\norders-per-second = 2\n[ca.corp]\n\
             directory = {CORP:?}\nfailures = \"1/30min\"\nrenewals-exempt = true"
        );
        let cas = read(&file, &[]).expect("CAs").cas;
        let preset = crate::values::CA_PRESETS[0];
        for (directory, expected) in [
            (
                preset.directory,
                "orders 1500/3h, failures 5/1h, orders-per-second 2, renewals-exempt",
            ),
            (CORP, "failures 1/30m, renewals-exempt"),
            ("https://another.example/dir", "none"),
        ] {
            assert_eq!(cas.limits(directory).to_string(), expected);
        }
        let usual = read("", &[]).expect("CAs").cas.limits(preset.directory);
        assert_eq!(usual, preset.limits);
        for (wrong, expected) in [
            ("orders = \"300\"", "write a number and a length of time"),
            (
                "orders = \"many/3h\"",
                "write a number and a length of time",
            ),
            ("failures = \"0/3h\"", "it must be at least 1"),
            ("failures = \"1/400days\"", "up to 365days"),
            (
                "same-names = \"5/1month\"",
                "months and years have no fixed length",
            ),
            (
                "orders-per-second = 0",
                "it must be a number from 1 to 1000, or none",
            ),
        ] {
            let told = read(&format!("[ca.letsencrypt]\n{wrong}"), &[]);
            let told = told.expect_err("it is refused");
            assert!(told.contains(expected), "{told}");
        }
    }

    #[test]
    fn what_is_wrong_in_a_table_is_told_with_its_place() {
        for (file, expected) in [
            (
                "[ca.corp]\ndirectroy = \"x\"",
                "q.toml: ca.corp.directroy: there is no such setting; did you mean directory?",
            ),
            (
                "[ca.corp]\ndirectory = \"corp\"",
                "q.toml: ca.corp.directory=\"corp\": it is not a URL; it takes URL, such as https://",
            ),
            (
                "[ca.corp]\ndirectory = \"http://ca/dir\"",
                "must begin with https://",
            ),
            (
                "[ca.corp]\ndirectory = [1]",
                "q.toml: ca.corp.directory must be a text in quotes",
            ),
            (
                "[ca.letsencrypt]\nchain = \" \"",
                "q.toml: ca.letsencrypt.chain=\" \": it is empty; it takes ROOT, such as ISRG Root X1",
            ),
            (
                "[ca.letsencrypt]\nchain = \"/etc/ssl/isrg-root-x1.pem\"",
                "it is a file or a certificate, and not the name of a root",
            ),
            ("[ca.corp]\nemail = \"a@b.example\"", "has no directory"),
            (
                "[ca]\ncorp = \"x\"",
                "q.toml: ca.corp must be a table; write [ca.corp], or default",
            ),
            ("[ca]\ndefault = \"corp\"", "q.toml: ca.default=\"corp\": "),
        ] {
            let told = read(file, &[]).expect_err("it is refused");
            assert!(told.contains(expected), "{told}");
        }
        let told = read("", &[("QUAYMASTER_CA__CORP__EMAIL", "me")]);
        let told = told.expect_err("it is refused");
        assert!(
            told.contains("QUAYMASTER_CA__CORP__EMAIL=\"me\": it is not an e-mail address"),
            "{told}"
        );
    }

    #[test]
    fn a_variable_of_a_ca_with_a_key_that_is_none_is_a_warning() {
        let environment = [("QUAYMASTER_CA__CORP__DIRECTROY", "x")];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let written = SettingSources {
            environment: environment.into(),
            ..SettingSources::default()
        };
        let (_, strangers) = Settings::read(&written).expect("a warning only");
        assert_eq!(strangers, ["QUAYMASTER_CA__CORP__DIRECTROY"]);
    }
}
