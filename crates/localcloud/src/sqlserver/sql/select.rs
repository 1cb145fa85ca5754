//! SELECT: join, filter, group, order, pick.

use std::cmp::Ordering;

use super::evaluate::{Column, Scope, compare, evaluate, holds, is_aggregate, no_column};
use super::expression::{Expression, Item, Select};
use super::functions::kind_of;
use crate::sqlserver::error::SqlError;
use crate::sqlserver::value::{Table, Type, Value};

/// Runs a SELECT. Variables that it assigns come back with their values of the last row.
pub(crate) fn run(select: &Select, scope: Scope<'_>) -> Result<(Table, Vec<(String, Value)>), SqlError> {
    let (columns, rows) = join(select, scope)?;
    let mut kept = Vec::new();
    for row in rows {
        let passes = match &select.condition {
            Some(condition) => holds(condition, scope.at(&columns, &row))?,
            None => true,
        };
        if passes {
            kept.push(row);
        }
    }
    let aggregates = select.items.iter().any(|item| match item {
        Item::All(_) => false,
        Item::One(expression, _) | Item::Assign(_, expression) => has_aggregate(expression),
    });
    let groups: Vec<Vec<Vec<Value>>> = if aggregates || !select.groups.is_empty() {
        grouped(select, kept, &columns, scope)?
    } else {
        kept.into_iter().map(|row| vec![row]).collect()
    };
    let grouping = aggregates || !select.groups.is_empty();
    let (mut table, items) = heading(select, &columns)?;
    let mut assigned = Vec::new();
    let mut ordered: Vec<(Vec<Value>, Vec<Value>)> = Vec::new();
    for group in &groups {
        let row = group.first().map(Vec::as_slice).unwrap_or_default();
        let at = Scope { group: grouping.then_some(group.as_slice()), ..scope.at(&columns, row) };
        let mut values = Vec::new();
        for item in &items {
            values.push(evaluate(item, at)?);
        }
        let mut keys = Vec::new();
        for (key, _) in &select.order {
            keys.push(order_key(key, at, &table, &values)?);
        }
        for item in &select.items {
            if let Item::Assign(name, expression) = item {
                assigned.push((name.clone(), evaluate(expression, at)?));
            }
        }
        ordered.push((keys, values));
    }
    ordered.sort_by(|(left, _), (right, _)| by_keys(left, right, &select.order));
    table.rows = ordered.into_iter().map(|(_, values)| values).collect();
    if select.distinct {
        let mut seen: Vec<Vec<Value>> = Vec::new();
        table.rows.retain(|row| {
            let fresh = !seen.contains(row);
            if fresh {
                seen.push(row.clone());
            }
            fresh
        });
    }
    if let Some(top) = &select.top {
        let most = evaluate(top, scope)?.number().and_then(|number| usize::try_from(number).ok());
        let text = "The number of rows provided for a TOP or FETCH clauses row count parameter must be an integer.";
        table.rows.truncate(most.ok_or_else(|| SqlError::new(1060, 15, text))?);
    }
    settle_types(&mut table);
    Ok((table, assigned))
}

/// A SELECT within an expression, which sees the row around it.
pub(super) fn run_within(select: &Select, outer: &Scope<'_>) -> Result<Table, SqlError> {
    let scope = Scope { outer: Some(outer), columns: &[], row: &[], group: None, ..*outer };
    run(select, scope).map(|(table, _)| table)
}

fn join(select: &Select, scope: Scope<'_>) -> Result<(Vec<Column>, Vec<Vec<Value>>), SqlError> {
    let mut columns: Vec<Column> = Vec::new();
    let mut rows: Vec<Vec<Value>> = vec![Vec::new()];
    for from in &select.from {
        let arguments = match &from.arguments {
            Some(list) => Some(list.iter().map(|argument| evaluate(argument, scope)).collect::<Result<Vec<_>, _>>()?),
            None => None,
        };
        let table = scope.source.table(&from.name, arguments.as_deref())?;
        columns.extend(table.columns.iter().map(|(name, kind)| (from.alias.clone(), name.clone(), *kind)));
        let mut joined = Vec::new();
        for row in &rows {
            let mut partnered = false;
            for other in &table.rows {
                let both: Vec<Value> = row.iter().chain(other).cloned().collect();
                let fits = match &from.join {
                    Some((condition, _)) => holds(condition, scope.at(&columns, &both))?,
                    None => true,
                };
                if fits {
                    partnered = true;
                    joined.push(both);
                }
            }
            if !partnered && from.join.as_ref().is_some_and(|(_, stays)| *stays) {
                let nothing = std::iter::repeat_n(Value::Null, table.columns.len());
                joined.push(row.iter().cloned().chain(nothing).collect());
            }
        }
        rows = joined;
    }
    Ok((columns, rows))
}

fn grouped(
    select: &Select,
    rows: Vec<Vec<Value>>,
    columns: &[Column],
    scope: Scope<'_>,
) -> Result<Vec<Vec<Vec<Value>>>, SqlError> {
    if select.groups.is_empty() {
        return Ok(vec![rows]);
    }
    let mut groups: Vec<(Vec<Value>, Vec<Vec<Value>>)> = Vec::new();
    for row in rows {
        let mut key = Vec::new();
        for expression in &select.groups {
            key.push(evaluate(expression, scope.at(columns, &row))?);
        }
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, members)) => members.push(row),
            None => groups.push((key, vec![row])),
        }
    }
    Ok(groups.into_iter().map(|(_, members)| members).collect())
}

/// The result's columns, and the expressions that fill them.
fn heading(select: &Select, columns: &[Column]) -> Result<(Table, Vec<Expression>), SqlError> {
    let kind_of_column = |alias: Option<&str>, name: &str| {
        let fits = |(of, column, _): &&Column| {
            column.eq_ignore_ascii_case(name) && alias.is_none_or(|alias| alias.eq_ignore_ascii_case(of))
        };
        columns.iter().find(fits).map(|(_, _, kind)| *kind)
    };
    let mut table = Table::default();
    let mut items = Vec::new();
    for item in &select.items {
        match item {
            Item::All(wanted) => {
                let of = |alias: &str| wanted.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(alias));
                let found: Vec<&Column> = columns.iter().filter(|(alias, _, _)| of(alias)).collect();
                if found.is_empty() {
                    return Err(no_column(wanted.as_deref(), "*"));
                }
                for (alias, name, kind) in found {
                    table.columns.push((name.clone(), *kind));
                    items.push(Expression::Column(Some(alias.clone()), name.clone()));
                }
            }
            Item::One(expression, name) => {
                // A type that only the value can tell is put right at the end.
                let kind = kind_of(expression, &kind_of_column).unwrap_or(UNKNOWN);
                table.columns.push((name.clone().unwrap_or_default(), kind));
                items.push(expression.clone());
            }
            Item::Assign(..) => {}
        }
    }
    Ok((table, items))
}

/// Stands for a type that only the values can tell.
const UNKNOWN: Type = Type::NVarChar(0);

fn settle_types(table: &mut Table) {
    for (index, (_, kind)) in table.columns.iter_mut().enumerate() {
        let mut values = table.rows.iter().map(|row| &row[index]).filter(|value| !value.is_null());
        match *kind {
            UNKNOWN => *kind = values.next().map_or(Type::Int, Value::kind),
            // What grew past its type by concatenation or sum.
            Type::NVarChar(4000) if values.any(|value| value.kind() == Type::NVarCharMax) => *kind = Type::NVarCharMax,
            Type::Int if values.any(|value| value.kind() == Type::BigInt) => *kind = Type::BigInt,
            _ => {}
        }
    }
}

/// A key of ORDER BY: a column of the result by name or number, or any expression.
fn order_key(key: &Expression, at: Scope<'_>, table: &Table, values: &[Value]) -> Result<Value, SqlError> {
    let place = match key {
        Expression::Literal(Value::Int(number)) => {
            usize::try_from(*number).ok().and_then(|number| number.checked_sub(1))
        }
        Expression::Column(None, name) => {
            table.columns.iter().position(|(column, _)| column.eq_ignore_ascii_case(name))
        }
        _ => None,
    };
    match place.and_then(|place| values.get(place)) {
        Some(value) => Ok(value.clone()),
        None => evaluate(key, at),
    }
}

fn by_keys(left: &[Value], right: &[Value], order: &[(Expression, bool)]) -> Ordering {
    for ((left, right), (_, descending)) in left.iter().zip(right).zip(order) {
        // NULL comes first.
        let found = match (left.is_null(), right.is_null()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => compare(left, right).unwrap_or(Ordering::Equal),
        };
        let found = if *descending { found.reverse() } else { found };
        if found != Ordering::Equal {
            return found;
        }
    }
    Ordering::Equal
}

fn has_aggregate(expression: &Expression) -> bool {
    match expression {
        Expression::CountRows => true,
        Expression::Function(name, arguments) => is_aggregate(name) || arguments.iter().any(has_aggregate),
        Expression::Convert(_, inner)
        | Expression::Not(inner)
        | Expression::Negative(inner)
        | Expression::IsNull(inner) => has_aggregate(inner),
        Expression::Operation(_, left, right) => has_aggregate(left) || has_aggregate(right),
        Expression::In(value, list) => has_aggregate(value) || list.iter().any(has_aggregate),
        Expression::Case(branches, otherwise) => {
            branches.iter().any(|(condition, result)| has_aggregate(condition) || has_aggregate(result))
                || otherwise.as_deref().is_some_and(has_aggregate)
        }
        _ => false,
    }
}
