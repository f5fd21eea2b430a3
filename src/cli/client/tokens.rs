//! Commands on tokens: create, list, revoke.
use super::connection::client::{Client, GatewayArgs};
use super::connection::pages;
use super::connection::pages::Columns;
use super::connection::request::Request;
use crate::cli::exit::Failure;
use crate::cli::terminal::output;
use crate::config::Environment;
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
    #[command(flatten)]
    gateway: GatewayArgs,
}

/// `dbforge token list`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ListTokensArgs {
    #[command(flatten)]
    gateway: GatewayArgs,
}

/// `dbforge token revoke`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct RevokeTokenArgs {
    /// Id of the token, as `dbforge token list` shows it
    id: String,
    #[command(flatten)]
    gateway: GatewayArgs,
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
    environment: &dyn Environment,
) -> Result<(), Failure> {
    let client = Client::new(&args.gateway, environment)?;
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
pub(in crate::cli) fn list(
    args: &ListTokensArgs,
    environment: &dyn Environment,
) -> Result<(), Failure> {
    let client = Client::new(&args.gateway, environment)?;
    let tokens = pages::fetch(&client, None, || Request::get(&["tokens"]))?;
    pages::print(&client, &tokens, COLUMNS)
}

/// Revokes a token.
pub(in crate::cli) fn revoke(
    args: &RevokeTokenArgs,
    environment: &dyn Environment,
) -> Result<(), Failure> {
    let client = Client::new(&args.gateway, environment)?;
    let answer = client.send(Request::delete(&["tokens", &args.id]))?;
    if client.json && !answer.text.is_empty() {
        return output::line(&answer.text);
    }
    Ok(())
}
