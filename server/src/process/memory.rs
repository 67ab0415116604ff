//! What the allocator keeps.

/// Sets how the GNU allocator keeps memory: blocks that a usual message needs are kept for the next
/// one, for getting them anew takes a page fault for each of their pages; larger ones are not.
///
/// Left alone it learns from the first large block that is freed to keep the next ones, up to
/// 32 MiB, and keeps them for each thread.
pub(crate) fn bound_kept_memory() {
    // JUSTIFICATION: there is no other way to tell the allocator.
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt takes any numbers; no other thread allocates yet.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 4 << 20);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 8 << 20);
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}

/// Gives back what the GNU allocator keeps. Other allocators need no such thing.
pub(crate) fn return_memory() {
    // JUSTIFICATION: there is no other way to tell the allocator.
    #[cfg(target_env = "gnu")]
    // SAFETY: it may be called at any time by any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}
