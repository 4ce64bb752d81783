//! Small files of text that somebody else writes.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// What a file says, of `most` bytes at most.
///
/// # Errors
/// If it cannot be read, is longer, or is no file: a pipe or a device might be waited for.
pub fn text(path: &Path, most: u64) -> io::Result<String> {
    let odd = |what| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    if !std::fs::metadata(path)?.is_file() {
        return odd("it is no file".to_owned());
    }
    let mut text = String::new();
    File::open(path)?.take(most + 1).read_to_string(&mut text)?;
    if text.len() as u64 > most { odd(format!("larger than {} KiB", most >> 10)) } else { Ok(text) }
}
