//! A consumer that is planned for, with all that is known of it.

use std::rc::Rc;

use super::{
    PlanRules,
    content::{PartInputs, Parts},
    gate::Gate,
    obtain::HeldCertificates,
    part::{self, Part, Serving, mark_file},
    selection::Selection,
    server::Server,
};
use crate::{
    desire::{Consumer, Reload},
    observe::{Installed, Observed, PartName, Progress, Refused, Signals, Subject, Units},
    render::{TemplateError, Templates},
    values::{Digest, FileName, Timestamp},
};

/// The consumer and the facts for which a deployment is planned.
pub(super) struct Case<'a> {
    pub consumer: &'a Rc<Consumer>,
    pub installed: &'a Rc<Installed>,
    pub signals: &'a Signals,
    pub gate: &'a Gate,
    /// True if its files have it listen on IPv6, too.
    pub listens_ipv6: bool,
    /// With the user's own certificates in place of ours of the same names.
    pub observed: &'a Observed,
    /// Those in `live/`, with ours under these names.
    pub live: &'a Rc<HeldCertificates>,
    /// Which of them serves a name.
    pub selection: &'a Selection<'a>,
    pub rules: &'a PlanRules,
    pub now: Timestamp,
}

impl<'a> Case<'a> {
    /// The inputs of its parts, with these templates.
    pub fn wanted(&self, templates: &'a Templates) -> PartInputs<'a> {
        PartInputs {
            consumer: self.consumer,
            server: self.server(),
            installed: self.installed,
            observed: self.observed,
            live: self.live,
            selection: self.selection,
            templates,
            now: self.now,
        }
    }

    /// The inputs of its files.
    pub fn server(&self) -> Option<Server<'a>> {
        Some(Server {
            consumer: self.consumer,
            proxy: self.consumer.proxy.as_ref()?,
            gate: self.gate,
            listens_ipv6: self.listens_ipv6,
        })
    }

    /// The digest of a file, with the certificate that comes with it; none where a template fails for it.
    pub fn unit(&self, part: &Part) -> Option<Digest> {
        part.unit((self.consumer, self.installed))
    }

    /// The refusal that holds this file back, if there is one.
    pub fn refusal(&self, file: &FileName, part: &Part) -> Option<&'a Refused> {
        let name = PartName::File(file.clone());
        self.held_back(&name, self.unit(part)?)
    }

    /// The refusal that holds this part back, if there is one. A part about which the user can do something is tried
    /// again after a start of the server: the user may have done it.
    pub fn held_back(&self, part: &PartName, unit: Digest) -> Option<&'a Refused> {
        let refused = self.installed.trial.holds_back(part, unit)?;
        let file = part.file().map(FileName::as_str);
        let mut own = self.consumer.own_files().iter();
        let is_mendable = own.any(|own| Some(own.file) == file && own.remedy.is_some());
        let was_started = self.consumer.started_at > Some(refused.at);
        (!(is_mendable && was_started)).then_some(refused)
    }

    /// The subject of what is planned.
    pub fn subject(&self) -> Subject {
        Subject::Consumer(self.consumer.name.clone())
    }

    /// True if the result of a trial can be seen at once, and no server is restarted for it.
    pub fn can_be_tried(&self) -> bool {
        let can_be_told = matches!(self.consumer.reload, Reload::Signal(_) | Reload::Exec(_));
        let is_proven = matches!(self.installed.progress, Progress::Proven { .. });
        is_proven && self.consumer.running && self.consumer.can_be_seen() && can_be_told
    }

    /// The file that shows a mark, with its text; none where the consumer shows none.
    pub fn mark(
        &self,
        templates: &Templates,
        mark: u64,
    ) -> Result<Option<(FileName, String)>, TemplateError> {
        let Some(server) = self.server() else {
            return Ok(None);
        };
        let text = part::mark(server, templates, self.rules, mark)?;
        Ok(Some((mark_file(server.proxy.kind), text)))
    }

    /// True if the file with the mark shows the present generation, where there is to be such a file.
    pub fn has_mark(&self, templates: &Templates) -> Result<bool, TemplateError> {
        let mark = self.mark(templates, self.installed.generation)?;
        Ok(mark.is_none_or(|(file, text)| {
            let there = self.installed.files.get(&file);
            there.is_some_and(|there| there.digest == Digest::of(text))
        }))
    }

    /// The certificates that come with these parts: newer versions, and those that files need.
    pub fn brought<'p>(
        &'p self,
        parts: &'p Parts,
        next: &'p Units,
    ) -> impl Iterator<Item = &'p Serving> {
        next.keys().filter_map(|name| match name {
            PartName::Certificate(name) => parts.renewed().get(name),
            PartName::File(file) => parts.get(file)?.brings((self.consumer, self.installed)),
            PartName::Removal(_) => None,
        })
    }
}
