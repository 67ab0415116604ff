//! Randomness that a seed repeats.

/// Marsaglia's xorshift64*.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        // Zero would stay zero.
        Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number under `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) % bound
    }

    /// One of the names, each as often as its weight says.
    pub(crate) fn weighted(&mut self, names: &[(&'static str, u64)]) -> &'static str {
        let all: u64 = names.iter().map(|(_, weight)| weight).sum();
        let mut at = self.below(all);
        for (name, weight) in names {
            if at < *weight {
                return name;
            }
            at -= weight;
        }
        unreachable!("the weights add up")
    }
}
