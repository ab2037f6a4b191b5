//! What is made of the rows of events.

/// Makes [`Event`](super::Event) of rows `/// Doc. Variant { fields } => "name", level, (words);`: the level is an
/// expression and the words are those of `write!`, both of the event's fields, as references.
macro_rules! events {
    ($(
        $(#[$doc:meta])+
        $variant:ident { $($(#[$of_field:meta])+ $field:ident: $type:ty,)* } => $name:literal, $level:expr, ($($words:tt)+);
    )+) => {
        /// Something worth telling. Each has a name that stays, for whoever reads logs by machine, and words for people.
        /// As it is serialized it is its fields alone.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
        #[serde(untagged)]
        pub enum Event {
            $($(#[$doc])+ $variant { $($(#[$of_field])+ $field: $type,)* },)+
        }

        impl Event {
            /// The names of all.
            #[cfg(test)]
            const NAMES: &[&str] = &[$($name),+];

            /// Its unchanging name.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $name,)+
                }
            }

            /// How much it matters.
            #[expect(unused_variables, reason = "most levels are the same whatever the fields hold")]
            pub fn level(&self) -> Level {
                match self {
                    $(Self::$variant { $($field),* } => $level,)+
                }
            }
        }

        impl std::fmt::Display for Event {
            #[expect(unused_variables, reason = "words need not tell all that is known")]
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    $(Self::$variant { $($field),* } => write!(f, $($words)+),)+
                }
            }
        }
    };
}

pub(super) use events;
