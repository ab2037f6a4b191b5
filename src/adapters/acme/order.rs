//! An order from new to its certificate, from whatever status it is found in.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use async_trait::async_trait;
use instant_acme::{AuthorizationStatus, OrderStatus};

use super::{
    authorizations::{self, Authorization, OfferedChallenge, verdict},
    caller::{CUT_REPEATS, Caller, Repeat},
    chains::ChainChoice,
    error::{CallError, pause},
    patience::{LONGEST_RETRY_AFTER, Patience},
    record::{ResponseHead, printable},
    signing_request::signing_request,
};
use crate::{
    ports::{AuthorityError, Offer, Order, Problem},
    values::{ChallengeType, Host, Profile, Secret},
};

/// The longest time for the CA's look at names: it tries from several places, each with time-outs of its own.
const VALIDATION_LIMIT: Duration = Duration::from_secs(300);

/// Time to wait for names that the CA still looks at when the order has failed for another.
const LOOKS_LIMIT: Duration = Duration::from_secs(60);

/// The longest time for the CA to issue; the order stays on disk, so that a later turn fetches a certificate that took
/// longer.
const ISSUANCE_LIMIT: Duration = Duration::from_secs(300);

/// The most authorizations of an order: each costs a request, and a certificate of ours has no more names.
const MOST_AUTHORIZATIONS: usize = 100;

/// An order at the CA.
pub(super) struct AcmeOrder {
    order: instant_acme::Order,
    url: String,
    caller: Caller,
    /// Challenges at which the CA was asked to look; it may still call them pending.
    answered: BTreeSet<String>,
    /// The names in its last answer, where the CA gives any.
    names: Option<BTreeSet<String>>,
    /// The profile that was sent with it by us, now.
    profile: Option<Profile>,
    /// Which chain is taken, where not just the usual one.
    chain: Option<ChainChoice>,
}

impl AcmeOrder {
    /// Goes on with an order in any status.
    pub(super) fn new(
        order: instant_acme::Order,
        answer: Option<ResponseHead>,
        caller: Caller,
        chain: Option<ChainChoice>,
    ) -> Self {
        Self {
            url: order.url().to_owned(),
            order,
            caller,
            answered: BTreeSet::new(),
            names: answer.and_then(|answer| answer.names),
            profile: None,
            chain,
        }
    }

    /// Takes over which profile it was asked for.
    pub(super) fn is_of(&mut self, profile: &Profile) {
        self.profile = Some(profile.clone());
    }

    /// Compares the CA's last answer with what was asked. An answer without a profile may come from a CA that knows
    /// none, which is enough where the profile is merely wanted.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc8555#section-7.4>
    pub(super) fn check(&mut self, names: &BTreeSet<Host>) -> Result<(), AuthorityError> {
        let asked: BTreeSet<_> = names.iter().map(Host::to_string).collect();
        if let Some(told) = self.names.as_ref().filter(|told| **told != asked) {
            return Err(AuthorityError::OtherOrder {
                asked: listed(&asked),
                answered: listed(told),
            });
        }
        let Some(profile) = &self.profile else {
            return Ok(());
        };
        let answered = match &self.order.state().profile {
            Some(named) if *named == profile.name => return Ok(()),
            Some(named) => format!("the profile {named:?}"),
            None if profile.is_required => "no profile".to_owned(),
            None => return Ok(()),
        };
        let asked = format!("the profile {:?}", profile.name);
        Err(AuthorityError::OtherOrder { asked, answered })
    }

    pub(super) fn status(&mut self) -> OrderStatus {
        self.order.state().status
    }

    /// Asks the CA for the order's status; what was known of its authorizations is forgotten.
    async fn refresh(&mut self) -> Result<(OrderStatus, Option<ResponseHead>), CallError> {
        let order = &mut self.order;
        let refreshed = async || order.refresh().await.map(|state| state.status);
        let refreshed = self.caller.call(Repeat::Safe, refreshed).await?;
        if let Some(answer) = &refreshed.1 {
            self.names.clone_from(&answer.names);
        }
        Ok(refreshed)
    }

    /// The same, as often as it takes.
    async fn refresh_patiently(
        &mut self,
        patience: &mut Patience,
    ) -> Result<(OrderStatus, Option<ResponseHead>), AuthorityError> {
        loop {
            match self.refresh().await {
                Ok(refreshed) => return Ok(refreshed),
                Err(failure) => patience.ride_out(failure).await?,
            }
        }
    }

    /// Looks at one authorization, as often as it takes.
    async fn authorization(
        &mut self,
        index: usize,
        patience: &mut Patience,
    ) -> Result<Authorization, AuthorityError> {
        loop {
            let (order, thumbprint) = (&mut self.order, self.caller.thumbprint.borrow().clone());
            let look = async || authorizations::look(order, index, thumbprint.as_deref()).await;
            match self.caller.call(Repeat::Safe, look).await {
                Ok((authorization, _)) => return Ok(authorization),
                Err(failure) => patience.ride_out(failure).await?,
            }
        }
    }

    async fn all(&mut self, patience: &mut Patience) -> Result<Vec<Authorization>, AuthorityError> {
        let count = self.order.state().authorizations.len();
        if count > MOST_AUTHORIZATIONS {
            return Err(AuthorityError::NotAcme {
                directory: self.caller.directory.clone(),
                problem: format!("an order with {count} authorizations"),
            });
        }
        let mut all = Vec::new();
        for index in 0..count {
            all.push(self.authorization(index, patience).await?);
        }
        Ok(all)
    }

    /// Asks the CA to look at each challenge of this type for which it was not asked yet.
    async fn answer_each(
        &mut self,
        kind: ChallengeType,
        patience: &mut Patience,
    ) -> Result<(), AuthorityError> {
        for index in 0..self.order.state().authorizations.len() {
            self.answer(index, kind, patience).await?;
        }
        Ok(())
    }

    /// Tells the CA to look at one challenge. When the answer is lost, the challenge's state is looked up before the CA
    /// is asked again. Once it may have begun to look at any, to give up would cost that name a failure.
    async fn answer(
        &mut self,
        index: usize,
        kind: ChallengeType,
        patience: &mut Patience,
    ) -> Result<(), AuthorityError> {
        let (mut cuts, mut may_look) = (0, !self.answered.is_empty());
        loop {
            let mut none = self.no_patience();
            let patient = match may_look {
                true => &mut *patience,
                false => &mut none,
            };
            let Some(challenge) = self.unanswered(index, kind, patient).await? else {
                return Ok(());
            };
            let order = &mut self.order;
            let answered = async || authorizations::answer(order, index, kind).await;
            let failure = match self.caller.call(Repeat::Unsafe, answered).await {
                Ok(_) => {
                    self.answered.insert(challenge.url);
                    return Ok(());
                }
                Err(failure) => failure,
            };
            may_look |= failure.unanswered;
            if failure.cut && cuts < CUT_REPEATS {
                cuts += 1;
            } else if failure.status == Some(200) {
                // It has looked already and did not like what it saw; the order will tell.
                self.answered.insert(challenge.url);
                return Ok(());
            } else if may_look {
                patience.ride_out(failure).await?;
            } else {
                return Err(failure.into());
            }
            self.refresh_patiently(patience).await?;
        }
    }

    fn no_patience(&self) -> Patience {
        Patience::of(Duration::ZERO, &self.caller.clock)
    }

    async fn unanswered(
        &mut self,
        index: usize,
        kind: ChallengeType,
        patience: &mut Patience,
    ) -> Result<Option<OfferedChallenge>, AuthorityError> {
        let authorization = self.authorization(index, patience).await?;
        if authorization.status != AuthorizationStatus::Pending {
            return Ok(None);
        }
        let challenge = authorization.challenge(kind)?;
        if !challenge.pending {
            // It was told by a process that has ended since.
            self.answered.insert(challenge.url);
            return Ok(None);
        }
        Ok(Some(challenge).filter(|challenge| !self.answered.contains(&challenge.url)))
    }

    /// Looks at once, then after growing pauses, until the order is past `status`.
    async fn wait(
        &mut self,
        past: &[OrderStatus],
        what: &'static str,
        limit: Duration,
        patience: &mut Patience,
    ) -> Result<OrderStatus, AuthorityError> {
        loop {
            let (status, answer) = self.refresh_patiently(patience).await?;
            match status {
                OrderStatus::Invalid => {
                    self.wait_for_looks(patience.left()).await;
                    return Err(self.problems().await);
                }
                status if !past.contains(&status) => return Ok(status),
                _ if patience.left().is_zero() => {
                    return Err(AuthorityError::TooSlow { what, limit });
                }
                _ => {}
            }
            let now = self.caller.clock.now();
            let asked = answer.and_then(|answer| pause(&answer, now));
            patience.pause(asked).await;
        }
    }

    /// Waits until the CA is done with each name at which it was asked to look, since the order has failed already: a
    /// response that it does not find any more would count as a failure of that name, too.
    async fn wait_for_looks(&mut self, left: Duration) {
        let mut patience = Patience::of(LOOKS_LIMIT.min(left), &self.caller.clock);
        while !patience.left().is_zero() {
            let Ok(all) = self.all(&mut patience).await else {
                return;
            };
            let is_looked_at = |seen: &Authorization| {
                let mut challenges = seen.challenges.values();
                let is_told = |challenge: &OfferedChallenge| {
                    !challenge.pending || self.answered.contains(&challenge.url)
                };
                seen.status == AuthorizationStatus::Pending && challenges.any(is_told)
            };
            if !all.iter().any(is_looked_at) {
                return;
            }
            patience.pause(None).await;
            if self.refresh_patiently(&mut patience).await.is_err() {
                return;
            }
        }
    }

    /// Keeps up the responses for the names at which the CA may be looking, after it was asked to look at all.
    async fn end_looks(&mut self, failure: &AuthorityError, left: Duration) {
        if self.answered.is_empty() {
            return;
        }
        match failure {
            // It is not to be asked how far it is.
            AuthorityError::Busy { .. } => self.caller.clock.sleep(LOOKS_LIMIT.min(left)).await,
            _ => self.wait_for_looks(left).await,
        }
    }

    async fn wait_for_validation(
        &mut self,
        patience: &mut Patience,
    ) -> Result<OrderStatus, AuthorityError> {
        let (past, what) = (&[OrderStatus::Pending], "validating the names");
        self.wait(past, what, VALIDATION_LIMIT, patience).await
    }

    /// The problem of an invalid order.
    async fn problems(&mut self) -> AuthorityError {
        let all = match self.all(&mut self.no_patience()).await {
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
        let mut patience = Patience::of(VALIDATION_LIMIT, &self.caller.clock);
        match self.wait_for_validation(&mut patience).await? {
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

    /// The chain of the certificate that there is now, as the CA or the settings prefer it.
    async fn fetch(&mut self, key: Option<&Secret>) -> Result<String, AuthorityError> {
        let order = &mut self.order;
        let fetched = async || order.certificate().await;
        let (fetched, _) = self.caller.call(Repeat::Safe, fetched).await?;
        let url = self.order.state().certificate.clone();
        let (Some(usual), Some(url)) = (fetched, url) else {
            return Err(AuthorityError::NotAcme {
                directory: self.caller.directory.clone(),
                problem: "an order that is valid has no certificate".to_owned(),
            });
        };
        Ok(match &self.chain {
            Some(choice) => choice.chosen(usual, key, &url).await,
            None => usual,
        })
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
        let all = self.all(&mut self.no_patience()).await?;
        if all.iter().any(|seen| seen.problem.is_some()) {
            return Err(self.problems().await);
        }
        let pending = all
            .into_iter()
            .filter(|seen| seen.status == AuthorizationStatus::Pending);
        Ok(pending.map(Authorization::offer).collect())
    }

    async fn authorize(&mut self, kind: ChallengeType) -> Result<(), AuthorityError> {
        if self.status() != OrderStatus::Pending {
            return Ok(());
        }
        let mut patience = Patience::of(VALIDATION_LIMIT, &self.caller.clock);
        let told = self.answer_each(kind, &mut patience).await;
        let are_all_told = told.is_ok();
        let ended = match told {
            Ok(()) => self.wait_for_validation(&mut patience).await.map(drop),
            Err(failure) => Err(failure),
        };
        let is_waited_for = are_all_told && self.status() == OrderStatus::Invalid;
        if let Err(failure) = &ended
            && !is_waited_for
        {
            self.end_looks(failure, patience.left()).await;
        }
        ended
    }

    async fn finalize(
        &mut self,
        key: &Secret,
        names: &BTreeSet<Host>,
    ) -> Result<String, AuthorityError> {
        let request = || signing_request(key, names);
        self.complete(names, request).await?;
        self.fetch(Some(key)).await
    }

    async fn finalize_request(
        &mut self,
        request: &[u8],
        names: &BTreeSet<Host>,
    ) -> Result<String, AuthorityError> {
        self.complete(names, || Ok(request.to_vec())).await?;
        self.fetch(None).await
    }
}

impl AcmeOrder {
    /// Asks for the certificate where that was not done yet, and waits until it is there.
    async fn complete(
        &mut self,
        names: &BTreeSet<Host>,
        request: impl FnOnce() -> Result<Vec<u8>, AuthorityError>,
    ) -> Result<(), AuthorityError> {
        if self.status() == OrderStatus::Pending {
            let mut patience = Patience::of(VALIDATION_LIMIT, &self.caller.clock);
            self.wait_for_validation(&mut patience).await?;
        }
        self.check(names)?;
        if self.status() == OrderStatus::Ready {
            self.submit(&request()?).await?;
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
                let mut patience = Patience::of(ISSUANCE_LIMIT, &self.caller.clock);
                let what = "issuing the certificate";
                self.wait(&before, what, ISSUANCE_LIMIT, &mut patience)
                    .await?;
            }
        }
        Ok(())
    }
}

/// Names as people read them: what a CA makes of them is shown in one line, and not without end.
fn listed(names: &BTreeSet<String>) -> String {
    const LONGEST: usize = 400;
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    match names.as_slice() {
        [] => "no name".to_owned(),
        names => printable(&names.join(", "), LONGEST),
    }
}
