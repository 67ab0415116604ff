//! Lists of strings as the kernel wants them: NUL-terminated, behind an array of pointers that ends
//! in a null pointer.

use std::ffi::c_char;
use std::io;
use std::marker::PhantomData;
use std::ptr;

/// Strings in one piece of memory: an environment has dozens, and each activation its own.
#[derive(Debug, Default)]
pub(super) struct Strings {
    bytes: Vec<u8>,
    /// Where each begins.
    starts: Vec<usize>,
}

impl Strings {
    /// Adds one string, made of `parts`.
    ///
    /// # Errors
    /// A NUL inside, which would end it early.
    pub(super) fn push(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        let start = self.bytes.len();
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
        let added = self.bytes.get(start..).unwrap_or_default();
        if memchr::memchr(0, added).is_some() {
            self.bytes.truncate(start);
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "expected a string without NUL, found one in it",
            ));
        }
        self.bytes.push(0);
        self.starts.push(start);
        Ok(())
    }

    /// Each of them, without its NUL.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let ends = self.starts.iter().skip(1).copied();
        let ends = ends.chain([self.bytes.len()]);
        let ranges = self.starts.iter().zip(ends);
        ranges.filter_map(|(start, end)| self.bytes.get(*start..end.checked_sub(1)?))
    }

    /// Their addresses.
    pub(super) fn pointers(&self) -> Pointers<'_> {
        let address = |start: &usize| self.bytes.get(*start..).unwrap_or_default().as_ptr().cast();
        Pointers {
            addresses: self
                .starts
                .iter()
                .map(address)
                .chain([ptr::null()])
                .collect(),
            strings: PhantomData,
        }
    }
}

/// Addresses of NUL-terminated strings that live as long as this, the last one null.
pub(super) struct Pointers<'a> {
    addresses: Vec<*const c_char>,
    strings: PhantomData<&'a Strings>,
}

impl Pointers<'_> {
    /// What `execve` takes.
    pub(super) fn as_ptr(&self) -> *const *const c_char {
        self.addresses.as_ptr()
    }

    /// The addresses without the null pointer.
    pub(super) fn each(&self) -> &[*const c_char] {
        self.addresses
            .split_last()
            .map_or(&[], |(_, strings)| strings)
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::*;

    #[test]
    fn strings_are_whole_and_the_list_has_an_end() {
        let mut strings = Strings::default();
        strings.push(&[b"A", b"=", b"1"]).unwrap();
        assert!(strings.push(&[b"B", b"=\0"]).is_err());
        strings.push(&[b""]).unwrap();
        strings.push(&[b"C=3"]).unwrap();
        let pointers = strings.pointers();
        let read: Vec<_> = pointers
            .each()
            .iter()
            // SAFETY: each is the address of a NUL-terminated string that `strings` holds.
            .map(|string| unsafe { CStr::from_ptr(*string) }.to_bytes())
            .collect();
        assert_eq!(read, [&b"A=1"[..], b"", b"C=3"]);
        assert_eq!(strings.iter().collect::<Vec<_>>(), read);
        assert_eq!(Strings::default().iter().count(), 0);
        // SAFETY: the array has one entry more than it has strings.
        assert!(unsafe { *pointers.as_ptr().add(3) }.is_null());
        assert!(Strings::default().pointers().each().is_empty());
    }
}
