//! Chance that is the same every time: figures that follow from a seed alone, in every version of the program.

/// Figures that look thrown (splitmix64).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Those that follow from a seed and a number.
    pub fn of(seed: u64, number: u64) -> Self {
        let mut dice = Self(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        // Neighbours begin alike.
        dice.roll();
        dice.roll();
        dice
    }

    /// The next 64 bits.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of 0 to before `limit`, each as often.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.roll() % limit.max(1)
    }

    /// Whether it happens that happens once in so many times.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of them, each as often.
    pub fn any<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.index(of.len() as u64)]
    }

    /// One of them, the first ones far more often than the last, as names and sizes are.
    pub fn common<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.rank(of.len() as u64)]
    }

    /// A place from 0 to before `limit`: it falls into each doubling of places as often.
    pub fn rank(&mut self, limit: u64) -> usize {
        let limit = limit.max(1);
        let doublings = u64::from(64 - limit.leading_zeros());
        loop {
            let first = 1 << self.below(doublings);
            let place = first + self.below(first);
            if place <= limit {
                return usize::try_from(place - 1).unwrap_or_default();
            }
        }
    }

    fn index(&mut self, limit: u64) -> usize {
        usize::try_from(self.below(limit)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_throws_the_same() {
        let throw = |seed, number| {
            let mut dice = Dice::of(seed, number);
            [dice.roll(), dice.roll()]
        };
        assert_eq!(throw(1, 2), throw(1, 2));
        assert_ne!(throw(1, 2), throw(1, 3));
        assert_ne!(throw(1, 2), throw(2, 2));
        // Seeds that were used once are to make the same log for ever.
        assert_eq!(Dice::of(1, 1).below(1_000_000), 477_842);
    }

    #[test]
    fn the_first_ranks_come_more_often_and_the_last_do_come() {
        let mut dice = Dice::of(7, 7);
        let mut seen = [0; 20];
        for _ in 0..10_000 {
            seen[dice.rank(20)] += 1;
        }
        assert!(seen[0] > 4 * seen[8], "{seen:?}");
        assert!(seen.iter().all(|times| *times > 0), "{seen:?}");
    }
}
