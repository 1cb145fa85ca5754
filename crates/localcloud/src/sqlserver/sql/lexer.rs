//! Words, literals and signs of a batch.

use crate::sqlserver::error::SqlError;

/// One piece of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A name or a keyword as it is written.
    Word(String),
    /// A name in brackets or double quotes: never a keyword.
    Quoted(String),
    /// A literal in single quotes.
    Text(String),
    Number(i64),
    /// `@name`.
    Variable(String),
    /// `@@NAME`.
    Global(String),
    /// `(`, `=`, `<>`, …
    Sign(&'static str),
}

impl Token {
    /// As an error quotes it.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Word(text) | Self::Quoted(text) | Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
            Self::Variable(name) => format!("@{name}"),
            Self::Global(name) => format!("@@{name}"),
            Self::Sign(sign) => (*sign).to_owned(),
        }
    }
}

/// Longer ones first.
const SIGNS: [&str; 16] = ["<>", "!=", "<=", ">=", "(", ")", ",", ";", ".", "=", "<", ">", "*", "+", "-", "/"];

/// Cuts a batch into tokens; comments are dropped.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, SqlError> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start_matches('\u{feff}');
    loop {
        rest = rest.trim_start();
        let Some(first) = rest.chars().next() else { return Ok(tokens) };
        if let Some(comment) = rest.strip_prefix("--") {
            rest = comment.split_once('\n').map_or("", |(_, after)| after);
        } else if let Some(comment) = rest.strip_prefix("/*") {
            let missing = || SqlError::new(113, 15, "Missing end comment mark '*/'.");
            rest = comment.split_once("*/").ok_or_else(missing)?.1;
        } else if let Some((token, after)) = quoted(rest)? {
            tokens.push(token);
            rest = after;
        } else if let Some(after) = rest.strip_prefix("@@") {
            let (name, after) = word(after);
            tokens.push(Token::Global(name.to_owned()));
            rest = after;
        } else if let Some(after) = rest.strip_prefix('@') {
            let (name, after) = word(after);
            tokens.push(Token::Variable(name.to_owned()));
            rest = after;
        } else if first.is_ascii_digit() {
            let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
            let (digits, after) = rest.split_at(end);
            tokens.push(Token::Number(digits.parse().map_err(|_| SqlError::syntax(digits))?));
            rest = after;
        } else if first.is_alphabetic() || matches!(first, '_' | '#') {
            let (name, after) = word(rest);
            tokens.push(Token::Word(name.to_owned()));
            rest = after;
        } else {
            let sign = SIGNS.into_iter().find(|sign| rest.starts_with(*sign));
            let sign = sign.ok_or_else(|| SqlError::syntax(&first.to_string()))?;
            tokens.push(Token::Sign(sign));
            rest = &rest[sign.len()..];
        }
    }
}

fn word(text: &str) -> (&str, &str) {
    let within = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '#' | '$' | '@');
    text.split_at(text.find(|letter: char| !within(letter)).unwrap_or(text.len()))
}

/// A literal or a quoted name, in which the closing mark is doubled to stand for itself.
fn quoted(text: &str) -> Result<Option<(Token, &str)>, SqlError> {
    let (open, close, name) = match text.as_bytes() {
        [b'N' | b'n', b'\'', ..] => (2, '\'', false),
        [b'\'', ..] => (1, '\'', false),
        [b'[', ..] => (1, ']', true),
        [b'"', ..] => (1, '"', true),
        _ => return Ok(None),
    };
    let mut content = String::new();
    let mut letters = text[open..].char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        if letter != close {
            content.push(letter);
        } else if letters.peek().is_some_and(|(_, next)| *next == close) {
            content.push(close);
            letters.next();
        } else {
            let after = &text[open + at + close.len_utf8()..];
            return Ok(Some((if name { Token::Quoted(content) } else { Token::Text(content) }, after)));
        }
    }
    let text = format!("Unclosed quotation mark after the character string '{content}'.");
    Err(SqlError::new(105, 15, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_names_and_comments() {
        let found = tokens("SELECT N'it''s', [a]]b] -- no\n/* no */ \"q\" @x @@VERSION 12 <> 3").unwrap();
        let shown: Vec<String> = found.iter().map(Token::shown).collect();
        assert_eq!(shown, ["SELECT", "it's", ",", "a]b", "q", "@x", "@@VERSION", "12", "<>", "3"]);
        assert_eq!(found[1], Token::Text("it's".into()));
        assert_eq!(found[3], Token::Quoted("a]b".into()));
    }

    #[test]
    fn what_does_not_end_is_named() {
        assert_eq!(tokens("SELECT 'abc").unwrap_err().number, 105);
        assert_eq!(tokens("SELECT /* abc").unwrap_err().number, 113);
        assert_eq!(tokens("SELECT ?").unwrap_err().text, "Incorrect syntax near '?'.");
    }
}
