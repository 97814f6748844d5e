//! Scoring allocates nothing.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    /// Of this thread: the harness allocates in its own.
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.set(CALLS.get() + 1);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn scoring_allocates_nothing() {
    let texts = [
        "You are an 1d1ot, Ca\u{301}f\u{e9} \u{1F602} f.u.c.k https://example.com @you &amp; fuuuuck m*rde"
            .to_owned(),
        "Les gens du quartier, aujourd'hui. ".repeat(300),
        "x".repeat(10_000),
        "\u{4e2d}".repeat(10_000),
    ];
    let before = CALLS.get();
    let sum: u32 = texts.iter().map(|text| u32::from(ounce_model::score(text).score())).sum();
    let calls = CALLS.get() - before;
    assert!(sum > 0);
    assert_eq!(calls, 0);
    let boxed = Box::new(sum);
    assert!(CALLS.get() > before, "the counter counts {boxed}");
}
