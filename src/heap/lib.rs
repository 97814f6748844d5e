//! The allocator of the static binaries: dlmalloc.
//!
//! musl's own writes a mark behind each buffer, and so touches a page more for each of the two of 8 KiB that a connection
//! has. dlmalloc's own global allocator wants to be told what is freed, and lets itself be copied to wherever that is:
//! together 120 KB of code. It is a crate by itself because the service forbids itself what no allocator can do without.

use std::alloc::{GlobalAlloc, Layout};
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use dlmalloc::Dlmalloc;

/// For `#[global_allocator]`.
pub struct Heap(Mutex<Memory>);

struct Memory(Dlmalloc);

// SAFETY: its pointers lead to memory that is its own.
unsafe impl Send for Memory {}

/// What every piece is aligned to.
const ALIGNED: usize = 2 * size_of::<usize>();

impl Heap {
    #[allow(clippy::new_without_default)] // a constant is what is needed
    pub const fn new() -> Self {
        Self(Mutex::new(Memory(Dlmalloc::new())))
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline(never)]
    fn small(&self, size: usize) -> *mut u8 {
        // SAFETY: any size may be asked for.
        unsafe { self.memory().0.c_malloc(size) }
    }

    #[inline(never)]
    fn aligned(&self, size: usize, align: usize) -> *mut u8 {
        // SAFETY: a layout's alignment is a power of two.
        unsafe { self.memory().0.c_memalign(align, size) }
    }

    #[inline(never)]
    unsafe fn free(&self, piece: *mut u8) {
        // SAFETY: it came from here, and is given back once.
        unsafe { self.memory().0.c_free(piece) }
    }

    #[inline(never)]
    unsafe fn resize(&self, piece: *mut u8, size: usize) -> *mut u8 {
        // SAFETY: it came from here.
        unsafe { self.memory().0.c_realloc(piece, size) }
    }
}

// SAFETY: pieces are apart, as large as asked for, and aligned; nothing here panics.
unsafe impl GlobalAlloc for Heap {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= ALIGNED {
            self.small(layout.size())
        } else {
            self.aligned(layout.size(), layout.align())
        }
    }

    #[inline]
    unsafe fn dealloc(&self, piece: *mut u8, _: Layout) {
        // SAFETY: the caller keeps the contract.
        unsafe { self.free(piece) }
    }

    unsafe fn realloc(&self, piece: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if layout.align() <= ALIGNED {
            // SAFETY: as above.
            return unsafe { self.resize(piece, size) };
        }
        let moved = self.aligned(size, layout.align());
        if !moved.is_null() {
            // SAFETY: both are as large as what is copied, and apart.
            unsafe {
                ptr::copy_nonoverlapping(piece, moved, layout.size().min(size));
                self.free(piece);
            }
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_apart_and_aligned() {
        let heap = Heap::new();
        for align in [1, 16, 64, 4096] {
            let layout = Layout::from_size_align(100, align).unwrap();
            // SAFETY: each piece is used within its layout, and given back once.
            unsafe {
                let [one, two] = [heap.alloc(layout), heap.alloc_zeroed(layout)];
                one.write_bytes(7, 100);
                assert_eq!(two.add(99).read(), 0);
                let grown = heap.realloc(one, layout, 10_000);
                assert_eq!((one.addr() % align, grown.addr() % align, grown.add(99).read()), (0, 0, 7));
                heap.dealloc(grown, Layout::from_size_align(10_000, align).unwrap());
                heap.dealloc(two, layout);
            }
        }
    }
}
