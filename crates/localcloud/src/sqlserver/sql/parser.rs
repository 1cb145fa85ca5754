//! From tokens to statements.

use std::time::Duration;

use super::expression::{Argument, Expression, Statement};
use super::functions::type_named;
use super::lexer::{Token, tokens};
use crate::sqlserver::error::SqlError;
use crate::sqlserver::value::{Type, Value};

/// Words that end an expression or a name and are no aliases.
const RESERVED: [&str; 36] = [
    "SELECT",
    "FROM",
    "WHERE",
    "ORDER",
    "GROUP",
    "BY",
    "JOIN",
    "INNER",
    "LEFT",
    "ON",
    "AND",
    "OR",
    "NOT",
    "AS",
    "SET",
    "EXEC",
    "EXECUTE",
    "IF",
    "ELSE",
    "BEGIN",
    "END",
    "DECLARE",
    "USE",
    "CREATE",
    "DROP",
    "ALTER",
    "PRINT",
    "WAITFOR",
    "COMMIT",
    "ROLLBACK",
    "THEN",
    "WHEN",
    "CROSS",
    "OUTER",
    "RAISERROR",
    "WITH",
];

/// Reads a batch.
pub(crate) fn parse(text: &str) -> Result<Vec<Statement>, SqlError> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0 };
    let mut statements = Vec::new();
    loop {
        while parser.sign(";") {}
        if parser.peek().is_none() {
            return Ok(statements);
        }
        statements.push(parser.statement()?);
    }
}

pub(super) struct Parser {
    pub(super) tokens: Vec<Token>,
    pub(super) at: usize,
}

impl Parser {
    pub(super) fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    pub(super) fn wrong<T>(&self) -> Result<T, SqlError> {
        let near = self.peek().or(self.tokens.last()).map(Token::shown).unwrap_or_default();
        Err(SqlError::syntax(&near))
    }

    pub(super) fn is_word_at(&self, ahead: usize, word: &str) -> bool {
        matches!(self.tokens.get(self.at + ahead), Some(Token::Word(found)) if found.eq_ignore_ascii_case(word))
    }

    pub(super) fn word(&mut self, word: &str) -> bool {
        let found = self.is_word_at(0, word);
        self.at += usize::from(found);
        found
    }

    pub(super) fn expect_word(&mut self, word: &str) -> Result<(), SqlError> {
        if self.word(word) { Ok(()) } else { self.wrong() }
    }

    pub(super) fn sign(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Sign(found)) if *found == sign);
        self.at += usize::from(found);
        found
    }

    pub(super) fn expect_sign(&mut self, sign: &str) -> Result<(), SqlError> {
        if self.sign(sign) { Ok(()) } else { self.wrong() }
    }

    pub(super) fn name(&mut self) -> Result<String, SqlError> {
        match self.peek().cloned() {
            Some(Token::Quoted(name)) => {
                self.at += 1;
                Ok(name)
            }
            Some(Token::Word(name)) if !is_reserved(&name) => {
                self.at += 1;
                Ok(name)
            }
            _ => self.wrong(),
        }
    }

    /// `a.b.c`; `a..c` leaves the middle out.
    pub(super) fn long_name(&mut self) -> Result<Vec<String>, SqlError> {
        let mut name = vec![self.name()?];
        while self.sign(".") {
            if self.sign(".") {
                name.push("dbo".to_owned());
            }
            name.push(self.name()?);
        }
        Ok(name)
    }

    pub(super) fn variable(&mut self) -> Result<String, SqlError> {
        match self.peek().cloned() {
            Some(Token::Variable(name)) => {
                self.at += 1;
                Ok(name)
            }
            _ => self.wrong(),
        }
    }

    fn statement(&mut self) -> Result<Statement, SqlError> {
        if self.is_word_at(0, "SELECT") {
            return Ok(Statement::Select(self.select()?));
        }
        if self.word("EXEC") || self.word("EXECUTE") {
            return self.execute();
        }
        if self.word("USE") {
            return Ok(Statement::Use(self.name()?));
        }
        if self.word("SET") {
            return self.set();
        }
        if self.word("DECLARE") {
            return self.declare();
        }
        if self.word("PRINT") {
            return Ok(Statement::Print(self.expression()?));
        }
        if self.word("IF") {
            return self.conditional();
        }
        if self.word("WAITFOR") {
            self.expect_word("DELAY")?;
            return self.delay();
        }
        if self.word("RAISERROR") {
            return self.raise();
        }
        if self.word("CREATE") {
            self.expect_word("DATABASE")?;
            return Ok(Statement::CreateDatabase(self.name()?));
        }
        if self.word("DROP") {
            self.expect_word("DATABASE")?;
            let if_exists = self.word("IF");
            if if_exists {
                self.expect_word("EXISTS")?;
            }
            return Ok(Statement::DropDatabase { name: self.name()?, if_exists });
        }
        if self.word("ALTER") {
            self.expect_word("DATABASE")?;
            return self.alter();
        }
        for (word, statement) in
            [("BEGIN", Statement::Begin), ("COMMIT", Statement::Commit), ("ROLLBACK", Statement::RollBack)]
        {
            if self.word(word) {
                let named = self.word("TRANSACTION") || self.word("TRAN");
                return if named || word != "BEGIN" { Ok(statement) } else { self.wrong() };
            }
        }
        // At the start of a batch a procedure's name alone calls it.
        if self.at == 0 && matches!(self.peek(), Some(Token::Word(_) | Token::Quoted(_))) {
            return self.execute();
        }
        self.wrong()
    }

    pub(super) fn execute(&mut self) -> Result<Statement, SqlError> {
        // `@status = procedure`: nobody here looks at the status.
        if matches!(self.peek(), Some(Token::Variable(_))) {
            self.at += 1;
            self.expect_sign("=")?;
        }
        let procedure = self.long_name()?;
        let mut arguments = Vec::new();
        while !self.is_end() {
            let name = match (self.peek().cloned(), self.tokens.get(self.at + 1)) {
                (Some(Token::Variable(name)), Some(Token::Sign("="))) => {
                    self.at += 2;
                    Some(name)
                }
                _ => None,
            };
            let value = match self.peek().cloned() {
                // A bare word is a text.
                Some(Token::Word(word))
                    if !word.eq_ignore_ascii_case("NULL") && !word.eq_ignore_ascii_case("DEFAULT") =>
                {
                    self.at += 1;
                    Expression::Literal(Value::Text(word))
                }
                Some(Token::Quoted(word)) => {
                    self.at += 1;
                    Expression::Literal(Value::Text(word))
                }
                _ => self.primary()?,
            };
            let _out = self.word("OUTPUT") || self.word("OUT");
            arguments.push(Argument { name, value });
            if !self.sign(",") {
                break;
            }
        }
        Ok(Statement::Execute { procedure, arguments })
    }

    /// Whether a statement ends here.
    pub(super) fn is_end(&self) -> bool {
        match self.peek() {
            None | Some(Token::Sign(";")) => true,
            Some(Token::Word(word)) => is_reserved(word),
            _ => false,
        }
    }

    pub(super) fn set(&mut self) -> Result<Statement, SqlError> {
        if matches!(self.peek(), Some(Token::Variable(_))) {
            let name = self.variable()?;
            self.expect_sign("=")?;
            return Ok(Statement::Assign(name, self.expression()?));
        }
        let before = self.at;
        while !self.is_end() || self.is_word_at(0, "ON") {
            self.at += 1;
        }
        if self.at == before { self.wrong() } else { Ok(Statement::Setting) }
    }

    pub(super) fn declare(&mut self) -> Result<Statement, SqlError> {
        let mut declared = Vec::new();
        loop {
            let name = self.variable()?;
            let _as = self.word("AS");
            let kind = self.kind()?;
            let value = if self.sign("=") { Some(self.expression()?) } else { None };
            declared.push((name, kind, value));
            if !self.sign(",") {
                return Ok(Statement::Declare(declared));
            }
        }
    }

    pub(super) fn kind(&mut self) -> Result<Type, SqlError> {
        let near = self.peek().map(Token::shown).unwrap_or_default();
        let name = self.name()?;
        let mut size = None;
        if self.sign("(") {
            size = match self.peek().cloned() {
                Some(Token::Number(number)) => Some(u16::try_from(number).unwrap_or(u16::MAX)),
                Some(Token::Word(word)) if word.eq_ignore_ascii_case("MAX") => Some(u16::MAX),
                _ => return self.wrong(),
            };
            self.at += 1;
            if self.sign(",") {
                self.at += 1;
            }
            self.expect_sign(")")?;
        }
        type_named(&name, size)
            .ok_or_else(|| SqlError::new(243, 16, format!("Type {near} is not a defined system type.")))
    }

    pub(super) fn conditional(&mut self) -> Result<Statement, SqlError> {
        let condition = self.expression()?;
        let then = self.block()?;
        let otherwise = if self.word("ELSE") { self.block()? } else { Vec::new() };
        Ok(Statement::If { condition, then, otherwise })
    }

    /// One statement, or several between BEGIN and END.
    pub(super) fn block(&mut self) -> Result<Vec<Statement>, SqlError> {
        let transaction = self.is_word_at(1, "TRAN") || self.is_word_at(1, "TRANSACTION");
        if transaction || !self.word("BEGIN") {
            return Ok(vec![self.statement()?]);
        }
        let mut statements = Vec::new();
        loop {
            while self.sign(";") {}
            if self.word("END") {
                return Ok(statements);
            }
            statements.push(self.statement()?);
        }
    }

    pub(super) fn delay(&mut self) -> Result<Statement, SqlError> {
        let Some(Token::Text(text)) = self.peek().cloned() else { return self.wrong() };
        let seconds = |text: &str| text.parse::<f64>().ok().filter(|number| (0.0..86_400.0).contains(number));
        let parts: Option<Vec<f64>> = text.split(':').map(seconds).collect();
        let Some([hours, minutes, rest @ ..]) = parts.as_deref() else { return self.wrong() };
        let total = hours * 3600.0 + minutes * 60.0 + rest.first().copied().unwrap_or_default();
        self.at += 1;
        Ok(Statement::WaitFor(Duration::from_secs_f64(total)))
    }

    pub(super) fn raise(&mut self) -> Result<Statement, SqlError> {
        self.expect_sign("(")?;
        let mut arguments = self.list()?;
        if arguments.len() < 3 {
            return self.wrong();
        }
        arguments.truncate(2);
        match (arguments.pop(), arguments.pop()) {
            (Some(severity), Some(text)) => Ok(Statement::Raise { text, severity }),
            _ => self.wrong(),
        }
    }

    pub(super) fn alter(&mut self) -> Result<Statement, SqlError> {
        let name = self.name()?;
        self.expect_word("SET")?;
        let mut setting = Vec::new();
        while let Some(Token::Word(word)) = self.peek() {
            if is_reserved(word) && !matches!(word.to_ascii_uppercase().as_str(), "WITH" | "ROLLBACK" | "ON") {
                break;
            }
            setting.push(word.to_ascii_uppercase());
            self.at += 1;
        }
        if setting.is_empty() { self.wrong() } else { Ok(Statement::AlterDatabase { name, setting }) }
    }
}

pub(super) fn is_reserved(word: &str) -> bool {
    RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(word))
}
