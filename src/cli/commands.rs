use clap::{Arg, ArgAction, Command};

use super::{
    Call, Exit, Failure, account,
    arguments::{format, from},
    authorize, by_hand, check, explain, forget, health, import, info, issue, manual, notify, once,
    plan, records, reference, register, release, render, renew, renew_folder, revoke, status,
    upgrade, watch,
};

/// A command: a row of the commands table.
pub(super) struct CommandRow {
    pub name: &'static str,
    /// A description, in words for people.
    pub about: &'static str,
    /// Examples of its use, each with its effect.
    pub examples: &'static [(&'static str, &'static str)],
    pub arguments: fn(Command) -> Command,
    pub run: fn(&Call) -> Result<Exit, Failure>,
}

/// Every command there is.
pub(super) const COMMANDS: &[CommandRow] = &[
    CommandRow {
        name: "watch",
        about: "Run the daemon, as the image does. SIGHUP: look at everything again. SIGTERM: end. A second daemon on \
                the same state waits, and takes over when the first one ends",
        examples: &[
            ("quaymaster watch --agree-tos", "work until SIGTERM"),
            (
                "docker kill --signal HUP NAME",
                "make the daemon in that container look again",
            ),
        ],
        arguments: |command| command,
        run: watch::run,
    },
    CommandRow {
        name: "once",
        about: "Do what the daemon would do now, then exit; a terminal shows the steps in progress",
        examples: &[(
            "quaymaster once --agree-tos --state /var/lib/quaymaster",
            "for a timer instead of a daemon",
        )],
        arguments: |command| command,
        run: once::run,
    },
    CommandRow {
        name: "plan",
        about: "Show what would be done and why, without doing it. Exits with 3 when something is wrong or can't be \
                followed. `--from FILE` (or `-`): read the output of `docker inspect` instead of asking an engine. \
                There, `self` names quaymaster's container, else it runs on the host. Reads the settings' folders, too",
        examples: &[
            (
                "docker exec NAME /quaymaster plan",
                "what the daemon in that container would do",
            ),
            (
                "docker inspect $(docker ps -aq) | quaymaster plan --from -",
                "what labels would do, with no engine",
            ),
        ],
        arguments: |command| command.arg(format(&["text", "json"])).arg(from()),
        run: plan::run,
    },
    CommandRow {
        name: "render",
        about: "Render templates into files and signal containers, without certificates, as docker-pygen and docker-gen \
                do; templates see all containers and their environments. A command line that begins with a flag of \
                docker-pygen's works as it did there. If the output is unchanged, nothing is written and no signal is \
                sent. `--watch`: keep running, and render at every change; SIGHUP: render again. `--check`: if it fails, \
                the previous files are restored. `--from FILE` (or `-`): read the output of `docker inspect`",
        examples: &[
            (
                "quaymaster render --template nginx.tmpl",
                "what would be written",
            ),
            (
                "quaymaster render --template nginx.tmpl --target /edge/default.conf --signal nginx HUP --watch",
                "keep a file up to date, and reload nginx when it changes",
            ),
            (
                "quaymaster render --template nginx.tmpl --target /edge/default.conf --check nginx 'nginx -t' --signal \
                 nginx HUP",
                "the same once; what nginx refuses is replaced by the previous file, and no signal is sent",
            ),
        ],
        arguments: render::arguments,
        run: render::run,
    },
    CommandRow {
        name: "status",
        about: "Show certificates, sites, consumers, failures, complaints, and what happens next and when, as of the \
                daemon's last turn. `--format json` for programs",
        examples: &[
            ("docker exec NAME /quaymaster status", "tables for people"),
            (
                "quaymaster status --format json | jq '.certificates | map_values(.held.not_after)'",
                "when each certificate ends",
            ),
        ],
        arguments: |command| command.arg(format(&["text", "json"])),
        run: status::run,
    },
    CommandRow {
        name: "explain",
        about: "Explain one name: which container and label ask for it, which proxy serves it from which file, which \
                certificate it has and why, what is really served now, and what to do next. Exits with 0 when the name \
                is served well, else with 3. `--history`: show what has happened to the name instead; the name of a \
                container works, too",
        examples: &[(
            "docker exec NAME /quaymaster explain shop.example",
            "why shop.example is as it is",
        )],
        arguments: |command| {
            let name = Arg::new("name")
                .value_name("NAME")
                .required(true)
                .help("the host name");
            let history = Arg::new("history")
                .long("history")
                .action(ArgAction::SetTrue);
            let history = history.help("show what has happened, the latest last");
            command
                .arg(name)
                .arg(history)
                .arg(format(&["text", "json"]))
        },
        run: explain::run,
    },
    CommandRow {
        name: "health",
        about: "Exit with 0 while the daemon turns, else with 3; for health checks. In a container that runs `render`: \
                exit with 0 as long as that runs",
        examples: &[(
            "HEALTHCHECK CMD [\"/quaymaster\", \"health\"]",
            "in a Dockerfile; the image has it",
        )],
        arguments: |command| command,
        run: health::run,
    },
    CommandRow {
        name: "check",
        about: "Check the set-up, and show a remedy with each finding: the engine and the calls that it allows, \
                quaymaster's own container, folders and mounts, clocks, the CA, proxies, apps, who else can write or has \
                written to the folders, left-overs, complaints. Changes nothing",
        examples: &[(
            "docker exec NAME /quaymaster check",
            "is everything there that is needed?",
        )],
        arguments: |command| command.arg(format(&["text", "json"])),
        run: check::run,
    },
    CommandRow {
        name: "renew",
        about: "Renew the certificates that are due, or only the named ones. If a daemon uses this state, the daemon \
                does it. `--force`: renew them even if they are not due, and skip quaymaster's own pauses after failures \
                and published limits of the CA, but never a time that the CA named. `--dry-run`: try out whether they \
                could be obtained, due or not, at the CA's staging directory; nothing is kept but the account there. \
                `--folder`: renew the files in a folder of yours that `issue` or manuale wrote, if they are due, at the \
                CA of the setting ca. The old files stay until the new ones are on the disk; if something has to be done \
                by hand, it is printed, and the exit code is 7",
        examples: &[
            (
                "docker exec NAME /quaymaster renew",
                "what is due, and when the others will be",
            ),
            (
                "docker exec NAME /quaymaster renew --force shop.example",
                "a new certificate for shop.example, now",
            ),
            (
                "docker exec NAME /quaymaster renew --dry-run shop.example",
                "could it be obtained? Tried at the CA's staging directory",
            ),
            (
                "quaymaster renew --folder /srv/certs --webroot /var/www/html",
                "renew the files that manuale wrote there, if they are due",
            ),
        ],
        arguments: |command| {
            let names = Arg::new("name")
                .value_name("NAME")
                .action(ArgAction::Append)
                .help("host names; none: all");
            let force = Arg::new("force").long("force").action(ArgAction::SetTrue);
            command
                .arg(names)
                .arg(force.help(
                    "also certificates that are not due, or wait after a failure; needs a NAME",
                ))
                .arg(
                    Arg::new("dry-run")
                        .long("dry-run")
                        .action(ArgAction::SetTrue)
                        .conflicts_with("force")
                        .help("try it out at the CA's staging directory, and keep nothing"),
                )
                .arg(renew_folder::argument())
                .arg(by_hand::method().requires("folder"))
                .arg(by_hand::yes().requires("folder"))
                .arg(format(&["text", "json"]).requires("folder"))
        },
        run: renew::run,
    },
    CommandRow {
        name: "notify",
        about: "Send a test message to the receiver of a table [notify.NAME], as the daemon would. Exits with 3, and \
                says why, when the receiver does not accept it",
        examples: &[(
            "docker exec NAME /quaymaster notify --test phone",
            "is the table [notify.phone] right?",
        )],
        arguments: |command| {
            let test = Arg::new("test")
                .long("test")
                .value_name("NAME")
                .required(true);
            command.arg(test.help("the name of the table"))
        },
        run: notify::run,
    },
    CommandRow {
        name: "release",
        about: "Release a host from the Compose project that holds it: the oldest container of another project that asks \
                for it gets it, else the next one that does. If a daemon uses this state, the daemon does it. Exits with \
                2 when no project holds the host, with 3 when no other project asks for it",
        examples: &[(
            "docker exec NAME /quaymaster release shop.example",
            "after a project was renamed: shop.example is served for its new name at once",
        )],
        arguments: |command| {
            let name = Arg::new("name").value_name("NAME").required(true);
            command.arg(name.help("the host name"))
        },
        run: release::run,
    },
    CommandRow {
        name: "forget",
        about: "Archive a certificate now that no label asks for, instead of after archive-after; it is used again when \
                a label asks for it. If a daemon uses this state, it does the work. Exits with 2 when no such \
                certificate is live, with 3 when it is asked for, in use, or not from quaymaster",
        examples: &[(
            "docker exec NAME /quaymaster forget old.example",
            "old.example leaves live/ at once",
        )],
        arguments: |command| {
            let name = Arg::new("name").value_name("NAME").required(true);
            command.arg(name.help("the certificate's name; that of a host is its default"))
        },
        run: forget::run,
    },
    CommandRow {
        name: "import",
        about: "Copy a certificate of yours into provided/, after checking it: from files with the key, the certificate \
                and its chain in any order, from a folder with them, such as certbot's live/NAME, or from standard input \
                (`-`). If FILE is the folder of certbot, lego, acme.sh, acme-companion or manuale, all certificates in \
                it are imported, each under the name it has there; nothing is ordered, and nothing there changes. \
                `--dry-run` shows what would be done. `--replace` replaces another certificate of that name. A daemon on \
                the same folders uses it at once. With the setting certificates, no engine is needed. Exits with 3, and \
                writes nothing, when it can't be used or its name is taken",
        examples: &[
            (
                "cat key.pem cert.pem chain.pem | docker exec -i NAME /quaymaster import -",
                "hand a certificate over to the daemon in that container",
            ),
            (
                "quaymaster import --certificates /srv/certificates /etc/letsencrypt/live/shop.example",
                "copy what certbot obtained",
            ),
            (
                "quaymaster import --dry-run /etc/letsencrypt",
                "see what would be taken over from certbot, and write nothing",
            ),
            (
                "quaymaster import --replace --password-file secret.txt new.key new.crt ca.crt",
                "put a new one in the place of one of the same name",
            ),
        ],
        arguments: import::arguments,
        run: import::run,
    },
    CommandRow {
        name: "register",
        about: "Register an account at a CA before anything is ordered. The terms are shown with their URL, and you are \
                asked to agree, unless agree-tos or `--yes` is set; the contact is the setting email. An account that is \
                there already is shown, and its contact updated; it is never overwritten. `--account FILE` takes over \
                the account of the key in FILE instead of making one. Exits with 3 when the CA rejects the e-mail \
                address",
        examples: &[
            (
                "quaymaster register letsencrypt --email me@shop.example",
                "an account at Let's Encrypt; asks about the terms",
            ),
            (
                "quaymaster register --yes --state /var/lib/quaymaster",
                "the same without a question, at the CA of the setting ca",
            ),
            (
                "quaymaster register letsencrypt --account account.json",
                "go on with the account that manuale has",
            ),
        ],
        arguments: register::arguments,
        run: register::run,
    },
    CommandRow {
        name: "account",
        about: "Show the account at a CA: its URL, key and contact, what the CA says about it, and the CAA line that \
                lets only this account obtain certificates. Without a NAME: list all accounts in state, without asking a \
                CA. No account is made (see register). `--roll-over`: give the account a new key; this survives a kill \
                at any step. `--deactivate`: end the account, after a question; its record is kept aside. A daemon on \
                the same state uses the result. Exits with 3 when the CA says that the account is not valid",
        examples: &[
            (
                "docker exec NAME /quaymaster account letsencrypt",
                "the account at Let's Encrypt, and the CAA line for your zone",
            ),
            ("quaymaster account", "all accounts"),
            (
                "quaymaster account letsencrypt --roll-over",
                "a new key, after somebody may have read the old one",
            ),
        ],
        arguments: account::arguments,
        run: account::run,
    },
    CommandRow {
        name: "authorize",
        about: "Prove to a CA that names are yours, so that `issue` can obtain a certificate for them. Unless the \
                setting webroot or listen-http is there, the command prints which file or DNS record has to be where, \
                checks whether it can be seen, and goes on once it can. Ctrl-C keeps everything that the CA has \
                validated; the same names, in any order, go on with the same order. Without a terminal it does not wait: \
                it prints what has to be put where, and exits with 7. No engine is needed",
        examples: &[
            (
                "quaymaster authorize shop.example www.shop.example",
                "print what to put on the web server, and wait until it is there",
            ),
            (
                "quaymaster authorize --webroot /var/www/html shop.example",
                "put it there and take it away again",
            ),
            (
                "quaymaster authorize --format json shop.example",
                "what has to be put where, for a script; run it again once it is there",
            ),
        ],
        arguments: authorize::arguments,
        run: authorize::run,
    },
    CommandRow {
        name: "issue",
        about: "Obtain a certificate into files of yours. Names that the CA has not validated yet are authorized first \
                (see authorize). The order and its key are kept in state until the files are written. The key is a new \
                one of type `key-type`, or your own (--key, --csr). Existing files are replaced once the new ones are on \
                the disk; keys are readable by their owner only. No engine is needed. To renew the files, see `renew \
                --folder`",
        examples: &[
            (
                "quaymaster issue shop.example www.shop.example --output certs",
                "write four files with manuale's names into certs/",
            ),
            (
                "quaymaster issue --webroot /var/www/html --layout certbot --output /etc/certificates shop.example",
                "all in one command, without hands",
            ),
            ("quaymaster issue --csr shop.csr", "for a key that you keep"),
        ],
        arguments: issue::arguments,
        run: issue::run,
    },
    CommandRow {
        name: "records",
        about: "Print DNS records for names, to be pasted into a zone file: the CNAME record that leads from where a CA \
                looks to a zone that quaymaster can change, the TXT records that orders wait for, and the CAA records \
                that let only this account obtain certificates, by its method; for a CA that accepts standing proofs \
                (dns-persist-01), their records, as comments. `--format json` for programs. `--try`: for each table \
                [dns.NAME], or the one that the setting dns chooses, set a TXT record, look for it for up to two minutes, \
                and remove it; exits with 3 when one of them can't do that. No engine is needed",
        examples: &[
            (
                "docker exec NAME /quaymaster records shop.example '*.shop.example'",
                "what to write into the zone of shop.example",
            ),
            (
                "quaymaster records --alias acme.corp.example shop.example",
                "with the CNAME record that leads to a zone of yours",
            ),
            (
                "docker exec NAME /quaymaster records --try shop.example",
                "can the record of shop.example be set, seen and removed?",
            ),
        ],
        arguments: records::arguments,
        run: records::run,
    },
    CommandRow {
        name: "revoke",
        about: "Have the CA revoke a certificate, by the account in state, else by the certificate's own key. Asks on a \
                terminal. `--reason`: 0, 1, 4 or 5, or the word. With keyCompromise, a daemon on the same state orders a \
                live certificate again, with a new key. One that is revoked already is not an error. The CA is that of \
                the certificate in live/, else that of the setting ca",
        examples: &[
            (
                "docker exec -it NAME /quaymaster revoke shop.example --reason keyCompromise",
                "somebody may have its key",
            ),
            (
                "quaymaster revoke --yes --ca letsencrypt old.crt old.key",
                "one that another program ordered, by its key",
            ),
        ],
        arguments: revoke::arguments,
        run: revoke::run,
    },
    CommandRow {
        name: "info",
        about: "Show a certificate: names, issuer, dates, serial number, key, fingerprints, chain, whether the chain \
                leads to a root that browsers know, and its id for renewal information (ARI); whether its key is there \
                and fits, whether it is live, and which containers it was delivered to. Only the disk is read",
        examples: &[
            (
                "docker exec NAME /quaymaster info shop.example",
                "the certificate for shop.example",
            ),
            (
                "quaymaster info /etc/letsencrypt/live/shop.example",
                "one of certbot's, with its key",
            ),
        ],
        arguments: info::arguments,
        run: info::run,
    },
    CommandRow {
        name: "upgrade",
        about: "Write the account's present URL into manuale's account.json, if the file still has the URL of the \
                protocol's first version: the CA of the setting ca is asked by the key in the file. The rest of the file \
                stays. Asks on a terminal. Exits with 6 when the CA has no account with that key",
        examples: &[(
            "quaymaster upgrade account.json --ca letsencrypt",
            "an account from before 2019",
        )],
        arguments: upgrade::arguments,
        run: upgrade::run,
    },
    CommandRow {
        name: "reference",
        about: "Print tables of labels, settings, kinds, CAs, filters, built-in templates and what they see, commands \
                and exit codes. `--format markdown` or `json`. With the name of a built-in template: print its text, to \
                copy and edit",
        examples: &[
            ("quaymaster reference", "all tables"),
            (
                "quaymaster reference labels --format json",
                "labels, for an editor or a linter",
            ),
            (
                "docker run --rm quaymaster reference nginx/site.conf > my-templates/nginx/site.conf",
                "the built-in template of sites, to edit it",
            ),
        ],
        arguments: |command| {
            let name = Arg::new("name")
                .value_name("NAME")
                .value_parser(reference::names());
            let name = name.help("one table, or a built-in template; without it, all tables");
            command.arg(name).arg(format(&["text", "markdown", "json"]))
        },
        run: reference::run,
    },
    CommandRow {
        name: "completions",
        about: "Print the completions for bash, zsh or fish",
        examples: &[(
            "quaymaster completions bash > /etc/bash_completion.d/quaymaster",
            "for everybody on this machine",
        )],
        arguments: |command| {
            let shell = Arg::new("shell")
                .value_name("SHELL")
                .value_parser(manual::SHELLS.to_vec());
            command.arg(shell.required(true).help("which shell"))
        },
        run: manual::completions,
    },
    CommandRow {
        name: "man",
        about: "Print the manual page, or the page of one command",
        examples: &[(
            "quaymaster man explain | man -l -",
            "read the page about explain",
        )],
        arguments: |command| {
            let name = Arg::new("command").value_name("COMMAND");
            command.arg(name.help("the page of this command"))
        },
        run: manual::man,
    },
];
