//! One question to one server: over UDP, and over TCP where that is cut short.

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use futures_util::{Stream, StreamExt};
use hickory_net::{
    NetError,
    runtime::TokioRuntimeProvider,
    tcp::TcpClientStream,
    udp::UdpClientStream,
    xfer::{DnsExchange, DnsHandle, DnsRequestSender},
};
use hickory_proto::{
    op::{DnsRequest, DnsRequestOptions, DnsResponse, Query, ResponseCode},
    rr::{Name, RData, Record, RecordType},
};
use tokio::time::timeout;

use super::{MOST_ALIASES, MOST_RECORDS};

/// The time for an answer over UDP, with what is lost on the way asked for again.
const UDP_LIMIT: Duration = Duration::from_secs(3);

/// The time for connection and answer over TCP.
const TCP_LIMIT: Duration = Duration::from_secs(3);

/// The answer of a server.
pub(super) struct Reply {
    pub code: ResponseCode,
    answers: Vec<Record>,
}

impl Reply {
    fn of(answer: DnsResponse) -> Self {
        Self {
            code: answer.response_code,
            answers: answer.into_message().answers,
        }
    }

    /// The name that aliases lead to from this one; nothing where they lead on and on.
    pub fn end_of(&self, name: &Name) -> Option<Name> {
        let mut at = name.clone();
        let mut seen = BTreeSet::new();
        while let Some(next) = self.alias_of(&at) {
            if seen.len() == MOST_ALIASES || !seen.insert(next.clone()) {
                return None;
            }
            at = next.clone();
        }
        Some(at)
    }

    fn alias_of(&self, name: &Name) -> Option<&Name> {
        let mut of_name = self.answers.iter().filter(|record| record.name == *name);
        of_name.find_map(|record| match &record.data {
            RData::CNAME(alias) => Some(&alias.0),
            _ => None,
        })
    }

    /// The data of the name's records of this type.
    pub fn records(&self, name: &Name, kind: RecordType) -> Vec<RData> {
        let answers = self.answers.iter();
        let wanted = answers.filter(|it| it.name == *name && it.record_type() == kind);
        let data = wanted.map(|record| record.data.clone());
        data.take(MOST_RECORDS).collect()
    }
}

/// Asks, with or without a check of signatures by the server (CD).
pub(super) async fn ask(
    server: SocketAddr,
    name: &Name,
    kind: RecordType,
    unchecked: bool,
) -> Result<Reply, String> {
    let question = || request(name, kind, unchecked);
    let provider = TokioRuntimeProvider::new();
    let mut udp = UdpClientStream::builder(server, provider.clone())
        .with_timeout(Some(UDP_LIMIT))
        .build();
    let answer = first(udp.send_message(question())).await?;
    let answer = match answer.truncation {
        false => answer,
        true => over_tcp(server, provider, question()).await?,
    };
    Ok(Reply::of(answer))
}

/// Asks over TCP alone.
pub(super) async fn ask_over_tcp(
    server: SocketAddr,
    name: &Name,
    kind: RecordType,
) -> Result<Reply, String> {
    let question = request(name, kind, false);
    let answer = over_tcp(server, TokioRuntimeProvider::new(), question).await;
    answer.map(Reply::of)
}

fn request(name: &Name, kind: RecordType, unchecked: bool) -> DnsRequest {
    let query = Query::query(name.clone(), kind);
    let mut request = DnsRequest::from_query(query, DnsRequestOptions::default());
    request.metadata.checking_disabled = unchecked;
    request
}

async fn over_tcp(
    server: SocketAddr,
    provider: TokioRuntimeProvider,
    question: DnsRequest,
) -> Result<DnsResponse, String> {
    // The connection's own work ends with the last of them.
    let kept = provider.clone();
    let whole = async {
        let exchange: DnsExchange<_> =
            TcpClientStream::exchange(server, None, TCP_LIMIT, None, provider)
                .await
                .map_err(|error| error.to_string())?;
        first(exchange.send(question)).await
    };
    let late = |_| Err(format!("no whole answer over TCP within {TCP_LIMIT:?}"));
    let answer = timeout(TCP_LIMIT, whole).await.unwrap_or_else(late);
    drop(kept);
    answer
}

async fn first(
    mut answers: impl Stream<Item = Result<DnsResponse, NetError>> + Unpin,
) -> Result<DnsResponse, String> {
    match answers.next().await {
        Some(Ok(answer)) => Ok(answer),
        Some(Err(error)) => Err(error.to_string()),
        None => Err("the connection was closed".to_owned()),
    }
}
