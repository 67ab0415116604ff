//! Log lines that tell who wrote them, in which order, and whether they are whole:
//! `ID SEQUENCE WIDTH xxxxx`.

use std::io::Write;
use std::ops::Range;

/// Writes lines `which` of activation `id`, each with a payload of `width` bytes; the last one
/// without its newline unless `whole`.
pub(crate) fn write(to: &mut dyn Write, id: u64, which: Range<u64>, width: usize, whole: bool) {
    let last = which.end - 1;
    let mut all = Vec::new();
    for sequence in which {
        all.extend_from_slice(format!("{id} {sequence} {width} ").as_bytes());
        all.resize(all.len() + width, letter(id, sequence));
        if whole || sequence < last {
            all.push(b'\n');
        }
    }
    to.write_all(&all)
        .and_then(|()| to.flush())
        .expect("the proxy reads");
}

/// A line read back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tag {
    pub id: u64,
    pub sequence: u64,
}

/// Who wrote `line`.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn read(line: &[u8]) -> Result<Tag, String> {
    let shown = || String::from_utf8_lossy(&line[..line.len().min(100)]).into_owned();
    let mut fields = line.splitn(4, |b| *b == b' ');
    let mut number = || -> Option<u64> { std::str::from_utf8(fields.next()?).ok()?.parse().ok() };
    let (Some(id), Some(sequence), Some(width)) = (number(), number(), number()) else {
        return Err(format!("a line that nobody wrote: {:?}", shown()));
    };
    let payload = fields.next().unwrap_or_default();
    let letter = letter(id, sequence);
    if payload.len() as u64 != width || payload.iter().any(|b| *b != letter) {
        return Err(format!("a torn line: {:?}", shown()));
    }
    Ok(Tag { id, sequence })
}

fn letter(id: u64, sequence: u64) -> u8 {
    b'a' + ((id + sequence) % 26) as u8
}
