//! Counts by 16 bits of the image, with the smallest and largest image in each slot.
//!
//! Pages of slots come into being when first touched: real columns touch few of them.

const PAGES: usize = 256;
const SLOTS: usize = 256;

/// What fell into one slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) count: u64,
    pub(super) min: u64,
    pub(super) max: u64,
}

const EMPTY: Slot = Slot {
    count: 0,
    min: u64::MAX,
    max: 0,
};

/// A histogram over 16 bits of the image.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    pages: Vec<Option<Box<[Slot; SLOTS]>>>,
}

impl Histogram {
    pub(super) fn new() -> Self {
        Self {
            pages: vec![None; PAGES],
        }
    }

    /// Counts an image in the slot given by the low 16 bits of `slot`.
    pub(super) fn add(&mut self, slot: u64, image: u64) {
        let (page, index) = ((slot >> 8) as u8, slot as u8);
        if let Some(page) = self.pages.get_mut(usize::from(page)) {
            let slots = page.get_or_insert_with(|| Box::new([EMPTY; SLOTS]));
            let slot = &mut slots[usize::from(index)];
            slot.count += 1;
            slot.min = slot.min.min(image);
            slot.max = slot.max.max(image);
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.pages.iter_mut().zip(&other.pages) {
            match (mine, theirs) {
                (_, None) => {}
                (mine @ None, Some(theirs)) => *mine = Some(theirs.clone()),
                (Some(mine), Some(theirs)) => {
                    for (slot, other) in mine.iter_mut().zip(theirs.iter()) {
                        slot.count += other.count;
                        slot.min = slot.min.min(other.min);
                        slot.max = slot.max.max(other.max);
                    }
                }
            }
        }
    }

    /// The slots that hold something, in order.
    fn filled(&self) -> impl Iterator<Item = (u64, Slot)> {
        self.pages
            .iter()
            .enumerate()
            .filter_map(|(page, slots)| Some((page, slots.as_ref()?)))
            .flat_map(|(page, slots)| {
                let slots = slots.iter().enumerate().filter(|(_, slot)| slot.count > 0);
                slots.map(move |(index, slot)| ((page * SLOTS + index) as u64, *slot))
            })
    }

    /// The slot that holds the zero-based `rank`, and the rank within it.
    pub(super) fn locate(&self, rank: u64) -> Option<(u64, Slot, u64)> {
        let mut below = 0;
        for (index, slot) in self.filled() {
            if rank < below + slot.count {
                return Some((index, slot, rank - below));
            }
            below += slot.count;
        }
        None
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let pages = self.pages.iter().filter(|page| page.is_some()).count();
        PAGES * size_of::<usize>() + pages * size_of::<[Slot; SLOTS]>()
    }
}
