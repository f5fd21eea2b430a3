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
    /// Folder with the migrations: `*.sql` files, or folders with a `migration.sql` or `up.sql` each,
    /// applied in the order of their names. Without it, the migrations of the database are listed
    folder: Option<PathBuf>,
    /// Print what would be applied, and apply nothing
    #[arg(long, requires = "folder")]
    dry_run: bool,
    /// Apply also those that come before the last one that was applied
    #[arg(long, requires = "folder")]
    out_of_order: bool,
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
    let Found {
        migrations,
        left_out,
    } = in_folder(folder)?;
    for what in left_out {
        output::note(format_args!("left out {what}"));
    }
    if migrations.is_empty() {
        let message = format!("there are no migrations in {}", folder.display());
        return Err(Failure::new(Exit::Usage, message).hint(
            "files are named like 0001_users.sql; folders hold a migration.sql or an up.sql",
        ));
    }
    if args.dry_run {
        return show_pending(&client, &route, &migrations, args.out_of_order);
    }
    let mut applied = 0;
    for migration in &migrations {
        let sql = fs::read_to_string(&migration.file).or_exit(
            Exit::Unavailable,
            format_args!("cannot read {}", migration.file.display()),
        )?;
        let request = Request::post(&route)
            .body(json!({
                "name": migration.name, "sql": sql, "out_of_order": args.out_of_order,
            }))
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

/// What a folder holds.
#[derive(Debug, Default)]
struct Found {
    /// In the order in which they are applied.
    migrations: Vec<Migration>,
    /// Files and folders with SQL that are no migrations, and why.
    left_out: Vec<String>,
}

fn in_folder(folder: &Path) -> Result<Found, Failure> {
    let doing = || format!("cannot read {}", folder.display());
    let mut found = Found::default();
    for entry in fs::read_dir(folder).or_exit(Exit::Unavailable, doing())? {
        let path = entry.or_exit(Exit::Unavailable, doing())?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') {
            continue; // an editor's, or macOS'
        }
        if path.is_dir() {
            let file = ["migration.sql", "up.sql"].map(|file| path.join(file));
            if let Some(file) = file.into_iter().find(|file| file.is_file()) {
                let name = name.into_owned();
                found.migrations.push(Migration { name, file });
            } else if holds_sql(&path) {
                let why = "it holds SQL, but no migration.sql and no up.sql";
                found.left_out.push(format!("{name}/: {why}"));
            }
            continue;
        }
        let Some(stem) = name.strip_suffix(".sql") else {
            continue;
        };
        if stem.ends_with(".down") || is_of_flyway(stem, 'U') {
            continue; // what takes a migration back
        }
        if stem.starts_with("R__") {
            let why = "Flyway repeats it after each change; apply it with `dbforge sql`";
            found.left_out.push(format!("{name}: {why}"));
            continue;
        }
        let name = stem.strip_suffix(".up").unwrap_or(stem).to_owned();
        found.migrations.push(Migration { name, file: path });
    }
    (found.migrations).sort_by(|one, other| compare_migration_names(&one.name, &other.name));
    found.left_out.sort();
    Ok(found)
}

fn holds_sql(folder: &Path) -> bool {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    files
        .map(|file| file.path())
        .any(|file| file.extension().is_some_and(|ending| ending == "sql"))
}

/// Whether a file has a name like `U1.2__what`, as Flyway has them.
fn is_of_flyway(stem: &str, first: char) -> bool {
    let version = stem.strip_prefix(first).and_then(|it| it.split_once("__"));
    version.is_some_and(|(version, _)| {
        version.starts_with(|it: char| it.is_ascii_digit())
            && version
                .chars()
                .all(|it| it.is_ascii_digit() || matches!(it, '.' | '_'))
    })
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

fn show_pending(
    client: &Client,
    route: &[&str],
    all: &[Migration],
    out_of_order: bool,
) -> Result<(), Failure> {
    let answer: Value = client.send(Request::get(route))?.read()?;
    let known: Vec<&str> = answer["data"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|migration| migration["name"].as_str())
        .collect();
    let last = known
        .iter()
        .max_by(|one, other| compare_migration_names(one, other));
    let pending = all
        .iter()
        .filter(|migration| !known.contains(&migration.name.as_str()));
    for migration in pending {
        let name = &migration.name;
        match last.filter(|last| compare_migration_names(name, last).is_lt()) {
            Some(last) if !out_of_order => output::line(format!(
                "{name} (refused: it comes before {last}, which was applied; see --out-of-order)"
            ))?,
            _ => output::line(name)?,
        }
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
            "U3__c.sql",
            "V0.1__d.sql",
            "R__views.sql",
            "20240101_init/migration.sql",
            "20240102_next/up.sql",
            "20240102_next/down.sql",
            "old/1.sql",
            "._0001_a.sql",
            "meta/_journal.json",
            "migration_lock.toml",
        ] {
            write(name);
        }
        let found = in_folder(folder.path()).unwrap();
        let names: Vec<&str> = (found.migrations.iter())
            .map(|migration| migration.name.as_str())
            .collect();
        assert_eq!(
            names,
            [
                "0001_a",
                "0002_b",
                "0003_c",
                "20240101_init",
                "20240102_next",
                "V0.1__d"
            ]
        );
        let [views, old] = &found.left_out[..] else {
            panic!("{:?}", found.left_out);
        };
        assert!(views.starts_with("R__views.sql: "), "{views}");
        assert!(old.starts_with("old/: "), "{old}");
    }
}
