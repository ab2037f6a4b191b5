//! New orders: with all that was asked for, and without what the CA does not take and nobody insists on.

use std::{collections::BTreeSet, rc::Rc};

use instant_acme::{Account, CertificateIdentifier, Error, Identifier, NewOrder};

use super::{
    AcmeAuthority,
    caller::{Caller, Repeat},
    error::CallError,
    order::AcmeOrder,
    profiles,
    record::ResponseHead,
};
use crate::{
    ports::{AskedOrder, AuthorityError, Problem, Remark},
    values::{CertificateId, Host},
};

/// The contents of an order in addition to its names.
#[derive(Clone, Copy)]
struct Extras<'a> {
    profile: Option<&'a str>,
    replaces: Option<&'a CertificateId>,
}

impl<'a> Extras<'a> {
    fn order(self, identifiers: &'a [Identifier]) -> NewOrder<'a> {
        let mut new = NewOrder::new(identifiers);
        if let Some(profile) = self.profile {
            new = new.profile(profile);
        }
        if let Some(id) = self.replaces {
            new = new.replaces(identifier_of(id));
        }
        new
    }
}

impl AcmeAuthority {
    /// Makes an order with as much of what was asked for as the CA takes.
    pub(super) async fn place_as_taken(
        &self,
        account: &Rc<Account>,
        asked: &AskedOrder<'_>,
    ) -> Result<AcmeOrder, AuthorityError> {
        let AskedOrder { names, profile, .. } = *asked;
        let offered = profile.map(|profile| profiles::offered(account, profile));
        let mut extras = Extras {
            profile: offered.transpose()?.flatten(),
            replaces: asked.replaces.filter(|_| !self.ignores_replaces.get()),
        };
        let mut order = loop {
            let failed = match self.place_surely(account, names, extras).await {
                Ok(order) => break order,
                Err(failed) => failed,
            };
            if extras.profile.is_some() && profiles::is_refused(&failed.error, profile) {
                extras.profile = None;
            } else if extras.replaces.is_some() && self.is_about_replaced(&failed) {
                extras.replaces = None;
            } else {
                return Err(failed.into());
            }
        };
        if let Some(sent) = profile.filter(|_| extras.profile.is_some()) {
            order.is_of(sent);
        }
        order.check(names)?;
        self.profiles.tell(profile, extras.profile);
        Ok(order)
    }

    /// True if the CA may object to the replaced certificate, rather than to the order: that certificate has a
    /// successor already, was another account's, or is not known any more. A CA that takes the order and does not
    /// confirm what that replaces is not asked so any more.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc9773#section-5>
    fn is_about_replaced(&self, failed: &CallError) -> bool {
        let directory = || self.caller.directory.clone();
        match &failed.error {
            AuthorityError::Refused {
                problem:
                    problem @ (Problem::AlreadyReplaced | Problem::Malformed | Problem::Unauthorized),
                detail,
            } => {
                (self.remarks)(Remark::ReplacedUntold {
                    directory: directory(),
                    problem: format!("{problem}: {detail}"),
                });
                true
            }
            AuthorityError::Ours { .. } if failed.status == Some(201) => {
                (self.remarks)(Remark::ReplacedUntold {
                    directory: directory(),
                    problem: "its answer does not repeat it".to_owned(),
                });
                self.ignores_replaces.set(true);
                true
            }
            _ => false,
        }
    }

    /// Makes an order; once more where the CA has lost our account, whose certificates are not those of the next one.
    async fn place_surely(
        &self,
        account: &Rc<Account>,
        names: &BTreeSet<Host>,
        extras: Extras<'_>,
    ) -> Result<AcmeOrder, CallError> {
        let identifiers: Vec<_> = names.iter().map(identifier).collect();
        let mut account = account.clone();
        let mut placed = self.place(&account, &identifiers, extras).await;
        let is_lost = |failed: &CallError| failed.is_refusal(&Problem::AccountDoesNotExist);
        if placed.as_ref().is_err_and(is_lost) {
            let replacement = self.registration.replacement(&account).await;
            account = replacement.map_err(CallError::unasked)?;
            let extras = Extras {
                replaces: None,
                ..extras
            };
            placed = self.place(&account, &identifiers, extras).await;
        }
        let (order, answer) = placed?;
        let choice = self.chain_choice(&account);
        Ok(AcmeOrder::new(order, answer, self.caller.clone(), choice))
    }

    /// Makes an order, when it is its turn.
    async fn place(
        &self,
        account: &Account,
        identifiers: &[Identifier],
        extras: Extras<'_>,
    ) -> Result<(instant_acme::Order, Option<ResponseHead>), CallError> {
        let Caller { clock, .. } = &self.caller;
        let plain = Extras {
            replaces: None,
            ..extras
        };
        let place = async || {
            self.pace.wait(&**clock).await;
            match account.new_order(&extras.order(identifiers)).await {
                // The directory that the account was opened by says nothing of renewals. Nothing was sent.
                Err(Error::Unsupported(_)) if extras.replaces.is_some() => {
                    account.new_order(&plain.order(identifiers)).await
                }
                placed => placed,
            }
        };
        self.caller.call(Repeat::Unsafe, place).await
    }
}

/// <https://www.rfc-editor.org/rfc/rfc8738#section-3>
fn identifier(host: &Host) -> Identifier {
    host.address()
        .map_or_else(|| Identifier::Dns(host.to_string()), Identifier::Ip)
}

/// The id of a certificate as the library has it.
fn identifier_of(id: &CertificateId) -> CertificateIdentifier<'_> {
    let (key, serial) = id.as_str().split_once('.').expect("an id has two parts");
    CertificateIdentifier {
        authority_key_identifier: key.into(),
        serial: serial.into(),
    }
}
