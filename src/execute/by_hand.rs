//! Orders that somebody makes by commands: on the same way as any other, but that people may put responses where a CA
//! sees them, and that the certificate goes into files of theirs.

use std::path::PathBuf;

use super::{
    Failure,
    ledger_pen::LedgerPen,
    obtain::{open, record, resume, tell},
    published::{PublishedResponses, challenges, withdraw, withdraw_records},
    rehearse::Cleared,
    self_check::Looking,
};
use crate::{
    observe::{Blame, HandOrder, HandStage, HandTask, LedgerEntry, SharedPath, Webroots},
    plan::{NameVerdict, Obtain, SelfCheckFailed},
    ports::{
        AuthorityError, CHALLENGE_PATH, CertificateKey, Challenge, Clock, DiskError, HandOrders,
        Hands, IssuedCertificate, IssuedFiles, IssuedKey, Issuing, Order, OrderRecord, Response,
        Waited,
    },
    report::{OrderStage, chain},
    values::{ChallengeType, Digest, Secret},
};

/// The reason why an order by commands has not come to its end.
#[derive(Debug)]
pub enum HandFailure {
    /// Something has to be put somewhere first, and nobody is there to be waited for. Each with why it is not seen.
    Hands(Vec<(HandTask, String)>),
    /// Something went wrong.
    Failed {
        /// The problem, in words.
        problem: String,
        /// Whose fault it is.
        blame: Blame,
    },
}

impl From<Failure> for HandFailure {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Hands(unseen) => Self::Hands(unseen),
            failure => Self::Failed {
                problem: chain(&failure),
                blame: failure.blame(),
            },
        }
    }
}

/// An order by commands.
pub struct HandCall<'a> {
    /// The ports; orders are kept where only commands look.
    pub issuing: &'a Issuing,
    /// Now.
    pub clock: &'a dyn Clock,
    /// The files beside the order's record.
    pub orders: &'a dyn HandOrders,
    /// The order.
    pub obtain: &'a Obtain,
    /// Who puts responses where a CA sees them; nobody where responders do.
    pub hands: Option<&'a dyn Hands>,
}

/// An order that can be finalized.
struct UnderWay {
    order: Box<dyn Order>,
    record: OrderRecord,
    note: HandOrder,
}

impl HandCall<'_> {
    /// Goes on until the CA has seen that all names are ours. What it has seen is kept, also when this is dropped; what was
    /// shown for it is not.
    ///
    /// # Errors
    /// What has to be done by hand first, or what went wrong.
    pub async fn authorize(&self) -> Result<(), HandFailure> {
        self.begun().await?;
        Ok(())
    }

    /// The same, and asks for the certificate and puts it into files. The order is kept until these are there.
    ///
    /// # Errors
    /// The same.
    pub async fn issue(
        &self,
        key: &CertificateKey<'_>,
        files: &dyn IssuedFiles,
    ) -> Result<Vec<PathBuf>, HandFailure> {
        let mut under_way = self.begun().await?;
        Ok(self.finished(&mut under_way, key, files).await?)
    }

    async fn begun(&self) -> Result<UnderWay, Failure> {
        let mut entered = Vec::new();
        let mut ledger = self.ledger(&mut entered);
        let begun = self.authorized(&mut ledger).await;
        ledger.enter_failures(&begun, self.obtain)?;
        if let Err(Failure::Authority(AuthorityError::Validation(_))) = &begun {
            // The CA has given it up; what it has seen of other names counts for the next.
            self.issuing.orders.drop_order(&self.obtain.certificate)?;
            self.orders.drop_hand_order()?;
        }
        begun
    }

    fn ledger<'e>(&'e self, entered: &'e mut Vec<LedgerEntry>) -> LedgerPen<'e> {
        LedgerPen {
            issuing: self.issuing,
            clock: self.clock,
            directory: self.directory(),
            entered,
        }
    }

    fn directory(&self) -> &str {
        let issuer = &self.obtain.issuance.issuer;
        issuer.directory().unwrap_or_default()
    }

    /// The order, once the CA has seen that all names are ours.
    async fn authorized(&self, ledger: &mut LedgerPen<'_>) -> Result<UnderWay, Failure> {
        let Self {
            issuing, obtain, ..
        } = *self;
        let authority = issuing.authorities.at(self.directory())?;
        tell(obtain, OrderStage::Order);
        let mut record = record(issuing, obtain).await?;
        let mut note = self.noted(&record).await?;
        let _cleared = Cleared { issuing, obtain };
        let resumed = resume(&*authority, obtain, &record).await?;
        let mut order = match resumed {
            Some(order) => order,
            None => {
                authority.prepare().await?;
                note.stage = HandStage::Open;
                note.finalized_with = None;
                self.orders.keep_hand_order(&note)?;
                open(issuing, &*authority, obtain, &mut record, ledger).await?
            }
        };
        let mut challenges =
            challenges((issuing, self.clock), obtain, &mut *order, &mut record).await?;
        // CAs list them in whatever order.
        challenges.sort_by_cached_key(task);
        note.tasks = challenges.iter().map(task).collect();
        self.orders.keep_hand_order(&note)?;
        if !challenges.is_empty() {
            let account = authority.account_url();
            let proven = self
                .proven((&mut *order, &record), &challenges, account)
                .await;
            withdraw_records(issuing, obtain, &mut record).await?;
            proven?;
        }
        if note.stage == HandStage::Open {
            note.stage = HandStage::Authorized;
        }
        note.tasks = Vec::new();
        self.orders.keep_hand_order(&note)?;
        Ok(UnderWay {
            order,
            record,
            note,
        })
    }

    /// The notes about the order beside its record. Files that a command that was cut off has left in another folder
    /// are removed there.
    async fn noted(&self, record: &OrderRecord) -> Result<HandOrder, Failure> {
        let Self {
            issuing, obtain, ..
        } = *self;
        let webroot = obtain.webroots.folders.first();
        let webroot = webroot.map(|folder| folder.as_path().to_owned());
        let before = self.orders.hand_order()?;
        if let Some(left) = before.as_ref().and_then(|before| before.webroot.clone())
            && Some(&left) != webroot.as_ref()
        {
            let elsewhere = Obtain {
                webroots: Webroots {
                    folders: [SharedPath::top(left)].into(),
                    ..Webroots::default()
                },
                ..obtain.clone()
            };
            withdraw(issuing, &elsewhere, record.shown.iter()).await?;
        }
        let begun = || HandOrder {
            names: obtain.names.clone(),
            ca: self.directory().to_owned(),
            begun: self.clock.now(),
            webroot: None,
            tasks: Vec::new(),
            key_type: Some(obtain.issuance.key_type),
            finalized_with: None,
            profile: obtain.issuance.profile.clone(),
            is_by_dns: false,
            stage: HandStage::Open,
        };
        // A record without an order is new, and so is its key.
        let kept = before.filter(|_| record.url.is_some());
        let note = HandOrder {
            webroot,
            is_by_dns: obtain.issuance.challenge == ChallengeType::Dns01,
            ..kept.unwrap_or_else(begun)
        };
        self.orders.keep_hand_order(&note)?;
        Ok(note)
    }

    /// Has the CA see that these names are ours.
    async fn proven(
        &self,
        (order, record): (&mut dyn Order, &OrderRecord),
        challenges: &[Challenge],
        account: Option<String>,
    ) -> Result<(), Failure> {
        let published = PublishedResponses::new(self.issuing, self.obtain, challenges);
        published.publish().await?;
        match self.hands {
            Some(hands) => self.seen_by_hand(hands, challenges, account).await?,
            None => {
                self.shown_everywhere(&published, record).await?;
                // A record was just seen at each server that CAs ask.
                if self.obtain.webroots.dns.is_none() {
                    self.seen(challenges, account).await?;
                }
            }
        }
        published.validated(order).await
    }

    /// Waits until what the responders show is there. Nobody else waits for this one's place at the CA.
    async fn shown_everywhere(
        &self,
        published: &PublishedResponses<'_>,
        record: &OrderRecord,
    ) -> Result<(), Failure> {
        loop {
            match published.seen(self.clock, record).await {
                Err(Failure::NotYet { again, .. }) => {
                    self.clock.sleep(again.since(self.clock.now())).await;
                }
                ended => return ended,
            }
        }
    }

    /// Looks whether what the responders show is what a CA would see.
    async fn seen(&self, challenges: &[Challenge], account: Option<String>) -> Result<(), Failure> {
        let Self {
            issuing, obtain, ..
        } = *self;
        let Some(check) = &obtain.self_check else {
            return Ok(());
        };
        let looking = Looking::begun(issuing, &obtain.webroots, check, account);
        let mut unseen = Vec::new();
        for challenge in challenges {
            if let NameVerdict::Unseen(problem) = looking.verdict(challenge).await {
                unseen.push((challenge.name.clone(), problem));
            }
        }
        match unseen.is_empty() {
            true => Ok(()),
            false => Err(SelfCheckFailed(unseen).into()),
        }
    }

    /// Waits until what somebody puts there is seen, or they say that it is there.
    async fn seen_by_hand(
        &self,
        hands: &dyn Hands,
        challenges: &[Challenge],
        account: Option<String>,
    ) -> Result<(), Failure> {
        let Self {
            issuing, obtain, ..
        } = *self;
        if hands.ask(&challenges.iter().map(task).collect::<Vec<_>>()) {
            return Ok(());
        }
        let mut left: Vec<_> = challenges.iter().collect();
        loop {
            let mut unseen = Vec::new();
            match &obtain.self_check {
                None => {
                    let nobody = "that can't be seen from here".to_owned();
                    unseen.extend(left.iter().map(|it| (*it, nobody.clone())));
                }
                Some(check) => {
                    let looking = Looking::begun(issuing, &obtain.webroots, check, account.clone());
                    for challenge in left {
                        match looking.verdict(challenge).await {
                            NameVerdict::Seen => hands.saw(&challenge.name),
                            NameVerdict::Unseen(problem) | NameVerdict::Unsure(problem) => {
                                unseen.push((challenge, problem));
                            }
                        }
                    }
                }
            }
            if unseen.is_empty() {
                return Ok(());
            }
            let told = unseen.iter();
            let told: Vec<_> = told.map(|(it, why)| (task(it), why.clone())).collect();
            match hands.wait(&told).await {
                Waited::Look => left = unseen.into_iter().map(|(it, _)| it).collect(),
                Waited::Insist => return Ok(()),
                Waited::Nobody => return Err(Failure::Hands(told)),
            }
        }
    }

    /// Asks for the certificate, and puts it into files.
    async fn finished(
        &self,
        under_way: &mut UnderWay,
        key: &CertificateKey<'_>,
        files: &dyn IssuedFiles,
    ) -> Result<Vec<PathBuf>, Failure> {
        let Self {
            issuing, obtain, ..
        } = *self;
        self.keyed(under_way, key).await?;
        let UnderWay {
            order,
            record,
            note,
        } = under_way;
        let mut entered = Vec::new();
        self.ledger(&mut entered)
            .enter_certificate(obtain, order.url())?;
        tell(obtain, OrderStage::Finalize);
        let names = &obtain.names;
        let chain = match key {
            CertificateKey::Request(request) => order.finalize_request(request, names).await,
            CertificateKey::Own | CertificateKey::Given(_) => {
                order.finalize(&record.key, names).await
            }
        };
        if let Err(error) = &chain
            && error.is_refusal()
        {
            // There is none, and another key or signing request may be taken.
            note.stage = HandStage::Authorized;
            note.finalized_with = None;
            self.orders.keep_hand_order(note)?;
        }
        let chain = chain?;
        let put = files.put(&IssuedCertificate {
            names: &obtain.names,
            profile: obtain.issuance.profile_name(),
            chain: &chain,
            key: match key {
                CertificateKey::Request(request) => IssuedKey::Request(request),
                CertificateKey::Own | CertificateKey::Given(_) => IssuedKey::Key(&record.key),
            },
            now: self.clock.now(),
        });
        if let Ok(_) | Err(DiskError::Certificate { .. }) = &put {
            // One that is of no use would be fetched for ever.
            issuing.orders.drop_order(&obtain.certificate)?;
            self.orders.drop_hand_order()?;
        }
        Ok(put?)
    }

    /// Sees to it that the key on record is the one that is asked for, and writes down that the certificate is asked for
    /// with it. Once it was, another key would lie beside a certificate that it does not fit.
    async fn keyed(
        &self,
        under_way: &mut UnderWay,
        key: &CertificateKey<'_>,
    ) -> Result<(), Failure> {
        let Self {
            issuing, obtain, ..
        } = *self;
        let UnderWay { record, note, .. } = under_way;
        let with = |own: &Secret| match key {
            CertificateKey::Own => Digest::of(own.expose()),
            CertificateKey::Given(given) => Digest::of(given.expose()),
            CertificateKey::Request(request) => Digest::of(request),
        };
        if note.stage == HandStage::Finalized {
            return match note.finalized_with == Some(with(&record.key)) {
                true => Ok(()),
                false => Err(Failure::Run {
                    problem: "its certificate was already requested with another key or signing request, and its files \
                              are not written yet; give the same --key or --csr as then, or none if there was none"
                        .to_owned(),
                }),
            };
        }
        let wanted = obtain.issuance.key_type;
        let other = match key {
            CertificateKey::Request(_) => None,
            CertificateKey::Given(given) if record.key == **given => None,
            CertificateKey::Given(given) => Some(((*given).clone(), None)),
            CertificateKey::Own if note.key_type == Some(wanted) => None,
            CertificateKey::Own => Some((issuing.authorities.new_key(wanted).await?, Some(wanted))),
        };
        if let Some((key, key_type)) = other {
            record.key = key;
            note.key_type = key_type;
            issuing.orders.keep_order(&obtain.certificate, record)?;
        }
        note.finalized_with = Some(with(&record.key));
        note.stage = HandStage::Finalized;
        self.orders.keep_hand_order(note)?;
        Ok(())
    }
}

/// The file or record to put somewhere for a challenge.
fn task(challenge: &Challenge) -> HandTask {
    let Challenge { name, response } = challenge;
    match response {
        Response::Http { token, body } => {
            let path = format!("{CHALLENGE_PATH}{token}");
            HandTask::File {
                name: name.clone(),
                url: format!("http://{}{path}", name.in_url()),
                path,
                content: body.clone(),
            }
        }
        Response::Txt {
            name: record,
            proof,
        } => HandTask::Record {
            name: name.clone(),
            record: record.clone(),
            value: proof.value.clone(),
        },
    }
}
