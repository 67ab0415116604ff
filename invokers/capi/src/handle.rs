//! Which handles are valid. A handle looks like a pointer to the host and is a number: what it stands
//! for is looked up here, so that one that was freed, or never was one, is found out. A number is not
//! given twice.

use std::any::Any;
use std::collections::BTreeMap;
use std::process;
use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::last_error::Failure;

/// What a handle may stand for. `T` is the type that the header names.
pub(crate) trait Handled: Any + Send + Sync + Sized {
    /// What the header calls it: a word with its article.
    const NAME: &'static str;
    /// The opaque type of the header.
    type Opaque;
}

/// Odd, so that it is the address of none of the host's own things that have a size.
const FIRST: usize = 0x1001;

struct Handles {
    next: usize,
    /// Holds no memory while it is empty, so that a host that has freed everything is seen to have.
    valid: BTreeMap<usize, Entry>,
}

struct Entry {
    name: &'static str,
    /// The process that made it. A fork of it has the same numbers, but not its children nor threads.
    made_by: u32,
    what: Arc<dyn Any + Send + Sync>,
}

static HANDLES: Mutex<Handles> = Mutex::new(Handles {
    next: FIRST,
    valid: BTreeMap::new(),
});

fn handles() -> MutexGuard<'static, Handles> {
    // No code that can panic leaves it half changed.
    HANDLES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes a handle.
pub(crate) fn make<T: Handled>(what: T) -> *mut T::Opaque {
    let mut handles = handles();
    let number = handles.next;
    // With pointers of 32 bits, after two thousand million.
    handles.next = number.checked_add(2).unwrap_or(FIRST);
    while handles.valid.contains_key(&handles.next) {
        handles.next = handles.next.checked_add(2).unwrap_or(FIRST);
    }
    let entry = Entry {
        name: T::NAME,
        made_by: process::id(),
        what: Arc::new(what),
    };
    handles.valid.insert(number, entry);
    ptr::without_provenance_mut(number)
}

/// What a handle stands for.
pub(crate) fn find<T: Handled>(handle: *const T::Opaque) -> Result<Arc<T>, Failure> {
    let handles = handles();
    let entry = handles.entry::<T>(handle)?;
    Arc::downcast(Arc::clone(&entry.what)).map_err(|_| wrong_kind::<T>(entry.name))
}

/// The same where the handle may be NULL.
pub(crate) fn find_optional<T: Handled>(
    handle: *const T::Opaque,
) -> Result<Option<Arc<T>>, Failure> {
    match handle.is_null() {
        true => Ok(None),
        false => find(handle).map(Some),
    }
}

/// Frees a handle, if `may_go` has nothing against it. It is asked while no other thread can find it.
pub(crate) fn free<T: Handled>(
    handle: *mut T::Opaque,
    may_go: impl FnOnce(&T) -> Result<(), Failure>,
) -> Result<Arc<T>, Failure> {
    let mut handles = handles();
    let entry = handles.entry::<T>(handle)?;
    let what: Arc<T> =
        Arc::downcast(Arc::clone(&entry.what)).map_err(|_| wrong_kind::<T>(entry.name))?;
    may_go(&what)?;
    let removed = handles.valid.remove(&handle.addr());
    if handles.valid.is_empty() {
        // An empty tree that held something keeps the memory of its root.
        handles.valid = BTreeMap::new();
    }
    // Whatever it holds may take its time to go.
    drop(handles);
    drop(removed);
    Ok(what)
}

impl Handles {
    fn entry<T: Handled>(&self, handle: *const T::Opaque) -> Result<&Entry, Failure> {
        let name = T::NAME;
        let number = handle.addr();
        if handle.is_null() {
            return Err(Failure::misuse(format_args!("expected {name}, found NULL")));
        }
        let Some(entry) = self.valid.get(&number) else {
            let was_one = number >= FIRST && number < self.next && number % 2 == FIRST % 2;
            return Err(Failure::misuse(match was_one {
                true => format!("expected {name}, found a handle that was freed or closed"),
                false => format!("expected {name}, found {number:#x}, which is no handle"),
            }));
        };
        if entry.made_by != process::id() {
            return Err(Failure::misuse(format_args!(
                "{name} that process {} has made cannot be used in a fork of it",
                entry.made_by
            )));
        }
        Ok(entry)
    }
}

fn wrong_kind<T: Handled>(found: &str) -> Failure {
    Failure::misuse(format_args!("expected {}, found {found}", T::NAME))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Cup(u8);
    struct Plate;
    enum OpaqueCup {}
    enum OpaquePlate {}

    impl Handled for Cup {
        const NAME: &'static str = "a cup";
        type Opaque = OpaqueCup;
    }

    impl Handled for Plate {
        const NAME: &'static str = "a plate";
        type Opaque = OpaquePlate;
    }

    #[test]
    fn what_is_no_valid_handle_of_the_kind_is_told() {
        let cup = make(Cup(7));
        assert_eq!(find::<Cup>(cup).expect("it is valid").0, 7);
        let said = |handle: *mut OpaqueCup| find::<Cup>(handle).err().expect("none").text;
        assert_eq!(said(ptr::null_mut()), "expected a cup, found NULL");
        let plate = make(Plate);
        assert_eq!(said(plate.cast()), "expected a cup, found a plate");
        let strange = ptr::without_provenance_mut(0x1000);
        assert_eq!(
            said(strange),
            "expected a cup, found 0x1000, which is no handle"
        );
        free::<Cup>(cup, |_| Ok(())).expect("it is valid");
        let freed = "expected a cup, found a handle that was freed or closed";
        assert_eq!(said(cup), freed);
        let again = free::<Cup>(cup, |_| Ok(())).err().expect("it was freed");
        assert_eq!(again.text, freed);
    }

    #[test]
    fn what_may_not_go_stays() {
        let plate = make(Plate);
        let refused = free::<Plate>(plate, |_| Err(Failure::misuse("it is not empty")));
        assert_eq!(refused.err().expect("refused").text, "it is not empty");
        assert!(find::<Plate>(plate).is_ok());
    }
}
