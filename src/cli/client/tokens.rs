//! Commands on tokens: create, list, revoke.
use super::connection::client::{Client, Invocation};
use super::connection::pages;
use super::connection::pages::Columns;
use super::connection::request::{Request, read};
use crate::cli::exit::Failure;
use crate::cli::terminal::output;
use crate::domain::token::Scope;
use serde::Deserialize;
use serde_json::json;

const COLUMNS: &Columns = &[
    ("ID", "/id"),
    ("NAME", "/name"),
    ("SCOPES", "/scopes"),
    ("DATABASES", "/databases"),
    ("EXPIRES", "/expires_at"),
];

/// `dbforge token create`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct CreateTokenArgs {
    /// Name; the actor of its commands in the event log
    name: String,
    /// What it may do; repeatable
    #[arg(long = "scope", value_name = "SCOPE", required = true, value_parser = scope_words())]
    scopes: Vec<String>,
    /// Databases it may access: a name, or a pattern such as pr-*; repeatable
    #[arg(long = "database", value_name = "PATTERN", default_value = "*")]
    databases: Vec<String>,
    /// Expire after this time: 30s, 15m, 2h, 7d [default: never]
    #[arg(long, value_name = "DURATION")]
    expires_in: Option<String>,
}

/// `dbforge token revoke`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct RevokeTokenArgs {
    /// Name or id of the token
    #[arg(value_name = "TOKEN")]
    named: String,
}

fn scope_words() -> clap::builder::PossibleValuesParser {
    Scope::ALL.iter().map(|it| it.as_str()).into()
}

/// A token with its secret.
#[derive(Deserialize)]
struct Issued {
    id: String,
    token: String,
}

/// Creates a token and prints its secret, which is not shown again.
pub(in crate::cli) fn create(
    args: &CreateTokenArgs,
    invocation: Invocation<'_>,
) -> Result<(), Failure> {
    let client = Client::new(invocation)?;
    let mut wanted = json!({
        "name": args.name,
        "scopes": args.scopes,
        "databases": args.databases,
    });
    if let Some(duration) = &args.expires_in {
        wanted["expires_in"] = duration.as_str().into();
    }
    let answer = client.send(Request::post(&["tokens"]).body(wanted))?;
    if client.json {
        return output::line(&answer.text);
    }
    let issued: Issued = answer.read()?;
    output::line(issued.token)?;
    output::note(format_args!(
        "token {} ({}): store the secret, it is not shown again",
        args.name, issued.id
    ));
    Ok(())
}

/// Lists the valid tokens, without their secrets.
pub(in crate::cli) fn list(invocation: Invocation<'_>) -> Result<(), Failure> {
    let client = Client::new(invocation)?;
    let tokens = pages::fetch(&client, || Request::get(&["tokens"]))?;
    pages::print(&client, &tokens, COLUMNS)
}

/// Revokes a token.
pub(in crate::cli) fn revoke(
    args: &RevokeTokenArgs,
    invocation: Invocation<'_>,
) -> Result<(), Failure> {
    let client = Client::new(invocation)?;
    let id = match named(&client, &args.named)? {
        Some(id) => id,
        None => args.named.clone(),
    };
    client.send(Request::delete(&["tokens", &id]))?;
    output::note(format_args!("token {} is revoked", args.named));
    Ok(())
}

/// The id of the valid token of this name.
fn named(client: &Client, name: &str) -> Result<Option<String>, Failure> {
    let tokens = pages::fetch(client, || Request::get(&["tokens"]))?;
    for token in tokens {
        let token: NamedToken = read(token.get())?;
        if token.name == name {
            return Ok(Some(token.id));
        }
    }
    Ok(None)
}

#[derive(Deserialize)]
struct NamedToken {
    id: String,
    name: String,
}
