use std::collections::BTreeMap;

use crate::values::Digest;

/// For how many rounds something is kept that is not asked for: while a consumer is being deployed to, nobody asks what
/// its files should be.
const ROUNDS: u64 = 16;

/// What was rendered, by what it was made from: digests alone, because thousands of texts would take more memory than
/// the rest of the program.
#[derive(Debug, Default)]
pub(super) struct Memory {
    round: u64,
    /// What came of it, and the last round in which that was asked for.
    known: BTreeMap<Digest, (Digest, u64)>,
}

impl Memory {
    pub fn recall(&mut self, facts: Digest) -> Option<Digest> {
        let (made, asked) = self.known.get_mut(&facts)?;
        *asked = self.round;
        Some(*made)
    }

    pub fn keep(&mut self, facts: Digest, made: Digest) {
        self.known.insert(facts, (made, self.round));
    }

    pub fn begin_round(&mut self) {
        self.round += 1;
        let oldest = self.round.saturating_sub(ROUNDS);
        self.known.retain(|_, (_, asked)| *asked >= oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_kept_and_the_rest_is_forgotten_in_time() {
        let [one, other, made] = ["one", "other", "made"].map(Digest::of);
        let mut memory = Memory::default();
        memory.keep(one, made);
        memory.keep(other, made);
        for _ in 0..ROUNDS {
            memory.begin_round();
            assert_eq!(memory.recall(one), Some(made));
        }
        assert_eq!(memory.known.len(), 2);
        memory.begin_round();
        assert_eq!((memory.recall(one), memory.recall(other)), (Some(made), None));
    }
}
