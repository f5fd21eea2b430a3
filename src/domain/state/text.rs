//! The state as headed text: what snapshots hold and `dbforge replay` prints.
//!
//! Every field is taken apart by name with no `..`, so that a new field asks to be shown.
use super::State;
use crate::domain::database::{Condition, Database, Isolation, Limits};
use crate::domain::job::Job;
use crate::domain::plan::{Applied, Plan};
use crate::domain::printable::printable;
use crate::domain::schedule::{Firing, Rewound, Schedule, SchedulePlan};
use crate::domain::token::Token;
use crate::domain::webhook::{Webhook, WebhookPlan};
use std::fmt;

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            instance,
            runtime,
            sequence,
            nodes,
            databases,
            names: _,      // follows from databases
            dns_labels: _, // follows from databases
            trash: _,      // follows from databases
            jobs,
            tokens,
            token_hashes: _, // follows from tokens
            busy: _,         // follows from databases
            schedules,
            plans,
            quarantined,
            webhooks,
        } = self;
        writeln!(f, "# Forge")?;
        writeln!(f, "sequence  {sequence}")?;
        writeln!(f, "instance  {}", shown(instance.as_ref()))?;
        writeln!(f, "runtime   {}", shown(runtime.as_ref()))?;
        // Few forges have more than the founding one, which has no line.
        for (node, name) in nodes {
            writeln!(f, "node      {node} ({})", printable(name))?;
        }
        writeln!(f, "\n# Databases ({})", databases.len())?;
        for database in databases.values() {
            write_database(f, database)?;
        }
        writeln!(f, "\n# Unfinished jobs ({})", jobs.len())?;
        for job in jobs.values() {
            write_job(f, job)?;
        }
        writeln!(f, "\n# Tokens ({})", tokens.len())?;
        for token in tokens.values() {
            write_token(f, token)?;
        }
        // Few forges have any, and a text that says so would say it everywhere.
        if !schedules.is_empty() {
            writeln!(f, "\n# Schedules ({})", schedules.len())?;
        }
        for worker in quarantined {
            writeln!(f, "\n# Worker {} is in quarantine", printable(worker))?;
        }
        for schedule in schedules.values() {
            write_schedule(f, schedule)?;
        }
        if !plans.is_empty() {
            writeln!(f, "\n# Plans ({})", plans.len())?;
        }
        for plan in plans.values() {
            write_plan(f, plan)?;
        }
        for webhook in webhooks.values() {
            write_webhook(f, webhook)?;
        }
        Ok(())
    }
}

fn write_database(f: &mut fmt::Formatter<'_>, database: &Database) -> fmt::Result {
    let Database {
        id,
        name,
        dns_label,
        engine,
        engine_version,
        isolation,
        durability,
        labels,
        limits,
        protected,
        expires_at,
        condition,
        degraded,
        placed_on,
        worker,
        queue,
        stuck: _, // part of the state
        behind,
        created_at,
        sequence,
    } = database;
    let Limits {
        size_bytes,
        memory_bytes,
        cpu_millis,
    } = limits;
    writeln!(f, "\n## {name} ({})", database.state())?;
    writeln!(f, "id          {id}")?;
    writeln!(f, "label       {dns_label}")?;
    writeln!(
        f,
        "engine      {engine}, {} durability",
        durability.as_str()
    )?;
    if let Some(version) = engine_version {
        writeln!(f, "version     {}", printable(version))?;
    }
    match isolation {
        Isolation::Gateway => {}
        Isolation::Worker => writeln!(f, "SQL         answered by the worker")?,
    }
    match condition {
        Condition::Creating => writeln!(f, "files       not there yet")?,
        Condition::Ready => writeln!(f, "files       answer SQL")?,
        Condition::Stopped => writeln!(f, "files       kept, SQL refused")?,
        Condition::Trashed { purge_at } => {
            writeln!(f, "files       in the trash until {purge_at}")?
        }
        Condition::Purging => writeln!(f, "files       being removed for good")?,
    }
    if let Some(node) = placed_on {
        writeln!(f, "node        {node}")?;
    }
    writeln!(f, "worker      {}", printable(&shown(worker.as_ref())))?;
    writeln!(
        f,
        "limits      {size_bytes} bytes, {memory_bytes} bytes of memory, {cpu_millis} cpu millis"
    )?;
    if let Some(reason) = degraded {
        writeln!(f, "degraded    {}", printable(reason))?;
    }
    for (key, value) in labels {
        writeln!(f, "marked      {}={}", printable(key), printable(value))?;
    }
    if *protected {
        writeln!(f, "protected   yes")?;
    }
    if let Some(moment) = expires_at {
        writeln!(f, "expires     {moment}")?;
    }
    if let Some(in_front) = behind {
        writeln!(f, "behind      {in_front}, which has the name still")?;
    }
    for job in queue {
        let started = if job.started { "started" } else { "waits" };
        writeln!(f, "queue       {} {} {started}", job.kind, job.id)?;
    }
    writeln!(f, "since       {created_at}, changed by event {sequence}")
}

fn write_job(f: &mut fmt::Formatter<'_>, job: &Job) -> fmt::Result {
    let Job {
        id,
        kind,
        database: _, // its name is shown
        database_name,
        state,
        step,
        begun_steps,
        finished_steps,
        attempts,
        cancel_requested,
        compensating,
        undo_failures,
        error,
        worker,
        result,
        retry_at,
        deadline,
        actor,
        request,
        enqueued,
        sequence,
        created_at,
        started_at,
        finished_at: _, // unfinished jobs have none
    } = job;
    writeln!(f, "\n## {kind} of {database_name} ({})", state.as_str())?;
    writeln!(f, "id          {id}")?;
    writeln!(
        f,
        "asked by    {actor} in request {request}, event {enqueued}"
    )?;
    for name in finished_steps {
        writeln!(f, "finished    {name}")?;
    }
    for name in begun_steps
        .iter()
        .filter(|step| !finished_steps.contains(step))
    {
        writeln!(f, "begun       {name}")?;
    }
    if let Some(step) = step {
        writeln!(f, "in step     {}, {} crashes", step.name, step.crashes)?;
    }
    for attempt in attempts {
        let end = attempt.ended_at.map_or("now".into(), |it| it.to_string());
        let error = attempt
            .error
            .as_ref()
            .map_or(String::new(), |it| format!(": {}", printable(&it.detail)));
        writeln!(
            f,
            "attempt {:<3} {} to {end}{error}",
            attempt.number, attempt.started_at
        )?;
    }
    if *cancel_requested {
        writeln!(f, "cancel      requested")?;
    }
    if *compensating {
        writeln!(f, "undoing     yes, failed {undo_failures} times")?;
    }
    if let Some(error) = error {
        writeln!(f, "trouble     {}", printable(&error.detail))?;
    }
    if let Some(worker) = worker {
        writeln!(f, "worker      {}", printable(worker))?;
    }
    if result.is_some() {
        writeln!(f, "result      recorded")?;
    }
    if let Some(moment) = retry_at {
        writeln!(f, "retry at    {moment}")?;
    }
    if let Some(moment) = deadline {
        writeln!(f, "deadline    {moment}")?;
    }
    if let Some(moment) = started_at {
        writeln!(f, "started     {moment}")?;
    }
    writeln!(f, "since       {created_at}, changed by event {sequence}")
}

fn write_token(f: &mut fmt::Formatter<'_>, token: &Token) -> fmt::Result {
    let Token {
        id,
        name,
        hash: _, // a state is shown to people who must not compare secrets
        scopes,
        databases,
        expires_at,
        created_at,
        sequence,
    } = token;
    let scopes: Vec<&str> = scopes.iter().map(|it| it.as_str()).collect();
    writeln!(f, "\n## {name}")?;
    writeln!(f, "id          {id}")?;
    writeln!(
        f,
        "may         {} on {}",
        scopes.join(", "),
        databases.join(", ")
    )?;
    writeln!(f, "expires     {}", shown(expires_at.as_ref()))?;
    writeln!(f, "since       {created_at}, event {sequence}")
}

fn write_schedule(f: &mut fmt::Formatter<'_>, schedule: &Schedule) -> fmt::Result {
    let Schedule {
        id,
        name,
        plan,
        token,
        done_until,
        rewound,
        last,
        last_job,
        created_at,
        sequence,
    } = schedule;
    let SchedulePlan {
        cron,
        timezone,
        command,
        misfire,
        overlap,
        enabled,
    } = plan;
    let paused = if *enabled { "" } else { " (paused)" };
    writeln!(f, "\n## {name}{paused}")?;
    writeln!(f, "id          {id}")?;
    writeln!(
        f,
        "when        {} in {}, done until {done_until}",
        printable(cron),
        printable(timezone)
    )?;
    let verbatim = serde_json::to_string(command).map_err(|_| fmt::Error)?;
    writeln!(f, "what        {}", printable(&verbatim))?;
    writeln!(
        f,
        "bears       missed: {}, overlap: {}",
        misfire.as_str(),
        overlap.as_str()
    )?;
    writeln!(
        f,
        "rights      {}",
        token.map_or("root's".to_owned(), |it| format!("of token {it}"))
    )?;
    if let Some(Rewound { by, was_done_until }) = rewound {
        writeln!(f, "set back    by event {by}, from {was_done_until}")?;
    }
    if let Some(job) = last_job {
        writeln!(f, "last job    {job}")?;
    }
    if let Some(Firing {
        nominal,
        at,
        job: _, // where there is one it is the last job
        refusal,
    }) = last
    {
        let nominal = nominal.map_or("by hand".to_owned(), |it| format!("due {it}"));
        writeln!(f, "last        {nominal}, carried out {at}")?;
        if let Some(refusal) = refusal {
            writeln!(f, "refused     {}", printable(refusal))?;
        }
    }
    writeln!(f, "since       {created_at}, changed by event {sequence}")
}

fn write_plan(f: &mut fmt::Formatter<'_>, plan: &Plan) -> fmt::Result {
    let Plan {
        id,
        command,
        basis,
        expires_at,
        made_by,
        created_at,
        sequence,
        applied,
    } = plan;
    let verbatim = serde_json::to_string(command).map_err(|_| fmt::Error)?;
    let basis = serde_json::to_string(basis).map_err(|_| fmt::Error)?;
    writeln!(f, "\n## {id}")?;
    writeln!(f, "what        {}", printable(&verbatim))?;
    writeln!(f, "rests on    {basis}")?;
    writeln!(f, "expires     {expires_at}")?;
    if let Some(Applied { job, by, sequence }) = applied {
        let job = shown(job.as_ref());
        writeln!(f, "applied     by {by}, event {sequence}, job {job}")?;
    }
    writeln!(f, "since       {created_at} by {made_by}, event {sequence}")
}

fn write_webhook(f: &mut fmt::Formatter<'_>, webhook: &Webhook) -> fmt::Result {
    let Webhook {
        id,
        plan,
        disabled,
        since,
        created_at,
        sequence,
    } = webhook;
    let WebhookPlan {
        url,
        kinds,
        databases,
    } = plan;
    let kinds = if kinds.is_empty() {
        "every kind".to_owned()
    } else {
        kinds.join(", ")
    };
    writeln!(f, "\n# Webhook {}", printable(url))?;
    writeln!(f, "id          {id}")?;
    writeln!(f, "tells       {kinds} of {}", databases.join(", "))?;
    if let Some(reason) = disabled {
        writeln!(f, "disabled    {}", printable(reason))?;
    }
    writeln!(
        f,
        "since       {created_at}, event {since}, changed by event {sequence}"
    )
}

fn shown<T: fmt::Display>(value: Option<&T>) -> String {
    value.map_or("none".into(), ToString::to_string)
}
