//! Which features a block has shown.

const SEEN: usize = 512;

/// Hashes seen in a block; from three quarters on it forgets new ones.
pub struct Seen {
    slots: [u32; SEEN],
    filled: usize,
}

impl Seen {
    pub fn new() -> Self {
        Self { slots: [0; SEEN], filled: 0 }
    }

    /// Where the hash stands, or may stand.
    #[inline]
    fn slot(&self, hash: u32) -> usize {
        let mut at = (hash >> 4) as usize % SEEN;
        while self.slots[at] != 0 && self.slots[at] != hash | 1 {
            at = (at + 1) % SEEN;
        }
        at
    }

    #[inline]
    pub fn contains(&self, hash: u32) -> bool {
        self.filled > 0 && self.slots[self.slot(hash)] != 0
    }

    #[inline]
    pub fn insert(&mut self, hash: u32) -> bool {
        let at = self.slot(hash);
        if self.slots[at] != 0 {
            return false;
        }
        if self.filled < SEEN / 4 * 3 {
            self.slots[at] = hash | 1;
            self.filled += 1;
        }
        true
    }
}
