use super::kept_account;
use crate::values::Secret;

/// The thumbprint of one of our accounts' keys, as it is kept: it stands in each response of ours to a challenge. None
/// where it is no account.
///
/// <https://www.rfc-editor.org/rfc/rfc7638#section-3>
pub fn thumbprint(account: &Secret) -> Option<String> {
    Some(kept_account(account)?.thumbprint)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by openssl; the thumbprint by its digest of the members as the RFC has them.
    const KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
                       MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgD3C+gYAQfN7UNulh\n\
                       sV2Em3hnZpIT7FsqRrMQ8i1+usqhRANCAAT/XfzQbOtxdjh+ffF3u2hH6qiF1OoB\n\
                       /bcXDovuRZVnckznZx8JCulit+ZM57OsPUjqFOWVVfgGjUbQDRD6LOgv\n\
                       -----END PRIVATE KEY-----";
    const THUMBPRINT: &str = "Xr6tiGALH1zZPzK80UDQyFPbD_dFWGYLsCixlE_B28g";

    #[test]
    fn an_account_is_known_by_the_thumbprint_of_its_key() {
        let kept =
            |key: &str| Secret::new(serde_json::json!({"url": null, "key": key}).to_string());
        assert_eq!(thumbprint(&kept(KEY)).as_deref(), Some(THUMBPRINT));
        assert_eq!(thumbprint(&kept("none")), None);
        assert_eq!(thumbprint(&Secret::new("{".to_owned())), None);
    }
}
