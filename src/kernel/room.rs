//! Memory of a thread's own, kept from step to step, for what a CPU loop needs beside its operands.

use std::cell::Cell;

use super::cpu::Real;

thread_local! {
    /// Words, of which any float is made.
    static ROOM: Cell<Vec<u64>> = const { Cell::new(Vec::new()) };
}

/// Calls `f` with so many numbers, which hold what another call left there.
pub(crate) fn with_room<T: Real, R>(len: usize, f: impl FnOnce(&mut [T]) -> R) -> R {
    // Taken out meanwhile: a core that waits may begin another op.
    let mut room = ROOM.take();
    let words = (len * size_of::<T>()).div_ceil(size_of::<u64>());
    if room.len() < words {
        room.resize(words, 0);
    }
    let result = f(&mut bytemuck::cast_slice_mut(&mut room[..words])[..len]);
    ROOM.set(room);
    result
}

/// Numbers that a loop goes along at once where rows are shorter: in rows of some numbers alone it would begin anew for each.
pub(crate) const SIDE_BY_SIDE: usize = 256;

/// Writes the first numbers of a row, so many, behind themselves until it is full.
pub(crate) fn repeat<T: Copy>(row: &mut [T], count: usize) {
    let (first, rest) = row.split_at_mut(count);
    rest.chunks_mut(count).for_each(|rest| rest.copy_from_slice(&first[..rest.len()]));
}
