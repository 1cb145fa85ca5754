//! Expressions, by precedence: OR, AND, NOT, comparison, sum, product.

use super::expression::Expression;
use super::lexer::Token;
use super::parser::Parser;
use crate::sqlserver::error::SqlError;
use crate::sqlserver::value::Value;

impl Parser {
    pub(super) fn expression(&mut self) -> Result<Expression, SqlError> {
        let mut left = self.conjunction()?;
        while self.word("OR") {
            left = operation("OR", left, self.conjunction()?);
        }
        Ok(left)
    }

    fn conjunction(&mut self) -> Result<Expression, SqlError> {
        let mut left = self.negation()?;
        while self.word("AND") {
            left = operation("AND", left, self.negation()?);
        }
        Ok(left)
    }

    fn negation(&mut self) -> Result<Expression, SqlError> {
        if self.word("NOT") {
            return Ok(Expression::Not(Box::new(self.negation()?)));
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Result<Expression, SqlError> {
        let left = self.sum()?;
        for sign in ["=", "<>", "!=", "<=", ">=", "<", ">"] {
            if self.sign(sign) {
                let sign = if sign == "!=" { "<>" } else { sign };
                return Ok(operation(sign, left, self.sum()?));
            }
        }
        if self.word("IS") {
            let not = self.word("NOT");
            self.expect_word("NULL")?;
            let is_null = Expression::IsNull(Box::new(left));
            return Ok(if not { Expression::Not(Box::new(is_null)) } else { is_null });
        }
        let not = (self.is_word_at(1, "IN") || self.is_word_at(1, "LIKE")) && self.word("NOT");
        let found = if self.word("IN") {
            self.expect_sign("(")?;
            Expression::In(Box::new(left), self.list()?)
        } else if self.word("LIKE") {
            operation("LIKE", left, self.sum()?)
        } else {
            return Ok(left);
        };
        Ok(if not { Expression::Not(Box::new(found)) } else { found })
    }

    fn sum(&mut self) -> Result<Expression, SqlError> {
        let mut left = self.product()?;
        loop {
            if self.sign("+") {
                left = operation("+", left, self.product()?);
            } else if self.sign("-") {
                left = operation("-", left, self.product()?);
            } else {
                return Ok(left);
            }
        }
    }

    fn product(&mut self) -> Result<Expression, SqlError> {
        let mut left = self.primary()?;
        loop {
            if self.sign("*") {
                left = operation("*", left, self.primary()?);
            } else if self.sign("/") {
                left = operation("/", left, self.primary()?);
            } else {
                return Ok(left);
            }
        }
    }

    pub(super) fn primary(&mut self) -> Result<Expression, SqlError> {
        if self.sign("-") {
            return Ok(Expression::Negative(Box::new(self.primary()?)));
        }
        if self.sign("(") {
            let inner = if self.is_word_at(0, "SELECT") {
                Expression::Query(Box::new(self.select()?))
            } else {
                self.expression()?
            };
            self.expect_sign(")")?;
            return Ok(inner);
        }
        let Some(token) = self.peek().cloned() else { return self.wrong() };
        let literal = match token {
            Token::Text(text) => Expression::Literal(Value::Text(text)),
            Token::Number(number) => Expression::Literal(Value::Int(number)),
            Token::Variable(name) => Expression::Variable(name),
            Token::Global(name) => Expression::Global(name),
            Token::Word(word) if word.eq_ignore_ascii_case("NULL") => Expression::Literal(Value::Null),
            Token::Word(word) if word.eq_ignore_ascii_case("CASE") => return self.case(),
            Token::Word(word) if word.eq_ignore_ascii_case("EXISTS") => return self.exists(),
            Token::Word(_) | Token::Quoted(_) => return self.named(),
            Token::Sign(_) => return self.wrong(),
        };
        self.at += 1;
        Ok(literal)
    }

    fn case(&mut self) -> Result<Expression, SqlError> {
        self.expect_word("CASE")?;
        let subject = if self.is_word_at(0, "WHEN") { None } else { Some(self.expression()?) };
        let mut branches = Vec::new();
        while self.word("WHEN") {
            let condition = self.expression()?;
            let condition = match &subject {
                Some(subject) => operation("=", subject.clone(), condition),
                None => condition,
            };
            self.expect_word("THEN")?;
            branches.push((condition, self.expression()?));
        }
        let otherwise = if self.word("ELSE") { Some(Box::new(self.expression()?)) } else { None };
        self.expect_word("END")?;
        if branches.is_empty() { self.wrong() } else { Ok(Expression::Case(branches, otherwise)) }
    }

    fn exists(&mut self) -> Result<Expression, SqlError> {
        self.expect_word("EXISTS")?;
        self.expect_sign("(")?;
        let select = self.select()?;
        self.expect_sign(")")?;
        Ok(Expression::Exists(Box::new(select)))
    }

    /// A column, or a function with its arguments.
    fn named(&mut self) -> Result<Expression, SqlError> {
        if self.word("CAST") {
            self.expect_sign("(")?;
            let value = self.expression()?;
            self.expect_word("AS")?;
            let kind = self.kind()?;
            self.expect_sign(")")?;
            return Ok(Expression::Convert(kind, Box::new(value)));
        }
        if self.is_word_at(0, "CONVERT") && self.tokens.get(self.at + 1) == Some(&Token::Sign("(")) {
            self.at += 2;
            let kind = self.kind()?;
            self.expect_sign(",")?;
            let value = self.expression()?;
            // A style; the stand-in has one.
            if self.sign(",") {
                self.expression()?;
            }
            self.expect_sign(")")?;
            return Ok(Expression::Convert(kind, Box::new(value)));
        }
        let mut name = self.long_name()?;
        let last = name.pop().unwrap_or_default();
        if self.sign("(") {
            if last.eq_ignore_ascii_case("COUNT") && self.sign("*") {
                self.expect_sign(")")?;
                return Ok(Expression::CountRows);
            }
            return Ok(Expression::Function(last.to_ascii_uppercase(), self.list()?));
        }
        Ok(Expression::Column(name.pop(), last))
    }
}

fn operation(sign: &'static str, left: Expression, right: Expression) -> Expression {
    Expression::Operation(sign, Box::new(left), Box::new(right))
}
