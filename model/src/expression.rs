//! Regular expressions: each means a whole value, runs in linear time, and is bounded in size,
//! alone and together with the others of its object.
//!
//! They are compiled here and nowhere else, so what `check` counts is what a table keeps.

use std::fmt;

use regex_automata::meta;
use regex_automata::nfa::thompson::WhichCaptures;
use regex_syntax::hir::{Hir, Look};

use crate::Checker;

/// The largest automaton that one expression may make, in bytes.
const LARGEST: usize = 1 << 20;

/// What all expressions of one object may take once compiled, in bytes.
const LARGEST_SUM: usize = 4 << 20;

/// A compiled expression.
#[derive(Clone)]
pub struct Expression {
    source: Box<str>,
    compiled: meta::Regex,
}

/// Why a text is no expression that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// It does not follow the syntax.
    #[error("{0}")]
    Syntax(String),
    /// It is too large once compiled.
    #[error("it takes more than {LARGEST} bytes once compiled")]
    TooLarge,
}

impl Expression {
    /// Compiles `source`, in the syntax of the `regex` crate.
    ///
    /// # Errors
    /// [`ExpressionError`] for what is no expression, or too large a one.
    pub fn compile(source: &str) -> Result<Self, ExpressionError> {
        let written = regex_syntax::parse(source).map_err(|error| {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            ExpressionError::Syntax(last.trim_start_matches("error: ").to_owned())
        })?;
        // Anchors around the parsed form, not around the text: 'a)|(b' is balanced only between
        // parentheses of ours, and the comment in '(?x)a#' would swallow the one that closes.
        let whole = Hir::concat(vec![Hir::look(Look::Start), written, Hir::look(Look::End)]);
        // Engines that others in the tree may switch on are off: they would be counted, and only
        // whether a value matches is ever asked.
        let config = meta::Regex::config()
            .nfa_size_limit(Some(LARGEST))
            .hybrid_cache_capacity(LARGEST)
            .which_captures(WhichCaptures::None)
            .utf8_empty(false)
            .onepass(false)
            .dfa(false);
        let compiled = meta::Regex::builder().configure(config).build_from_hir(&whole);
        // The syntax is behind us; what is left is size.
        let compiled = compiled.map_err(|_| ExpressionError::TooLarge)?;
        Ok(Expression { source: source.into(), compiled })
    }

    /// The expression as it was written.
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// Whether it means the whole of `value`.
    pub fn is_match(&self, value: &[u8]) -> bool {
        self.compiled.is_match(value)
    }

    /// The bytes that it takes.
    pub fn size(&self) -> usize {
        self.source.len() + self.compiled.memory_usage()
    }
}

/// Its source; the automaton would fill pages.
impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.source).finish()
    }
}

/// What the expressions of one object take together, while its check walks them.
#[derive(Debug, Default)]
pub(crate) struct Expressions {
    bytes: usize,
}

impl Expressions {
    /// Reports what is wrong with `source`, which stands in `field`. Once the bound is passed, no
    /// more are looked at: an object may hold ten thousands.
    pub(crate) fn check(&mut self, at: &mut Checker, field: &str, source: &str) {
        if self.bytes > LARGEST_SUM {
            return;
        }
        match Expression::compile(source) {
            Ok(expression) => self.bytes += expression.size(),
            Err(fault) => {
                // Compiling went on up to the bound, so thousands of these would cost as much.
                if fault == ExpressionError::TooLarge {
                    self.bytes += LARGEST;
                }
                at.fault_in(field, format!("'{source}' is no regular expression: {fault}"));
            }
        }
        if self.bytes > LARGEST_SUM {
            at.fault_in(
                field,
                format!(
                    "with '{source}' the regular expressions of this object take {} bytes once \
                     compiled, over the bound of {LARGEST_SUM}; write fewer or simpler ones \
                     ('[0-9]' is far smaller than '\\d'), or several objects; those that follow \
                     were not looked at",
                    self.bytes
                ),
            );
        }
    }
}

#[cfg(test)]
mod tests;
