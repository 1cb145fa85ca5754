//! What a batch says, as plain data.

use std::time::Duration;

use crate::sqlserver::value::{Type, Value};

/// A statement.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Statement {
    /// A setting of the session that changes nothing here.
    Setting,
    Use(String),
    Select(Select),
    Execute {
        procedure: Vec<String>,
        arguments: Vec<Argument>,
    },
    CreateDatabase(String),
    /// `SET SINGLE_USER`, `MULTI_USER`, `RECOVERY SIMPLE`, …: words in capitals.
    AlterDatabase {
        name: String,
        setting: Vec<String>,
    },
    DropDatabase {
        name: String,
        if_exists: bool,
    },
    Declare(Vec<(String, Type, Option<Expression>)>),
    Assign(String, Expression),
    Print(Expression),
    WaitFor(Duration),
    If {
        condition: Expression,
        then: Vec<Statement>,
        otherwise: Vec<Statement>,
    },
    Raise {
        text: Expression,
        severity: Expression,
    },
    Begin,
    Commit,
    RollBack,
}

/// An argument of a procedure.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Argument {
    /// `name` of `@name =`.
    pub(crate) name: Option<String>,
    pub(crate) value: Expression,
}

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expression {
    Literal(Value),
    Variable(String),
    Global(String),
    /// A column, with the table's alias if one is given.
    Column(Option<String>, String),
    Function(String, Vec<Expression>),
    /// CAST and CONVERT.
    Convert(Type, Box<Expression>),
    /// `COUNT(*)`.
    CountRows,
    Operation(&'static str, Box<Expression>, Box<Expression>),
    Not(Box<Expression>),
    Negative(Box<Expression>),
    IsNull(Box<Expression>),
    In(Box<Expression>, Vec<Expression>),
    /// CASE: conditions and results, and the result otherwise.
    Case(Vec<(Expression, Expression)>, Option<Box<Expression>>),
    Exists(Box<Select>),
    /// A SELECT of one column, whose first row counts.
    Query(Box<Select>),
}

/// One result of a SELECT.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Item {
    /// `*` or `alias.*`.
    All(Option<String>),
    /// An expression and the column's name.
    One(Expression, Option<String>),
    /// `@name = expression`.
    Assign(String, Expression),
}

/// A table or a function that gives one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct From {
    pub(crate) name: Vec<String>,
    /// Present for a function.
    pub(crate) arguments: Option<Vec<Expression>>,
    pub(crate) alias: String,
    /// For every table but the first: the condition of its join, and whether rows without a partner stay.
    pub(crate) join: Option<(Expression, bool)>,
}

/// A SELECT.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Select {
    pub(crate) top: Option<Expression>,
    pub(crate) distinct: bool,
    pub(crate) items: Vec<Item>,
    pub(crate) from: Vec<From>,
    pub(crate) condition: Option<Expression>,
    pub(crate) groups: Vec<Expression>,
    /// Expressions, and whether the greatest comes first.
    pub(crate) order: Vec<(Expression, bool)>,
}
