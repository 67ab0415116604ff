//! Where in the address space a heap lies: in one piece, that grows upwards.

use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use dlmalloc::Allocator;

use super::{map, unmap};

pub(super) static SMALL: Area = Area::new(0);
pub(super) static MESSAGES: Area = Area::new(1);

/// Addresses that each area has to grow into, where the address space is that large. Where it is not,
/// or something else lies there, an area goes on somewhere else.
const ROOM: usize = if cfg!(target_pointer_width = "64") {
    (1_u64 << 36) as usize
} else {
    0x1000_0000
};

/// An area that has more bytes than these gives back what is free at its end at once.
const KEPT: usize = 8 << 20;

/// What [`somewhere_below`] tries, in bytes from one to the next.
const STEP: usize = 16 << 20;

/// No address of a block may be as high: see [`super`].
const BOUND: Option<usize> = if cfg!(target_pointer_width = "64") {
    None
} else {
    Some(1 << 31)
};

/// The pages of one heap. Used under the lock of the heap.
pub(super) struct Area {
    number: usize,
    /// Behind the pages that it got last: where it wants the next ones. Null before the first.
    end: AtomicUsize,
    /// Bytes that it has.
    size: AtomicUsize,
    gives_back: AtomicBool,
}

impl Area {
    pub(super) const fn new(number: usize) -> Area {
        Area {
            number,
            end: AtomicUsize::new(0),
            size: AtomicUsize::new(0),
            gives_back: AtomicBool::new(false),
        }
    }

    /// Pages that are free while `task` runs go back to the kernel. Else they are kept, up to [`KEPT`].
    pub(super) fn while_giving_back<T>(&self, task: impl FnOnce() -> T) -> T {
        self.gives_back.store(true, Relaxed);
        let done = task();
        self.gives_back.store(false, Relaxed);
        done
    }

    /// As random as where the program lies, which is never in its way.
    fn start(&self) -> usize {
        let program = ptr::from_ref(self).addr();
        match BOUND {
            None => program.saturating_sub((self.number + 1) * ROOM) & !0xffff,
            Some(_) => (self.number + 1) * ROOM - ROOM / 2 + (program & (ROOM / 4 - 1) & !0xffff),
        }
    }

    fn pages(&self, size: usize) -> *mut u8 {
        let wish = match self.end.load(Relaxed) {
            0 => self.start(),
            end => end,
        };
        let pages = map(ptr::without_provenance_mut(wish), size);
        match BOUND {
            Some(bound) if !pages.is_null() && pages.addr() + size > bound => {
                // SAFETY: nobody has seen them.
                unsafe { unmap(pages, size) };
                somewhere_below(bound, size)
            }
            _ => pages,
        }
    }
}

/// Where the next piece of the address space was taken by something else.
fn somewhere_below(bound: usize, size: usize) -> *mut u8 {
    for wish in (STEP..bound - STEP).step_by(STEP) {
        let pages = map(ptr::without_provenance_mut(wish), size);
        if pages.is_null() || pages.addr() + size <= bound {
            return pages;
        }
        // SAFETY: nobody has seen them.
        unsafe { unmap(pages, size) };
    }
    ptr::null_mut()
}

// JUSTIFICATION: dlmalloc asks for it.
// SAFETY: what is given out are pages of the size that was asked for, and what is given back is no
// longer used.
unsafe impl Allocator for &'static Area {
    fn alloc(&self, size: usize) -> (*mut u8, usize, u32) {
        let pages = self.pages(size);
        if !pages.is_null() {
            self.end.store(pages.addr() + size, Relaxed);
            self.size.fetch_add(size, Relaxed);
        }
        (pages, size, 0)
    }

    fn remap(&self, _pages: *mut u8, _old: usize, _new: usize, _may_move: bool) -> *mut u8 {
        ptr::null_mut()
    }

    fn free_part(&self, pages: *mut u8, old: usize, new: usize) -> bool {
        let end = pages.wrapping_add(new);
        // SAFETY: the heap uses nothing behind the new end.
        let is_gone = unsafe { unmap(end, old - new) };
        if is_gone {
            self.end.store(end.addr(), Relaxed);
            self.size.fetch_sub(old - new, Relaxed);
        }
        is_gone
    }

    fn free(&self, pages: *mut u8, size: usize) -> bool {
        self.free_part(pages, size, 0)
    }

    fn can_release_part(&self, _flags: u32) -> bool {
        self.gives_back.load(Relaxed) || self.size.load(Relaxed) > KEPT
    }

    fn allocates_zeros(&self) -> bool {
        true
    }

    fn page_size(&self) -> usize {
        rustix::param::page_size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_lie_one_behind_the_other_and_what_is_given_back_is_got_again() {
        static AREA: Area = Area::new(2);
        let area = &AREA;
        let (first, size, _) = area.alloc(1 << 16);
        assert_eq!((first.is_null(), size), (false, 1 << 16));
        let (second, ..) = area.alloc(1 << 17);
        assert_eq!(second, first.wrapping_add(1 << 16));
        assert!(area.free_part(second, 1 << 17, 1 << 16));
        let (third, ..) = area.alloc(1 << 16);
        assert_eq!(third, second.wrapping_add(1 << 16));
        assert!(area.free(first, 3 << 16));
    }

    #[test]
    fn no_page_is_above_the_bound() {
        let bound = 1 << 31;
        // The second cannot have the place of the first.
        for _ in 0..2 {
            let pages = somewhere_below(bound, STEP + 4096);
            assert!(!pages.is_null());
            assert!(pages.addr() + STEP < bound, "{pages:?}");
        }
    }
}
