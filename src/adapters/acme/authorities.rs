//! All CAs that were asked for something, each set up when it is asked first; and what needs no CA: keys, and
//! certificates that these sign themselves.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    thread,
    time::Duration,
};

use async_trait::async_trait;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256, RsaKeySize,
};
use time::OffsetDateTime;
use tokio::{sync::Semaphore, task::spawn_blocking};

use super::{AcmeAuthority, AcmeSettings, caller::Caller, client};
use crate::{
    ports::{Accounts, Authorities, Authority, AuthorityError, Clock, Remarks},
    values::{Host, KeyType, Secret, Timestamp},
};

/// Time by which its beginning is set back, for clients whose clocks are late.
const SET_BACK: Duration = Duration::from_secs(60 * 60);

/// CAs that speak ACME, and our accounts there.
pub struct AcmeAuthorities {
    /// The settings of CAs without a table of their own.
    settings: AcmeSettings,
    /// The settings of other CAs, by the URLs of their directories.
    own: BTreeMap<String, AcmeSettings>,
    self_signed_life: Duration,
    /// The keys that may be made at the same time.
    making: Semaphore,
    accounts: Rc<dyn Accounts>,
    clock: Rc<dyn Clock>,
    remarks: Remarks,
    known: RefCell<BTreeMap<String, Rc<AcmeAuthority>>>,
}

impl AcmeAuthorities {
    /// Knows what is needed to ask a CA, and how long certificates live that no CA is asked for; none is set up yet.
    ///
    /// # Errors
    /// When the roots can't be read.
    pub fn new(
        settings: AcmeSettings,
        own: BTreeMap<String, AcmeSettings>,
        self_signed_life: Duration,
        accounts: Rc<dyn Accounts>,
        clock: Rc<dyn Clock>,
        remarks: Remarks,
    ) -> Result<Self, AuthorityError> {
        for settings in own.values().chain([&settings]) {
            client(settings)?;
        }
        // A long key keeps a processor busy for seconds; one is left for the loop where there are several.
        let processors = thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            own,
            self_signed_life,
            making: Semaphore::new((processors - 1).max(1)),
            accounts,
            clock,
            remarks,
            known: RefCell::default(),
            settings,
        })
    }
}

#[async_trait(?Send)]
impl Authorities for AcmeAuthorities {
    fn at(&self, directory: &str) -> Result<Rc<dyn Authority>, AuthorityError> {
        if let Some(known) = self.known.borrow().get(directory) {
            return Ok(known.clone());
        }
        let settings = self.own.get(directory).unwrap_or(&self.settings).clone();
        let authority = Rc::new(AcmeAuthority::new(
            directory,
            settings,
            self.accounts.clone(),
            self.clock.clone(),
            self.remarks,
        )?);
        self.known
            .borrow_mut()
            .insert(directory.to_owned(), authority.clone());
        Ok(authority)
    }

    async fn new_key(&self, kind: KeyType) -> Result<Secret, AuthorityError> {
        let _one = self.making.acquire().await.map_err(keyless)?;
        spawn_blocking(move || new_key(kind))
            .await
            .map_err(keyless)?
    }

    fn self_signed(
        &self,
        key: &Secret,
        names: &BTreeSet<Host>,
        now: Timestamp,
    ) -> Result<String, AuthorityError> {
        self_signed(key, names, now, self.self_signed_life)
    }
}

/// A new private key for a certificate.
///
/// # Errors
/// When the system gives no random numbers.
pub fn new_key(kind: KeyType) -> Result<Secret, AuthorityError> {
    let rsa = |size| KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, size);
    let key = match kind {
        KeyType::Ec256 => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
        KeyType::Ec384 => KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384),
        KeyType::Rsa2048 => rsa(RsaKeySize::_2048),
        KeyType::Rsa3072 => rsa(RsaKeySize::_3072),
        KeyType::Rsa4096 => rsa(RsaKeySize::_4096),
    };
    Ok(Secret::new(key.map_err(keyless)?.serialize_pem()))
}

fn keyless(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> AuthorityError {
    Caller::ours("no key for a certificate can be made", error)
}

/// A certificate for these names that is signed by its own key and lives that long, in PEM.
///
/// # Errors
/// When the key can't be read.
pub fn self_signed(
    key: &Secret,
    names: &BTreeSet<Host>,
    now: Timestamp,
    life: Duration,
) -> Result<String, AuthorityError> {
    let unusable = |error| Caller::ours("no self-signed certificate can be made", error);
    let key = KeyPair::from_pem(key.expose()).map_err(unusable)?;
    let names: Vec<_> = names.iter().map(Host::to_string).collect();
    let mut params = CertificateParams::new(names).map_err(unusable)?;
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "self-signed by quaymaster");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.not_before = date(now - SET_BACK);
    params.not_after = date(now + life);
    Ok(params.self_signed(&key).map_err(unusable)?.pem())
}

fn date(time: Timestamp) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(time.millis().div_euclid(1000))
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        adapters::{clock::SystemClock, disk::Folders, https_proxy::HttpsProxy, x509},
        observe::Source,
        ports::NewCertificate,
        values::CertificateName,
    };

    #[tokio::test]
    async fn what_is_set_about_one_ca_counts_for_that_one_alone() {
        let state = tempfile::tempdir().unwrap();
        let folders = Folders::new(
            state.path().join("certificates"),
            state.path().into(),
            |_| (),
        );
        let agreeing = |agree_tos| AcmeSettings {
            ca_root_pem: None,
            agree_tos,
            email: None,
            orders_per_second: None,
            external_account: None,
            chain: None,
            https_proxy: HttpsProxy::default(),
        };
        // Nobody listens there.
        let [agreed, other] = ["https://127.0.0.1:1/agreed", "https://127.0.0.1:1/other"];
        let authorities = AcmeAuthorities::new(
            agreeing(false),
            [(agreed.to_owned(), agreeing(true))].into(),
            Duration::from_secs(60),
            Rc::new(folders),
            Rc::new(SystemClock),
            |_| (),
        );
        let authorities = authorities.unwrap();
        for (directory, expected) in [(agreed, None), (other, Some(other.to_owned()))] {
            let authority = authorities.at(directory).unwrap();
            assert_eq!(authority.terms_to_agree().await, expected);
        }
    }

    #[tokio::test]
    async fn a_long_key_keeps_nobody_waiting() {
        let state = tempfile::tempdir().unwrap();
        let folders = Folders::new(
            state.path().join("certificates"),
            state.path().into(),
            |_| (),
        );
        let usual = AcmeSettings {
            ca_root_pem: None,
            agree_tos: false,
            email: None,
            orders_per_second: None,
            external_account: None,
            chain: None,
            https_proxy: HttpsProxy::default(),
        };
        let life = Duration::from_secs(60);
        let (accounts, clock) = (Rc::new(folders), Rc::new(SystemClock));
        let authorities =
            AcmeAuthorities::new(usual, BTreeMap::new(), life, accounts, clock, |_| ());
        let authorities = authorities.unwrap();
        let mut key = authorities.new_key(KeyType::Rsa2048);
        let mut turns = 0;
        let key = loop {
            tokio::select! {
                biased;
                key = &mut key => break key.unwrap(),
                () = tokio::task::yield_now() => turns += 1,
            }
        };
        assert!(turns > 0, "others go on");
        x509::check_private_key(&key).unwrap();
    }

    #[test]
    fn a_self_signed_certificate_of_every_key_type_passes_all_checks() {
        let now = Timestamp::from_seconds(1_795_371_420);
        let names = ["*.shop.example", "shop.internal", "10.0.0.1", "fd00::1"]
            .map(|host| Host::parse(host).unwrap());
        let (names, name) = (names.into(), CertificateName::parse("own").unwrap());
        let life = Duration::from_secs(365 * 24 * 60 * 60);
        for (_, kind) in KeyType::WORDS {
            let key = new_key(kind).unwrap();
            let chain = self_signed(&key, &names, now, life).unwrap();
            let new = NewCertificate {
                profile: None,
                name: &name,
                names: &names,
                key: &key,
                chain: &chain,
                source: Source::SelfSigned,
                now,
            };
            let held = x509::check_new(&new).unwrap();
            assert_eq!(held.key_type, Some(kind));
            assert_eq!(held.issuer, "self-signed by quaymaster");
            assert_eq!(held.not_after, now + life);
        }
    }
}
