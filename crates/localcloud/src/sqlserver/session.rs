//! One connection's session: it carries out requests, statement by statement.

mod said;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::catalogue::Catalogue;
use super::database::Recovery;
use super::error::SqlError;
use super::instance::{Instance, now};
use super::procedures::{self, Given, check_free, written};
use super::sql::{self, Argument, Expression, Scope, Statement};
use super::state::{SYSTEM, check_online};
use super::tds::{Answer, Parameter, Request};
use super::value::Value;
use crate::front::Effect;
use said::Said;

/// The connection ends without an answer, as a fault rule says.
#[derive(Debug, thiserror::Error)]
#[error("the connection ends without an answer, as a fault rule says")]
pub(crate) struct HungUp;

/// A session.
pub(crate) struct Session {
    instance: Arc<Instance>,
    user: String,
    pub(crate) database: String,
    transactions: u32,
}

type Variables = BTreeMap<String, Value>;

/// Why a statement ends the request.
enum Stop {
    Error(SqlError),
    HungUp,
}

impl From<SqlError> for Stop {
    fn from(error: SqlError) -> Self {
        Self::Error(error)
    }
}

impl Session {
    pub(crate) fn new(instance: Arc<Instance>, user: &str, database: &str) -> Self {
        let database = if database.is_empty() { "master" } else { database };
        Self { instance, user: user.to_owned(), database: database.to_owned(), transactions: 0 }
    }

    /// Carries a request out and gives the whole answer.
    pub(crate) async fn answer(&mut self, request: Request) -> Result<Answer, HungUp> {
        let (mut said, mut answer) = (Vec::new(), Answer::default());
        let is_call = matches!(request, Request::Call { .. });
        match self.carry_out(request, &mut said).await {
            Ok(()) => {}
            Err(Stop::Error(error)) => said.push(Said::Error(error)),
            Err(Stop::HungUp) => return Err(HungUp),
        }
        if is_call {
            said::tell_call(said, &mut answer);
        } else {
            said::tell_batch(said, &mut answer);
        }
        Ok(answer)
    }

    async fn carry_out(&mut self, request: Request, said: &mut Vec<Said>) -> Result<(), Stop> {
        match request {
            Request::Batch(text) => self.batch(&text, &mut Variables::new(), said).await,
            Request::Transaction(5) => self.transaction(&Statement::Begin, said),
            Request::Transaction(7) => self.transaction(&Statement::Commit, said),
            Request::Transaction(8) => self.transaction(&Statement::RollBack, said),
            Request::Transaction(_) => Err(SqlError::syntax("transaction").into()),
            Request::Call { procedure, parameters } => self.call(&procedure, parameters, said).await,
        }
    }

    async fn call(&mut self, procedure: &str, parameters: Vec<Parameter>, said: &mut Vec<Said>) -> Result<(), Stop> {
        let name = |parameter: &Parameter| parameter.name.trim_start_matches('@').to_lowercase();
        if procedure.eq_ignore_ascii_case("sp_executesql") {
            let mut parameters = parameters.into_iter();
            let text = parameters.next().and_then(|statement| statement.value.text()).unwrap_or_default();
            // The second one declares the others, which say their types themselves.
            let mut variables: Variables =
                parameters.skip(1).map(|parameter| (name(&parameter), parameter.value)).collect();
            return self.batch(&text, &mut variables, said).await;
        }
        let given: Vec<Given> = parameters
            .into_iter()
            .map(|parameter| ((!parameter.name.is_empty()).then(|| name(&parameter)), parameter.value))
            .collect();
        let parts: Vec<String> = procedure.split('.').map(|part| part.trim_matches(['[', ']']).to_owned()).collect();
        self.procedure(&parts, &given, said).await
    }

    async fn batch(&mut self, text: &str, variables: &mut Variables, said: &mut Vec<Said>) -> Result<(), Stop> {
        let statements = sql::parse(text)?;
        self.statements(&statements, variables, said).await
    }

    async fn statements(
        &mut self,
        statements: &[Statement],
        variables: &mut Variables,
        said: &mut Vec<Said>,
    ) -> Result<(), Stop> {
        for statement in statements {
            Box::pin(self.statement(statement, variables, said)).await?;
        }
        Ok(())
    }

    async fn statement(
        &mut self,
        statement: &Statement,
        variables: &mut Variables,
        said: &mut Vec<Said>,
    ) -> Result<(), Stop> {
        match statement {
            Statement::Setting => said.push(Said::Done),
            Statement::Use(name) => self.change_database(name, said)?,
            Statement::Select(select) => {
                let catalogue = self.catalogue();
                let (table, assigned) = sql::select(select, Scope::new(&catalogue, variables))?;
                let only_assigns = table.columns.is_empty();
                variables.extend(assigned.into_iter().map(|(name, value)| (name.to_lowercase(), value)));
                said.push(if only_assigns { Said::Done } else { Said::Rows(table) });
            }
            Statement::Execute { procedure, arguments } => {
                let given = self.given(arguments, variables)?;
                self.procedure(procedure, &given, said).await?;
            }
            Statement::Declare(declared) => {
                for (name, kind, value) in declared {
                    let value = match value {
                        Some(value) => sql::of_type(*kind, &self.evaluate(value, variables)?)?,
                        None => Value::Null,
                    };
                    variables.insert(name.to_lowercase(), value);
                }
            }
            Statement::Assign(name, value) => {
                let value = self.evaluate(value, variables)?;
                variables.insert(name.to_lowercase(), value);
            }
            Statement::Print(value) => {
                let text = self.evaluate(value, variables)?.text().unwrap_or_default();
                said.push(Said::Message(0, text));
            }
            Statement::WaitFor(delay) => {
                tokio::time::sleep(*delay).await;
                said.push(Said::Done);
            }
            Statement::If { condition, then, otherwise } => {
                let holds = sql::holds(condition, Scope::new(&self.catalogue(), variables))?;
                self.statements(if holds { then } else { otherwise }, variables, said).await?;
            }
            Statement::Raise { text, severity } => {
                let text = self.evaluate(text, variables)?.text().unwrap_or_default();
                let severity = self.evaluate(severity, variables)?.number().unwrap_or(16);
                match u8::try_from(severity) {
                    Ok(severity @ 11..=18) => return Err(SqlError::new(50_000, severity, text).into()),
                    _ => said.push(Said::Message(50_000, text)),
                }
            }
            Statement::Begin | Statement::Commit | Statement::RollBack => self.transaction(statement, said)?,
            Statement::CreateDatabase(_) | Statement::AlterDatabase { .. } | Statement::DropDatabase { .. } => {
                self.define(statement)?;
                said.push(Said::Done);
            }
        }
        Ok(())
    }

    fn define(&self, statement: &Statement) -> Result<(), SqlError> {
        let instance = &self.instance;
        match statement {
            Statement::CreateDatabase(name) => {
                let kept = instance.surroundings.retention_days(&instance.id) > 0;
                let recovery = if kept { Recovery::Full } else { Recovery::Simple };
                written(instance.change(|state| state.create(name, recovery, None, now())))
            }
            Statement::AlterDatabase { name, setting } => written(instance.change(|state| state.alter(name, setting))),
            Statement::DropDatabase { name, if_exists } => {
                if *if_exists && instance.read(|state| state.get(name).is_none()) {
                    return Ok(());
                }
                check_free(instance, name)?;
                written(instance.change(|state| {
                    // RDS's own procedure is what drops a database that is restoring.
                    state.get(name).map_or(Ok(()), check_online)?;
                    state.drop(name, false)
                }))
            }
            _ => Ok(()),
        }
    }

    fn given(&self, arguments: &[Argument], variables: &Variables) -> Result<Vec<Given>, SqlError> {
        let value = |argument: &Argument| Ok((argument.name.clone(), self.evaluate(&argument.value, variables)?));
        arguments.iter().map(value).collect()
    }

    async fn procedure(&mut self, name: &[String], given: &[Given], said: &mut Vec<Said>) -> Result<(), Stop> {
        let short = name.last().map(|name| name.to_lowercase()).unwrap_or_default();
        let subject = given.iter().filter_map(|(_, value)| value.text()).collect::<Vec<_>>().join(" ");
        let fault = self.instance.surroundings.fault(&short, &subject);
        match &fault {
            Some(Effect::SqlError { number, text }) => return Err(SqlError::new(*number, 16, text).into()),
            Some(Effect::DelayMs(delay)) => tokio::time::sleep(Duration::from_millis(*delay)).await,
            _ => {}
        }
        let outcome = procedures::call(&self.instance, &self.catalogue(), name, given)?;
        if fault == Some(Effect::TimeoutAfter) {
            return Err(Stop::HungUp);
        }
        said.extend(outcome.messages.into_iter().map(|text| Said::Message(50_000, text)));
        said.extend(outcome.tables.into_iter().map(Said::InProcedure));
        said.push(Said::EndOfProcedure);
        Ok(())
    }

    fn transaction(&mut self, statement: &Statement, said: &mut Vec<Said>) -> Result<(), Stop> {
        let kind = match (statement, self.transactions) {
            (Statement::Begin, _) => {
                self.transactions += 1;
                8
            }
            (Statement::Commit, 0) => {
                let text = "The COMMIT TRANSACTION request has no corresponding BEGIN TRANSACTION.";
                return Err(SqlError::new(3902, 16, text).into());
            }
            (Statement::Commit, _) => {
                self.transactions -= 1;
                9
            }
            (_, 0) => {
                let text = "The ROLLBACK TRANSACTION request has no corresponding BEGIN TRANSACTION.";
                return Err(SqlError::new(3903, 16, text).into());
            }
            _ => {
                self.transactions = 0;
                10
            }
        };
        // An inner BEGIN or COMMIT changes the count alone.
        if self.transactions == u32::from(kind == 8) {
            said.push(Said::Transaction(kind));
        }
        said.push(Said::Done);
        Ok(())
    }

    fn change_database(&mut self, name: &str, said: &mut Vec<Said>) -> Result<(), SqlError> {
        let own =
            self.instance.read(|state| state.get(name).map(|database| (database.name.clone(), check_online(database))));
        let new = match own {
            Some((own, check)) => check.map(|()| own)?,
            None => match SYSTEM.iter().find(|(system, _)| system.eq_ignore_ascii_case(name)) {
                Some((system, _)) => (*system).to_owned(),
                None => {
                    let text =
                        format!("Database '{name}' does not exist. Make sure that the name is entered correctly.");
                    return Err(SqlError::new(911, 16, text));
                }
            },
        };
        let old = std::mem::replace(&mut self.database, new.clone());
        said.push(Said::Database { new: new.clone(), old });
        said.push(Said::Message(5701, format!("Changed database context to '{new}'.")));
        said.push(Said::Done);
        Ok(())
    }

    /// Whether a login may begin in its database.
    pub(crate) fn open_database(&mut self) -> Result<(), SqlError> {
        let name = self.database.clone();
        self.change_database(&name, &mut Vec::new())
    }

    fn catalogue(&self) -> Catalogue<'_> {
        Catalogue {
            instance: &self.instance,
            user: &self.user,
            database: &self.database,
            transactions: self.transactions,
        }
    }

    fn evaluate(&self, expression: &Expression, variables: &Variables) -> Result<Value, SqlError> {
        sql::evaluate(expression, Scope::new(&self.catalogue(), variables))
    }
}
