//! Memory planning: values that are not needed at the same time share a slot.

use std::collections::{BTreeSet, HashMap};

use crate::tensor::DType;

/// The slots of a plan: buffers that several values use in turn.
#[derive(Debug, Default)]
pub(super) struct Slots {
    slots: Vec<(DType, usize)>,
    /// The free slots of each type, by their length.
    free: HashMap<DType, BTreeSet<(usize, usize)>>,
}

impl Slots {
    /// A slot for `len` elements: the smallest free one that is large enough, else the largest free one made larger,
    /// else a new one.
    pub fn take(&mut self, dtype: DType, len: usize) -> usize {
        let free = self.free.entry(dtype).or_default();
        let found = free.range((len, 0)..).next().or_else(|| free.last()).copied();
        let Some(slot @ (_, index)) = found else {
            self.slots.push((dtype, len));
            return self.slots.len() - 1;
        };
        free.remove(&slot);
        self.slots[index].1 = self.slots[index].1.max(len);
        index
    }

    /// Gives a slot back.
    pub fn give(&mut self, index: usize) {
        let (dtype, len) = self.slots[index];
        let is_new = self.free.entry(dtype).or_default().insert((len, index));
        assert!(is_new, "slot {index} was given back twice");
    }

    /// The elements of a slot.
    pub fn len(&self, index: usize) -> usize {
        self.slots[index].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_reused_by_fit_and_type() {
        let mut slots = Slots::default();
        let (a, b) = (slots.take(DType::F32, 100), slots.take(DType::F32, 10));
        slots.give(a);
        slots.give(b);
        assert_eq!(slots.take(DType::F32, 8), b, "the smaller one is enough");
        assert_eq!(slots.take(DType::U32, 8), 2, "types do not share");
        assert_eq!(slots.take(DType::F32, 200), a, "the free one grows");
        assert_eq!((slots.len(a), slots.slots.len()), (200, 3));
    }
}
