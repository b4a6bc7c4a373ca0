//! A few buckets side by side, as bytes: of each its tag and when it is full again.

/// At 8,000 callers at once, two in a slot on average, one in five thousand finds no room of its own.
pub const ENTRIES: usize = 8;
pub const ENTRY_BYTES: usize = 16;

/// Workers read the clock at different moments; what lies further ahead than that is no clock's doing.
const CLOCKS_APART_NS: u64 = 1_000_000_000;

/// Where a bucket stands in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    at: usize,
    pub full_at_ns: u64,
}

/// The bytes of a slot. Whatever stands there, also what others planted, is read as buckets or not at all.
#[derive(Debug, Default)]
pub struct Slot {
    pub bytes: Vec<u8>,
    /// Something was put right that should be written, whether or not anything is taken.
    pub mended: bool,
}

impl Slot {
    /// A bucket is empty at worst: one that would be full later than `longest_ns` from now, since the clock was set
    /// back or a limit was made shorter, is empty from now.
    pub fn read(mut bytes: Vec<u8>, now_ns: u64, longest_ns: u64) -> Self {
        if bytes.len() > ENTRIES * ENTRY_BYTES || !bytes.len().is_multiple_of(ENTRY_BYTES) {
            bytes.clear();
        }
        let mut slot = Self { bytes, mended: false };
        let latest_ns = now_ns.saturating_add(longest_ns);
        for at in (0..slot.bytes.len()).step_by(ENTRY_BYTES) {
            let far = |(_, full_at_ns)| full_at_ns > latest_ns.saturating_add(CLOCKS_APART_NS);
            if slot.entry(at).is_some_and(far) {
                slot.write(at + 8, latest_ns);
                slot.mended = true;
            }
        }
        slot
    }

    /// The bucket of this tag. A new one takes the place of one that is full again, which is as good as none; where
    /// all are in use there is no place.
    pub fn find(&mut self, tag: u64, now_ns: u64) -> Option<Place> {
        let mut free = None;
        for at in (0..self.bytes.len()).step_by(ENTRY_BYTES) {
            let (there, full_at_ns) = self.entry(at)?;
            if there == tag {
                return Some(Place { at, full_at_ns });
            }
            if full_at_ns <= now_ns {
                free.get_or_insert(at);
            }
        }
        let at = match free {
            Some(at) => at,
            None if self.bytes.len() < ENTRIES * ENTRY_BYTES => {
                let end = self.bytes.len();
                self.bytes.resize(end + ENTRY_BYTES, 0);
                end
            }
            None => return None,
        };
        self.write(at, tag);
        self.write(at + 8, 0);
        Some(Place { at, full_at_ns: 0 })
    }

    pub fn set(&mut self, place: Place, full_at_ns: u64) {
        self.write(place.at + 8, full_at_ns);
    }

    fn entry(&self, at: usize) -> Option<(u64, u64)> {
        let (tag, rest) = self.bytes.get(at..)?.split_first_chunk()?;
        Some((u64::from_le_bytes(*tag), u64::from_le_bytes(*rest.first_chunk()?)))
    }

    fn write(&mut self, at: usize, number: u64) {
        if let Some(there) = self.bytes.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
            *there = number.to_le_bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000_000_000_000;
    const LONGEST: u64 = 60_000_000_000;

    fn read(bytes: &[u8]) -> Slot {
        Slot::read(bytes.to_vec(), NOW, LONGEST)
    }

    /// A slot with buckets 1, 2, … that are full so long after now.
    fn holding(full_after: &[i64]) -> Slot {
        let mut slot = read(b"");
        for (tag, after) in (1..).zip(full_after) {
            let place = slot.find(tag, 0).expect("a place");
            slot.set(place, NOW.saturating_add_signed(*after));
        }
        read(&slot.bytes)
    }

    fn tags(slot: &Slot) -> Vec<u64> {
        let starts = (0..slot.bytes.len()).step_by(ENTRY_BYTES);
        starts.filter_map(|at| Some(slot.entry(at)?.0)).collect()
    }

    #[test]
    fn a_newcomer_takes_the_place_of_a_full_bucket_alone() {
        let mut slot = holding(&[5, 5, 5, 0, 5, -5, 5, 5]);
        assert_eq!(slot.find(9, NOW).map(|place| place.full_at_ns), Some(0));
        assert_eq!(tags(&slot), [1, 2, 3, 9, 5, 6, 7, 8]);
        let mut slot = holding(&[5, 5, 5, 1, 5, 5, 5, 5]);
        assert_eq!(slot.find(9, NOW), None);
        assert_eq!(tags(&slot), [1, 2, 3, 4, 5, 6, 7, 8], "nobody lost anything");
        assert_eq!(slot.find(4, NOW).map(|place| place.full_at_ns), Some(NOW + 1));
        assert!(slot.find(9, NOW + 1).is_some(), "one is full by then");
    }

    #[test]
    fn its_own_bucket_before_a_free_place() {
        let mut slot = holding(&[-5, 7]);
        assert_eq!(slot.find(2, NOW).map(|place| place.full_at_ns), Some(NOW + 7));
        assert_eq!(tags(&slot), [1, 2]);
    }

    #[test]
    fn what_others_planted() {
        for bytes in [&b"x"[..], &[255; 15], &[7; 17], &[0; 144], &[255; 4096]] {
            let mut slot = read(bytes);
            assert_eq!(slot.bytes, b"");
            assert_eq!(slot.find(1, NOW).map(|place| place.full_at_ns), Some(0));
        }
        // Full in 500 years: empty from now on, and not for ever.
        let mut slot = read(&[255; ENTRIES * ENTRY_BYTES]);
        assert!(slot.mended);
        assert_eq!(slot.find(1, NOW), None);
        assert_eq!(
            slot.find(u64::MAX, NOW).map(|place| place.full_at_ns),
            Some(NOW + LONGEST)
        );
        let mut later = Slot::read(slot.bytes, NOW + LONGEST, LONGEST);
        assert!(!later.mended && later.find(1, NOW + LONGEST).is_some());
    }

    #[test]
    fn clocks_that_are_a_little_apart_mend_nothing() {
        assert!(!holding(&[i64::try_from(LONGEST + CLOCKS_APART_NS).unwrap()]).mended);
        assert!(holding(&[i64::try_from(LONGEST + CLOCKS_APART_NS + 1).unwrap()]).mended);
    }
}
