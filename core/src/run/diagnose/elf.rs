//! The few fields of an ELF file (`elf(5)`) that decide whether this machine can run it, read by
//! offset in the file's own byte order.

use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// What every ELF file begins with.
pub(super) const MAGIC: &[u8] = b"\x7fELF";

const EM_386: u16 = 3;
const EM_MIPS: u16 = 8;
const EM_PPC: u16 = 20;
const EM_PPC64: u16 = 21;
const EM_S390: u16 = 22;
const EM_ARM: u16 = 40;
const EM_X86_64: u16 = 62;
const EM_AARCH64: u16 = 183;
const EM_RISCV: u16 = 243;
const EM_LOONGARCH: u16 = 258;

const PT_INTERP: u32 = 3;

/// Program headers looked at; real files have about a dozen.
const MAX_PROGRAM_HEADERS: u16 = 128;

/// A header that ends too early or points outside the file.
#[derive(Debug)]
pub(super) struct Damaged;

/// What is needed of an ELF header.
#[derive(Debug)]
pub(super) struct Header {
    wide: bool,
    big_endian: bool,
    kind: u16,
    machine: u16,
    /// Offset, size and number of the program headers.
    table: (u64, u16, u16),
}

impl Header {
    /// Reads the header of `file`.
    pub(super) fn read(file: &File) -> Result<Header, Damaged> {
        let mut bytes = [0; 64];
        // The header of a 32-bit file is 52 bytes, and such a file may end there.
        file.read_exact_at(&mut bytes[..52], 0)
            .map_err(|_| Damaged)?;
        let wide = match bytes[4] {
            1 => false,
            2 => true,
            _ => return Err(Damaged),
        };
        let big_endian = match bytes[5] {
            1 => false,
            2 => true,
            _ => return Err(Damaged),
        };
        if wide {
            file.read_exact_at(&mut bytes, 0).map_err(|_| Damaged)?;
        }
        let fields = Fields {
            bytes: &bytes,
            big_endian,
        };
        let table = if wide {
            (fields.u64(32)?, fields.u16(54)?, fields.u16(56)?)
        } else {
            (u64::from(fields.u32(28)?), fields.u16(42)?, fields.u16(44)?)
        };
        Ok(Header {
            wide,
            big_endian,
            kind: fields.u16(16)?,
            machine: fields.u16(18)?,
            table,
        })
    }

    /// Whether a kernel that calls its machine `machine` may run it. Unknown machines may.
    pub(super) fn runs_on(&self, machine: &str) -> bool {
        let own = (self.machine, self.big_endian);
        match machine {
            "x86_64" => matches!(own, (EM_X86_64 | EM_386, false)),
            "i386" | "i486" | "i586" | "i686" => own == (EM_386, false),
            // Many 64-bit Arm processors have no 32-bit mode; where this proxy is 32-bit it exists.
            "aarch64" => {
                own == (EM_AARCH64, false) || own == (EM_ARM, false) && cfg!(target_arch = "arm")
            }
            "riscv64" | "riscv32" => {
                own == (EM_RISCV, false) && self.wide == (machine == "riscv64")
            }
            "s390x" => own == (EM_S390, true),
            "ppc64le" => own == (EM_PPC64, false),
            "ppc64" => matches!(own, (EM_PPC64 | EM_PPC, true)),
            "loongarch64" => own == (EM_LOONGARCH, false),
            // armv6l, armv7l, and armv8l for a 32-bit process on a 64-bit machine.
            arm if arm.starts_with("armv") => own == (EM_ARM, arm.ends_with('b')),
            _ => true,
        }
    }

    /// What it is instead of a program.
    pub(super) fn not_a_program(&self) -> Option<&'static str> {
        match self.kind {
            1 => Some("an object file"),
            4 => Some("a core dump"),
            _ => None,
        }
    }

    /// The name of the loader that a dynamically linked program asks for.
    pub(super) fn loader(&self, file: &File, max_length: u64) -> Result<Option<Vec<u8>>, Damaged> {
        let (start, size, count) = self.table;
        let needed = if self.wide { 56 } else { 32 };
        if count == 0 {
            return Ok(None);
        }
        if size < needed {
            return Err(Damaged);
        }
        for index in 0..count.min(MAX_PROGRAM_HEADERS) {
            let mut bytes = [0; 56];
            let offset = start
                .checked_add(u64::from(index) * u64::from(size))
                .ok_or(Damaged)?;
            file.read_exact_at(&mut bytes[..usize::from(needed)], offset)
                .map_err(|_| Damaged)?;
            let fields = Fields {
                bytes: &bytes,
                big_endian: self.big_endian,
            };
            if fields.u32(0)? != PT_INTERP {
                continue;
            }
            let (offset, length) = if self.wide {
                (fields.u64(8)?, fields.u64(32)?)
            } else {
                (u64::from(fields.u32(4)?), u64::from(fields.u32(16)?))
            };
            if length > max_length {
                return Err(Damaged);
            }
            let mut name = vec![0; usize::try_from(length).map_err(|_| Damaged)?];
            file.read_exact_at(&mut name, offset).map_err(|_| Damaged)?;
            let end = name.iter().position(|&byte| byte == 0);
            name.truncate(end.unwrap_or(name.len()));
            return Ok(Some(name));
        }
        Ok(None)
    }
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match (self.machine, self.wide) {
            (EM_386, _) => "x86",
            (EM_MIPS, _) => "mips",
            (EM_PPC, _) => "powerpc",
            (EM_PPC64, _) => "powerpc64",
            (EM_S390, false) => "s390",
            (EM_S390, true) => "s390x",
            (EM_ARM, _) => "arm",
            (EM_X86_64, _) => "x86_64",
            (EM_AARCH64, _) => "aarch64",
            (EM_RISCV, _) => "riscv",
            (EM_LOONGARCH, _) => "loongarch",
            (other, _) => return write!(f, "machine {other} ({})", self.shape()),
        };
        write!(f, "{name} ({})", self.shape())
    }
}

impl Header {
    fn shape(&self) -> &'static str {
        match (self.wide, self.big_endian) {
            (false, false) => "32-bit little-endian",
            (false, true) => "32-bit big-endian",
            (true, false) => "64-bit little-endian",
            (true, true) => "64-bit big-endian",
        }
    }
}

struct Fields<'a> {
    bytes: &'a [u8],
    big_endian: bool,
}

impl Fields<'_> {
    fn array<const N: usize>(&self, offset: usize) -> Result<[u8; N], Damaged> {
        let mut array: [u8; N] = self
            .bytes
            .get(offset..offset + N)
            .and_then(|slice| slice.try_into().ok())
            .ok_or(Damaged)?;
        if self.big_endian {
            array.reverse();
        }
        Ok(array)
    }

    fn u16(&self, offset: usize) -> Result<u16, Damaged> {
        self.array(offset).map(u16::from_le_bytes)
    }

    fn u32(&self, offset: usize) -> Result<u32, Damaged> {
        self.array(offset).map(u32::from_le_bytes)
    }

    fn u64(&self, offset: usize) -> Result<u64, Damaged> {
        self.array(offset).map(u64::from_le_bytes)
    }
}

/// An ELF file of one program header, for tests.
#[cfg(test)]
pub(super) fn sample(machine: u16, bits: u8, big_endian: bool, loader: Option<&str>) -> Vec<u8> {
    let wide = bits == 64;
    let (header, program) = if wide { (64_usize, 56_usize) } else { (52, 32) };
    let mut file = vec![0; header + program];
    let mut put = |offset: usize, size: usize, value: u64| {
        for (index, byte) in value.to_le_bytes().into_iter().take(size).enumerate() {
            let at = if big_endian { size - 1 - index } else { index };
            file[offset + at] = byte;
        }
    };
    let (word, table) = if wide { (8, 32) } else { (4, 28) };
    put(16, 2, 2);
    put(18, 2, u64::from(machine));
    put(table, word, header as u64);
    put(if wide { 54 } else { 42 }, 2, program as u64);
    put(if wide { 56 } else { 44 }, 2, 1);
    if let Some(loader) = loader {
        put(header, 4, u64::from(PT_INTERP));
        let (offset, length) = if wide { (8, 32) } else { (4, 16) };
        put(header + offset, word, (header + program) as u64);
        put(header + length, word, loader.len() as u64 + 1);
    }
    file[..4].copy_from_slice(MAGIC);
    file[4] = if wide { 2 } else { 1 };
    file[5] = if big_endian { 2 } else { 1 };
    file[6] = 1;
    if let Some(loader) = loader {
        file.extend_from_slice(loader.as_bytes());
        file.push(0);
    }
    file
}
