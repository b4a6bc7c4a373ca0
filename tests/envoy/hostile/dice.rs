//! The same numbers for the same seed and case, whatever runs beside it.

pub struct Dice(u64);

impl Dice {
    pub fn of(seed: u64, case: usize) -> Self {
        Self(seed ^ (case as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// One time in so many.
    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// Any bytes but line ends, with which a request would be two.
    pub fn bytes(&mut self, most: usize) -> Vec<u8> {
        let length = self.below(most + 1);
        let any = |dice: &mut Self| match dice.next() as u8 {
            b'\r' | b'\n' => b'%',
            byte => byte,
        };
        (0..length).map(|_| any(self)).collect()
    }

    /// Pieces put together, with some bytes between them now and then.
    pub fn of_pieces(&mut self, pieces: &[&[u8]], most: usize) -> Vec<u8> {
        let mut all = Vec::new();
        for _ in 0..self.below(most + 1) {
            if self.one_in(40) {
                all.extend(self.bytes(3));
            }
            let piece: &[u8] = self.one_of::<&[u8]>(pieces);
            all.extend_from_slice(piece);
        }
        all
    }
}
