//! Looks at the names of an order before a CA is asked for anything: a response of ours is shown, and fetched as a CA
//! would fetch its own.

use std::net::{IpAddr, SocketAddr};

use futures_util::{StreamExt, future::join_all, stream};
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::published::PublishedResponses;
use crate::{
    observe::{Addresses, LookupFault, NameLook, Visit, VisitEnd, Webroots},
    plan::{
        LOOK_LIMIT, NameVerdict, Obtain, SelfCheck, judge, judge_proofs, other_account, stranger,
    },
    ports::{Answered, CHALLENGE_PATH, Challenge, Clock, Issuing, ProbeError, Response},
    report::chain,
    values::{CertificateName, ChallengeType, Digest, Host, Timestamp},
};

/// Names that are looked at at the same time.
const AT_ONCE: usize = 8;

/// The names to look at, and the account and CA of the order.
pub(super) struct Looking<'a> {
    issuing: &'a Issuing,
    webroots: &'a Webroots,
    check: &'a SelfCheck,
    /// The URL of our account at the CA, if there is one.
    account: Option<String>,
    /// When the look ends, whatever is known by then.
    by: Instant,
}

/// Looks at the names of an order that nobody makes: what it would begin with. What is shown for it goes again, also when this
/// is dropped.
///
/// # Errors
/// Says why nothing can be shown.
pub async fn preview(
    issuing: &Issuing,
    clock: &dyn Clock,
    obtain: &Obtain,
) -> Result<Vec<(Host, NameVerdict)>, String> {
    let (Some(check), Some(name)) = (&obtain.self_check, obtain.names.first()) else {
        return Ok(Vec::new());
    };
    let directory = obtain.issuance.issuer.directory().unwrap_or_default();
    let authority = issuing.authorities.at(directory).ok();
    let thumbprint = authority.as_ref().and_then(|it| it.thumbprint());
    if check.is_by_thumbprint && thumbprint.is_none() {
        return Ok(unknown(obtain));
    }
    let response = own_response(&obtain.certificate, clock.now(), thumbprint.as_deref());
    let challenge = [Challenge {
        name: name.clone(),
        response: response.clone(),
    }];
    let published = PublishedResponses::new(issuing, obtain, &challenge);
    published.publish().await.map_err(|fault| chain(&fault))?;
    let account = authority.and_then(|it| it.account_url());
    let looking = Looking::begun(issuing, &obtain.webroots, check, account);
    Ok(looking.verdicts(&obtain.names, &response).await)
}

/// The verdicts where a server answers by a thumbprint that nobody can compare: nothing is held up by what can't be known.
pub(super) fn unknown(obtain: &Obtain) -> Vec<(Host, NameVerdict)> {
    const WHY: &str = "a server answers by the thumbprint of the account's key, but there is no account yet, or its \
                       key is being changed; `quaymaster register` makes one";
    let unsure = |name: &Host| (name.clone(), NameVerdict::Unsure(WHY.to_owned()));
    obtain.names.iter().map(unsure).collect()
}

/// A response of our own that no CA has asked for, made like those for a CA where the thumbprint of our account's key is
/// known. Its token is found once: nobody in between has kept an answer to it.
pub(super) fn own_response(
    certificate: &CertificateName,
    now: Timestamp,
    thumbprint: Option<&str>,
) -> Response {
    let one = Digest::of_parts([certificate.to_string(), now.to_string()]);
    let token = format!("quaymaster-{}", one.short());
    let body = match thumbprint {
        Some(thumbprint) => format!("{token}.{thumbprint}"),
        None => format!("{token}.{}", Digest::of(&token).short()),
    };
    Response::Http { token, body }
}

/// The name that a wildcard stands below, where CAs look for its records, too.
///
/// <https://www.rfc-editor.org/rfc/rfc8659#section-3>
fn plain(name: &Host) -> Host {
    let below = name.as_str().strip_prefix("*.");
    let below = below.and_then(|word| Host::parse(word).ok());
    below.unwrap_or_else(|| name.clone())
}

impl<'a> Looking<'a> {
    /// A look that begins now.
    pub fn begun(
        issuing: &'a Issuing,
        webroots: &'a Webroots,
        check: &'a SelfCheck,
        account: Option<String>,
    ) -> Self {
        Self {
            issuing,
            webroots,
            check,
            account,
            by: Instant::now() + LOOK_LIMIT,
        }
    }

    /// The verdicts of a look at these names, at all that show a response which is visible meanwhile.
    pub async fn verdicts<'n>(
        &self,
        names: impl IntoIterator<Item = &'n Host>,
        response: &Response,
    ) -> Vec<(Host, NameVerdict)> {
        let looks = names.into_iter().map(|name| async {
            let challenge = Challenge {
                name: name.clone(),
                response: response.clone(),
            };
            (name.clone(), self.verdict(&challenge).await)
        });
        // In the order of the names, so that the same is told the same way.
        stream::iter(looks).buffered(AT_ONCE).collect().await
    }

    /// The verdict of a look at one challenge, whose response is visible or should be.
    pub async fn verdict(&self, challenge: &Challenge) -> NameVerdict {
        if let Response::Txt { proof, .. } = &challenge.response {
            let proofs = self.issuing.resolver.proofs(&challenge.name);
            return judge_proofs(&self.looked_up(proofs).await, &proof.value);
        }
        let responder = &self.issuing.responder;
        match timeout_at(self.by, responder.look(self.webroots, challenge)).await {
            Ok(Ok(())) => {}
            Ok(Err(not_served)) => {
                return NameVerdict::Unseen(format!("it is not served: {}", not_served.saw));
            }
            Err(_) => {
                let what = "what the proxies answer at their own addresses";
                return NameVerdict::Unsure(format!("{what} was not known within {LOOK_LIMIT:?}"));
            }
        }
        let look = self.look(challenge).await;
        judge(&look, self.check, self.account.as_deref())
    }

    async fn look(&self, challenge: &Challenge) -> NameLook {
        let name = &challenge.name;
        let visits = async {
            if self.check.method == ChallengeType::Dns01 {
                return (Ok(Addresses::default()), Vec::new());
            }
            let addresses = self.addresses(name).await;
            let visits = match &addresses {
                Ok(addresses) => self.check.to_visit(addresses),
                Err(_) => Vec::new(),
            };
            let visits = visits.into_iter().map(|at| self.visit(at, challenge));
            (addresses, join_all(visits).await)
        };
        let caa = async {
            match self.check.identities {
                [] => Ok(None),
                _ if name.address().is_some() => Ok(None),
                _ => {
                    self.looked_up(self.issuing.resolver.caa(&plain(name)))
                        .await
                }
            }
        };
        let ((addresses, visits), caa) = tokio::join!(visits, caa);
        NameLook {
            name: name.clone(),
            addresses,
            caa,
            visits,
        }
    }

    async fn addresses(&self, name: &Host) -> Result<Addresses, LookupFault> {
        match name.address() {
            None => self.looked_up(self.issuing.resolver.addresses(name)).await,
            Some(address) => Ok(Addresses {
                all: vec![address],
                alias: None,
            }),
        }
    }

    /// The answer of DNS, if it comes in time.
    async fn looked_up<T>(
        &self,
        asked: impl Future<Output = Result<T, LookupFault>>,
    ) -> Result<T, LookupFault> {
        let late = |_| LookupFault::NoAnswer(format!("not within {LOOK_LIMIT:?}"));
        timeout_at(self.by, asked).await.map_err(late)?
    }

    /// Asks one address of the name, and goes where it leads.
    async fn visit(&self, at: IpAddr, challenge: &Challenge) -> Visit {
        let mut led = Vec::new();
        let end = timeout_at(self.by, self.end(at, challenge, &mut led)).await;
        let end = end.unwrap_or(VisitEnd::Late);
        Visit { at, led, end }
    }

    async fn end(&self, at: IpAddr, challenge: &Challenge, led: &mut Vec<String>) -> VisitEnd {
        let Response::Http { token, body } = &challenge.response else {
            return VisitEnd::NoHttp("a TXT record is not asked for over HTTP".to_owned());
        };
        let url = format!("http://{}{CHALLENGE_PATH}{token}", challenge.name.in_url());
        let mut url = match Url::parse(&url) {
            Ok(url) => url,
            Err(error) => return VisitEnd::BadRedirect(format!("{url} is not a URL: {error}")),
        };
        let mut addresses = vec![at];
        loop {
            let (from, answer) = match self.first_answer(&addresses, &url).await {
                Ok(answered) => answered,
                Err(end) => return end,
            };
            if answer.status == 200 && answer.body.trim_end() == *body {
                return VisitEnd::Ours;
            }
            let location = answer.location.as_deref();
            match self.check.follow((&url, led), answer.status, location) {
                None => {
                    let is_page = answer.status == 200;
                    let other = is_page.then(|| other_account(token, body, &answer.body));
                    let server = answer.server.as_deref();
                    let stranger = || stranger(from, answer.status, server, &answer.body);
                    return other.flatten().unwrap_or_else(stranger);
                }
                Some(Err(end)) => return end,
                Some(Ok(next)) => {
                    led.push(next.to_string());
                    addresses = match self.addresses_of(&next).await {
                        Ok(addresses) => addresses,
                        Err(end) => return end,
                    };
                    url = next;
                }
            }
        }
    }

    /// The addresses that a redirect leads to: those of version 6 first, as CAs take them.
    async fn addresses_of(&self, url: &Url) -> Result<Vec<IpAddr>, VisitEnd> {
        let host = url.host_str().unwrap_or_default();
        let host = Host::parse(host)
            .map_err(|error| VisitEnd::BadRedirect(format!("it leads to {host:?}, and {error}")))?;
        let addresses = self.addresses(&host).await;
        let addresses = addresses.map_err(VisitEnd::LostRedirect)?;
        let mut all = self.check.to_visit(&addresses);
        if all.is_empty() {
            let what = format!("it leads to {host}, which has no address that a CA reaches");
            return Err(VisitEnd::BadRedirect(what));
        }
        all.sort_by_key(IpAddr::is_ipv4);
        Ok(all)
    }

    /// The first address that takes a connection, and its answer.
    async fn first_answer(
        &self,
        addresses: &[IpAddr],
        url: &Url,
    ) -> Result<(IpAddr, Answered), VisitEnd> {
        let Some(port) = self.check.ports.of(url) else {
            return Err(VisitEnd::BadRedirect(format!("CAs don't ask at {url}")));
        };
        let mut unreachable = VisitEnd::NoConnection("there is no address".to_owned());
        for address in addresses {
            let at = SocketAddr::new(*address, port);
            match self.issuing.visitor.visit(at, url).await {
                Ok(answer) => return Ok((*address, answer)),
                Err(ProbeError::Unreachable { source, .. }) => {
                    unreachable = VisitEnd::NoConnection(source.to_string());
                }
                Err(ProbeError::Strange { problem, .. }) => return Err(VisitEnd::NoHttp(problem)),
                Err(error) => return Err(VisitEnd::NoHttp(error.to_string())),
            }
        }
        Err(unreachable)
    }
}
