//! Hints of the gateway in the words of the command line: `GET /v1/databases` is `dbforge list`.

/// Routes, with the command that does the same. `{}` stands for one segment of the path, and comes
/// back in the command. Longer routes stand first.
const COMMANDS: &[(&str, &str)] = &[
    ("POST /v1/databases/{}/undelete", "`dbforge undelete {}`"),
    ("POST /v1/databases/{}/start", "`dbforge start {}`"),
    (
        "PATCH /v1/databases/{} with a new `ttl`",
        "`dbforge set {} --ttl 2h`",
    ),
    (
        "send PATCH /v1/databases/{} with {\"protect\":false} first",
        "run `dbforge set {} --protect false` first",
    ),
    ("PATCH /v1/databases/{}", "`dbforge set {}`"),
    ("GET /v1/databases/{}", "`dbforge show {}`"),
    ("GET /v1/databases", "`dbforge list`"),
    ("POST /v1/databases", "`dbforge create NAME`"),
    ("POST /v1/jobs/{}/retry", "`dbforge jobs retry {}`"),
    ("POST /v1/jobs/{}/cancel", "`dbforge jobs cancel {}`"),
    ("GET /v1/jobs/{}?wait=20", "`dbforge jobs watch {}`"),
    ("GET /v1/jobs/{}", "`dbforge jobs {}`"),
    ("GET /v1/jobs", "`dbforge jobs`"),
    ("GET /v1/audit/head", "`dbforge audit head`"),
    ("GET /v1/events?kind={}", "`dbforge events --kind {}`"),
    (
        "GET /v1/events?after=<sequence>&wait=30",
        "`dbforge events --follow`",
    ),
    ("POST /v1/events/{}/undo", "`dbforge undo {}`"),
    ("GET /v1/events/{}", "`dbforge events`"),
    ("GET /v1/events", "`dbforge events`"),
    ("POST /v1/drift/allow", "`dbforge drift allow`"),
    ("GET /v1/drift", "`dbforge drift`"),
    ("GET /v1/tokens", "`dbforge token list`"),
    ("PATCH /v1/schedules/{}", "`dbforge schedules`"),
    ("GET /v1/schedules/{}", "`dbforge schedules show {}`"),
    ("GET /v1/schedules", "`dbforge schedules list`"),
    ("GET /v1/webhooks", "`dbforge webhooks list`"),
    ("POST /v1/plans", "`dbforge plan`"),
    ("GET /v1/plans", "`dbforge plans`"),
];

/// A hint that names commands where it named their routes.
pub(crate) fn in_own_words(hint: &str) -> String {
    let mut said = String::new();
    let mut rest = hint;
    while let Some(next) = rest.chars().next() {
        let found = COMMANDS.iter().find_map(|(route, command)| {
            let (behind, segment) = matched(rest, route)?;
            Some((behind, command.replace("{}", segment)))
        });
        rest = match found {
            Some((behind, command)) => {
                said.push_str(&command);
                behind
            }
            None => {
                said.push(next);
                &rest[next.len_utf8()..]
            }
        };
    }
    said
}

/// What is behind a route at the beginning of a text, and what stands for `{}`.
fn matched<'t>(text: &'t str, route: &str) -> Option<(&'t str, &'t str)> {
    let Some((before, after)) = route.split_once("{}") else {
        let behind = text.strip_prefix(route)?;
        let goes_on = behind.starts_with(['/', '?']);
        return (!goes_on).then_some((behind, ""));
    };
    let rest = text.strip_prefix(before)?;
    let is_part = |it: char| it.is_alphanumeric() || "-_.".contains(it);
    let end = rest.find(|it| !is_part(it)).unwrap_or(rest.len());
    let (segment, behind) = rest.split_at(end);
    let behind = behind.strip_prefix(after)?;
    let goes_on = behind.starts_with('/');
    (!segment.is_empty() && !goes_on).then_some((behind, segment))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_names_commands_instead_of_routes() {
        for (hint, said) in [
            (
                "GET /v1/databases lists databases, POST /v1/databases creates one",
                "`dbforge list` lists databases, `dbforge create NAME` creates one",
            ),
            (
                "POST /v1/databases/a.b/undelete restores it",
                "`dbforge undelete a.b` restores it",
            ),
            (
                "see GET /v1/jobs/j-1; POST /v1/jobs/j-1/retry retries it",
                "see `dbforge jobs j-1`; `dbforge jobs retry j-1` retries it",
            ),
            (
                "send PATCH /v1/databases/shop with {\"protect\":false} first",
                "run `dbforge set shop --protect false` first",
            ),
            ("did you mean \"ä\"?", "did you mean \"ä\"?"),
            ("GET /v1/usage shows it", "GET /v1/usage shows it"),
        ] {
            assert_eq!(in_own_words(hint), said);
        }
    }
}
