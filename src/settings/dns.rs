//! The tables of ways to set TXT records, `[dns.NAME]`: their rows, and how they are read from the file and the environment.

use std::collections::BTreeMap;

use super::{
    SettingsError,
    named_tables::{NamedTables, OwnValue, TablePlace, WrittenTables},
    table::{DefaultValue, SettingRow},
    values::{domain, duration, filled, folder, set, some_words},
};
use crate::values::{DnsProvider, DnsSettings, DnsTable, Secret, TsigAlgorithm};

/// The settings of one way to set records.
pub const DNS_SETTINGS: &[SettingRow<DnsSettings>] = &[
    SettingRow {
        name: "provider",
        value: "NAME",
        default: DefaultValue::Words("none: a must"),
        doc: "how records are set: one of the table below",
        example: "rfc2136",
        read: |dns, value| set(&mut dns.provider, DnsProvider::parse(value).map(Some)),
    },
    SettingRow {
        name: "server",
        value: "HOST[:PORT]",
        default: DefaultValue::Words("none; rfc2136 needs it"),
        doc: "the server that takes updates: the primary of the zone. Without a port it is 53",
        example: "ns1.corp.example",
        read: |dns, value| set(&mut dns.server, filled(value).map(Some)),
    },
    SettingRow {
        name: "key-name",
        value: "NAME",
        default: DefaultValue::Words("none; rfc2136 needs it"),
        doc: "what that server calls the key (TSIG)",
        example: "quaymaster",
        read: |dns, value| set(&mut dns.key_name, filled(value).map(Some)),
    },
    SettingRow {
        name: "key",
        value: "KEY",
        default: DefaultValue::Words("that in key-file"),
        doc: "the key, in base64 as the server's configuration has it; key-file keeps it out of the settings",
        example: "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wE=",
        // What is wrong about it is told elsewhere, without the key.
        read: |dns, value| set(&mut dns.key, Ok(Some(Secret::new(value)))),
    },
    SettingRow {
        name: "key-file",
        value: "FILE",
        default: DefaultValue::Words("none"),
        doc: "a file with that key",
        example: "/run/secrets/tsig",
        read: |dns, value| set(&mut dns.key_file, folder(value).map(Some)),
    },
    SettingRow {
        name: "key-algorithm",
        value: "NAME",
        default: DefaultValue::Words("hmac-sha256"),
        doc: "how that key signs: hmac-sha256, hmac-sha384 or hmac-sha512",
        example: "hmac-sha512",
        read: |dns, value| set(&mut dns.key_algorithm, TsigAlgorithm::parse(value)),
    },
    SettingRow {
        name: "url",
        value: "URL",
        default: DefaultValue::Words("that of the provider; httpreq and powerdns need it"),
        doc: "where the provider's interface is asked, without what it puts behind it: `http://10.0.0.1:8081` for powerdns",
        example: "https://acme-dns.corp.example",
        // It may have a password in it, so what is wrong about it is told elsewhere.
        read: |dns, value| {
            set(
                &mut dns.url,
                Ok(Some(value.trim_end_matches('/').to_owned())),
            )
        },
    },
    SettingRow {
        name: "root",
        value: "FILE",
        default: DefaultValue::Words("none"),
        doc: "PEM file whose roots are trusted in addition to the usual ones when that URL is asked",
        example: "/etc/quaymaster/corp.pem",
        read: |dns, value| set(&mut dns.root, folder(value).map(Some)),
    },
    SettingRow {
        name: "token",
        value: "TOKEN",
        default: DefaultValue::Words("that in token-file"),
        doc: "the token of the interface, for powerdns its api-key; token-file keeps it out of the settings",
        example: "v1-3f6c0a",
        read: |dns, value| set(&mut dns.token, Ok(Some(Secret::new(value)))),
    },
    SettingRow {
        name: "token-file",
        value: "FILE",
        default: DefaultValue::Words("none"),
        doc: "a file with that token",
        example: "/run/secrets/dns-token",
        read: |dns, value| set(&mut dns.token_file, folder(value).map(Some)),
    },
    SettingRow {
        name: "username",
        value: "NAME",
        default: DefaultValue::Words("none; acme-dns needs it"),
        doc: "the name that the interface wants beside the password",
        example: "c36f50e8-4632-44f0-83fe-e070fef28a10",
        read: |dns, value| set(&mut dns.username, filled(value).map(Some)),
    },
    SettingRow {
        name: "password",
        value: "PASSWORD",
        default: DefaultValue::Words("that in password-file"),
        doc: "the password of that name; password-file keeps it out of the settings",
        example: "htB9mR9DYgcu9bX_afHF62erXaH2TS7bg9KW3F7Z",
        read: |dns, value| set(&mut dns.password, Ok(Some(Secret::new(value)))),
    },
    SettingRow {
        name: "password-file",
        value: "FILE",
        default: DefaultValue::Words("none"),
        doc: "a file with that password",
        example: "/run/secrets/dns-password",
        read: |dns, value| set(&mut dns.password_file, folder(value).map(Some)),
    },
    SettingRow {
        name: "mode",
        value: "WORD",
        default: DefaultValue::Words("record"),
        doc: "what httpreq is given: `record`, the record's name and text; or `raw` (lego's `HTTPREQ_MODE=RAW`), the name that is \
              proven, the token and the key authorization, of which the program makes the record",
        example: "raw",
        read: |dns, value| set(&mut dns.is_raw, mode(value)),
    },
    SettingRow {
        name: "subdomain",
        value: "NAME",
        default: DefaultValue::Words("none; acme-dns needs it"),
        doc: "the `subdomain` that the acme-dns server gave at the registration",
        example: "8e5700ea-a4bf-41c7-8a77-e990661dcc6a",
        read: |dns, value| {
            set(
                &mut dns.subdomain,
                filled(value).map(|name| Some(name.to_ascii_lowercase())),
            )
        },
    },
    SettingRow {
        name: "command",
        value: "WORDS",
        default: DefaultValue::Words("none; exec needs it"),
        doc: "a program that sets records, by its absolute path, with further words; `present` or `cleanup`, the \
              record's name and its text follow, and no shell reads them",
        example: "/usr/local/bin/dns-hook --quiet",
        read: |dns, value| set(&mut dns.command, program(value)),
    },
    SettingRow {
        name: "remove-command",
        value: "WORDS",
        default: DefaultValue::Words("none: `command` does both"),
        doc: "another program that removes records; both get no further words then, but certbot's variables",
        example: "/usr/local/bin/cleanup-hook",
        read: |dns, value| set(&mut dns.remove_command, program(value)),
    },
    SettingRow {
        name: "zone",
        value: "NAME",
        default: DefaultValue::Words("found out: the nearest name above that has a SOA record"),
        doc: "the zone that records are set in",
        example: "acme.corp.example",
        read: |dns, value| {
            set(
                &mut dns.zone,
                domain(value).map(|zone| Some(zone.as_str().to_owned())),
            )
        },
    },
    SettingRow {
        name: "nameservers",
        value: "HOST[:PORT]…",
        default: DefaultValue::Words("those that the zone names (NS)"),
        doc: "the servers at which a record has to be seen before the CA is asked, for zones that look otherwise from inside \
              your network",
        example: "ns1.corp.example, ns2.corp.example",
        read: |dns, value| set(&mut dns.nameservers, some_words(value)),
    },
    SettingRow {
        name: "wait",
        value: "TIME",
        default: DefaultValue::Words("0s"),
        doc: "how long a record stands before the CA is asked to look, at least: for zones whose servers are not all seen from \
              here, as those behind one address",
        example: "2m",
        read: |dns, value| set(&mut dns.wait, duration(value)),
    },
];

/// True for lego's mode RAW.
fn mode(value: &str) -> Result<bool, String> {
    match value.to_ascii_lowercase().as_str() {
        "record" => Ok(false),
        "raw" => Ok(true),
        _ => Err("there is no such mode; write record or raw".to_owned()),
    }
}

/// The words of a program, with quotes as in a shell.
fn program(value: &str) -> Result<Vec<String>, String> {
    if value.contains(char::is_control) {
        return Err("it has line breaks or other control characters".to_owned());
    }
    let words = shell_words::split(value);
    let words = words.map_err(|_| "it has a quote that is not closed".to_owned())?;
    match words.first() {
        None => Err("it is empty".to_owned()),
        Some(program) if program.starts_with('/') => Ok(words),
        Some(_) => Err("it must begin with the absolute path of a program".to_owned()),
    }
}

/// The tables `[dns.NAME]`.
pub(super) const TABLES: NamedTables<DnsSettings> = NamedTables {
    place: TablePlace {
        setting: "dns",
        own: Some(OwnValue {
            key: "default",
            doc: "the one that is used if no label says otherwise",
        }),
    },
    rows: DNS_SETTINGS,
};

/// All ways to set records, from the file and, before that, the environment.
pub(super) fn read(
    written: WrittenTables,
    environment: &BTreeMap<String, String>,
) -> Result<DnsTable, SettingsError> {
    let mut ways = DnsTable::default();
    for table in TABLES.read(written, environment)? {
        ways.add(&table.name, table.settings, &table.fields)?;
    }
    Ok(ways)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{
        super::{SettingSources, Settings},
        *,
    };

    const KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wE=";

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
        for row in DNS_SETTINGS {
            let read = (row.read)(&mut DnsSettings::default(), row.example);
            assert_eq!(read, Ok(()), "{}", row.name);
        }
    }

    #[test]
    fn a_table_is_read_from_the_file_or_the_environment_and_chosen_by_its_name() {
        let file = format!(
            "[dns]
            default = \"home\"
            [dns.home]
            provider = \"rfc2136\"
            server = \"ns1.example\"
            key-name = \"quaymaster\"
            key = {KEY:?}
            wait = \"2m\"
            [dns.work]
            provider = \"rfc2136\"
            server = \"10.0.0.1:5353\"
            key-name = \"q\"
            key-file = \"/k\"
            key-algorithm = \"HMAC-SHA512\"
            nameservers = \"a.example b.example:5353\""
        );
        let variables = [
            ("QUAYMASTER_DNS", "home"),
            ("QUAYMASTER_DNS__HOME__PROVIDER", "rfc2136"),
            ("QUAYMASTER_DNS__HOME__SERVER", "ns1.example"),
            ("QUAYMASTER_DNS__HOME__KEY_NAME", "quaymaster"),
            ("QUAYMASTER_DNS__HOME__KEY", KEY),
            ("QUAYMASTER_DNS__HOME__WAIT", "2m"),
            ("QUAYMASTER_DNS__WORK__PROVIDER", "rfc2136"),
            ("QUAYMASTER_DNS__WORK__SERVER", "10.0.0.1:5353"),
            ("QUAYMASTER_DNS__WORK__KEY_NAME", "q"),
            ("QUAYMASTER_DNS__WORK__KEY_FILE", "/k"),
            ("QUAYMASTER_DNS__WORK__KEY_ALGORITHM", "hmac-sha512"),
            (
                "QUAYMASTER_DNS__WORK__NAMESERVERS",
                "a.example, b.example:5353",
            ),
        ];
        let settings = read(&file, &[]).expect("tables");
        assert_eq!(settings.dns.as_deref(), Some("home"));
        let tables: Vec<_> = settings.dns_tables.iter().collect();
        let (name, home) = tables[0];
        assert_eq!((name, home.wait), ("home", Duration::from_secs(120)));
        assert_eq!(tables[1].1.nameservers, ["a.example", "b.example:5353"]);
        assert!(!format!("{tables:?}").contains(KEY), "the key is shown");
        assert_eq!(read("", &variables), Ok(settings));
    }

    #[test]
    fn what_is_missing_or_has_no_use_is_told_without_the_key() {
        let table = |lines: &str| format!("[dns.home]\nprovider = \"rfc2136\"\n{lines}");
        let right = format!("server = \"ns1\"\nkey-name = \"q\"\nkey = {KEY:?}\n");
        for (file, expected) in [
            (
                "[dns.home]\n".to_owned(),
                "it does not say how records are set; write provider, one of rfc2136",
            ),
            (
                "[dns.home]\nprovider = \"rfc2163\"".to_owned(),
                "there is no such provider; did you mean rfc2136?",
            ),
            (
                table("key-name = \"q\""),
                "[dns.home]: provider rfc2136 needs server, and it is missing",
            ),
            (
                table("server = \"ns1\"\nkey-name = \"q\""),
                "needs key, and it is missing",
            ),
            (
                table(&format!("{right}key-file = \"/k\"")),
                "it has key and key-file; keep one of the two",
            ),
            (
                table("server = \"ns1\"\nkey-name = \"q\"\nkey = \"s3cret!\""),
                "the key is not base64",
            ),
            (
                table(&format!("{right}key-algorithm = \"hmac-md5\"")),
                "write hmac-sha256, hmac-sha384 or hmac-sha512",
            ),
            (
                table(&format!("{right}sever = \"x\"")),
                "q.toml: dns.home.sever: there is no such setting; did you mean server?",
            ),
            (
                table(&right).replace("dns.home", "dns.\"Home\""),
                "lower-case letters, digits and hyphens",
            ),
            (
                table(&right).replace("[dns.home]", "[dns]\ndefault = \"hone\"\n[dns.home]"),
                "there is no table [dns.hone]; did you mean home?",
            ),
            ("dns = \"home\"".to_owned(), "there is no table [dns.home]"),
        ] {
            let told = read(&file, &[]).expect_err("it is wrong");
            assert!(told.contains(expected), "{told}");
            assert!(!told.contains("s3cret!") && !told.contains(KEY), "{told}");
        }
    }
}
