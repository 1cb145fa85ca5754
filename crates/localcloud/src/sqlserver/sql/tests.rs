//! Batches over two small tables.

use std::collections::BTreeMap;

use super::*;
use crate::sqlserver::error::SqlError;
use crate::sqlserver::value::{Table, Type, Value};

struct Shop;

impl Source for Shop {
    fn table(&self, name: &[String], arguments: Option<&[Value]>) -> Result<Table, SqlError> {
        let text = |text: &str| Value::from(text);
        match (name.join(".").as_str(), arguments) {
            ("sys.databases", None) => {
                let mut table = Table::new(&[("name", Type::NVarChar(128)), ("database_id", Type::Int)]);
                table.rows = [("master", 1), ("Orders", 5), ("empty", 6)]
                    .map(|(name, id)| vec![text(name), Value::Int(id)])
                    .into();
                Ok(table)
            }
            ("sys.master_files", None) => {
                let mut table = Table::new(&[("database_id", Type::Int), ("size", Type::Int), ("type", Type::TinyInt)]);
                table.rows = [(1, 10, 0), (5, 2_000_000_000, 0), (5, 1_000_000_000, 1)]
                    .map(|(id, size, kind)| vec![Value::Int(id), Value::Int(size), Value::Int(kind)])
                    .into();
                Ok(table)
            }
            ("dbo.echo", Some(values)) => {
                let mut table = Table::new(&[("value", Type::NVarChar(10))]);
                table.rows.push(values.to_vec());
                Ok(table)
            }
            (name, _) => Err(SqlError::no_object(name)),
        }
    }

    fn global(&self, name: &str) -> Option<Value> {
        (name == "VERSION").then(|| Value::from("a version"))
    }

    fn function(&self, name: &str, arguments: &[Value]) -> Option<Value> {
        (name == "SERVERPROPERTY").then(|| arguments[0].clone())
    }
}

fn run(text: &str) -> Result<Table, SqlError> {
    let variables = BTreeMap::from([("db".to_owned(), Value::from("orders"))]);
    let statements = parse(text)?;
    let [Statement::Select(statement)] = &statements[..] else { panic!("{statements:?} is not one SELECT") };
    select(statement, Scope::new(&Shop, &variables)).map(|(table, _)| table)
}

#[test]
fn results() {
    for (batch, expected) in [
        ("SELECT 1", "1"),
        ("SELECT 1 + 2 * 3, N'a' + 'b'", "7,ab"),
        ("SELECT @@VERSION AS v", "a version"),
        ("select name from sys.databases where database_id > 1 order by name desc", "Orders;empty"),
        ("SELECT d.name FROM sys.databases AS d WHERE d.name = @db", "Orders"),
        ("SELECT TOP (1) [name] FROM [sys].[databases] ORDER BY database_id DESC;", "empty"),
        ("SELECT name FROM sys.databases WHERE name NOT IN ('master') AND name LIKE '%r%'", "Orders"),
        ("SELECT COUNT(*) FROM sys.databases", "3"),
        ("SELECT COUNT(*) FROM sys.databases WHERE 1 = 0", "0"),
        ("SELECT MAX(size) FROM sys.master_files WHERE 1 = 0", "NULL"),
        (
            "SELECT d.name, SUM(CAST(f.size AS bigint)) * 8192 AS bytes FROM sys.databases d \
             JOIN sys.master_files f ON f.database_id = d.database_id GROUP BY d.name ORDER BY bytes",
            "master,81920;Orders,24576000000000",
        ),
        (
            "SELECT d.name, f.size FROM sys.databases d LEFT JOIN sys.master_files f \
             ON f.database_id = d.database_id AND f.type = 0 ORDER BY 1",
            "empty,NULL;master,10;Orders,2000000000",
        ),
        (
            "SELECT name FROM sys.databases d WHERE EXISTS (SELECT 1 FROM sys.master_files f WHERE f.database_id = d.database_id AND f.type = 1)",
            "Orders",
        ),
        ("SELECT (SELECT TOP 1 name FROM sys.databases ORDER BY 1), NULL", "empty,NULL"),
        ("SELECT CASE WHEN NULL = NULL THEN 'yes' ELSE 'no' END, ISNULL(NULL, 'x')", "no,x"),
        ("SELECT CONVERT(nvarchar(3), SERVERPROPERTY('Edition')), CAST('7' AS int)", "Edi,7"),
        ("SELECT value FROM dbo.echo(N'hi') WITH (NOLOCK)", "hi"),
        ("SELECT DISTINCT database_id FROM sys.master_files WHERE size IS NOT NULL", "1;5"),
    ] {
        let table = run(batch).unwrap_or_else(|error| panic!("{batch}: {error}"));
        let row = |row: &Vec<Value>| {
            row.iter().map(|value| value.text().unwrap_or_else(|| "NULL".into())).collect::<Vec<_>>().join(",")
        };
        assert_eq!(table.rows.iter().map(row).collect::<Vec<_>>().join(";"), expected, "{batch}");
    }
}

#[test]
fn types_follow_from_columns_and_conversions() {
    let table = run(
        "SELECT name, COUNT(*) AS n, CAST(1 AS bigint) b, SERVERPROPERTY('x') s, 3000000000 FROM sys.databases GROUP BY name",
    )
    .unwrap();
    let kinds: Vec<Type> = table.columns.iter().map(|(_, kind)| *kind).collect();
    assert_eq!(kinds, [Type::NVarChar(128), Type::Int, Type::BigInt, Type::Variant, Type::BigInt]);
}

#[test]
fn errors_name_what_they_stumbled_over() {
    for (batch, number, text) in [
        ("SELECT 1 1", 102, "Incorrect syntax near '1'."),
        ("SELECT FROM x", 102, "Incorrect syntax near 'FROM'."),
        ("SELECT nope FROM sys.databases", 207, "Invalid column name 'nope'."),
        ("SELECT x.nope FROM sys.databases", 4104, "The multi-part identifier \"x.nope\" could not be bound."),
        ("SELECT 1 FROM sys.nothing", 208, "Invalid object name 'sys.nothing'."),
        ("SELECT @nope", 137, "Must declare the scalar variable \"@nope\"."),
        ("SELECT NOPE(1)", 195, "'nope' is not a recognized built-in function name."),
        ("SELECT 1 / 0", 8134, "Divide by zero error encountered."),
        ("MERGE INTO x", 102, "Incorrect syntax near 'x'."),
    ] {
        let error = match parse(batch) {
            Err(error) => error,
            Ok(_) => run(batch).unwrap_err(),
        };
        assert_eq!((error.number, error.text.as_str()), (number, text), "{batch}");
    }
}

#[test]
fn statements() {
    let statements = parse(
        "SET NOCOUNT ON; USE [Shop]\n\
         DECLARE @id int = 3, @name nvarchar(max);\n\
         exec msdb.dbo.rds_backup_database @source_db_name='a', @number_of_files = 2, @type = FULL;\n\
         EXEC rdsadmin..rds_show_configuration\n\
         IF DB_ID(N'x') IS NOT NULL BEGIN ALTER DATABASE [x] SET SINGLE_USER WITH ROLLBACK IMMEDIATE; DROP DATABASE x; END ELSE PRINT 'none'\n\
         WAITFOR DELAY '00:00:01.5' BEGIN TRAN COMMIT",
    )
    .unwrap();
    assert_eq!(statements.len(), 9, "{statements:?}");
    let Statement::Execute { procedure, arguments } = &statements[3] else { panic!("{statements:?}") };
    assert_eq!(procedure.join("."), "msdb.dbo.rds_backup_database");
    assert_eq!(arguments[2].value, Expression::Literal(Value::from("FULL")));
    let Statement::If { then, otherwise, .. } = &statements[5] else { panic!("{statements:?}") };
    assert_eq!((then.len(), otherwise.len()), (2, 1));
    assert!(matches!(&then[0], Statement::AlterDatabase { setting, .. } if setting[0] == "SINGLE_USER"));
    assert_eq!(statements[6], Statement::WaitFor(std::time::Duration::from_millis(1500)));
}
