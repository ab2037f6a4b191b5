use std::{fmt, time::Duration};

/// At most so many within a length of time, whenever it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// So many; at least one.
    pub most: u32,
    /// Within so long.
    pub within: Duration,
}

impl Limit {
    pub(super) const fn new(most: u32, hours: u64) -> Self {
        Self {
            most,
            within: Duration::from_secs(hours * 60 * 60),
        }
    }

    /// The number, for comparing with counts.
    pub fn most(&self) -> usize {
        usize::try_from(self.most).unwrap_or(usize::MAX)
    }
}

impl fmt::Display for Limit {
    /// As settings write it: `300/3h`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let within = humantime::format_duration(self.within);
        write!(f, "{}/{}", self.most, within.to_string().replace(' ', ""))
    }
}

/// The limits that a CA publishes, as far as we can count what they are about. None is known of a CA that publishes none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CaLimits {
    /// New orders of one account.
    pub orders: Option<Limit>,
    /// Certificates for exactly the same names.
    pub same_names: Option<Limit>,
    /// Failed validations of one name.
    pub failures: Option<Limit>,
    /// New orders in any second.
    pub orders_per_second: Option<u32>,
    /// True if an order for exactly the names of a certificate that the CA has issued counts as no new order.
    pub are_renewals_exempt: bool,
}

impl CaLimits {
    /// No limits.
    pub const NONE: Self = Self {
        orders: None,
        same_names: None,
        failures: None,
        orders_per_second: None,
        are_renewals_exempt: false,
    };
}

impl fmt::Display for CaLimits {
    /// As settings write them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = |name: &str, limit: Option<Limit>| limit.map(|limit| format!("{name} {limit}"));
        let pace = self.orders_per_second;
        let parts = [
            told("orders", self.orders),
            told("same-names", self.same_names),
            told("failures", self.failures),
            pace.map(|most| format!("orders-per-second {most}")),
            self.are_renewals_exempt
                .then(|| "renewals-exempt".to_owned()),
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        match parts.is_empty() {
            true => f.write_str("none"),
            false => f.write_str(&parts.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_shown_as_it_is_written() {
        for (limit, expected) in [
            (Limit::new(300, 3), "300/3h"),
            (Limit::new(5, 7 * 24), "5/7days"),
            (Limit::new(1, 25), "1/1day1h"),
        ] {
            assert_eq!(limit.to_string(), expected);
        }
    }
}
