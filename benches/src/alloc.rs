//! An allocator that counts, for client and server apart, as Go's `-benchmem` counts for both together.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ops::Sub;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

/// Counts calls and bytes, and leaves the work to the system's allocator.
#[derive(Debug)]
pub struct Counting;

/// Who allocates: a thread works for one side.
#[derive(Clone, Copy, Debug)]
pub enum Side {
    /// Threads that have not said otherwise.
    Client = 0,
    /// Threads that have called [`work_for`].
    Server = 1,
}

thread_local! {
    // No destructor, and no memory to make: an allocator may use it at any time.
    static SIDE: Cell<Side> = const { Cell::new(Side::Client) };
}

static ALLOCATIONS: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];
static BYTES: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];

/// From now on this thread's allocations are `side`'s. Threads that say nothing work for the client.
pub fn work_for(side: Side) {
    SIDE.set(side);
}

static COUNTED: AtomicBool = AtomicBool::new(true);

/// From now on nothing is counted in this process, so that whoever allocates much is not slowed down by more than that.
pub fn stop_counting() {
    COUNTED.store(false, Ordering::Relaxed);
}

/// What a side has allocated so far. Nothing is subtracted when memory is freed; growing counts as a new allocation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allocated {
    /// How often.
    pub count: u64,
    /// How many bytes.
    pub bytes: u64,
}

impl Allocated {
    /// The sum over all threads that work for a side.
    #[must_use]
    pub fn by(side: Side) -> Self {
        let load = |counters: &[AtomicU64; 2]| counters[side as usize].load(Ordering::Relaxed);
        Allocated { count: load(&ALLOCATIONS), bytes: load(&BYTES) }
    }
}

impl Sub for Allocated {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        // Counters are read one after the other while others count.
        Allocated { count: self.count.saturating_sub(earlier.count), bytes: self.bytes.saturating_sub(earlier.bytes) }
    }
}

/// Bytes that are allocated and not freed, for each side: what one side frees of the other's is taken off its own.
static LIVE: [AtomicI64; 2] = [AtomicI64::new(0), AtomicI64::new(0)];

/// How many bytes are allocated and not freed now, by all threads of the process.
#[must_use]
pub fn live_bytes() -> i64 {
    live_bytes_by(Side::Client) + live_bytes_by(Side::Server)
}

/// How many bytes a side's threads have allocated less what they have freed: what the side holds, if it frees its own memory.
#[must_use]
pub fn live_bytes_by(side: Side) -> i64 {
    LIVE[side as usize].load(Ordering::Relaxed)
}

/// Counts a change of what is allocated; a size beyond `i64` cannot be allocated.
fn change(freed: usize, taken: usize) {
    if !COUNTED.load(Ordering::Relaxed) {
        return;
    }
    let [freed, taken] = [freed, taken].map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
    LIVE[SIDE.get() as usize].fetch_add(taken.wrapping_sub(freed), Ordering::Relaxed);
}

fn count(bytes: usize) {
    if !COUNTED.load(Ordering::Relaxed) {
        return;
    }
    let side = SIDE.get() as usize;
    ALLOCATIONS[side].fetch_add(1, Ordering::Relaxed);
    BYTES[side].fetch_add(bytes as u64, Ordering::Relaxed);
}

// A global allocator cannot be written without unsafe code; this one adds nothing to the system's but counters.
#[allow(unsafe_code)]
// SAFETY: every method hands its arguments, unchanged, to the system's allocator, whose contract is the same; counting neither
// allocates nor panics nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        change(0, layout.size());
        // SAFETY: the caller's promises are the ones that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        change(0, layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size);
        change(layout.size(), new_size);
        // SAFETY: as above; `at` came from `System`, since all memory does.
        unsafe { System.realloc(at, layout, new_size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        change(layout.size(), 0);
        // SAFETY: as above; `at` came from `System`, since all memory does.
        unsafe { System.dealloc(at, layout) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allocations_are_counted_for_the_side_of_their_thread() {
        let (once, twice) = std::thread::spawn(|| {
            work_for(Side::Server);
            let before = Allocated::by(Side::Server);
            let mut memory: Vec<u8> = Vec::with_capacity(1000);
            memory.extend([0; 1000]);
            let once = Allocated::by(Side::Server) - before;
            memory.push(0);
            (once, Allocated::by(Side::Server) - before)
        })
        .join()
        .unwrap();
        assert_eq!(once, Allocated { count: 1, bytes: 1000 });
        assert_eq!(twice, Allocated { count: 2, bytes: 3000 }, "growing to 2000 bytes is a second one");
    }
}
