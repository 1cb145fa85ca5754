//! The parts of a SELECT.

use super::expression::{Expression, From, Item, Select};
use super::lexer::Token;
use super::parser::{Parser, is_reserved};
use crate::sqlserver::error::SqlError;
use crate::sqlserver::value::Value;

impl Parser {
    pub(super) fn select(&mut self) -> Result<Select, SqlError> {
        self.expect_word("SELECT")?;
        let distinct = self.word("DISTINCT");
        let top = if self.word("TOP") { Some(self.primary()?) } else { None };
        let mut items = vec![self.item()?];
        while self.sign(",") {
            items.push(self.item()?);
        }
        let from = if self.word("FROM") { self.from()? } else { Vec::new() };
        let condition = if self.word("WHERE") { Some(self.expression()?) } else { None };
        let mut groups = Vec::new();
        if self.word("GROUP") {
            self.expect_word("BY")?;
            groups.push(self.expression()?);
            while self.sign(",") {
                groups.push(self.expression()?);
            }
        }
        let mut order = Vec::new();
        if self.word("ORDER") {
            self.expect_word("BY")?;
            loop {
                let expression = self.expression()?;
                let descending = self.word("DESC");
                let _ascending = !descending && self.word("ASC");
                order.push((expression, descending));
                if !self.sign(",") {
                    break;
                }
            }
        }
        Ok(Select { top, distinct, items, from, condition, groups, order })
    }

    fn item(&mut self) -> Result<Item, SqlError> {
        if self.sign("*") {
            return Ok(Item::All(None));
        }
        let at = |ahead: usize| self.tokens.get(self.at + ahead);
        if let (Some(Token::Word(alias) | Token::Quoted(alias)), Some(Token::Sign(".")), Some(Token::Sign("*"))) =
            (at(0), at(1), at(2))
        {
            let alias = alias.clone();
            self.at += 3;
            return Ok(Item::All(Some(alias)));
        }
        if let (Some(Token::Variable(name)), Some(Token::Sign("="))) = (at(0), at(1)) {
            let name = name.clone();
            self.at += 2;
            return Ok(Item::Assign(name, self.expression()?));
        }
        let expression = self.expression()?;
        let name = if self.word("AS") {
            match self.peek().cloned() {
                Some(Token::Text(text)) => {
                    self.at += 1;
                    Some(text)
                }
                _ => Some(self.name()?),
            }
        } else {
            match self.peek() {
                Some(Token::Quoted(_)) => Some(self.name()?),
                Some(Token::Word(word)) if !is_reserved(word) => Some(self.name()?),
                _ => None,
            }
        };
        let own = |expression: &Expression| match expression {
            Expression::Column(_, name) => Some(name.clone()),
            _ => None,
        };
        let name = name.or_else(|| own(&expression));
        Ok(Item::One(expression, name))
    }

    fn from(&mut self) -> Result<Vec<From>, SqlError> {
        let mut tables = vec![self.table()?];
        loop {
            if self.word("CROSS") {
                self.expect_word("JOIN")?;
                let mut table = self.table()?;
                table.join = Some((Expression::Literal(Value::Bit(true)), false));
                tables.push(table);
                continue;
            }
            let left = self.word("LEFT");
            let _outer = left && self.word("OUTER");
            let inner = !left && self.word("INNER");
            if !self.word("JOIN") {
                return if left || inner { self.wrong() } else { Ok(tables) };
            }
            let mut table = self.table()?;
            self.expect_word("ON")?;
            table.join = Some((self.expression()?, left));
            tables.push(table);
        }
    }

    fn table(&mut self) -> Result<From, SqlError> {
        let name = self.long_name()?;
        let arguments = if self.sign("(") { Some(self.list()?) } else { None };
        let last = name.last().cloned().unwrap_or_default();
        let named = self.word("AS");
        let has_alias = match self.peek() {
            Some(Token::Quoted(_)) => true,
            Some(Token::Word(word)) => !is_reserved(word),
            _ => false,
        };
        let alias = if named || has_alias { self.name()? } else { last };
        // Hints such as (NOLOCK) change nothing here.
        if self.word("WITH") {
            self.expect_sign("(")?;
            self.list()?;
        }
        Ok(From { name, arguments, alias, join: None })
    }

    /// Expressions up to a closing bracket, which is read too.
    pub(super) fn list(&mut self) -> Result<Vec<Expression>, SqlError> {
        let mut list = Vec::new();
        if self.sign(")") {
            return Ok(list);
        }
        loop {
            list.push(self.expression()?);
            if self.sign(")") {
                return Ok(list);
            }
            self.expect_sign(",")?;
        }
    }
}
