//! What the gateway says to the person who starts it, and at its end.
use crate::app::Greeting;
use crate::cli::exit::Failure;
use crate::clock::{Clock as _, SystemClock};
use serde_json::json;
use std::io::{self, IsTerminal};
use std::net::SocketAddr;

/// Where it serves, from which folder, and how workers run. A fresh root token is shown on a
/// terminal alone: what is written elsewhere, such as a container's log, is kept and read by others.
pub(super) fn written(address: SocketAddr, greeting: &Greeting) -> String {
    // The first process of a container writes its log, whatever it is attached to.
    let is_seen_once = io::stdout().is_terminal() && std::process::id() != 1;
    text(address, greeting, is_seen_once)
}

/// The same as one line of JSON, for logs: the token stays in its file.
pub(super) fn in_json(address: SocketAddr, greeting: &Greeting) -> String {
    let line = json!({
        "timestamp": SystemClock.now(),
        "level": "INFO",
        "message": "serving",
        "url": format!("http://{address}"),
        "docs": format!("http://{address}/docs"),
        "data": greeting.data_dir,
        "runtime": greeting.runtime,
        "runtime.reason": greeting.runtime_reason,
        "root_token_file": greeting.data_dir.join(".forge").join("root-token"),
        "read_only": greeting.read_only,
    });
    line.to_string()
}

/// Why the gateway does not start, or has ended, as a line of JSON: whatever the log shows.
pub(super) fn failure_in_json(failure: &Failure) -> Option<String> {
    let error = failure.error.as_ref()?;
    let line = json!({
        "timestamp": SystemClock.now(),
        "level": "ERROR",
        "message": format!("{error:#}"),
        "hint": failure.hint,
        "exit_code": failure.exit as u8,
    });
    Some(line.to_string())
}

fn text(address: SocketAddr, greeting: &Greeting, is_seen_once: bool) -> String {
    let Greeting {
        data_dir,
        runtime,
        runtime_reason,
        runtime_is_automatic: _,
        instance: _,
        fresh_root_token,
        read_only,
    } = greeting;
    let mut lines = vec![
        format!("url      http://{address}"),
        format!("docs     http://{address}/docs"),
        format!("data     {}", data_dir.display()),
        format!("runtime  {runtime}: {runtime_reason}"),
    ];
    if keeps_workers(greeting) {
        lines.push(
            "         each database gets a container, which keeps running when the gateway stops;"
                .to_owned(),
        );
        lines.push(
            "         for workers without containers start with DBFORGE_RUNTIME=process".to_owned(),
        );
    }
    let kept = data_dir.join(".forge").join("root-token");
    match fresh_root_token {
        Some(token) if is_seen_once => {
            lines.push(format!("token    {token}"));
            lines.push(format!("         shown once; kept in {}", kept.display()));
        }
        Some(_) => lines.push(format!("token    kept in {}", kept.display())),
        None => {}
    }
    if let Some(reason) = read_only {
        lines.push(format!("READ-ONLY: {reason}"));
        lines.push("SQL is served, commands are refused; `dbforge doctor` explains".to_owned());
    }
    lines.join("\n") + "\n"
}

/// What keeps running after the gateway has stopped, if anything does.
pub(super) fn farewell(greeting: &Greeting) -> Option<String> {
    keeps_workers(greeting).then(|| {
        let label = format!("label=dbforge.instance={}", greeting.instance);
        format!(
            "the workers keep running, and the next start takes them over; to list them: \
             docker ps --filter {label}; to remove them: \
             docker rm --force $(docker ps --all --quiet --filter {label})"
        )
    })
}

/// Whether Docker was chosen for a person who did not ask for it.
fn keeps_workers(greeting: &Greeting) -> bool {
    greeting.runtime == "docker" && greeting.runtime_is_automatic
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greeting(runtime: &str) -> Greeting {
        Greeting {
            data_dir: "/data".into(),
            runtime: runtime.to_owned(),
            runtime_reason: "the Docker engine answers".to_owned(),
            runtime_is_automatic: true,
            instance: "i-1".to_owned(),
            fresh_root_token: Some("dbf_secret".to_owned()),
            read_only: None,
        }
    }

    #[test]
    fn a_fresh_token_is_shown_on_a_terminal_alone_and_its_file_everywhere() {
        let address = "127.0.0.1:8080".parse().unwrap();
        for (is_terminal, is_shown) in [(true, true), (false, false)] {
            let said = text(address, &greeting("process"), is_terminal);
            assert_eq!(said.contains("dbf_secret"), is_shown, "{said}");
            assert!(said.contains("/data/.forge/root-token"), "{said}");
        }
    }

    #[test]
    fn docker_that_was_not_asked_for_is_told_with_the_way_out() {
        let address = "127.0.0.1:8080".parse().unwrap();
        let docker = greeting("docker");
        assert!(text(address, &docker, true).contains("DBFORGE_RUNTIME=process"));
        assert!(farewell(&docker).unwrap().contains("dbforge.instance=i-1"));
        let process = greeting("process");
        assert!(!text(address, &process, true).contains("DBFORGE_RUNTIME=process"));
        assert_eq!(farewell(&process), None);
    }
}
