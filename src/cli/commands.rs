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
        about: "the daemon; what the image runs. SIGHUP: look again at everything. SIGTERM: end. A second one on the \
                same state stands by and takes over",
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
        about: "the same turns until nothing is left to do now, then exit; a terminal shows what runs meanwhile",
        examples: &[(
            "quaymaster once --agree-tos --state /var/lib/quaymaster",
            "for a timer instead of a daemon",
        )],
        arguments: |command| command,
        run: once::run,
    },
    CommandRow {
        name: "plan",
        about: "what would be done and why; touches nothing. Exits with 3 when something is wrong or can't be followed. \
                `--from FILE` (or `-`): from what `docker inspect` \
                printed, with no engine at all. There, `self` names the container that quaymaster is to run in; \
                without it, it is on that host itself. What lies in the folders of the settings counts here, too",
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
        about: "template → file → signal, without certificates, from all containers and their environments: what \
                docker-pygen and docker-gen do. A command line that begins with a flag of docker-pygen's does what it did \
                there. Same bytes: nothing is written, nobody is told. `--watch`: go on, and \
                render at every change; SIGHUP: render again. `--check`: files that it refuses go again. `--from FILE` (or `-`): from what `docker inspect` printed",
        examples: &[
            (
                "quaymaster render --template nginx.tmpl",
                "what would be written",
            ),
            (
                "quaymaster render --template nginx.tmpl --target /edge/default.conf --signal nginx HUP --watch",
                "keep a file up to date, and tell nginx when it changes",
            ),
            (
                "quaymaster render --template nginx.tmpl --target /edge/default.conf --check nginx 'nginx -t' --signal \
                 nginx HUP",
                "the same once; what nginx refuses does not stay, and nobody is told",
            ),
        ],
        arguments: render::arguments,
        run: render::run,
    },
    CommandRow {
        name: "status",
        about: "certificates, sites, consumers, failures, complaints, what is next and when, as the daemon left \
                it after its last turn. `--format json`",
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
        about: "one name told as a story: which container and label ask for it, which proxy serves it from which file, \
                which certificate and why that one, what was tried, what is really served now, and what to do next. \
                Exits with 0 when it is served well, else with 3. `--history`: what has happened to it instead, as state has it; \
                a container's name does, too",
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
            let history = history.help("tell what has happened, the latest last");
            command
                .arg(name)
                .arg(history)
                .arg(format(&["text", "json"]))
        },
        run: explain::run,
    },
    CommandRow {
        name: "health",
        about: "exit 0 while the daemon turns, else 3; in a container that runs `render`, 0 as long as it runs; for health checks",
        examples: &[(
            "HEALTHCHECK CMD [\"/quaymaster\", \"health\"]",
            "in a Dockerfile; the image has it",
        )],
        arguments: |command| command,
        run: health::run,
    },
    CommandRow {
        name: "check",
        about: "the set-up, finding by finding, each with its remedy: the engine and what it lets us do, our own \
                container, folders and mounts, clocks, the CA, proxies, apps, who else may write or has written, left-overs, \
                complaints. Changes nothing",
        examples: &[(
            "docker exec NAME /quaymaster check",
            "is everything there that is needed?",
        )],
        arguments: |command| command.arg(format(&["text", "json"])),
        run: check::run,
    },
    CommandRow {
        name: "renew",
        about: "obtains now what is due; with names, only those. `--force`: though it is not due, and though a failure \
                is to be waited for, or a published limit of the CA is reached; a time that the CA named is kept. A daemon that works on the same state does it. \
                `--dry-run`: tries out whether it could be obtained, due or not, at the directory that the CA has for that; \
                nothing of it is kept but the account there. `--folder`: the files of certificates in a folder of yours, which \
                `issue` or manuale wrote: what is due by what they say, from the CA of the setting ca, by this command itself. \
                What is there stays until the new files are on the disk; where hands are needed, what has to be put where is \
                printed, and the exit code is 7",
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
                "would it be obtained? Asked at the CA's staging directory",
            ),
            (
                "quaymaster renew --folder /srv/certs --webroot /var/www/html",
                "what is due of the files that manuale wrote there",
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
                .arg(force.help("also what is not due, or waits after a failure; needs a NAME"))
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
        about: "sends a test message to the receiver of a table [notify.NAME], as the daemon would. Exits with 3 when it is \
                not taken, and says why",
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
        about: "hands over a host that a Compose project holds: to the oldest container of another project that asks for \
                it, else to the next that does. A daemon that works on the same state does it. Exits with 2 when no project \
                holds the host, with 3 when only the project that has it asks for it",
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
        about: "archives a certificate now that no label asks for any more, instead of after archive-after; it is used again \
                when a label does. A daemon that works on the same state does it. Exits with 2 when no such certificate is \
                live, with 3 when a container asks for it, something uses it, or quaymaster did not obtain it",
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
        about: "puts a certificate of yours into provided/, after the checks that one there has to pass: out of files with \
                its key, itself and its chain in any order, out of a folder with them, such as certbot's live/NAME, or out \
                of standard input (`-`). One FILE that is the folder of certbot, lego, acme.sh, acme-companion or manuale \
                gives all certificates in it, each under the name it has there; nothing is ordered, and nothing there \
                changes. `--dry-run` shows what would be done. Another certificate of that name stays, unless `--replace` \
                is given. A daemon on the same folders takes the new one up at once, but none needs to run. With the \
                setting certificates, no engine is needed either. Exits with 3, and writes nothing, when the certificate \
                can't be used or another has its place",
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
        about: "makes our account at a CA before anything is ordered: its terms are shown with their URL and asked about, \
                unless agree-tos or `--yes` says so; the contact is the setting email. One that is there is told, and its \
                contact brought up to date. `--account FILE` takes over the account of a key, and makes none. An account that \
                works is never put over. Exits with 3 when the CA does not take the e-mail address",
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
        about: "our account at a CA: its URL, key and contact, what the CA says of it, and the CAA line that lets it alone \
                obtain certificates. Without a NAME, all accounts, as they lie in state, with nobody asked. None is ever made \
                (see register). `--roll-over`: a new key, which survives a kill at any step. `--deactivate`: the end of the \
                account, after a question; its record is put aside. A daemon on the same state goes on with what lies there. \
                Exits with 3 when the CA does not take the account as valid",
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
        about: "shows a CA that names are yours, so that `issue` can obtain a certificate for them. With the setting webroot or \
                listen-http it needs no hands; without them it says which file or DNS record has to be where, looks whether it \
                can be seen, and goes on once it can. Ctrl-C keeps all that the CA has seen; the same names, in any order, go on \
                with the same order. Without a terminal it does not wait: it prints what has to be put where and exits with 7. \
                No engine is needed",
        examples: &[
            (
                "quaymaster authorize shop.example www.shop.example",
                "say what to put on the web server, and wait until it is there",
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
        about: "obtains a certificate into files of yours: with the names that `authorize` has shown the CA, else it does that \
                first. The order and its key are kept in state until the files are there. The key is a new one of `key-type`, \
                or yours by --key, or known to you alone by --csr. Files that are there are replaced, once the new ones are \
                on the disk; keys are readable by their owner alone. No engine is needed, and no daemon looks after these files: \
                see `renew --folder`",
        examples: &[
            (
                "quaymaster issue shop.example www.shop.example --output certs",
                "four files under manuale's names, in certs/",
            ),
            (
                "quaymaster issue --webroot /var/www/html --layout certbot --output /etc/certificates shop.example",
                "all in one, with no hands",
            ),
            ("quaymaster issue --csr shop.csr", "for a key that you keep"),
        ],
        arguments: issue::arguments,
        run: issue::run,
    },
    CommandRow {
        name: "records",
        about: "records of DNS for names, to be pasted into a zone file: the CNAME record that leads from where a CA looks for \
                proofs to a zone that may be changed from here, the TXT records that orders wait for, and the CAA records that \
                let our account alone obtain certificates, by our method. Where a CA says that it takes standing proofs \
                (dns-persist-01), their records follow as comments: other programs may use them with this account. `--format json`: \
                the same for programs. `--try`: sets a TXT record by each table [dns.NAME], or \
                by the one that the setting dns chooses, looks for it at the servers of its zone for up to two minutes, and \
                removes it, after Ctrl-C too; exits with 3 when that can't be done by each. No engine is needed",
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
        about: "has its CA revoke a certificate, by the account that lies in state, else by the certificate's own key. Asks on a \
                terminal. `--reason`: 0, 1, 4 or 5, or the word. With keyCompromise, a daemon on the same state orders one that \
                is live anew, with a new key. One that is revoked already is fine. The CA is the one that was written down with \
                a certificate in live/, else that of the setting ca",
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
        about: "what a certificate says: names, issuer, dates, serial number, key, fingerprints, chain, whether its chain leads \
                to a root that browsers know, and its id for renewal information (ARI); whether its key is there and fits, \
                whether it is live, and who was given it. Nobody is asked but the disk",
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
        about: "writes into manuale's account.json where the account is by today's protocol, if the file still says where it was by \
                the first version: the CA of the setting ca says so, by the key in the file. All else in it stays. Asks on a \
                terminal. Exits with 6 when the CA has no account with that key",
        examples: &[(
            "quaymaster upgrade account.json --ca letsencrypt",
            "an account from before 2019",
        )],
        arguments: upgrade::arguments,
        run: upgrade::run,
    },
    CommandRow {
        name: "reference",
        about: "labels, settings, kinds, CAs, filters, built-in templates and what they see, commands and exit codes, as \
                tables. `--format markdown` or `json`. With the name of a built-in template: its text, to copy and edit",
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
        about: "what makes bash, zsh or fish complete this command line",
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
        about: "the page of the manual, or that of one command",
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
