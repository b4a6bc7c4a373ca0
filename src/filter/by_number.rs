//! A map by the numbers that the proxy gives to streams and calls.

/// Values stand in places that are used again; a table of places serves every type of value.
pub struct ByNumber<T> {
    places: Places,
    values: Vec<Option<(u32, T)>>,
    free: Vec<u32>,
}

/// Where each number's value is: at most half full, and looked through from where a number belongs to the first gap.
/// Unkeyed, as the proxy counts and no caller chooses a number.
#[derive(Default)]
struct Places(Vec<Option<Place>>);

#[derive(Clone, Copy)]
struct Place {
    number: u32,
    at: u32,
}

const SMALLEST: usize = 16;

impl Places {
    fn mask(&self) -> usize {
        self.0.len().wrapping_sub(1)
    }

    /// The proxy counts streams by one and calls by four: the upper bits of the product tell both apart.
    fn home(&self, number: u32) -> usize {
        let spread = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        spread as usize & self.mask()
    }

    /// Its index in the table, and its value's place.
    fn find(&self, number: u32) -> Option<(usize, usize)> {
        let mut index = self.home(number);
        loop {
            match self.0.get(index).copied().flatten()? {
                place if place.number == number => return Some((index, place.at as usize)),
                _ => index = (index + 1) & self.mask(),
            }
        }
    }

    /// `number` is not there. `known`: how many are.
    fn add(&mut self, place: Place, known: usize) {
        if self.0.len() < 2 * (known + 1) {
            let more = vec![None; (2 * self.0.len()).max(SMALLEST)];
            for place in std::mem::replace(&mut self.0, more).into_iter().flatten() {
                self.put(place);
            }
        }
        self.put(place);
    }

    fn put(&mut self, place: Place) {
        let mut index = self.home(place.number);
        while let Some(slot) = self.0.get_mut(index) {
            match slot {
                Some(_) => index = (index + 1) & self.mask(),
                None => return *slot = Some(place),
            }
        }
    }

    /// Whoever stands behind the gap, and could not be found beyond it, moves up.
    fn remove(&mut self, mut gap: usize) {
        let mask = self.mask();
        let mut index = gap;
        loop {
            index = (index + 1) & mask;
            let Some(Some(place)) = self.0.get(index).copied() else {
                break;
            };
            let way = |from: usize| index.wrapping_sub(from) & mask;
            if way(self.home(place.number)) >= way(gap) {
                self.set(gap, Some(place));
                gap = index;
            }
        }
        self.set(gap, None);
    }

    fn set(&mut self, index: usize, place: Option<Place>) {
        if let Some(slot) = self.0.get_mut(index) {
            *slot = place;
        }
    }
}

impl<T> Default for ByNumber<T> {
    fn default() -> Self {
        Self {
            places: Places::default(),
            values: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T> ByNumber<T> {
    pub fn get(&self, number: u32) -> Option<&T> {
        let (_, at) = self.places.find(number)?;
        let slot = self.values.get(at)?;
        slot.as_ref().map(|(_, value)| value)
    }

    pub fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        let (_, at) = self.places.find(number)?;
        let slot = self.values.get_mut(at)?;
        slot.as_mut().map(|(_, value)| value)
    }

    /// In place of what stood there.
    pub fn insert(&mut self, number: u32, value: T) {
        if let Some(known) = self.get_mut(number) {
            return *known = value;
        }
        let known = self.values.len() - self.free.len();
        let at = self.free.pop().unwrap_or(self.values.len() as u32);
        self.places.add(Place { number, at }, known);
        match self.values.get_mut(at as usize) {
            Some(slot) => *slot = Some((number, value)),
            None => self.values.push(Some((number, value))),
        }
    }

    pub fn remove(&mut self, number: u32) -> Option<T> {
        let (index, at) = self.places.find(number)?;
        self.places.remove(index);
        let (_, value) = self.values.get_mut(at)?.take()?;
        self.free.push(at as u32);
        Some(value)
    }

    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.values.iter().flatten().map(|(number, value)| (*number, value))
    }
}
