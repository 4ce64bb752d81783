//! Asks a person: a name, or a password that is not shown.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, Read as _, Write as _};

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

use crate::failure::Failure;

const DEVICE: &str = "/dev/tty";
/// No password is longer, in bytes.
const LONGEST: u64 = 4096;

/// Asks for a line, which is shown while it is typed.
///
/// # Errors
/// If there is no terminal, or nothing was typed.
pub(crate) fn line(question: &str) -> Result<String, Failure> {
    let mut terminal = open(question)?;
    let mut typed = String::new();
    let asking = |error| Failure::of(&format!("asking for the {question}"), error);
    write!(terminal, "{question}: ").map_err(asking)?;
    io::BufReader::new(terminal).take(LONGEST).read_line(&mut typed).map_err(asking)?;
    given(question, typed.trim().to_owned())
}

/// Asks for a password, which is not shown.
///
/// # Errors
/// As [`line()`], and if ctrl-C was typed.
pub(crate) fn password(question: &str) -> Result<String, Failure> {
    let mut terminal = open(question)?;
    let asking = |error| Failure::of(&format!("asking for the {question}"), error);
    write!(terminal, "{question}: ").map_err(asking)?;
    let typed = {
        let _silent = Silent::begin(&terminal).map_err(asking)?;
        typed(io::BufReader::new(&terminal))
    };
    writeln!(terminal).map_err(asking)?;
    given(question, typed.map_err(asking)?)
}

/// The first line of standard input, as a password.
///
/// # Errors
/// If it cannot be read or is empty.
pub(crate) fn password_from_stdin(question: &str) -> Result<String, Failure> {
    let mut typed = String::new();
    let mut input = io::stdin().lock();
    let read = (&mut input).take(LONGEST).read_line(&mut typed);
    read.map_err(|error| Failure::of("reading standard input", error))?;
    given(question, typed.trim_end_matches(['\n', '\r']).to_owned())
}

fn open(question: &str) -> Result<File, Failure> {
    OpenOptions::new().read(true).write(true).open(DEVICE).map_err(|_| {
        let how = "there is no terminal to ask on; use the flags, such as --user and \
                   --password-stdin";
        Failure::Failed(format!("cannot ask for the {question}: {how}"))
    })
}

fn given(question: &str, typed: String) -> Result<String, Failure> {
    if typed.is_empty() {
        return Err(Failure::Failed(format!("no {question} was given")));
    }
    Ok(typed)
}

/// Reads up to the end of the line, byte by byte, with the keys that a terminal has for it.
fn typed(terminal: impl io::BufRead) -> io::Result<String> {
    const INTERRUPT: u8 = 3;
    const END: u8 = 4;
    const KILL: u8 = 21;
    let mut bytes = Vec::new();
    for byte in terminal.bytes() {
        match byte? {
            b'\n' | b'\r' | END => break,
            INTERRUPT => return Err(io::Error::other("it was interrupted")),
            KILL => bytes.clear(),
            8 | 127 => {
                // A letter may be of several bytes, all but the first beginning with 10.
                while bytes.pop().is_some_and(|byte| byte & 0xC0 == 0x80) {}
            }
            byte if bytes.len() < LONGEST as usize => bytes.push(byte),
            _ => return Err(io::Error::other("it is too long")),
        }
    }
    String::from_utf8(bytes).map_err(|_| io::Error::other("it is no UTF-8 text"))
}

/// A terminal that shows nothing, until this is dropped. Its keys make no signals meanwhile, since
/// a process that such a signal ends would leave it silent.
struct Silent<'t> {
    terminal: &'t File,
    before: Termios,
}

impl<'t> Silent<'t> {
    fn begin(terminal: &'t File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut silent = before.clone();
        silent.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        silent.special_codes[SpecialCodeIndex::VMIN] = 1;
        silent.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(terminal, OptionalActions::Flush, &silent)?;
        Ok(Silent { terminal, before })
    }
}

impl Drop for Silent<'_> {
    fn drop(&mut self) {
        // Where the terminal is gone there is nothing to restore.
        tcsetattr(self.terminal, OptionalActions::Flush, &self.before).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_ends_with_its_line_and_can_be_mended_while_typed() {
        for (keys, wanted) in [
            ("secret\nrest", "secret"),
            ("secrex\u{7f}t\r", "secret"),
            ("wrong\u{15}secret\n", "secret"),
            ("aü\u{7f}\u{7f}b\n", "b"),
            ("\u{7f}x\u{4}", "x"),
            ("pass word ", "pass word "),
        ] {
            assert_eq!(typed(keys.as_bytes()).unwrap(), wanted, "{keys:?}");
        }
        assert!(typed("sec\u{3}ret\n".as_bytes()).is_err());
    }
}
