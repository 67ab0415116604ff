//! Tells a jar, a zip for a Java runtime, from other zips.

use std::io::Cursor;

use zip::read::Config;
use zip::unstable::read::ZipIterable;

/// What every jar holds (JAR File Specification, "The META-INF directory").
const MANIFEST: &str = "META-INF/MANIFEST.MF";

/// Whether the zip is a jar. One that cannot be read is none: unpacking says what is wrong with it.
/// Its directory is walked, not loaded.
pub(super) fn is_jar(zip: &[u8]) -> bool {
    let Ok(mut directory) = ZipIterable::try_new(Cursor::new(zip), Config::default()) else {
        return false;
    };
    let Ok(files) = directory.files() else {
        return false;
    };
    files
        .into_iter()
        .any(|file| file.is_ok_and(|file| file.name().is_ok_and(|name| name == MANIFEST)))
}
