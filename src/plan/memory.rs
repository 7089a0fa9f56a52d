//! Memory planning: values that are not needed at the same time share a slot.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use crate::tensor::DType;

/// A value that needs a slot, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Life {
    pub dtype: DType,
    /// Elements.
    pub len: usize,
    /// The step that makes the value.
    pub first: usize,
    /// The last step that reads it.
    pub last: usize,
}

/// A buffer that several values use in turn.
#[derive(Debug)]
struct Slot {
    len: usize,
    /// When it is taken: last steps by first steps.
    taken: BTreeMap<usize, usize>,
}

impl Slot {
    /// Whether no other value is there in the steps of `life`, the first and the last included: no step reads and writes one slot.
    fn is_free(&self, life: &Life) -> bool {
        self.taken.range(..=life.last).next_back().is_none_or(|(_, &last)| last < life.first)
    }
}

/// In how many slots a value is tried, the smallest first: a net of thousands of layers is planned in no time, too.
const MOST_TRIED: usize = 64;

/// The slots of a plan.
#[derive(Debug, Default)]
pub(super) struct Slots {
    slots: Vec<Slot>,
    /// Those of each type, by falling length.
    by_type: HashMap<DType, Vec<usize>>,
}

impl Slots {
    /// Slots for values, and which one each value has. The largest value chooses first, of two as large the one that is read last:
    /// each later one goes into the smallest slot that is free while it lives, and makes a slot of its own where there is none.
    pub fn of(lives: &[Life]) -> (Self, Vec<usize>) {
        let mut slots = Self::default();
        let mut chosen = vec![0; lives.len()];
        let mut order: Vec<usize> = (0..lives.len()).collect();
        order.sort_by_key(|&value| Reverse((lives[value].len, lives[value].last)));
        for value in order {
            chosen[value] = slots.take(&lives[value]);
        }
        (slots, chosen)
    }

    fn take(&mut self, life: &Life) -> usize {
        let of_type = self.by_type.entry(life.dtype).or_default();
        let tried = of_type.iter().rev().take(MOST_TRIED);
        let found = tried.copied().find(|&slot| self.slots[slot].is_free(life));
        let slot = found.unwrap_or_else(|| {
            of_type.push(self.slots.len());
            self.slots.push(Slot { len: life.len, taken: BTreeMap::new() });
            self.slots.len() - 1
        });
        self.slots[slot].taken.insert(life.first, life.last);
        slot
    }

    /// The elements of a slot.
    pub fn len(&self, index: usize) -> usize {
        self.slots[index].len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lives(of: &[(usize, usize, usize)]) -> Vec<Life> {
        of.iter().map(|&(len, first, last)| Life { dtype: DType::F32, len, first, last }).collect()
    }

    fn lens(slots: &Slots) -> Vec<usize> {
        (0..slots.slots.len()).map(|slot| slots.len(slot)).collect()
    }

    #[test]
    fn slots_are_reused_by_fit_and_type() {
        let mut all = lives(&[(100, 0, 1), (10, 0, 1), (8, 2, 3), (200, 4, 5), (8, 2, 3)]);
        all[4].dtype = DType::U32;
        let (slots, chosen) = Slots::of(&all);
        assert_eq!(lens(&slots), [200, 10, 8]);
        assert_eq!(chosen, [0, 1, 1, 0, 2], "the smaller one is enough, and types do not share");
    }

    #[test]
    fn no_step_reads_and_writes_one_slot() {
        let (slots, chosen) = Slots::of(&lives(&[(5, 0, 1), (5, 1, 2), (5, 2, 3), (5, 2, 2)]));
        assert_eq!((lens(&slots), chosen), (vec![5, 5, 5], vec![2, 1, 0, 2]));
    }

    /// In the order of the steps the small one would take the large slot, and the second large one a slot more.
    #[test]
    fn a_small_value_does_not_keep_a_large_one_out() {
        let (slots, _) = Slots::of(&lives(&[(1000, 0, 1), (3, 2, 9), (1000, 3, 4)]));
        assert_eq!(lens(&slots), [1000, 3]);
    }

    /// Two convolutions with pooling in training: the second one's gradient leaves before the first one's comes, so they share a slot,
    /// and what was pooled has its gradient where the second one's output was.
    #[test]
    fn of_two_as_large_the_one_that_is_read_last_chooses_first() {
        let (slots, _) =
            Slots::of(&lives(&[(600, 1, 20), (150, 2, 19), (200, 3, 16), (200, 16, 19), (150, 18, 20), (600, 20, 22)]));
        assert_eq!(lens(&slots), [600, 600, 200, 150]);
    }

    #[test]
    fn thousands_of_values_are_given_slots_in_no_time() {
        // As in training: each is read again on the way back.
        let many: Vec<_> =
            (0..5_000).map(|n| (64, n, 10_000 - n)).chain((5_001..10_000).map(|n| (64, n, n + 1))).collect();
        let (slots, _) = Slots::of(&lives(&many));
        assert!(lens(&slots).len() <= 5_002, "{}", lens(&slots).len());
    }
}
