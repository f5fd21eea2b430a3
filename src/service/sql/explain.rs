//! How a statement is run: its engine's plan as a tree, what is slow in it, and which index helps.
use super::{RunError, default_options};
use crate::data::{Params, QueryError, QueryRequest, SqlDialect};
use crate::domain::token::Scope;
use crate::service::Service;
use crate::service::caller::Caller;
use serde::Deserialize;
use std::sync::Arc;

/// How a statement is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementPlan {
    /// The steps, outermost first.
    pub steps: Vec<PlanStep>,
    /// Statements that make indexes which would help.
    pub indexes: Vec<String>,
}

/// A step of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanStep {
    /// What the engine says of it.
    pub detail: String,
    /// What is slow about it, if something is.
    pub warning: Option<PlanWarning>,
    /// Its parts.
    pub steps: Vec<PlanStep>,
}

/// What is slow about a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlanWarning {
    /// It reads every row of a table.
    FullScan,
    /// It sorts or groups rows in a temporary b-tree.
    TemporaryBTree,
    /// It makes an index for this statement alone.
    AutomaticIndex,
}

/// The id of a step, that of the step that it is a part of, and what it says.
type Row = (i64, i64, i64, String);

impl Service {
    /// How a statement would be run; it is not.
    ///
    /// # Errors
    /// When the caller may not, there is no such database, or the statement cannot be prepared.
    pub async fn explain(
        self: &Arc<Self>,
        caller: &Caller,
        reference: &str,
        sql: &str,
        params: Params,
    ) -> Result<StatementPlan, RunError> {
        #[derive(Deserialize)]
        struct Body {
            rows: Vec<Row>,
        }
        caller.require(Scope::Read)?;
        if self.database_schema(caller, reference).await?.dialect == SqlDialect::Postgres {
            return self.explain_by_server(caller, reference, sql, params).await;
        }
        let request = QueryRequest {
            sql: format!("EXPLAIN QUERY PLAN {sql}"),
            params,
            options: default_options(),
        };
        let answer = self.query(caller, reference, request).await?;
        // EXPLAIN of an EXPLAIN is a program, and no plan.
        let body: Body =
            serde_json::from_slice(&answer.body).map_err(|_| QueryError::InvalidRequest {
                message: "only a statement that is no EXPLAIN can be explained".to_owned(),
            })?;
        let steps = tree(&body.rows);
        let indexes = match steps.iter().any(is_slow) {
            true => self.helping_indexes(caller, reference, sql).await?,
            false => Vec::new(),
        };
        Ok(StatementPlan { steps, indexes })
    }

    /// The plan of a server of PostgreSQL.
    async fn explain_by_server(
        self: &Arc<Self>,
        caller: &Caller,
        reference: &str,
        sql: &str,
        params: Params,
    ) -> Result<StatementPlan, RunError> {
        #[derive(Deserialize)]
        struct Body {
            rows: Vec<(Vec<Explained>,)>,
        }
        let request = QueryRequest {
            sql: format!("EXPLAIN (FORMAT JSON) {sql}"),
            params,
            options: default_options(),
        };
        let answer = self.query(caller, reference, request).await?;
        let body: Body =
            serde_json::from_slice(&answer.body).map_err(|_| QueryError::InvalidRequest {
                message: "only a statement that has a plan can be explained".to_owned(),
            })?;
        let plans = body.rows.into_iter().flat_map(|(plans,)| plans);
        Ok(StatementPlan {
            steps: plans.map(|explained| explained.plan.into_step(0)).collect(),
            indexes: Vec::new(),
        })
    }

    async fn helping_indexes(
        self: &Arc<Self>,
        caller: &Caller,
        reference: &str,
        sql: &str,
    ) -> Result<Vec<String>, RunError> {
        let entered = self.enter(caller, reference).await?;
        let schema = self.schema_of(&entered).await?;
        let (guard, target) = (&entered.guard, &entered.target);
        let options = default_options();
        let suggested = self
            .data
            .suggest_indexes(guard, target, schema, sql, &options)
            .await;
        match suggested {
            // The plan is worth telling without them.
            Err(QueryError::Timeout { .. } | QueryError::Overloaded { .. }) => Ok(Vec::new()),
            other => Ok(other?),
        }
    }
}

/// A plan as PostgreSQL writes it in JSON.
#[derive(Deserialize)]
struct Explained {
    #[serde(rename = "Plan")]
    plan: Node,
}

/// A node of it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Node {
    #[serde(rename = "Node Type")]
    kind: String,
    #[serde(rename = "Relation Name")]
    relation: Option<String>,
    #[serde(rename = "Index Name")]
    index: Option<String>,
    #[serde(rename = "Index Cond")]
    condition: Option<String>,
    filter: Option<String>,
    #[serde(rename = "Plan Rows", default)]
    rows: f64,
    #[serde(rename = "Total Cost", default)]
    cost: f64,
    #[serde(default)]
    plans: Vec<Self>,
}

/// Steps that are told inside one another.
const DEEPEST_STEP: usize = 100;

impl Node {
    fn into_step(self, depth: usize) -> PlanStep {
        let mut detail = self.kind.clone();
        for (before, what) in [
            (" using ", &self.index),
            (" on ", &self.relation),
            (" where ", &self.condition),
            (" filter ", &self.filter),
        ] {
            if let Some(what) = what {
                detail += before;
                detail += what;
            }
        }
        detail += &format!(" (rows {}, cost {})", self.rows, self.cost);
        let parts = self.plans.into_iter().filter(|_| depth < DEEPEST_STEP);
        PlanStep {
            detail,
            warning: (self.kind == "Seq Scan").then_some(PlanWarning::FullScan),
            steps: parts.map(|part| part.into_step(depth + 1)).collect(),
        }
    }
}

/// The steps as a tree. A step comes behind the one that it is a part of.
fn tree(rows: &[Row]) -> Vec<PlanStep> {
    let mut open: Vec<(i64, PlanStep)> = Vec::new();
    let mut roots = Vec::new();
    let close = |open: &mut Vec<(i64, PlanStep)>, roots: &mut Vec<PlanStep>| {
        if let Some((_, step)) = open.pop() {
            match open.last_mut() {
                Some((_, outer)) => outer.steps.push(step),
                None => roots.push(step),
            }
        }
    };
    for (id, parent, _, detail) in rows {
        while open.last().is_some_and(|(outer, _)| outer != parent) {
            close(&mut open, &mut roots);
        }
        let step = PlanStep {
            detail: detail.clone(),
            warning: warning(detail),
            steps: Vec::new(),
        };
        open.push((*id, step));
    }
    while !open.is_empty() {
        close(&mut open, &mut roots);
    }
    roots
}

fn warning(detail: &str) -> Option<PlanWarning> {
    let is_table = detail.starts_with("SCAN ")
        && !detail.contains("CONSTANT ROW")
        && !detail.contains(" VIRTUAL TABLE ");
    if detail.contains("AUTOMATIC") {
        Some(PlanWarning::AutomaticIndex)
    } else if is_table {
        Some(PlanWarning::FullScan)
    } else if detail.starts_with("USE TEMP B-TREE") {
        Some(PlanWarning::TemporaryBTree)
    } else {
        None
    }
}

fn is_slow(step: &PlanStep) -> bool {
    step.warning.is_some() || step.steps.iter().any(is_slow)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_parts_of_the_step_that_they_name() {
        let row = |id, parent, detail: &str| (id, parent, 0, detail.to_owned());
        let steps = tree(&[
            row(1, 0, "COMPOUND QUERY"),
            row(2, 1, "LEFT-MOST SUBQUERY"),
            row(5, 2, "SCAN t"),
            row(9, 1, "UNION ALL"),
            row(12, 9, "SCAN CONSTANT ROW"),
            row(20, 0, "USE TEMP B-TREE FOR ORDER BY"),
        ]);
        assert_eq!(steps.len(), 2);
        assert_eq!(
            steps[0].steps[0].steps[0].warning,
            Some(PlanWarning::FullScan)
        );
        assert_eq!(steps[0].steps[1].steps[0].warning, None);
        assert_eq!(steps[1].warning, Some(PlanWarning::TemporaryBTree));
    }
}
