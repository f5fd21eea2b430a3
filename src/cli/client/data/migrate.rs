//! `dbforge migrate`: applies a folder of migrations, each once and in order.
use crate::cli::client::connection::client::{Client, Invocation};
use crate::cli::client::connection::request::Request;
use crate::cli::exit::{Exit, Failure, OrExit};
use crate::cli::terminal::output;
use crate::cli::terminal::table::{Table, cell};
use crate::data::compare_migration_names;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The longest that a migration may take; the gateway has its own bound.
const LONGEST: Duration = Duration::from_secs(600);

/// `dbforge migrate`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct MigrateArgs {
    /// Name or id of the database
    name: String,
    /// Folder with the migrations: `*.sql` files, or folders with a `migration.sql` each, applied in
    /// the order of their names. Without it, the migrations of the database are listed
    folder: Option<PathBuf>,
    /// Print what would be applied, and apply nothing
    #[arg(long, requires = "folder")]
    dry_run: bool,
}

/// A migration of a folder.
#[derive(Debug, PartialEq, Eq)]
struct Migration {
    name: String,
    file: PathBuf,
}

/// Applies or lists migrations.
pub(in crate::cli) fn migrate(
    args: &MigrateArgs,
    invocation: Invocation<'_>,
) -> Result<(), Failure> {
    let client = Client::new(invocation)?;
    let route = ["databases", &args.name, "migrations"];
    let Some(folder) = &args.folder else {
        return list(&client, &route);
    };
    let migrations = in_folder(folder)?;
    if migrations.is_empty() {
        let message = format!("there are no migrations in {}", folder.display());
        return Err(Failure::new(Exit::Usage, message)
            .hint("files are named like 0001_users.sql; folders hold a migration.sql"));
    }
    if args.dry_run {
        return show_pending(&client, &route, &migrations);
    }
    let mut applied = 0;
    for migration in &migrations {
        let sql = fs::read_to_string(&migration.file).or_exit(
            Exit::Usage,
            format_args!("cannot read {}", migration.file.display()),
        )?;
        let request = Request::post(&route)
            .body(json!({ "name": migration.name, "sql": sql }))
            .patience(LONGEST);
        let mut answer = client.ask(request).map_err(|mut failure| {
            failure.error = failure
                .error
                .map(|error| error.context(format!("migration {}", migration.name)));
            failure
        })?;
        let is_new = answer.status().as_u16() == 201;
        applied += usize::from(is_new);
        let text = client.text_of(&mut answer)?;
        if client.json {
            output::line(text)?;
        } else if is_new {
            output::note(format_args!("applied {}", migration.name));
        }
    }
    if !client.json {
        output::note(format_args!(
            "{applied} applied, {} were applied before",
            migrations.len() - applied
        ));
    }
    Ok(())
}

/// The migrations in a folder, in the order in which they are applied.
fn in_folder(folder: &Path) -> Result<Vec<Migration>, Failure> {
    let doing = || format!("cannot read {}", folder.display());
    let mut migrations = Vec::new();
    for entry in fs::read_dir(folder).or_exit(Exit::Usage, doing())? {
        let path = entry.or_exit(Exit::Usage, doing())?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let (name, file) = if path.join("migration.sql").is_file() {
            (name.into_owned(), path.join("migration.sql"))
        } else if let Some(stem) = name.strip_suffix(".sql") {
            if stem.ends_with(".down") {
                continue; // what takes a migration back
            }
            let stem = stem.strip_suffix(".up").unwrap_or(stem).to_owned();
            (stem, path)
        } else {
            continue;
        };
        migrations.push(Migration { name, file });
    }
    migrations.sort_by(|one, other| compare_migration_names(&one.name, &other.name));
    Ok(migrations)
}

fn list(client: &Client, route: &[&str]) -> Result<(), Failure> {
    let answer = client.send(Request::get(route))?;
    if client.json {
        return output::line(&answer.text);
    }
    let answer: Value = answer.read()?;
    let mut table = Table::headed(["NAME", "APPLIED", "CHECKSUM"]);
    for migration in answer["data"].as_array().into_iter().flatten() {
        let checksum: String = cell(migration, "/checksum").chars().take(12).collect();
        table.row([
            cell(migration, "/name"),
            cell(migration, "/applied_at"),
            checksum,
        ]);
    }
    output::text(table)
}

fn show_pending(client: &Client, route: &[&str], all: &[Migration]) -> Result<(), Failure> {
    let answer: Value = client.send(Request::get(route))?.read()?;
    let known: Vec<&str> = answer["data"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|migration| migration["name"].as_str())
        .collect();
    let pending = all
        .iter()
        .filter(|migration| !known.contains(&migration.name.as_str()));
    for migration in pending {
        output::line(&migration.name)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_of_several_tools_are_found_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str| {
            let file = folder.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "SELECT 1;").unwrap();
        };
        for name in [
            "0002_b.sql",
            "0001_a.sql",
            "0003_c.up.sql",
            "0003_c.down.sql",
            "20240101_init/migration.sql",
            "meta/_journal.json",
            "migration_lock.toml",
        ] {
            write(name);
        }
        let found = in_folder(folder.path()).unwrap();
        let names: Vec<&str> = found.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["0001_a", "0002_b", "0003_c", "20240101_init"]);
    }
}
