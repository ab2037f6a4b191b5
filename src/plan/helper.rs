//! The certificates that a helper obtains in our place, and the line that it is given for each.

use std::{rc::Rc, time::Duration};

use super::{Why, held_back::unrendered, obtain::DueOrder};
use crate::{
    desire::{Complaint, Consumer, Desired, Wanted},
    observe::{HeldCertificate, Source},
    render::{HelperLineView, Templates},
    values::{CA_PRESETS, ContainerName, Digest, Issuer, KeyType, Profile},
};

/// Time that a helper has for its first line, and for each further one: it runs them one after the other.
const FIRST_WITHIN: Duration = Duration::from_secs(5 * 60);
const EACH_WITHIN: Duration = Duration::from_secs(60);

/// A certificate that a helper is to obtain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelperOrder {
    /// The helper.
    pub consumer: Rc<Consumer>,
    /// Its line for this certificate, without a line break.
    pub line: String,
    /// The version in `live/` that it is to replace; none where there is none.
    pub before: Option<Digest>,
    /// Time that the helper has until the certificate must be there.
    pub within: Duration,
}

/// The helper that obtains a certificate, given what lies in `live/` under its name. Where that is one of ours, certbot could
/// not put any there, so that we go on with it.
pub fn helper_of<'w>(
    wanted: &'w Wanted,
    live: Option<&HeldCertificate>,
) -> Option<&'w ContainerName> {
    let is_free = live.is_none_or(|live| live.source == Source::Provided);
    wanted.helper.as_ref().filter(|_| is_free)
}

/// The order to a helper, given the contents of `live/`; none where the helper could not be configured, of which there
/// is a complaint. `lines` is the number of others that it may have before.
///
/// # Errors
/// When it does not run, or the template of the line fails.
pub(super) fn order(
    by: &ContainerName,
    (due, live): (&DueOrder<'_>, Option<&HeldCertificate>),
    desired: &Desired,
    lines: usize,
    templates: &Templates,
) -> Result<Option<HelperOrder>, Complaint> {
    let DueOrder {
        name, wanted, why, ..
    } = *due;
    let consumer = desired.consumers.get(by);
    let Some((consumer, helper)) = consumer.and_then(|it| Some((it, it.helper.as_ref()?))) else {
        return Ok(None);
    };
    if !consumer.running {
        return Err(absent(consumer));
    }
    let issuance = &wanted.issuance;
    let view = HelperLineView {
        certificate: name.to_string(),
        names: wanted.names.iter().map(ToString::to_string).collect(),
        webroot: helper.webroot.theirs.display().to_string(),
        config_dir: helper
            .certificates
            .as_ref()
            .map(|path| path.display().to_string()),
        email: helper.email.clone(),
        server: server(&issuance.issuer),
        key_type: key_type(issuance.key_type),
        profile: issuance.profile.as_ref().map(profile),
        again: why == Why::Asked,
    };
    let line = templates
        .render("certbot/updates.list", &view)
        .map_err(|error| unrendered(consumer, &error))?;
    let others = u32::try_from(lines).unwrap_or(u32::MAX);
    Ok(Some(HelperOrder {
        consumer: Rc::clone(consumer),
        line: on_one_line(&line),
        before: live.map(|live| live.digest),
        within: FIRST_WITHIN + EACH_WITHIN.saturating_mul(others),
    }))
}

/// That a helper does not run that something is to be asked of.
fn absent(helper: &Consumer) -> Complaint {
    let problem = "it does not run, and certificates that are missing or due wait for it";
    let remedy = format!(
        "start it: `docker start {name}`; or remove it, and quaymaster obtains them itself",
        name = helper.name
    );
    helper.said.clone().complains(problem, remedy)
}

/// The line of a template that may have several: no word of it has a line break in it.
fn on_one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(" ")
}

/// The CA, where it is another than certbot's own.
fn server(issuer: &Issuer) -> Option<String> {
    let other = |directory: &&str| *directory != CA_PRESETS[0].directory;
    issuer.directory().filter(other).map(str::to_owned)
}

/// The words for certbot about the profile.
fn profile(profile: &Profile) -> Vec<String> {
    let flag = match profile.is_required {
        true => "--required-profile",
        false => "--preferred-profile",
    };
    vec![flag.to_owned(), profile.name.clone()]
}

/// The words for certbot about the key, where it is another than certbot's own.
fn key_type(key_type: KeyType) -> Option<Vec<String>> {
    let words: &[&str] = match key_type {
        KeyType::Ec256 => return None,
        KeyType::Ec384 => &["--key-type", "ecdsa", "--elliptic-curve", "secp384r1"],
        KeyType::Rsa2048 => &["--key-type", "rsa", "--rsa-key-size", "2048"],
        KeyType::Rsa3072 => &["--key-type", "rsa", "--rsa-key-size", "3072"],
        KeyType::Rsa4096 => &["--key-type", "rsa", "--rsa-key-size", "4096"],
    };
    Some(words.iter().map(|word| (*word).to_owned()).collect())
}
