use crate::{
    ports::Remark,
    report::{Event, report},
};

/// Reports what an adapter met.
pub(super) fn tell(remark: Remark) {
    report(&match remark {
        Remark::AccountRegistered { directory, account } => {
            Event::AccountRegistered { directory, account }
        }
        Remark::AccountLost {
            directory,
            lost,
            account,
        } => Event::AccountLost {
            directory,
            lost,
            account,
        },
        Remark::AccountDamaged {
            directory,
            problem,
            kept,
        } => Event::AccountDamaged {
            directory,
            problem,
            kept: kept.display().to_string(),
        },
        Remark::EmailUntold { directory, problem } => Event::EmailUntold { directory, problem },
        Remark::ContainerLeftOut { problem } => Event::ContainerUnreadable { problem },
        Remark::NetworkUnseen { container, problem } => Event::NetworkUnseen { container, problem },
        Remark::EngineEventTooLong { bytes } => Event::EngineEventTooLong { bytes },
        Remark::EngineTimeUnknown { engine } => Event::EngineTimeUnknown { engine },
    });
}
