//! Reads the tokens of an expression into a tree (routing.md 2.2).
//!
//! Knows grammar, not meaning: what a name stands for is decided later, by the place of the expression. Limits of
//! quality.md 2.4 are kept here, so that everything behind may recurse. Start with [`parse`].

use super::error::{Mistake, SyntaxError, SyntaxErrors};
use super::lexer::{Token, TokenKind, tokens};
use super::value::{Number, Operator, Value};
use super::vocabulary::{Path, Segment};

/// Longest text of an expression, in bytes.
pub(super) const LONGEST_TEXT: usize = 4096;
/// Most parentheses inside each other.
pub(super) const DEEPEST: usize = 64;
/// Most comparisons, or clauses of an `order_by`; the elements of lists are bounded by the text.
pub(super) const MOST_CLAUSES: usize = 256;

/// An expression as written; `Any` and `All` have at least two members.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Syntax {
    /// Members joined by `OR`.
    Any(Vec<Syntax>),
    /// Members joined by `AND`.
    All(Vec<Syntax>),
    Comparison {
        left: Term,
        operator: Operator,
        right: Term,
    },
}

/// One side of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Term {
    /// A literal or a list of literals.
    Constant(Value),
    Reference(Path),
}

/// One clause of an `order_by` as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OrderClause {
    pub(super) path: Path,
    pub(super) descending: bool,
}

/// Reads a whole expression.
pub(super) fn parse(text: &str) -> Result<Syntax, SyntaxErrors> {
    read(text, |parser| parser.any(0))
}

/// Reads an `order_by`: `worker.level DESC, worker.age` (routing.md 3.6).
pub(super) fn parse_order(text: &str) -> Result<Vec<OrderClause>, SyntaxErrors> {
    read(text, Parser::order)
}

/// Reads a lone reference.
pub(super) fn parse_reference(text: &str) -> Result<Path, SyntaxErrors> {
    read(text, |parser| if parser.at_name() { parser.reference() } else { Err(parser.refusal("a name", |_| false)) })
}

/// Refuses a text longer than the limit.
pub(super) fn check_length(text: &str) -> Result<(), SyntaxErrors> {
    if text.len() > LONGEST_TEXT {
        return Err(SyntaxError::too_large(
            0..text.len(),
            format!("{} bytes", text.len()),
            format!("at most {LONGEST_TEXT} bytes"),
        )
        .into());
    }
    Ok(())
}

/// Cuts `text` into tokens, reads them all with `rule`, and gathers the errors of both.
fn read<'t, T>(text: &'t str, rule: impl FnOnce(&mut Parser<'t>) -> Result<T, SyntaxError>) -> Result<T, SyntaxErrors> {
    check_length(text)?;
    let (tokens, mut errors) = tokens(text);
    let mut parser = Parser { text, tokens, at: 0, clauses: 0 };
    let result = rule(&mut parser).and_then(|tree| match parser.kind() {
        TokenKind::End => Ok(tree),
        _ => Err(parser.refusal("AND, OR or the end", |next| next.kind == TokenKind::End)),
    });
    match result {
        Ok(tree) if errors.is_empty() => return Ok(tree),
        Ok(_) => {}
        Err(error) => errors.push(error),
    }
    Err(SyntaxErrors::new(errors))
}

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<Token>,
    at: usize,
    clauses: usize,
}

impl Parser<'_> {
    /// `or_expr`: binds weaker than AND (D1).
    fn any(&mut self, depth: usize) -> Result<Syntax, SyntaxError> {
        let mut members = vec![self.all(depth)?];
        while self.take_keyword("OR") {
            members.push(self.all(depth)?);
        }
        Ok(alone_or(members, Syntax::Any))
    }

    /// `and_expr`.
    fn all(&mut self, depth: usize) -> Result<Syntax, SyntaxError> {
        let mut members = vec![self.primary(depth)?];
        while self.take_keyword("AND") {
            members.push(self.primary(depth)?);
        }
        Ok(alone_or(members, Syntax::All))
    }

    fn primary(&mut self, depth: usize) -> Result<Syntax, SyntaxError> {
        if *self.kind() == TokenKind::LeftParenthesis {
            if depth == DEEPEST {
                return Err(SyntaxError::too_large(
                    self.token().span.clone(),
                    format!("more than {DEEPEST} parentheses inside each other"),
                    format!("at most {DEEPEST}"),
                ));
            }
            self.at += 1;
            let inner = self.any(depth + 1)?;
            self.take(&TokenKind::RightParenthesis, "')'")?;
            return Ok(inner);
        }
        let left = self.operand("'(' or a value")?;
        let operator = self.operator()?;
        let right = self.operand("a value")?;
        self.count_clause()?;
        Ok(Syntax::Comparison { left, operator, right })
    }

    fn operator(&mut self) -> Result<Operator, SyntaxError> {
        let Some(operator) = operator(self.text, self.token()) else {
            return Err(self.refusal("OPERATOR", |next| operator(self.text, next).is_some()));
        };
        self.at += 1;
        if operator == Operator::NotIn && !self.take_keyword("IN") {
            return Err(self.refusal("IN", |next| self.text[next.span.clone()].eq_ignore_ascii_case("IN")));
        }
        Ok(operator)
    }

    fn operand(&mut self, expected: &str) -> Result<Term, SyntaxError> {
        if self.at_name() {
            return self.reference().map(Term::Reference);
        }
        if *self.kind() == TokenKind::LeftBracket {
            self.at += 1;
            return self.list().map(|elements| Term::Constant(Value::List(elements.into())));
        }
        self.literal(expected).map(Term::Constant)
    }

    /// The elements of a list after its `[`, up to and including `]`.
    fn list(&mut self) -> Result<Vec<Value>, SyntaxError> {
        let mut elements = Vec::new();
        if *self.kind() == TokenKind::RightBracket {
            self.at += 1;
            return Ok(elements);
        }
        loop {
            elements.push(self.literal("STRING, NUMBER, TRUE, FALSE or NULL")?);
            if *self.kind() != TokenKind::Comma {
                self.take(&TokenKind::RightBracket, "',' or ']'")?;
                return Ok(elements);
            }
            self.at += 1;
        }
    }

    fn literal(&mut self, expected: &str) -> Result<Value, SyntaxError> {
        let piece = self.piece();
        let value = match self.kind() {
            TokenKind::Text(text) => Value::Text(text.as_str().into()),
            TokenKind::Digits | TokenKind::Decimal => {
                Value::Number(Number(piece.parse().expect("digits with a sign and a fraction are a number")))
            }
            TokenKind::Word if piece.eq_ignore_ascii_case("TRUE") => Value::Bool(true),
            TokenKind::Word if piece.eq_ignore_ascii_case("FALSE") => Value::Bool(false),
            TokenKind::Word if piece.eq_ignore_ascii_case("NULL") => Value::Null,
            _ => return Err(self.refusal(expected, |next| begins_value(&next.kind))),
        };
        self.at += 1;
        Ok(value)
    }

    fn reference(&mut self) -> Result<Path, SyntaxError> {
        let mut segments = vec![Segment::Key(self.piece().into())];
        self.at += 1;
        loop {
            match self.kind() {
                TokenKind::Dot => {
                    self.at += 1;
                    if *self.kind() != TokenKind::Word {
                        return Err(self.refusal("a name", |next| next.kind == TokenKind::Word));
                    }
                    segments.push(Segment::Key(self.piece().into()));
                    self.at += 1;
                }
                TokenKind::LeftBracket => {
                    self.at += 1;
                    // An index beyond any array names nothing, so it may be cut to the largest one.
                    let index = self.piece().parse().unwrap_or(u32::MAX);
                    self.take(&TokenKind::Digits, "DIGITS")?;
                    segments.push(Segment::Index(index));
                    self.take(&TokenKind::RightBracket, "']'")?;
                }
                _ => return Ok(Path::new(segments)),
            }
        }
    }

    fn order(&mut self) -> Result<Vec<OrderClause>, SyntaxError> {
        let mut clauses = Vec::new();
        loop {
            self.count_clause()?;
            if *self.kind() != TokenKind::Word || self.piece() != "worker" {
                return Err(self.refusal("'worker.'", |next| &self.text[next.span.clone()] == "worker"));
            }
            if self.tokens[self.at + 1].kind != TokenKind::Dot {
                self.at += 1;
                return Err(self.refusal("'.'", |next| next.kind == TokenKind::Dot));
            }
            let path = self.reference()?;
            let descending = self.take_keyword("DESC");
            if !descending {
                self.take_keyword("ASC");
            }
            clauses.push(OrderClause { path, descending });
            match self.kind() {
                TokenKind::Comma => self.at += 1,
                TokenKind::End => return Ok(clauses),
                _ => return Err(self.refusal("ASC, DESC, ',' or the end", |next| next.kind == TokenKind::Comma)),
            }
        }
    }

    fn token(&self) -> &Token {
        // The last token is End and no rule steps over it.
        &self.tokens[self.at]
    }

    fn kind(&self) -> &TokenKind {
        &self.token().kind
    }

    fn piece(&self) -> &str {
        &self.text[self.token().span.clone()]
    }

    /// True at a word that may begin a reference.
    fn at_name(&self) -> bool {
        *self.kind() == TokenKind::Word && !is_keyword(self.piece())
    }

    fn take(&mut self, kind: &TokenKind, expected: &str) -> Result<(), SyntaxError> {
        if self.kind() != kind {
            return Err(self.refusal(expected, |next| next.kind == *kind));
        }
        self.at += 1;
        Ok(())
    }

    fn take_keyword(&mut self, keyword: &str) -> bool {
        let found = *self.kind() == TokenKind::Word && self.piece().eq_ignore_ascii_case(keyword);
        self.at += usize::from(found);
        found
    }

    fn count_clause(&mut self) -> Result<(), SyntaxError> {
        self.clauses += 1;
        if self.clauses > MOST_CLAUSES {
            return Err(SyntaxError::too_large(
                self.token().span.clone(),
                format!("more than {MOST_CLAUSES} comparisons"),
                format!("at most {MOST_CLAUSES}"),
            ));
        }
        Ok(())
    }

    /// Describes the present token as wrong: as extraneous if the one after it would fit.
    fn refusal(&self, expected: &str, fits: impl Fn(&Token) -> bool) -> SyntaxError {
        let extraneous = self.tokens.get(self.at + 1).is_some_and(fits);
        let mistake = if extraneous { Mistake::Extraneous } else { Mistake::Mismatched };
        SyntaxError::new(mistake, self.text, self.token().span.clone(), expected)
    }
}

/// Reads an operator; `NotIn` stands for its first word.
fn operator(text: &str, token: &Token) -> Option<Operator> {
    match &token.kind {
        TokenKind::Symbol(operator) => Some(*operator),
        TokenKind::Word => {
            let word = &text[token.span.clone()];
            [("HAS", Operator::Has), ("IN", Operator::In), ("CONTAINS", Operator::Contains), ("NOT", Operator::NotIn)]
                .into_iter()
                .find_map(|(keyword, operator)| word.eq_ignore_ascii_case(keyword).then_some(operator))
        }
        _ => None,
    }
}

fn begins_value(kind: &TokenKind) -> bool {
    matches!(kind, TokenKind::Text(_) | TokenKind::Digits | TokenKind::Decimal | TokenKind::Word)
}

/// True for words that cannot begin a reference; case does not matter.
pub(super) fn is_keyword(word: &str) -> bool {
    ["AND", "OR", "NOT", "IN", "HAS", "CONTAINS", "TRUE", "FALSE", "NULL"].iter().any(|k| word.eq_ignore_ascii_case(k))
}

fn alone_or(mut members: Vec<Syntax>, join: impl FnOnce(Vec<Syntax>) -> Syntax) -> Syntax {
    if members.len() == 1 { members.remove(0) } else { join(members) }
}
