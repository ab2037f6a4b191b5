use std::net::IpAddr;

use crate::values::Host;

/// The findings of a look at a name, from here and before a CA is asked. Nothing of it is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameLook {
    /// The name.
    pub name: Host,
    /// Its addresses.
    pub addresses: Result<Addresses, LookupFault>,
    /// The CAA records that hold for it; nothing where there are none, neither there nor above.
    pub caa: Result<Option<CaaRecords>, LookupFault>,
    /// The answers at each of the addresses, in their order.
    pub visits: Vec<Visit>,
}

/// Where a name leads to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// Those of its A records, then those of its AAAA records, each once.
    pub all: Vec<IpAddr>,
    /// The name that they were found at, where aliases (CNAME) led there.
    pub alias: Option<String>,
}

/// The reason why DNS gives no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookupFault {
    /// There is no such name.
    NoName,
    /// The servers of the zone fail.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc1035#section-4.1.1>
    Failure,
    /// The zone is signed, and its signatures are wrong: without a check of them there is an answer.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc4035#section-4.7>
    Signatures,
    /// Aliases (CNAME) lead back to where they began, or on and on.
    AliasLoop,
    /// The DNS server does not do what it is asked; its word.
    Refused(String),
    /// No DNS server answers, or with something that can't be read; what was tried.
    NoAnswer(String),
}

/// The CAA records of one name.
///
/// <https://www.rfc-editor.org/rfc/rfc8659#section-3>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaaRecords {
    /// The name that has them: the one that was asked about, or the nearest above.
    pub at: Host,
    /// The records.
    pub all: Vec<CaaRecord>,
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaaRecord {
    /// True if a CA that does not know its tag must not issue.
    pub is_critical: bool,
    /// The subject of the record, in lower case.
    pub tag: String,
    /// The value, as zone files have it.
    pub value: String,
    /// The CA that an `issue` or `issuewild` names; nothing where that can't be read.
    pub issuer: Option<CaaIssuer>,
}

/// A CA that may issue.
///
/// <https://www.rfc-editor.org/rfc/rfc8659#section-4.2>
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CaaIssuer {
    /// Its domain, in lower case; empty where none may.
    pub domain: String,
    /// Under which conditions: `accounturi` and `validationmethods` among others.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc8657>
    pub parameters: Vec<(String, String)>,
}

/// A look at one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visit {
    /// The address.
    pub at: IpAddr,
    /// The URLs that it led on to, one after the other.
    pub led: Vec<String>,
    /// The answer in the end.
    pub end: VisitEnd,
}

/// The result of a look at one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VisitEnd {
    /// Our own answer.
    Ours,
    /// Nothing that takes connections, as far as it shows from here; why.
    NoConnection(String),
    /// A connection, and no answer in HTTP; what came instead.
    NoHttp(String),
    /// An answer by the thumbprint of another account's key.
    OtherAccount {
        /// That thumbprint.
        answered: String,
        /// The one of our account's key.
        own: String,
    },
    /// Another answer.
    Other {
        /// The status code.
        status: u16,
        /// Its `Server` header.
        server: Option<String>,
        /// True if it is a page of those who sell names.
        is_parked: bool,
        /// The part of it that may be shown.
        quote: String,
    },
    /// A redirect that no CA follows; why not.
    BadRedirect(String),
    /// A redirect to a name that has no address; why.
    LostRedirect(LookupFault),
    /// Nothing yet when the look had to end.
    Late,
}
