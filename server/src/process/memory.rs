//! What the allocator keeps, and where.

/// Heaps that threads allocate from. One on 32-bit machines, where the library of the coroutines'
/// queues (may_queue 0.1.24) marks a pointer to a block by its bit 63, which is bit 31 there: a block at
/// or above 2 GiB is lost. A second heap would be mapped at the upper end of the address space, which
/// is above that on 32-bit Arm and x86; the first lies right behind the program.
#[cfg(target_env = "gnu")]
const HEAPS: libc::c_int = if cfg!(target_pointer_width = "32") {
    1
} else {
    2
};

/// Sets how the GNU allocator keeps memory: blocks that a usual message needs are kept for the next
/// one, for getting them anew takes a page fault for each of their pages; larger ones are not.
///
/// Small blocks that are freed are put together at once: left alone, the allocator does so whenever a
/// larger one is asked for, which is in every request, and for all that there are.
///
/// Left alone it learns from the first large block that is freed to keep the next ones, up to
/// 32 MiB, and keeps them for each thread.
pub fn bound_kept_memory() {
    // JUSTIFICATION: there is no other way to tell the allocator.
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt takes any numbers; no other thread allocates yet.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 4 << 20);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 8 << 20);
        libc::mallopt(libc::M_ARENA_MAX, HEAPS);
        libc::mallopt(libc::M_MXFAST, 0);
    }
}

/// Gives back what the GNU allocator keeps. Other allocators need no such thing.
pub fn return_memory() {
    // JUSTIFICATION: there is no other way to tell the allocator.
    #[cfg(target_env = "gnu")]
    // SAFETY: it may be called at any time by any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}
