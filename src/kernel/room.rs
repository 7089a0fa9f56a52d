//! Memory of a thread's own, kept from step to step, for what a CPU loop needs beside its operands.

use std::cell::RefCell;

use super::cpu::Real;

thread_local! {
    /// Rooms that nobody is in, of words, of which any float is made.
    static ROOMS: RefCell<Vec<Vec<u64>>> = const { RefCell::new(Vec::new()) };
}

/// Calls `f` with so many numbers, which hold what another call left there.
pub(crate) fn with_room<T: Real, R>(len: usize, f: impl FnOnce(&mut [T]) -> R) -> R {
    // Taken out meanwhile: `f` may ask for more room, and a core that waits may begin another op.
    let mut room = ROOMS.with_borrow_mut(Vec::pop).unwrap_or_default();
    let words = (len * size_of::<T>()).div_ceil(size_of::<u64>());
    if room.len() < words {
        room.resize(words, 0);
    }
    let result = f(&mut bytemuck::cast_slice_mut(&mut room[..words])[..len]);
    ROOMS.with_borrow_mut(|rooms| rooms.push(room));
    result
}

/// Numbers that a loop goes along at once where rows are shorter: in rows of some numbers alone it would begin anew for each.
pub(crate) const SIDE_BY_SIDE: usize = 256;

/// Writes the first numbers of a row, so many, behind themselves until it is full.
pub(crate) fn repeat<T: Copy>(row: &mut [T], count: usize) {
    let (first, rest) = row.split_at_mut(count);
    rest.chunks_mut(count).for_each(|rest| rest.copy_from_slice(&first[..rest.len()]));
}
