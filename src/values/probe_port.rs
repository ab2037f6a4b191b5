use std::fmt;

use thiserror::Error;

/// A port at which a server shows its certificate, and how a client gets it to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProbePort {
    /// The port in the container.
    pub port: u16,
    /// The protocol that is spoken there before TLS.
    pub protocol: Protocol,
}

/// The words of a client and a server before TLS begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// Nothing: TLS begins at once.
    Tls,
    /// SMTP, up to STARTTLS.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc3207#section-4>
    Smtp,
    /// IMAP, up to STARTTLS.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc9051#section-6.2.1>
    Imap,
    /// POP3, up to STLS.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc2595#section-4>
    Pop3,
    /// XMPP as its clients speak it, up to STARTTLS.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc6120#section-5.4>
    Xmpp,
    /// Nothing: TLS begins at once, and SMTP is spoken in it.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc8314#section-3.3>
    Smtps,
    /// Nothing: TLS begins at once, and IMAP is spoken in it.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc8314#section-3.2>
    Imaps,
    /// Nothing: TLS begins at once, and POP3 is spoken in it.
    ///
    /// <https://www.rfc-editor.org/rfc/rfc8314#section-3.1>
    Pop3s,
}

/// A text that names no port to look at.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{0:?} is not a port such as 8883 or 587/smtp; after the slash write xmpp, smtp, imap or pop3, or smtps, imaps or \
     pop3s where TLS begins at once"
)]
pub struct ProbePortError(String);

impl Protocol {
    const WORDS: &[(&str, Self)] = &[
        ("tls", Self::Tls),
        ("smtp", Self::Smtp),
        ("imap", Self::Imap),
        ("pop3", Self::Pop3),
        ("xmpp", Self::Xmpp),
        ("smtps", Self::Smtps),
        ("imaps", Self::Imaps),
        ("pop3s", Self::Pop3s),
    ];
}

impl ProbePort {
    /// Reads `8883`, `587/smtp`, `465/smtps`.
    ///
    /// # Errors
    /// When it is none of these.
    pub fn parse(text: &str) -> Result<Self, ProbePortError> {
        let wrong = || ProbePortError(text.to_owned());
        let (port, word) = text.split_once('/').unwrap_or((text, "tls"));
        let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|port| is_number && *port > 0);
        let protocol = Protocol::WORDS.iter().find(|(known, _)| *known == word);
        Ok(Self {
            port: port.ok_or_else(wrong)?,
            protocol: protocol.ok_or_else(wrong)?.1,
        })
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = Self::WORDS.iter().find(|(_, protocol)| protocol == self);
        f.write_str(row.map_or("", |(word, _)| word))
    }
}

impl fmt::Display for ProbePort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.protocol {
            Protocol::Tls => write!(f, "{}", self.port),
            protocol => write!(f, "{}/{protocol}", self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_a_number_and_perhaps_a_protocol() {
        for text in [
            "8883",
            "587/smtp",
            "143/imap",
            "110/pop3",
            "5222/xmpp",
            "465/smtps",
            "993/imaps",
            "995/pop3s",
        ] {
            let port = ProbePort::parse(text).expect("a port");
            assert_eq!(port.to_string(), text);
        }
        assert_eq!(
            ProbePort::parse("465/tls").expect("a port").to_string(),
            "465"
        );
        for text in [
            "", "0", "+1", "65536", "smtp", "25/", "25/ftp", "/smtp", "a/smtp",
        ] {
            assert!(ProbePort::parse(text).is_err(), "{text}");
        }
    }
}
