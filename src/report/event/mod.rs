//! Events as they happen.

mod words;

use std::{collections::BTreeSet, time::Duration};

use crate::{
    desire::{Complaint, Kept},
    observe::{HeldCertificate, Subject, Wait},
    plan::Notice,
    values::{CertificateName, ContainerName, FileName, Host, Signal, Timestamp},
};

pub(crate) use words::named;

/// Something worth telling. Each has a name that stays, for whoever reads logs by machine, and words for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The program begins its work.
    Started {
        /// Our container's name; `None` on a host.
        own: Option<ContainerName>,
        /// The folder of certificates, as we see it.
        certificates: String,
    },
    /// Another process works on the same state.
    StandingBy,
    /// The engine was listed.
    EngineSeen {
        /// How many containers bear our labels.
        containers: usize,
    },
    /// The engine can't be asked; what was known stays.
    EngineLost {
        /// Why.
        problem: String,
        /// When it is asked again.
        again_in: Duration,
    },
    /// Containers that were there before the engine could not be seen, and are not there now.
    Missed {
        /// Which.
        containers: BTreeSet<ContainerName>,
        /// Until when they count as they were.
        until: Timestamp,
    },
    /// One container could not be looked at.
    ContainerUnreadable {
        /// Why.
        problem: String,
    },
    /// A name is claimed by a label, and a proxy will serve it.
    SiteSeen {
        /// The name.
        host: Host,
        /// The containers behind it.
        containers: Box<[ContainerName]>,
        /// The proxy.
        proxy: ContainerName,
    },
    /// The containers of a site are away, and it is kept for them.
    SiteKept {
        /// The name.
        host: Host,
        /// The containers.
        containers: Box<[ContainerName]>,
        /// The proxy that answers 503 meanwhile.
        proxy: ContainerName,
        /// Until when and for whom.
        kept: Kept,
    },
    /// A container comes and goes again and again, so that it does not take requests at once when it is back.
    Waits {
        /// Which.
        container: ContainerName,
        /// For what.
        wait: Wait,
    },
    /// A name is claimed no longer.
    SiteGone {
        /// The name.
        host: Host,
        /// The proxy that served it.
        proxy: ContainerName,
    },
    /// A consumer runs no more.
    ConsumerStopped {
        /// Which.
        consumer: ContainerName,
    },
    /// A consumer that did not run does.
    ConsumerRuns {
        /// Which.
        consumer: ContainerName,
    },
    /// Something on a container can't be followed.
    Complained(Complaint),
    /// It can be, now.
    ComplaintOver(Complaint),
    /// A step is about to be done.
    Step {
        /// What it is about.
        subject: Subject,
        /// Why it is done.
        why: String,
        /// The step, as a command plan has it.
        step: String,
    },
    /// What was begun by steps has ended, well or not.
    StepsOver {
        /// What it was about.
        subject: Subject,
    },
    /// An order has come so far.
    Ordering {
        /// Of which certificate.
        certificate: CertificateName,
        /// What is done next.
        stage: OrderStage,
    },
    /// A certificate was obtained and stored.
    Obtained {
        /// What it is called.
        certificate: CertificateName,
        /// What it is.
        held: HeldCertificate,
    },
    /// A consumer was told.
    Signalled {
        /// Which.
        consumer: ContainerName,
        /// How.
        signal: Signal,
    },
    /// A consumer was told by words that were run in it.
    Ran {
        /// Which.
        consumer: ContainerName,
        /// The words, as a shell would read them.
        words: String,
    },
    /// A consumer was told by a restart.
    Restarted {
        /// Which.
        consumer: ContainerName,
    },
    /// A consumer's requests go by address from now on.
    GateOpened {
        /// Which.
        consumer: ContainerName,
    },
    /// The command `render` put a file in place that a check may refuse.
    OnTrial {
        /// Where.
        target: String,
    },
    /// The command `render` wrote a file, and it stays.
    Rendered {
        /// Where.
        target: String,
        /// Whether a check found it good.
        is_checked: bool,
    },
    /// The command `render` wrote a file, and it does not stay.
    PutBack {
        /// Where.
        target: String,
    },
    /// The command `render` was ended before a file was found good and everybody knew of it: it begins again with what was
    /// there before.
    CutOff {
        /// Where.
        target: String,
    },
    /// The engine did not tell a container that its files have changed; it is asked again while watching.
    NotTold {
        /// Which.
        consumer: ContainerName,
        /// Why.
        problem: String,
    },
    /// The command `render` takes back files that a check refuses, or that it could not look at.
    CheckFailed {
        /// Where the check was made.
        consumer: ContainerName,
        /// Its words, or why there are none.
        problem: String,
    },
    /// A check is to be made, and no container that runs is meant.
    NobodyToCheck {
        /// Who, in the user's word.
        target: String,
    },
    /// Somebody is to be told, and no container that runs is meant.
    NobodyToTell {
        /// Who, in the user's word.
        target: String,
    },
    /// A new connection showed the new generation and its certificates.
    Proven {
        /// Which consumer.
        consumer: ContainerName,
        /// The generation.
        generation: u64,
    },
    /// It was told, and nothing new was seen.
    Unproven {
        /// Which consumer.
        consumer: ContainerName,
        /// What was seen, and what to do.
        reason: String,
    },
    /// A consumer did not take up what it was given, and has back what it had before.
    TakenBack {
        /// Which consumer.
        consumer: ContainerName,
        /// What was seen instead.
        reason: String,
        /// Whether nobody asked for it, and some servers are known to refuse it.
        is_optional: bool,
    },
    /// A consumer reads its files, and refused these.
    Refused {
        /// Which consumer.
        consumer: ContainerName,
        /// The files on trial: one is to blame, and is held back until it changes; several are tried by halves.
        parts: BTreeSet<FileName>,
        /// What was seen instead.
        reason: String,
        /// Why that is no trouble, where some servers are known to refuse them.
        excuse: Option<&'static str>,
    },
    /// A consumer refused what is made with new templates.
    TemplatesRefused {
        /// Which consumer.
        consumer: ContainerName,
        /// What was seen instead.
        reason: String,
        /// Whether nothing is left to try; else single sites tell whether it is the templates.
        is_all: bool,
    },
    /// An action failed.
    Failed {
        /// What it was about.
        subject: Subject,
        /// Why.
        problem: String,
        /// When it is tried again; `None` when something else must change first.
        again: Option<Timestamp>,
    },
    /// Something on disk is not as it should be.
    DiskFault {
        /// What.
        problem: String,
    },
    /// A certificate was damaged and is as it was again.
    Mended {
        /// Which.
        certificate: CertificateName,
        /// What was wrong with it.
        problem: String,
    },
    /// Something is to be known about a certificate of the user's.
    Noticed(Notice),
    /// That is over.
    NoticeOver(Notice),
    /// Other templates of the user are in use than before.
    TemplatesTaken {
        /// Their names; empty when only the built-in ones are left.
        names: BTreeSet<String>,
    },
    /// Something is wrong with templates of the user.
    TemplateBroken {
        /// Which, where, and what is wrong.
        problem: String,
    },
    /// It is so no longer.
    TemplateMended {
        /// What was wrong.
        problem: String,
    },
    /// A template of `render` asks for a name that is not there.
    NameUnknown {
        /// Which, and for what.
        problem: String,
    },
    /// The program ends.
    Ended,
}

/// What is done for an order at a CA, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderStage {
    /// The order is made, or the one on record is fetched.
    Order,
    /// The responses are published, and it is looked whether they are served.
    Look,
    /// The CA looks at them.
    Validate,
    /// The order is finalized, and its certificate downloaded.
    Finalize,
}
