//! Updates of a zone that are signed by a key: RFC 2136 with TSIG (RFC 8945), over TCP.

use std::{rc::Rc, time::Duration};

use async_trait::async_trait;
use hickory_proto::{
    op::{Message, Query, ResponseCode, update_message},
    rr::{
        Name, RData, Record, RecordSet, RecordType, TSigner,
        rdata::{
            TXT,
            tsig::{TsigAlgorithm as Signing, TsigError},
        },
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{
    gate::{GateFault, RecordGate},
    place::{RecordPlace, ZoneServer, fully},
    shown,
};
use crate::{
    ports::{Clock, TxtProof},
    values::{DnsSettings, Secret, TsigAlgorithm},
};

/// The time for one update, with its connection: a server writes it down before it answers.
const LIMIT: Duration = Duration::from_secs(10);

/// Seconds by which the clocks of client and server may be apart, as the RFC advises.
///
/// <https://www.rfc-editor.org/rfc/rfc8945#section-10>
const FUDGE: u16 = 300;

/// Seconds for which resolvers may keep a record: it is there for minutes.
const TTL: u32 = 60;

/// A server that takes updates.
pub(super) struct UpdateGate {
    server: String,
    signer: TSigner,
    /// The zone of the settings, else the root.
    zone: Name,
    clock: Rc<dyn Clock>,
}

impl UpdateGate {
    /// The server of these settings, and its key. Nothing is asked yet.
    ///
    /// # Errors
    /// When key or name can't be used; the key is not in the error.
    pub(super) fn new(
        settings: &DnsSettings,
        key: &Secret,
        clock: Rc<dyn Clock>,
    ) -> Result<Self, String> {
        let name = settings.key_name.as_deref().unwrap_or_default();
        let name = fully(name).map_err(|_| "key-name is not a name in DNS".to_owned())?;
        let algorithm = match settings.key_algorithm {
            TsigAlgorithm::Sha256 => Signing::HmacSha256,
            TsigAlgorithm::Sha384 => Signing::HmacSha384,
            TsigAlgorithm::Sha512 => Signing::HmacSha512,
        };
        let signer = TSigner::new(DnsSettings::key_bytes(key)?, algorithm, name, FUDGE);
        let zone = settings.zone.as_deref().map(fully).transpose()?;
        Ok(Self {
            zone: zone.unwrap_or_else(Name::root),
            server: settings.server.clone().unwrap_or_default(),
            signer: signer.map_err(|_| "the key can't sign".to_owned())?,
            clock,
        })
    }

    /// Sends an update, and looks at what comes of it.
    async fn send(&self, message: Message, zone: &Name) -> Result<(), String> {
        let said = self.signed_answer(message).await?;
        self.refusal(&said, zone)?;
        match said.is_signed {
            true => Ok(()),
            false => Err(format!(
                "the answer of the server {} is not signed by the key {}, so anybody may have sent it: is that the \
                 right server?",
                self.server,
                self.key_name()
            )),
        }
    }

    /// Sends a message, signed, to the first address of the server that takes a connection.
    async fn signed_answer(&self, message: Message) -> Result<SignedAnswer, String> {
        let late = |_| {
            Err(format!(
                "the server {} has not answered within {LIMIT:?}",
                self.server
            ))
        };
        let sent = timeout(LIMIT, self.exchange(message)).await;
        sent.unwrap_or_else(late)
    }

    async fn exchange(&self, mut message: Message) -> Result<SignedAnswer, String> {
        let now = u64::try_from(self.clock.now().millis() / 1000).unwrap_or_default();
        let bug = |what: &str| format!("the message can't be {what}");
        let signed = message.finalize(&self.signer, now);
        let mut verifier = signed.ok().flatten().ok_or_else(|| bug("signed"))?;
        let bytes = message.to_vec().map_err(|_| bug("written"))?;
        let length = u16::try_from(bytes.len()).map_err(|_| bug("written"))?;
        let mut stream = self.connection().await?;
        let broken = |error: std::io::Error| {
            format!(
                "the connection to the server {} broke off: {error}",
                self.server
            )
        };
        stream.write_u16(length).await.map_err(broken)?;
        stream.write_all(&bytes).await.map_err(broken)?;
        let length = stream.read_u16().await.map_err(broken)?;
        let mut answer = vec![0; length.into()];
        stream.read_exact(&mut answer).await.map_err(broken)?;
        let said = Message::from_vec(&answer)
            .map_err(|error| format!("the server {} answers no DNS: {error}", self.server))?;
        Ok(SignedAnswer {
            said,
            is_signed: verifier.verify(&answer).is_ok(),
            asked_at: now,
        })
    }

    async fn connection(&self) -> Result<TcpStream, String> {
        let mut problem = "it has no address".to_owned();
        for server in ZoneServer::named(&self.server).await? {
            match TcpStream::connect(server.at).await {
                Ok(stream) => return Ok(stream),
                Err(error) => problem = format!("{}: {error}", server.at),
            }
        }
        Err(format!(
            "the server {} can't be reached over TCP ({problem}): write the primary of the zone into `server`, and let it \
             listen there",
            self.server
        ))
    }

    /// What is wrong where the server does not do it, and what to do.
    fn refusal(&self, answer: &SignedAnswer, zone: &Name) -> Result<(), String> {
        self.refused_key(answer)?;
        let (server, key, zone) = (&self.server, self.key_name(), shown(zone));
        Err(match answer.said.response_code {
            ResponseCode::NoError => return Ok(()),
            ResponseCode::NotAuth => format!(
                "the server {server} is not the primary of the zone {zone}: write the primary into `server`, or the \
                 right zone into `zone`"
            ),
            ResponseCode::Refused => format!(
                "the server {server} refuses updates of the zone {zone} by the key {key}: allow that key to change TXT \
                 records there"
            ),
            ResponseCode::NotZone => {
                format!("the server {server} says that the name is not in the zone {zone}")
            }
            ResponseCode::NotImp => {
                format!(
                    "the server {server} does not take updates: write one that does into `server`"
                )
            }
            ResponseCode::ServFail => format!(
                "the server {server} fails (SERVFAIL) over an update of the zone {zone}: its own log says why"
            ),
            other => format!(
                "the server {server} does not take the update of the zone {zone} ({})",
                other.to_str()
            ),
        })
    }

    /// Problem with the key or its use, and the remedy.
    fn refused_key(&self, answer: &SignedAnswer) -> Result<(), String> {
        let (server, key) = (&self.server, self.key_name());
        let signature = answer.said.signature().map(|record| &record.data);
        if let Some(error) = signature.and_then(|tsig| tsig.error.as_ref()) {
            return Err(match error {
                TsigError::BadKey => format!(
                    "the server {server} does not know the key {key} with {}: write key-name and key-algorithm as its \
                     configuration has them",
                    self.signer.algorithm().to_name().to_ascii()
                ),
                TsigError::BadSig => format!(
                    "the server {server} has another secret for the key {key}: copy it again, whole"
                ),
                TsigError::BadTime => {
                    let theirs = signature.and_then(|tsig| server_time(&tsig.other));
                    let apart = theirs.map_or_else(String::new, |theirs| {
                        format!(" ({} s apart)", theirs.abs_diff(answer.asked_at))
                    });
                    format!(
                        "the clocks of this machine and of the server {server} differ by more than {FUDGE} s{apart}: set \
                         the one that is wrong"
                    )
                }
                other => format!(
                    "the server {server} does not take the signature of the key {key} (TSIG error {})",
                    u16::from(*other)
                ),
            });
        }
        Ok(())
    }

    fn key_name(&self) -> String {
        shown(self.signer.signer_name())
    }
}

/// Answer of a server to something that was signed.
struct SignedAnswer {
    said: Message,
    /// True where the answer is signed by the same key.
    is_signed: bool,
    /// Our time when it was asked, in seconds.
    asked_at: u64,
}

/// The server's time, in seconds, as it says it beside the error that clocks differ: six bytes.
///
/// <https://www.rfc-editor.org/rfc/rfc8945#section-5.2.3>
fn server_time(other: &[u8]) -> Option<u64> {
    let bytes: [u8; 6] = other.try_into().ok()?;
    Some(
        bytes
            .iter()
            .fold(0, |time, byte| time << 8 | u64::from(*byte)),
    )
}

/// The record with this text.
fn record(place: &RecordPlace, value: &str) -> RecordSet {
    let data = RData::TXT(TXT::new(vec![value.to_owned()]));
    RecordSet::from(Record::from_rdata(place.name.clone(), TTL, data))
}

#[async_trait(?Send)]
impl RecordGate for UpdateGate {
    async fn add(&self, place: &RecordPlace, proof: &TxtProof) -> Result<(), GateFault> {
        let value = &proof.value;
        let message =
            update_message::append(record(place, value), place.zone.clone(), false, false);
        Ok(self.send(message, &place.zone).await?)
    }

    async fn remove(&self, place: &RecordPlace, proof: &TxtProof) -> Result<(), GateFault> {
        let value = &proof.value;
        let message =
            update_message::delete_by_rdata(record(place, value), place.zone.clone(), false);
        Ok(self.send(message, &place.zone).await?)
    }

    /// A question that is signed: who checks its signature says whether the key is right, and nothing is changed.
    async fn look(&self) -> Result<String, GateFault> {
        let mut message = Message::query();
        message.add_query(Query::query(self.zone.clone(), RecordType::SOA));
        let answer = self.signed_answer(message).await?;
        self.refused_key(&answer)?;
        let (server, key) = (&self.server, self.key_name());
        Ok(match answer.is_signed {
            true => format!("the server {server} answers, and takes the key {key}"),
            false => format!(
                "the server {server} answers; whether it takes the key {key} shows at the first record"
            ),
        })
    }
}
