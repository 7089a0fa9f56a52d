//! Memory planning: values that are not needed at the same time share a slot.

use crate::tensor::DType;

/// One buffer that several values use in turn.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub dtype: DType,
    pub len: usize,
    free: bool,
}

/// The slots of a plan.
#[derive(Debug, Default)]
pub(super) struct Slots(pub Vec<Slot>);

impl Slots {
    /// A slot for `len` elements: the smallest free one that is large enough, else the largest free one made larger,
    /// else a new one.
    pub fn take(&mut self, dtype: DType, len: usize) -> usize {
        let free = || self.0.iter().enumerate().filter(|(_, s)| s.free && s.dtype == dtype);
        let fitting = free().filter(|(_, s)| s.len >= len).min_by_key(|(_, s)| s.len);
        let index = match fitting.or_else(|| free().max_by_key(|(_, s)| s.len)) {
            Some((index, _)) => index,
            None => {
                self.0.push(Slot { dtype, len, free: true });
                self.0.len() - 1
            }
        };
        let slot = &mut self.0[index];
        (slot.len, slot.free) = (slot.len.max(len), false);
        index
    }

    /// Gives a slot back.
    pub fn give(&mut self, index: usize) {
        assert!(!std::mem::replace(&mut self.0[index].free, true), "slot {index} was given back twice");
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
        assert_eq!((slots.0[a].len, slots.0.len()), (200, 3));
    }
}
