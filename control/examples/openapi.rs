//! Prints the OpenAPI document, for `cargo xtask codegen`.

use std::io::{self, Write as _};

fn main() -> io::Result<()> {
    io::stdout().write_all(control::rest::document_text().as_bytes())
}
