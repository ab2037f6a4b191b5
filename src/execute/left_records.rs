//! Records of orders that are given up.

use crate::{
    observe::Webroots,
    ports::{Issuing, ShownResponse},
    report::{Event, chain, report},
    values::CertificateName,
};

/// Removes what was shown for an order that nobody wants any more, and tells what can't be removed: it does no harm, and its
/// provider may be gone for good.
pub async fn withdraw_left(
    issuing: &Issuing,
    certificate: &CertificateName,
    left: &[ShownResponse],
) {
    let nowhere = Webroots::default();
    for shown in left {
        for fault in issuing.responder.withdraw(&nowhere, shown).await {
            report(&Event::RecordLeft {
                certificate: certificate.clone(),
                problem: chain(&fault),
            });
        }
    }
}
