//! Which kind of request comes next in a mix.

use fastrand::Rng;

/// A table of at least this many turns, so that no pattern repeats within what a service could notice.
const TURNS: usize = 8192;

/// The order in which a thread sends the kinds of a mix. Among any `sum of the weights` requests (counted in such
/// blocks) each kind has exactly its share; within a block the order is random.
pub(super) struct Mix {
    turns: Box<[u16]>,
    next: usize,
}

impl Mix {
    pub(super) fn new(weights: &[u32], rng: &mut Rng) -> Self {
        if weights.len() <= 1 {
            return Self { turns: [0].into(), next: 0 };
        }
        let kinds = weights.iter().zip(0..).flat_map(|(&weight, kind)| (0..weight).map(move |_| kind));
        let mut block: Vec<u16> = kinds.collect();
        let mut turns = Vec::with_capacity(TURNS + block.len());
        while turns.len() < TURNS {
            rng.shuffle(&mut block);
            turns.extend_from_slice(&block);
        }
        Self { turns: turns.into(), next: 0 }
    }

    /// The kind of the next request.
    pub(super) fn turn(&mut self) -> usize {
        let kind = self.turns[self.next];
        self.next = if self.next + 1 == self.turns.len() { 0 } else { self.next + 1 };
        kind.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(weights: &[u32], seed: u64, n: usize) -> Vec<usize> {
        let mut mix = Mix::new(weights, &mut Rng::with_seed(seed));
        (0..n).map(|_| mix.turn()).collect()
    }

    #[test]
    fn every_block_has_the_shares_of_the_weights() {
        for block in turns(&[90, 9, 1], 1, 20_000).chunks(100) {
            let of = |kind| block.iter().filter(|turn| **turn == kind).count();
            assert_eq!((of(0), of(1), of(2)), (90, 9, 1));
        }
    }

    #[test]
    fn the_order_is_random_and_the_seed_tells_it() {
        let order = turns(&[3, 1], 1, 400);
        assert_eq!(order, turns(&[3, 1], 1, 400));
        assert_ne!(order, turns(&[3, 1], 2, 400));
        // Each place within a block is the rare one's equally often.
        for place in 0..4 {
            let often = order.chunks(4).filter(|block| block[place] == 1).count();
            assert!((12..=38).contains(&often), "{often} of 100 times at place {place}");
        }
    }

    #[test]
    fn one_kind_is_always_the_next() {
        assert_eq!(turns(&[7], 1, 3), [0, 0, 0]);
    }
}
