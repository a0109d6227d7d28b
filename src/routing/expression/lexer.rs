//! Cuts the text of an expression into tokens (routing.md 2.2).
//!
//! Knows characters, not grammar: keywords stay words, because a keyword may also be a name after a dot. Symbols are
//! matched longest first and `-` can only begin a number, so `a<-1` is `a IN 1` and `skill-level` is an error. Start
//! with [`tokens`].

use std::ops::Range;

use super::error::{Mistake, SyntaxError};
use super::value::Operator;

/// Most lexical errors reported for one text; the first ones explain the rest.
const MOST_ERRORS: usize = 4;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    /// Byte offsets in the text.
    pub(super) span: Range<usize>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum TokenKind {
    LeftParenthesis,
    RightParenthesis,
    LeftBracket,
    RightBracket,
    Comma,
    Dot,
    /// An operator written with symbols; those written as words are [`TokenKind::Word`].
    Symbol(Operator),
    /// A name or a keyword.
    Word,
    /// Digits only: a number or an index.
    Digits,
    /// A number with a sign or a fraction.
    Decimal,
    /// A string without its quotes and escapes.
    Text(String),
    /// The end of the text; always the last token and only there.
    End,
}

/// Returns the tokens that could be read, ended by [`TokenKind::End`], and what could not be read.
pub(super) fn tokens(text: &str) -> (Vec<Token>, Vec<SyntaxError>) {
    let mut lexer = Lexer { text, at: 0, tokens: Vec::new(), errors: Vec::new() };
    while lexer.step() {}
    let end = text.len();
    lexer.tokens.push(Token { kind: TokenKind::End, span: end..end });
    (lexer.tokens, lexer.errors)
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
    tokens: Vec<Token>,
    errors: Vec<SyntaxError>,
}

impl Lexer<'_> {
    /// Reads one token or blank; false at the end of the text.
    fn step(&mut self) -> bool {
        let rest = &self.text.as_bytes()[self.at..];
        let Some(&first) = rest.first() else { return false };
        let second = rest.get(1).copied();
        match (first, second) {
            (b' ' | b'\t' | b'\r' | b'\n' | b'\x0c', _) => self.at += 1,
            (b'(', _) => self.push(TokenKind::LeftParenthesis, 1),
            (b')', _) => self.push(TokenKind::RightParenthesis, 1),
            (b'[', _) => self.push(TokenKind::LeftBracket, 1),
            (b']', _) => self.push(TokenKind::RightBracket, 1),
            (b',', _) => self.push(TokenKind::Comma, 1),
            (b'.', _) => self.push(TokenKind::Dot, 1),
            (b'=', Some(b'=')) => self.push(TokenKind::Symbol(Operator::Equal), 2),
            (b'=', _) => self.push(TokenKind::Symbol(Operator::Equal), 1),
            (b'!', Some(b'=')) => self.push(TokenKind::Symbol(Operator::NotEqual), 2),
            (b'>', Some(b'=')) => self.push(TokenKind::Symbol(Operator::AtLeast), 2),
            (b'>', Some(b'-')) => self.push(TokenKind::Symbol(Operator::Has), 2),
            (b'>', _) => self.push(TokenKind::Symbol(Operator::Greater), 1),
            (b'<', Some(b'=')) => self.push(TokenKind::Symbol(Operator::AtMost), 2),
            (b'<', Some(b'-')) => self.push(TokenKind::Symbol(Operator::In), 2),
            (b'<', _) => self.push(TokenKind::Symbol(Operator::Less), 1),
            (b'\'' | b'"', _) => self.string(char::from(first)),
            (b'0'..=b'9', _) | (b'-', Some(b'0'..=b'9')) => self.number(),
            (b'A'..=b'Z' | b'a'..=b'z' | b'_' | b'$', _) => {
                let length = rest.iter().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'$')).count();
                self.push(TokenKind::Word, length);
            }
            // A minus takes the character after it with it, as the lexer of the original does: `skill-level` leaves
            // `evel`, which its message then names.
            (b'-', _) => self.unrecognized(2, "a number after '-'"),
            _ => self.unrecognized(1, "a value or an OPERATOR"),
        }
        true
    }

    fn push(&mut self, kind: TokenKind, length: usize) {
        let span = self.at..self.at + length;
        self.at = span.end;
        self.tokens.push(Token { kind, span });
    }

    fn unrecognized(&mut self, characters: usize, expected: &str) {
        let length = self.text[self.at..].chars().take(characters).map(char::len_utf8).sum::<usize>();
        let span = self.at..self.at + length;
        self.at = span.end;
        if self.errors.len() < MOST_ERRORS {
            self.errors.push(SyntaxError::new(Mistake::Unrecognized, self.text, span, expected));
        }
    }

    fn number(&mut self) {
        let rest = &self.text.as_bytes()[self.at..];
        let digits = |from: usize| rest[from..].iter().take_while(|b| b.is_ascii_digit()).count();
        let sign = usize::from(rest[0] == b'-');
        let whole = sign + digits(sign);
        let fraction = if rest.get(whole) == Some(&b'.') { digits(whole + 1) } else { 0 };
        if fraction > 0 {
            self.push(TokenKind::Decimal, whole + 1 + fraction);
        } else if sign > 0 {
            self.push(TokenKind::Decimal, whole);
        } else {
            self.push(TokenKind::Digits, whole);
        }
    }

    /// Reads a string; a backslash stands for the character after it (D5).
    fn string(&mut self, quote: char) {
        let mut value = String::new();
        let mut characters = self.text[self.at..].char_indices().skip(1);
        while let Some((offset, character)) = characters.next() {
            if character == quote {
                self.push(TokenKind::Text(value), offset + 1);
                return;
            }
            if character == '\\' {
                let Some((_, escaped)) = characters.next() else { break };
                value.push(escaped);
            } else {
                value.push(character);
            }
        }
        let all = self.text[self.at..].chars().count();
        self.unrecognized(all, if quote == '"' { "a closing '\"'" } else { "a closing \"'\"" });
    }
}
