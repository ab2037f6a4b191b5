//! Events as they happen: a row each, with its fields, its unchanging name, how much it matters, and its words. Those that
//! adapters meet have their rows beside the ports.

mod engine;
mod order_stage;
mod template;
mod words;

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use tracing::Level;

use crate::{
    desire::{Complaint, Kept},
    observe::{HeldCertificate, PartName, Subject, Wait},
    plan::Notice,
    ports::{Remark, events},
    values::{CertificateName, ContainerName, Host, Signal, Timestamp},
};

pub use engine::EngineReport;
pub use order_stage::OrderStage;
pub use template::TemplateEvent;
pub(crate) use words::named;
use words::{clock_set, listed, next_try, place, refused, rendered, said_why, seconds, still_held};

events! {
    /// Something worth a report. Each has a name that stays, for whoever reads logs by machine, and words for people.
    /// As it is serialized it is its fields alone.
    pub enum Event or
        /// An adapter met something and went on from it.
        Met(Remark)
    or
        /// An engine answers, or does not.
        Engine(EngineReport)
    or
        /// Something is to be known about templates of the user.
        Template(TemplateEvent);

    /// The program begins its work.
    Started {
        /// Our container's name; `None` on a host.
        own: Option<ContainerName>,
        /// The folder of certificates, as we see it.
        certificates: String,
    } => "started", Level::INFO, ("quaymaster works {}; certificates are in {certificates}", place(own.as_ref()));

    /// Another process works on the same state.
    StandingBy {} => "standing-by", Level::INFO, ("another quaymaster works on this state; standing by until it ends");

    /// A TXT record was set, and is not seen at each server of its zone yet. Told once an order.
    RecordAwaited {
        /// The subject of the action.
        subject: Subject,
        /// Where it was not seen.
        problem: String,
    } => "record-awaited", Level::INFO, ("{}: {problem}", named(subject));

    /// A TXT record that proved a name stays in its zone.
    RecordLeft {
        /// The certificate that it was for.
        certificate: CertificateName,
        /// The reason why it could not be removed.
        problem: String,
    } => "record-left", Level::WARN, ("{certificate}: {problem}; it does no harm, and can be removed by hand");

    /// A name is claimed by a label, and a proxy will serve it.
    SiteSeen {
        /// The name.
        host: Host,
        /// The containers behind it.
        containers: Box<[ContainerName]>,
        /// The proxy.
        proxy: ContainerName,
    } => "site-seen", Level::INFO, ("{host} is claimed by {} and served by {proxy}", listed(containers));

    /// The containers of a site are away, and it is kept for them.
    SiteKept {
        /// The name.
        host: Host,
        /// The containers.
        containers: Box<[ContainerName]>,
        /// The proxy that answers 503 meanwhile.
        proxy: ContainerName,
        /// The end of that, and the bearer for which the host is kept.
        kept: Kept,
    } => "site-kept", Level::INFO, ("{proxy} answers 503 for {host}, since {} {kept}", listed(containers));

    /// A container comes and goes again and again, so that it does not take requests at once when it is back.
    Waits {
        /// Which.
        container: ContainerName,
        /// For what.
        wait: Wait,
    } => "waits", Level::WARN, ("{container} {wait}; `docker logs {container}` says why");

    /// A container that came and went takes requests and stays, or is not there any more.
    WaitsOver {
        /// Which.
        container: ContainerName,
    } => "waits-over", Level::INFO, ("{container} comes and goes no longer");

    /// A name is claimed no longer.
    SiteGone {
        /// The name.
        host: Host,
        /// The proxy that served it.
        proxy: ContainerName,
    } => "site-gone", Level::INFO, ("no container claims {host} any more; {proxy} stops serving it");

    /// A consumer runs no more, or did run before quaymaster began.
    ConsumerStopped {
        /// Which.
        consumer: ContainerName,
    } => "consumer-stopped", Level::WARN,
        ("{consumer} does not run, so nothing that it serves is reachable; start it: `docker start {consumer}` says what prevents \
          its start, and `docker logs {consumer}` why it stopped");

    /// A consumer that did not run does.
    ConsumerRuns {
        /// Which.
        consumer: ContainerName,
    } => "consumer-runs", Level::INFO, ("{consumer} runs");

    /// Something on a container can't be followed.
    Complained {
        /// The complaint.
        complaint: Complaint,
    } => "complaint", Level::WARN, ("{complaint}");

    /// It can be, now.
    ComplaintOver {
        /// The complaint that is over.
        complaint: Complaint,
    } => "complaint-over", Level::INFO, ("resolved: {complaint}");

    /// A step is about to be done.
    Step {
        /// The subject.
        subject: Subject,
        /// The reason why it is done.
        why: String,
        /// The step, as a command plan has it.
        step: String,
    } => "step", Level::INFO, ("{}: {why}: {step}", named(subject));

    /// An action that was begun by steps has ended, well or not.
    StepsOver {
        /// The subject.
        subject: Subject,
    } => "steps-over", Level::DEBUG, ("{}: these steps are over", named(subject));

    /// The look from here can't show what a CA would see for a name; the order continues.
    SelfCheckUnsure {
        /// The certificate.
        certificate: CertificateName,
        /// The name.
        name: Host,
        /// The reason.
        problem: String,
    } => "self-check-unsure", Level::INFO,
        ("can't find out from here whether a CA sees the response for {name}: {problem}; for {certificate}, the \
          answers of the proxies at their own addresses count instead");

    /// A certificate is asked of another CA of its list than the last time.
    OtherCa {
        /// Which.
        certificate: CertificateName,
        /// Which CA is asked, and why.
        why: String,
    } => "other-ca", Level::WARN, ("{certificate}: {why}");

    /// An order has come so far.
    Ordering {
        /// Of which certificate.
        certificate: CertificateName,
        /// The next stage.
        stage: OrderStage,
    } => "ordering", Level::DEBUG, ("{certificate}: {stage}");

    /// A certificate was obtained and stored.
    Obtained {
        /// The certificate's name.
        certificate: CertificateName,
        /// The certificate itself.
        held: HeldCertificate,
    } => "obtained", Level::INFO,
        ("{certificate}: certificate obtained from {} for {}, valid until {}", held.issuer, listed(&held.names), held.not_after);

    /// A certificate that somebody obtained by a command is used.
    TakenOver {
        /// The certificate that it becomes.
        certificate: CertificateName,
        /// What it is.
        held: HeldCertificate,
    } => "taken-over", Level::INFO,
        ("{certificate}: the certificate that a command obtained from {} is used, valid until {}", held.issuer, held.not_after);

    /// A CA says when it wants a certificate to be renewed, or says it anew.
    RenewalSuggested {
        /// Of which certificate.
        certificate: CertificateName,
        /// The instant that was drawn from the time that it named.
        at: Timestamp,
        /// Where it says why.
        explanation: Option<String>,
    } => "renewal-suggested", Level::INFO,
        ("{certificate}: its CA suggests a renewal at {at}{}", said_why(explanation.as_deref()));

    /// The CA's answer about the renewal of a certificate is of no use: the earlier answer stays.
    RenewalUnread {
        /// Of which certificate.
        certificate: CertificateName,
        /// The problem.
        problem: String,
    } => "renewal-unread", Level::DEBUG,
        ("{certificate}: the CA's answer about its renewal can't be used: {problem}");

    /// A CA has sent a shorter chain than that of the certificate before.
    ShorterChain {
        /// The certificate's name.
        certificate: CertificateName,
        /// Number of certificates that the chain had.
        before: usize,
        /// Number of certificates that it has.
        now: usize,
    } => "shorter-chain", Level::WARN,
        ("{certificate}: the CA sent the new certificate with a chain of {now} certificates; the previous chain had \
          {before}, and clients that lack the others reject the new certificate");

    /// A CA has issued for more names than it was asked for.
    MoreNames {
        /// The certificate's name.
        certificate: CertificateName,
        /// The others.
        more: BTreeSet<String>,
    } => "more-names", Level::WARN,
        ("{certificate}: the CA added names that were not requested: {}; the certificate is used anyway", listed(more));

    /// A self-signed certificate was made and stored, for as long as there is no better one.
    FellBack {
        /// The certificate's name.
        certificate: CertificateName,
        /// The certificate itself.
        held: HeldCertificate,
    } => "fell-back", Level::INFO,
        ("{certificate}: self-signed certificate made for {}, valid until {}; it serves until there is a better one", listed(&held.names), held.not_after);

    /// A consumer got a signal.
    Signalled {
        /// Which.
        consumer: ContainerName,
        /// The signal.
        signal: Signal,
    } => "signalled", Level::INFO, ("{consumer}: reloaded by SIG{signal}");

    /// A consumer was reloaded by a command that was run in it.
    Ran {
        /// Which.
        consumer: ContainerName,
        /// The words, as a shell would read them.
        words: String,
    } => "ran", Level::INFO, ("{consumer}: reloaded by `{words}`");

    /// A consumer was reloaded by a restart.
    Restarted {
        /// Which.
        consumer: ContainerName,
    } => "restarted", Level::INFO, ("{consumer}: restarted, so that it reads its new files");

    /// A consumer's requests go by address from now on.
    GateOpened {
        /// Which.
        consumer: ContainerName,
    } => "gate-opened", Level::INFO, ("{consumer}: the addresses in its files are right; requests use them now");

    /// A file that a template of the user's makes was put in place, and a check may refuse it.
    OnTrial {
        /// Where.
        target: String,
    } => "on-trial", Level::INFO, ("{target}: the new file is in place and is being checked");

    /// A file that a template of the user's makes was written, and it stays.
    Rendered {
        /// Where.
        target: String,
        /// True if a check has accepted it.
        is_checked: bool,
    } => "rendered", Level::INFO, ("{target}{}", rendered(*is_checked));

    /// A file that a template of the user's makes was written, and it does not stay.
    PutBack {
        /// Where.
        target: String,
    } => "put-back", Level::INFO, ("{target}: the previous file was restored");

    /// Quaymaster was ended before a file that a template of the user's makes was found good and everybody knew of it: it
    /// begins again with what was there before.
    CutOff {
        /// Where.
        target: String,
    } => "cut-off", Level::WARN,
        ("{target}: the previous file was restored, because quaymaster ended before the new one was checked and its \
          readers were reloaded");

    /// The engine did not notify a container that its files have changed; it is asked again while watching.
    NotTold {
        /// Which.
        consumer: ContainerName,
        /// The reason.
        problem: String,
    } => "not-told", Level::ERROR, ("{consumer}: could not be reloaded after its files changed: {problem}");

    /// Files that templates of the user's make are taken back, because a check refuses them or could not look at them.
    CheckFailed {
        /// Where the check was made.
        consumer: ContainerName,
        /// Its words, or why there are none.
        problem: String,
    } => "check-failed", Level::WARN, ("{consumer}: {problem}; the previous files were restored, and nothing was \
                                        reloaded");

    /// A check is to be made, and no container that runs is meant.
    NobodyToCheck {
        /// Who, in the user's word.
        target: String,
    } => "nobody-to-check", Level::WARN,
        ("{target}: no running container has this name, id or service; the new file is not checked");

    /// A container is to be notified, and none that runs is meant.
    NobodyToTell {
        /// Who, in the user's word.
        target: String,
    } => "nobody-to-tell", Level::WARN,
        ("{target}: no running container has this name, id or service; nothing is reloaded");

    /// A new connection showed the new generation and its certificates.
    Proven {
        /// Which consumer.
        consumer: ContainerName,
        /// The generation.
        generation: u64,
    } => "proven", Level::INFO, ("{consumer}: generation {generation} and its certificates seen on a new connection");

    /// It was reloaded, and nothing new was seen.
    Unproven {
        /// Which consumer.
        consumer: ContainerName,
        /// The observed symptom, and the remedy.
        reason: String,
    } => "unproven", Level::WARN, ("{consumer}: not proven: {reason}");

    /// A consumer did not take up what it was given, and has back what it had before.
    TakenBack {
        /// Which consumer.
        consumer: ContainerName,
        /// The answer that was seen instead.
        reason: String,
        /// True if no label asked for it, and some servers are known to refuse it.
        is_optional: bool,
    } => "taken-back", if *is_optional { Level::DEBUG } else { Level::INFO },
        ("{consumer}: the previous files were restored: {reason}");

    /// A consumer reads its files, and refused these.
    Refused {
        /// Which consumer.
        consumer: ContainerName,
        /// The parts on trial: one is to blame, and is held back until it changes; several are tried by halves.
        parts: BTreeSet<PartName>,
        /// The answer that was seen instead.
        reason: String,
        /// The reason why that does no harm, where some servers are known to refuse them.
        excuse: Option<&'static str>,
    } => "refused", if excuse.is_none() { Level::WARN } else { Level::INFO },
        ("{consumer}: {}", refused(parts, reason, *excuse));

    /// A consumer refused what is made with new templates.
    TemplatesRefused {
        /// Which consumer.
        consumer: ContainerName,
        /// The answer that was seen instead.
        reason: String,
    } => "templates-refused", Level::WARN,
        ("{consumer}: refuses the new templates, which are held back until they change: {reason}");

    /// An action failed.
    Failed {
        /// The subject.
        subject: Subject,
        /// The reason.
        problem: String,
        /// When it is tried again; `None` when something else must change first.
        again: Option<Timestamp>,
        /// The end of the certificate that it was to take the place of.
        held_until: Option<Timestamp>,
    } => "failed", Level::ERROR,
        ("{}: {problem}; {}{}", named(subject), still_held(*held_until), next_try(*again));

    /// What failed has succeeded, or is wanted no more.
    FailureOver {
        /// What it is about.
        subject: Subject,
    } => "failure-over", Level::INFO, ("{}: it works again", named(subject));

    /// The time of day went another way than time.
    ClockSet {
        /// The difference.
        #[serde(serialize_with = "seconds")]
        by: Duration,
        /// True if it is later now than expected.
        ahead: bool,
    } => "clock-set", Level::INFO, ("{}; everything is looked at again", clock_set(*by, *ahead));

    /// Something on disk is not as it should be.
    DiskFault {
        /// The fault.
        problem: String,
    } => "disk-fault", Level::ERROR, ("{problem}");

    /// A certificate was damaged and is as it was again.
    Mended {
        /// Which.
        certificate: CertificateName,
        /// The problem that it had.
        problem: String,
    } => "mended", Level::WARN,
        ("{certificate}: repaired from its copy in state, as a new version in the archive: {problem}");

    /// A certificate that nobody wants went out of use.
    Archived {
        /// Which.
        certificate: CertificateName,
    } => "archived", Level::INFO,
        ("{certificate}: archived, since nobody asks for it any more; it is used again if a label does");

    /// An archived certificate is wanted again, and live.
    Restored {
        /// Which.
        certificate: CertificateName,
    } => "restored", Level::INFO, ("{certificate}: live again from the archive, since a label asks for it again");

    /// An archived certificate was deleted.
    Deleted {
        /// Which.
        certificate: CertificateName,
    } => "deleted", Level::INFO, ("{certificate}: deleted from the archive with its keys, since nobody asked for it for so long");

    /// A certificate that its user copied over one of ours was stored as a version of its own.
    TakenUp {
        /// Which.
        certificate: CertificateName,
    } => "taken-up", Level::INFO,
        ("{certificate}: yours, which was copied into live/{certificate}, is stored as a version of its own; nothing is \
          obtained for it while it is valid");

    /// Something is to be known about a certificate.
    Noticed {
        /// The notice.
        notice: Notice,
    } => "notice", Level::WARN, ("{notice}");

    /// That is over.
    NoticeOver {
        /// The notice that is over.
        notice: Notice,
    } => "notice-over", Level::INFO, ("resolved: {notice}");

    /// Pages can be looked at by others than those on this machine.
    PageExposed {
        /// Where.
        places: BTreeSet<SocketAddr>,
    } => "page-exposed", Level::WARN,
        ("the page of the setting listen is shown at {} to whoever reaches that, without a password; publish its port on \
          127.0.0.1 alone, or put a proxy with a password before it", listed(places));

    /// The program ends.
    Ended {} => "ended", Level::INFO, ("quaymaster ends");
}
