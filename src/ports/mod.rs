//! The outside as the line sees it: the engine, the CA, the disk, the network, the clock; their errors, and when each
//! error may be tried again. Adapters implement these; nothing else has effects. A file a port.

mod authority;
mod disk;
mod engine;
mod probe;
mod remark;
mod templates;

use std::{rc::Rc, time::Duration};

use async_trait::async_trait;

use crate::values::Timestamp;
pub use authority::{Authorities, Authority, AuthorityError, Challenge, Order};
pub use disk::{
    AttemptRecords, Certificates, Change, Disk, DiskError, GoodTemplates, NewCertificate,
    OrderRecord, Place, Repair, Wishes,
};
pub use engine::{DetailedEngine, Engine, EngineError, Ran};
pub use probe::{Page, Probe, ProbeError, Served};
pub use remark::{Remark, Remarks};
pub use templates::{NamedFiles, TemplateFiles, TemplateTexts};

/// Everything outside, handed to the loop and to the actions.
#[derive(Clone)]
pub struct Ports {
    /// The Docker engine.
    pub engine: Rc<dyn Engine>,
    /// Those who issue certificates.
    pub authorities: Rc<dyn Authorities>,
    /// Our folders and those of consumers.
    pub disk: Rc<dyn Disk>,
    /// What people ask of whoever works on our state.
    pub wishes: Rc<dyn Wishes>,
    /// Connections that prove what is served.
    pub probe: Rc<dyn Probe>,
    /// Now, and waiting.
    pub clock: Rc<dyn Clock>,
}

/// Now, and waiting.
#[async_trait(?Send)]
pub trait Clock {
    /// Now.
    fn now(&self) -> Timestamp;
    /// Waits.
    async fn sleep(&self, length: Duration);
}
