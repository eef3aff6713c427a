//! [`CountingHeap`]: the system's allocator, which knows how much every thread holds.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// More than this nobody gets: the machine is not to suffer from what is looked for.
const MOST_AT_ONCE: usize = 8 << 30;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// The allocator of a program that fuzzes: `#[global_allocator] static HEAP: CountingHeap`.
pub struct CountingHeap;

/// Forgets the peak so far: from now on it is counted from what the thread holds now.
pub fn start_counting() {
    HELD.set(0);
    PEAK.set(0);
}

/// The most bytes that this thread has held since [`start_counting`] beyond what it held then; 0
/// in a program without [`CountingHeap`].
pub fn peak_bytes() -> usize {
    PEAK.get().unsigned_abs()
}

fn count(bytes: isize) {
    // While a thread ends it may have no counters any more.
    let _ = HELD.try_with(|held| {
        held.set(held.get() + bytes);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(held.get())));
    });
}

// SAFETY: all memory is the system allocator's, by the same layouts; a null pointer, which is what
// there is for too much, is how an allocator says that there is none.
unsafe impl GlobalAlloc for CountingHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() > MOST_AT_ONCE {
            return std::ptr::null_mut();
        }
        count(layout.size() as isize);
        // SAFETY: the caller's promise is the system allocator's condition.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as above; every pointer of ours is one of the system allocator.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.size() > MOST_AT_ONCE {
            return std::ptr::null_mut();
        }
        count(layout.size() as isize);
        // SAFETY: the caller's promise is the system allocator's condition.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if size > MOST_AT_ONCE {
            return std::ptr::null_mut();
        }
        count(size as isize - layout.size() as isize);
        // SAFETY: as above; every pointer of ours is one of the system allocator.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
