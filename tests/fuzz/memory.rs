//! The system's memory, counted for the whole process.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

struct Counting;

/// Bytes that are held, the most that were since [`start`], and those asked for since.
static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static ASKED: AtomicUsize = AtomicUsize::new(0);
/// Held as [`start`] was called.
static BEFORE: AtomicUsize = AtomicUsize::new(0);

/// No input of some kilobytes has any use for more at once: there is none, as on a machine that has no more.
const MOST_AT_ONCE: usize = 1 << 32;

// SAFETY: the system's allocator does everything; null is what an allocator gives that has no memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() > MOST_AT_ONCE {
            return std::ptr::null_mut();
        }
        let held = HELD.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(held, Ordering::Relaxed);
        ASKED.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Counts from here on.
pub fn start() {
    let held = HELD.load(Ordering::Relaxed);
    BEFORE.store(held, Ordering::Relaxed);
    PEAK.store(held, Ordering::Relaxed);
    ASKED.store(0, Ordering::Relaxed);
}

/// The most bytes that were held beyond those before, and all that were asked for.
pub fn used() -> [usize; 2] {
    let peak = PEAK.load(Ordering::Relaxed).saturating_sub(BEFORE.load(Ordering::Relaxed));
    [peak, ASKED.load(Ordering::Relaxed)]
}
