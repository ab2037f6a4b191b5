//! The macro that makes rows of events, and of remarks, which become events.

/// Makes an enum of rows `/// Doc. Variant { fields } => "name", level, (words);`: the level is an expression and the words
/// are those of `write!`, both of the fields, as references. `or Variant(Other)` takes in all rows of another such enum.
macro_rules! events {
    (
        $(#[$of_all:meta])+
        pub enum $all:ident $(or $(#[$of_others:meta])+ $others:ident($other:ty))*;
        $(
            $(#[$doc:meta])+
            $variant:ident { $($(#[$of_field:meta])+ $field:ident: $type:ty,)* } => $name:literal, $level:expr, ($($words:tt)+);
        )+
    ) => {
        $(#[$of_all])+
        #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
        #[serde(untagged)]
        pub enum $all {
            $($(#[$of_others])+ $others($other),)*
            $($(#[$doc])+ $variant { $($(#[$of_field])+ $field: $type,)* },)+
        }

        impl $all {
            /// The names of all rows here.
            #[cfg(test)]
            pub(crate) const NAMES: &[&str] = &[$($name),+];

            /// Its unchanging name.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$others(other) => <$other>::name(other),)*
                    $(Self::$variant { .. } => $name,)+
                }
            }

            /// The level of the event.
            #[expect(unused_variables, reason = "most levels are the same whatever the fields hold")]
            pub fn level(&self) -> tracing::Level {
                match self {
                    $(Self::$others(other) => <$other>::level(other),)*
                    $(Self::$variant { $($field),* } => $level,)+
                }
            }
        }

        impl std::fmt::Display for $all {
            #[allow(unused_variables, reason = "words need not tell all that is known")]
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    $(Self::$others(other) => <$other as std::fmt::Display>::fmt(other, f),)*
                    $(Self::$variant { $($field),* } => write!(f, $($words)+),)+
                }
            }
        }
    };
}

pub(crate) use events;
