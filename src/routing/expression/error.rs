//! What is wrong with an expression, in the words a person can act on.
//!
//! Only says what was found where and what was expected there; deciding that is the lexer's and the parser's work.
//! Start with [`SyntaxErrors`].

use std::fmt;
use std::ops::Range;

/// Longest piece of the text that a message repeats, in characters.
const LONGEST_EXCERPT: usize = 40;

/// Every error found in one text, in the order of their places; never empty.
///
/// Displayed on one line, in the wording clients of TaskRouter know: `extraneous input 'evel' expecting OPERATOR`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxErrors(Vec<SyntaxError>);

impl SyntaxErrors {
    pub(super) fn new(mut errors: Vec<SyntaxError>) -> Self {
        errors.sort_by_key(|error| error.span.start);
        Self(errors)
    }

    /// Returns the errors, first place first.
    pub fn as_slice(&self) -> &[SyntaxError] {
        &self.0
    }
}

impl From<SyntaxError> for SyntaxErrors {
    fn from(error: SyntaxError) -> Self {
        Self(vec![error])
    }
}

impl fmt::Display for SyntaxErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SyntaxErrors {}

/// One place in the text that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    mistake: Mistake,
    span: Range<usize>,
    found: String,
    expected: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mistake {
    /// No token begins like this.
    Unrecognized,
    /// The text would go on correctly without this token.
    Extraneous,
    /// A token of another kind has to stand here.
    Mismatched,
    /// The text is larger than a limit allows.
    TooLarge,
}

impl SyntaxError {
    /// Builds an error about `text[span]`.
    pub(super) fn new(mistake: Mistake, text: &str, span: Range<usize>, expected: impl Into<String>) -> Self {
        let found = if span.is_empty() { "<EOF>".to_owned() } else { excerpt(&text[span.clone()]) };
        Self { mistake, span, found, expected: expected.into() }
    }

    /// Builds an error about a limit: `found` and `expected` name the two sizes.
    pub(super) fn too_large(span: Range<usize>, found: String, expected: String) -> Self {
        Self { mistake: Mistake::TooLarge, span, found, expected }
    }

    /// Byte offsets of the offending piece, empty at the end of the text.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// The offending piece as written (shortened if long), `<EOF>` at the end of the text.
    pub fn found(&self) -> &str {
        &self.found
    }

    /// What could stand there instead.
    pub fn expected(&self) -> &str {
        &self.expected
    }
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mistake, span, found, expected } = self;
        match mistake {
            Mistake::Unrecognized => {
                write!(f, "token recognition error at: '{found}' expecting {expected}, at offset {}", span.start)
            }
            Mistake::Extraneous => {
                write!(f, "extraneous input '{found}' expecting {expected}, at offset {}", span.start)
            }
            Mistake::Mismatched => {
                write!(f, "mismatched input '{found}' expecting {expected}, at offset {}", span.start)
            }
            Mistake::TooLarge => write!(f, "input too large: {found}, expecting {expected}"),
        }
    }
}

/// Shortens `piece` to a length fit for a message and keeps it on one line.
fn excerpt(piece: &str) -> String {
    let mut short: String = piece.chars().take(LONGEST_EXCERPT).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if short.len() < piece.len() {
        short.push('…');
    }
    short
}
