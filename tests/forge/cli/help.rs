//! What the command line says about itself is true, and complete.
use crate::support::cli::dbforge;
use crate::support::with_snapshots_in;
use dbforge::config::{CLIENT_SETTINGS, SETTINGS};
use std::collections::BTreeMap;

#[test]
fn every_command_explains_itself() {
    let mut texts = BTreeMap::new();
    let mut program = dbforge::cli::declaration();
    program.build();
    collect_help(&program, "help", &mut texts);
    with_snapshots_in("cli", || {
        for (name, text) in texts {
            insta::assert_snapshot!(name, text);
        }
    });
}

/// The help of a command and of those below it, by the names of their snapshots.
fn collect_help(command: &clap::Command, name: &str, texts: &mut BTreeMap<String, String>) {
    let text = command.clone().render_long_help().to_string();
    texts.insert(name.to_owned(), text);
    // What `help` says is what each command says.
    for below in command
        .get_subcommands()
        .filter(|it| it.get_name() != "help")
    {
        collect_help(below, &format!("{name}_{}", below.get_name()), texts);
    }
}

#[test]
fn help_and_version_are_data_and_mistakes_are_not() {
    assert!(dbforge(&["--help"]).well().contains("Exit codes:"));
    assert!(dbforge(&["--version"]).well().starts_with("dbforge "));
    assert!(dbforge(&["sing"]).badly(2).contains("sing"));
    assert!(dbforge(&[]).badly(2).contains("Usage:"));
    assert!(dbforge(&["create"]).badly(2).contains("<NAME>"));
}

#[test]
fn every_setting_of_the_gateway_is_a_flag_of_serve() {
    let help = dbforge(&["serve", "--help"]).well();
    for setting in SETTINGS {
        let flag = format!("--{} ", setting.flag());
        assert!(help.contains(&flag), "{flag}");
        assert!(help.contains(setting.variable), "{}", setting.variable);
    }
}

#[test]
fn the_example_of_settings_has_every_setting_with_its_default() {
    let example = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/.env.example"));
    let example = example.unwrap();
    let shown: BTreeMap<&str, &str> = example
        .lines()
        .filter_map(|it| it.strip_prefix('#').unwrap_or(it).split_once('='))
        .filter(|(variable, _)| variable.starts_with("DBFORGE_"))
        .collect();
    for setting in SETTINGS.iter().chain(CLIENT_SETTINGS) {
        let default = shown.get(setting.variable);
        assert_eq!(default, Some(&setting.default), "{}", setting.variable);
    }
}
