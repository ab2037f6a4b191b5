//! An order from new to its certificate, from whatever status it is found in.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use async_trait::async_trait;
use instant_acme::{AuthorizationStatus, OrderStatus};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};

use super::{
    authorizations::{self, Authorization, OfferedChallenge, verdict},
    caller::{CUT_REPEATS, Caller, Repeat},
    error::{CallError, pause},
    record::ResponseHead,
};
use crate::{
    ports::{AuthorityError, Offer, Order, Problem},
    values::{ChallengeType, Host, Secret},
};

/// The pause after the first look. A CA on the same network is done by then.
const FIRST_PAUSE: Duration = Duration::from_millis(20);

/// The pause after the second look. A Retry-After that is shorter, as one of nothing or in the past, says nothing: a CA
/// that sends it each time would be asked without end.
const SECOND_PAUSE: Duration = Duration::from_millis(100);

/// From then on pauses double up to this: a public CA takes seconds, and looks cost its limits.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A Retry-After in the middle of an order is believed up to this; the authorizations would not wait much longer.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);

/// How long the CA may look at names: it tries from several places, each with time-outs of its own.
const VALIDATION_LIMIT: Duration = Duration::from_secs(300);

/// How long the CA may take to issue; the order stays on disk, so that a later turn fetches what took longer.
const ISSUANCE_LIMIT: Duration = Duration::from_secs(300);

/// How many authorizations an order may have: each costs a request, and a certificate of ours has no more names.
const MOST_AUTHORIZATIONS: usize = 100;

/// An order at the CA.
pub(super) struct AcmeOrder {
    order: instant_acme::Order,
    url: String,
    caller: Caller,
    /// Challenges that the CA was told to look at; it may go on calling them pending.
    answered: BTreeSet<String>,
}

impl AcmeOrder {
    /// Goes on with an order in any status.
    pub(super) fn new(order: instant_acme::Order, caller: Caller) -> Self {
        Self {
            url: order.url().to_owned(),
            order,
            caller,
            answered: BTreeSet::new(),
        }
    }

    fn status(&mut self) -> OrderStatus {
        self.order.state().status
    }

    /// Asks the CA for the order's status; what was known of its authorizations is forgotten.
    async fn refresh(&mut self) -> Result<(OrderStatus, Option<ResponseHead>), AuthorityError> {
        let order = &mut self.order;
        let refreshed = async || order.refresh().await.map(|state| state.status);
        Ok(self.caller.call(Repeat::Safe, refreshed).await?)
    }

    async fn authorization(&mut self, index: usize) -> Result<Authorization, AuthorityError> {
        let order = &mut self.order;
        Ok(self
            .caller
            .call(Repeat::Safe, async || {
                authorizations::look(order, index).await
            })
            .await?
            .0)
    }

    async fn all(&mut self) -> Result<Vec<Authorization>, AuthorityError> {
        let count = self.order.state().authorizations.len();
        if count > MOST_AUTHORIZATIONS {
            return Err(AuthorityError::NotAcme {
                directory: self.caller.directory.clone(),
                problem: format!("an order with {count} authorizations"),
            });
        }
        let mut all = Vec::new();
        for index in 0..count {
            all.push(self.authorization(index).await?);
        }
        Ok(all)
    }

    /// Tells the CA to look at one challenge. When the answer is lost, what the CA made of it is looked up before it is
    /// told again.
    async fn answer(&mut self, index: usize, kind: ChallengeType) -> Result<(), AuthorityError> {
        let mut cuts = 0;
        while let Some(challenge) = self.unanswered(index, kind).await? {
            let order = &mut self.order;
            let answered = async || authorizations::answer(order, index, kind).await;
            match self.caller.call(Repeat::Unsafe, answered).await {
                Err(failure) if failure.cut && cuts < CUT_REPEATS => {
                    cuts += 1;
                    self.refresh().await?;
                    continue;
                }
                // Status 200 with a problem: it has looked already and did not like what it saw; the order will tell.
                Err(failure) if failure.status != Some(200) => return Err(failure.into()),
                _ => {}
            }
            self.answered.insert(challenge.url);
        }
        Ok(())
    }

    async fn unanswered(
        &mut self,
        index: usize,
        kind: ChallengeType,
    ) -> Result<Option<OfferedChallenge>, AuthorityError> {
        let authorization = self.authorization(index).await?;
        if authorization.status != AuthorizationStatus::Pending {
            return Ok(None);
        }
        let challenge = authorization.challenge(kind)?;
        Ok(Some(challenge)
            .filter(|challenge| challenge.pending && !self.answered.contains(&challenge.url)))
    }

    /// Looks at once, then after growing pauses, until the order is past `status`.
    async fn wait(
        &mut self,
        past: &[OrderStatus],
        what: &'static str,
        limit: Duration,
    ) -> Result<OrderStatus, AuthorityError> {
        let until = self.caller.clock.elapsed() + limit;
        let mut next = FIRST_PAUSE;
        loop {
            let (status, answer) = self.refresh().await?;
            match status {
                OrderStatus::Invalid => return Err(self.problems().await),
                status if !past.contains(&status) => return Ok(status),
                _ if self.caller.clock.elapsed() >= until => {
                    return Err(AuthorityError::TooSlow { what, limit });
                }
                _ => {}
            }
            let asked = answer.and_then(|answer| pause(&answer, self.caller.clock.now()));
            let asked = asked.filter(|asked| *asked >= SECOND_PAUSE);
            let pause = asked.map_or(next, |asked| asked.min(LONGEST_RETRY_AFTER));
            self.caller.clock.sleep(pause).await;
            next = (next * 2).clamp(SECOND_PAUSE, LONGEST_PAUSE);
        }
    }

    async fn wait_for_validation(&mut self) -> Result<OrderStatus, AuthorityError> {
        self.wait(
            &[OrderStatus::Pending],
            "validating the names",
            VALIDATION_LIMIT,
        )
        .await
    }

    /// What is wrong with an invalid order.
    async fn problems(&mut self) -> AuthorityError {
        let all = match self.all().await {
            Ok(all) => all,
            Err(error) if self.order.state().error.is_none() => return error,
            Err(_) => Vec::new(),
        };
        let names = all
            .into_iter()
            .filter_map(|seen| Some((seen.name, seen.problem?)))
            .collect::<BTreeMap<_, _>>();
        verdict(self.order.state(), names)
    }

    /// Sends the request for the certificate. Where it came too early, or its answer was lost, the order is looked at
    /// and the request sent once more if it is still ready.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc8555#section-7.4>
    async fn submit(&mut self, request: &[u8]) -> Result<(), AuthorityError> {
        let Err(failure) = self.submit_once(request).await else {
            return Ok(());
        };
        if !failure.cut && !failure.is_refusal(&Problem::OrderNotReady) {
            return Err(failure.into());
        }
        match self.wait_for_validation().await? {
            OrderStatus::Ready => Ok(self.submit_once(request).await?),
            _ => Ok(()),
        }
    }

    async fn submit_once(&mut self, request: &[u8]) -> Result<(), CallError> {
        let order = &mut self.order;
        let ((), answer) = self
            .caller
            .call(Repeat::Unsafe, async || order.finalize_csr(request).await)
            .await?;
        if self.status() == OrderStatus::Processing
            && let Some(asked) = answer.and_then(|answer| pause(&answer, self.caller.clock.now()))
        {
            self.caller
                .clock
                .sleep(asked.min(LONGEST_RETRY_AFTER))
                .await;
        }
        Ok(())
    }
}

#[async_trait(?Send)]
impl Order for AcmeOrder {
    fn url(&self) -> &str {
        &self.url
    }

    async fn offers(&mut self) -> Result<Vec<Offer>, AuthorityError> {
        match self.status() {
            OrderStatus::Pending => {}
            OrderStatus::Invalid => return Err(self.problems().await),
            OrderStatus::Ready | OrderStatus::Processing | OrderStatus::Valid => {
                return Ok(Vec::new());
            }
        }
        let all = self.all().await?;
        if all.iter().any(|seen| seen.problem.is_some()) {
            return Err(self.problems().await);
        }
        let pending = all
            .into_iter()
            .filter(|seen| seen.status == AuthorizationStatus::Pending);
        Ok(pending.map(Authorization::offer).collect())
    }

    async fn authorize(&mut self, kind: ChallengeType) -> Result<(), AuthorityError> {
        if self.status() == OrderStatus::Pending {
            for index in 0..self.order.state().authorizations.len() {
                self.answer(index, kind).await?;
            }
            self.wait_for_validation().await?;
        }
        Ok(())
    }

    async fn finalize(
        &mut self,
        key: &Secret,
        names: &BTreeSet<Host>,
    ) -> Result<String, AuthorityError> {
        if self.status() == OrderStatus::Pending {
            self.wait_for_validation().await?;
        }
        if self.status() == OrderStatus::Ready {
            self.submit(&signing_request(key, names)?).await?;
        }
        match self.status() {
            OrderStatus::Invalid => return Err(self.problems().await),
            OrderStatus::Valid => {}
            // Some CAs go on saying "ready" for a moment after they were asked.
            _ => {
                let before = [
                    OrderStatus::Pending,
                    OrderStatus::Ready,
                    OrderStatus::Processing,
                ];
                self.wait(&before, "issuing the certificate", ISSUANCE_LIMIT)
                    .await?;
            }
        }
        let order = &mut self.order;
        let fetched = self
            .caller
            .call(Repeat::Safe, async || order.certificate().await)
            .await?
            .0;
        fetched.ok_or_else(|| AuthorityError::NotAcme {
            directory: self.caller.directory.clone(),
            problem: "an order that is valid has no certificate".to_owned(),
        })
    }
}

/// What is signed with the certificate's key and sent to the CA.
///
/// <https://www.rfc-editor.org/rfc/rfc2986#section-4>
fn signing_request(key: &Secret, names: &BTreeSet<Host>) -> Result<Vec<u8>, AuthorityError> {
    let unusable = |error| Caller::ours("the certificate's key can't be used", error);
    let key = KeyPair::from_pem(key.expose()).map_err(unusable)?;
    let mut params = CertificateParams::new(names.iter().map(Host::to_string).collect::<Vec<_>>())
        .map_err(unusable)?;
    // rcgen would put a common name of its own there, which CAs read as one more host name.
    params.distinguished_name = DistinguishedName::new();
    Ok(params
        .serialize_request(&key)
        .map_err(unusable)?
        .der()
        .to_vec())
}

#[cfg(test)]
mod tests {
    use x509_parser::prelude::{FromDer, ParsedExtension, X509CertificationRequest};

    use super::*;

    #[test]
    fn a_signing_request_has_the_names_and_nothing_else() {
        let key = Secret::new(KeyPair::generate().unwrap().serialize_pem());
        let names = ["b.example", "a.example"]
            .map(|name| Host::parse(name).unwrap())
            .into();
        let der = signing_request(&key, &names).unwrap();
        let (_, request) = X509CertificationRequest::from_der(&der).unwrap();
        assert_eq!(request.certification_request_info.subject.iter().count(), 0);
        let extensions = request.requested_extensions().unwrap().collect::<Vec<_>>();
        let [ParsedExtension::SubjectAlternativeName(found)] = extensions.as_slice() else {
            panic!("{extensions:?}");
        };
        let found = found
            .general_names
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>();
        assert_eq!(found, ["DNSName(a.example)", "DNSName(b.example)"]);
    }
}
