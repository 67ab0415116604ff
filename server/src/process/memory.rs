//! The allocator: what it keeps of the memory that is freed, and where it gets it from.
//!
//! C libraries differ in both. musl gets and returns every block from 128 KiB on by itself, which
//! takes a page fault for each of its pages in every activation with such an argument; the GNU C
//! library keeps up to 32 MiB for each thread once it has seen a large block; and on 32-bit Arm and x86
//! both use the upper end of the address space, where the coroutines' queues (may_queue 0.1.24) lose
//! a block: they mark a pointer to it by its bit 63, which is bit 31 there.

mod area;

use std::alloc::{GlobalAlloc, Layout};
use std::ffi::c_void;
use std::ptr;
use std::sync::{Mutex, PoisonError};

use dlmalloc::Dlmalloc;
use rustix::mm::{MapFlags, MremapFlags, ProtFlags, mmap_anonymous, mremap, munmap};

use area::Area;

/// Blocks from this size on, in bytes, have a heap of their own: small blocks that are kept for long
/// do not stand between them, and it can be given back whole when no message is worked at.
const MESSAGE: usize = 4 << 10;
/// Blocks from this size on, in bytes, are got from the kernel and given back at once.
const LARGE: usize = 4 << 20;
/// Alignments up to this, in bytes, are those of every page.
const PAGE: usize = 4096;

static SMALL: Heap = Heap::new(&area::SMALL);
static MESSAGES: Heap = Heap::new(&area::MESSAGES);

/// The allocator of every program that this library is linked into.
struct Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

/// Where a block of this layout is.
enum Place {
    Heap(&'static Heap),
    /// Pages of its own.
    Kernel,
}

fn place(layout: Layout) -> Place {
    match layout.size() {
        0..MESSAGE => Place::Heap(&SMALL),
        LARGE.. if layout.align() <= PAGE => Place::Kernel,
        _ => Place::Heap(&MESSAGES),
    }
}

// JUSTIFICATION: an allocator cannot be had without it.
// SAFETY: a block's layout alone tells its place, so that it goes back to where it came from; a heap
// is used by one thread at a time; nothing here panics or allocates.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match place(layout) {
            Place::Heap(heap) => heap.with(|blocks| {
                // SAFETY: malloc takes any size and any alignment that a layout may have.
                unsafe { blocks.malloc(layout.size(), layout.align()) }
            }),
            Place::Kernel => map(ptr::null_mut(), layout.size()),
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match place(layout) {
            Place::Heap(heap) => heap.with(|blocks| {
                // SAFETY: as in `alloc`.
                unsafe { blocks.calloc(layout.size(), layout.align()) }
            }),
            Place::Kernel => map(ptr::null_mut(), layout.size()),
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match place(layout) {
            Place::Heap(heap) => heap.with(|blocks| {
                // SAFETY: the caller has the block from `alloc`, with this layout.
                unsafe { blocks.free(block, layout.size(), layout.align()) }
            }),
            // SAFETY: nobody uses the block any more, whose pages are its own.
            Place::Kernel => unsafe {
                unmap(block, layout.size());
            },
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller sees to it that this size with this alignment is a layout.
        let new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (place(layout), place(new)) {
            (Place::Heap(one), Place::Heap(other)) if ptr::eq(one, other) => {
                one.with(|blocks| {
                    // SAFETY: the caller has the block from `alloc`, with this layout.
                    unsafe { blocks.realloc(block, layout.size(), layout.align(), size) }
                })
            }
            (Place::Kernel, Place::Kernel) => {
                // SAFETY: the pages are the block's own, and the caller uses what is returned.
                let moved =
                    unsafe { mremap(block.cast(), layout.size(), size, MremapFlags::MAYMOVE) };
                moved.map_or(ptr::null_mut(), <*mut c_void>::cast)
            }
            _ => {
                // SAFETY: as in `alloc` and `dealloc`; two blocks do not overlap.
                unsafe {
                    let moved = self.alloc(new);
                    if !moved.is_null() {
                        ptr::copy_nonoverlapping(block, moved, layout.size().min(size));
                        self.dealloc(block, layout);
                    }
                    moved
                }
            }
        }
    }
}

/// Gives back what is kept for the next messages.
pub fn return_memory() {
    MESSAGES.trim();
    SMALL.trim();
}

/// Blocks of a kind of size, one thread at a time.
struct Heap {
    blocks: Mutex<Dlmalloc<&'static Area>>,
    area: &'static Area,
}

impl Heap {
    const fn new(area: &'static Area) -> Heap {
        let blocks = Mutex::new(Dlmalloc::new_with_allocator(area));
        Heap { blocks, area }
    }

    fn with<T>(&self, task: impl FnOnce(&mut Dlmalloc<&'static Area>) -> T) -> T {
        task(&mut self.blocks.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Gives back what lies behind the last block in use.
    fn trim(&self) {
        self.with(|blocks| {
            // SAFETY: nothing else uses the heap, and blocks in use stay.
            self.area.while_giving_back(|| unsafe { blocks.trim(0) });
        });
    }
}

/// Pages from the kernel, filled with zeros; null where there are none. At `wish`, if nothing is there.
fn map(wish: *mut u8, size: usize) -> *mut u8 {
    // SAFETY: without FIXED, nothing that is mapped is replaced.
    let pages = unsafe {
        mmap_anonymous(
            wish.cast(),
            size,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::PRIVATE,
        )
    };
    pages.map_or(ptr::null_mut(), <*mut c_void>::cast)
}

/// # Safety
/// Nobody uses these pages any more.
unsafe fn unmap(pages: *mut u8, size: usize) -> bool {
    // It fails where the kernel would have to part a mapping in two and cannot: then they stay.
    // SAFETY: by the caller.
    unsafe { munmap(pages.cast(), size) }.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_keeps_its_bytes_wherever_its_size_takes_it() {
        let sizes = [
            1,
            MESSAGE - 1,
            MESSAGE,
            LARGE - 1,
            LARGE,
            3 * LARGE,
            LARGE + 1,
            MESSAGE + 1,
            17,
        ];
        for align in [1, 4 * PAGE] {
            let layout = |size| Layout::from_size_align(size, align).expect("a layout");
            let (mut size, mut filled) = (sizes[0], 0);
            // SAFETY: each block is used with the layout that it has at that time.
            unsafe {
                let mut block = ALLOCATOR.alloc(layout(size));
                for next in sizes {
                    block = ALLOCATOR.realloc(block, layout(size), next);
                    assert!(!block.is_null());
                    assert_eq!(block.addr() % align, 0, "{next} bytes aligned to {align}");
                    size = next;
                    let bytes = std::slice::from_raw_parts_mut(block, size);
                    let kept = filled.min(size);
                    let wrong = (0..kept).find(|&i| bytes[i] != of(i));
                    assert_eq!(wrong, None, "{next} bytes aligned to {align}");
                    (kept..size).for_each(|i| bytes[i] = of(i));
                    filled = size;
                }
                ALLOCATOR.dealloc(block, layout(size));
            }
        }
    }

    #[test]
    fn zeros_are_zeros_where_others_were() {
        for size in [MESSAGE - 1, MESSAGE, LARGE] {
            let layout = Layout::from_size_align(size, 1).expect("a layout");
            for _ in 0..2 {
                // SAFETY: the block has this layout, and every byte of it is set.
                unsafe {
                    let block = ALLOCATOR.alloc_zeroed(layout);
                    let bytes = std::slice::from_raw_parts_mut(block, size);
                    assert!(bytes.iter().all(|&byte| byte == 0), "{size}");
                    bytes.fill(1);
                    ALLOCATOR.dealloc(block, layout);
                }
            }
        }
    }

    #[test]
    fn what_is_free_is_kept_until_it_is_to_be_given_back() {
        static AREA: Area = Area::new(3);
        static HEAP: Heap = Heap::new(&AREA);
        // SAFETY: the blocks are freed with the sizes that they were asked for with, and then not used.
        unsafe {
            let first = HEAP.with(|blocks| blocks.malloc(MESSAGE, 1));
            let second = HEAP.with(|blocks| blocks.malloc(LARGE - 1, 1));
            let last = second.map_addr(|address| (address + LARGE - 2) & !(PAGE - 1));
            HEAP.with(|blocks| blocks.free(second, LARGE - 1, 1));
            assert!(is_there(last));
            HEAP.trim();
            assert!(!is_there(last));
            // What is in use stays.
            first.write_bytes(1, MESSAGE);
            HEAP.with(|blocks| blocks.free(first, MESSAGE, 1));
        }
    }

    #[test]
    fn what_many_took_goes_back_though_nobody_asks() {
        static AREA: Area = Area::new(4);
        static HEAP: Heap = Heap::new(&AREA);
        let size = LARGE - 1;
        let many: Vec<_> = (0..16)
            // SAFETY: each block is freed once, with the size that it was asked for with.
            .map(|_| HEAP.with(|blocks| unsafe { blocks.malloc(size, 1) }))
            .collect();
        let last = many[15].map_addr(|address| (address + size - 1) & !(PAGE - 1));
        assert!(is_there(last));
        for block in many {
            // SAFETY: as above.
            HEAP.with(|blocks| unsafe { blocks.free(block, size, 1) });
        }
        assert!(!is_there(last));
    }

    #[cfg(target_pointer_width = "32")]
    #[test]
    fn addresses_are_below_the_bound_of_a_32_bit_machine() {
        let blocks: Vec<Vec<u8>> = (0..64).map(|size| Vec::with_capacity(size << 10)).collect();
        let highest = blocks.iter().map(|block| block.as_ptr().addr()).max();
        assert!(highest < Some(1 << 31), "{highest:?}");
    }

    /// Whether something is mapped there.
    fn is_there(page: *mut u8) -> bool {
        let maps = std::fs::read_to_string("/proc/self/maps").expect("it can be read");
        let mut ranges = maps.lines().filter_map(|line| {
            let (start, end) = line.split_once(' ')?.0.split_once('-')?;
            Some(usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?)
        });
        ranges.any(|range| range.contains(&page.addr()))
    }

    /// What stands at this place.
    fn of(place: usize) -> u8 {
        (place % 251) as u8
    }
}
