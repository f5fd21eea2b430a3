//! Query parameters that several routes take; those of lists are declared here once.
use super::fields::SequenceNumber;
use super::words::Direction;
use crate::domain::ids::Sequence;
use crate::http::response::error::Problem;
use crate::projections::control_db::{MAX_PAGE, Order, PageRequest};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

/// Rows of a page when the request does not say.
const DEFAULT_PAGE: usize = 50;

/// How a single thing is read.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReadParameters {
    /// Wait until the event log has reached this sequence number, then answer.
    min_sequence: Option<SequenceNumber>,
}

impl ReadParameters {
    pub(crate) fn min_sequence(&self) -> Option<Sequence> {
        self.min_sequence.map(Sequence::from)
    }
}

/// How a lifecycle call is meant.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CommandParameters {
    /// `plan`: show what would happen, without doing it.
    #[param(inline)]
    pub(crate) dry_run: Option<DryRun>,
}

/// Header of a request that takes effect once.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes what `Mutation` reads")]
pub(crate) struct KeyHeader {
    /// The same key with the same request takes effect once; a repeat gets the same answer.
    #[param(
        rename = "Idempotency-Key",
        required = false,
        pattern = "^[!-~]([ -~]{0,253}[!-~])?$"
    )]
    idempotency_key: String,
}

/// Headers of a request that changes something that exists.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes what `Mutation` reads")]
pub(crate) struct ChangeHeaders {
    /// The same key with the same request takes effect once; a repeat gets the same answer.
    #[param(
        rename = "Idempotency-Key",
        required = false,
        pattern = "^[!-~]([ -~]{0,253}[!-~])?$"
    )]
    idempotency_key: String,
    /// The database's `ETag`: 412 if it has changed since.
    #[param(
        rename = "If-Match",
        required = false,
        example = "\"e18\"",
        pattern = r#"^(\*|"e[0-9]{1,18}")$"#
    )]
    if_match: String,
}

/// Header of a request that becomes a job.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes what `Mutation` reads")]
pub(crate) struct WaitHeader {
    /// `wait=20`: answer when the job has ended, after 20 s at the latest; at most 60 s.
    #[param(rename = "Prefer", required = false, example = "wait=20")]
    prefer: String,
}

/// Header of a request for a stream of events.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes what `last_event_id` reads")]
pub(crate) struct StreamHeader {
    /// For event streams: only events after this sequence number.
    #[param(rename = "Last-Event-ID", required = false, pattern = "^[0-9]{0,18}$")]
    last_event_id: String,
}

/// Asks what would happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DryRun {
    /// Answer with the plan.
    Plan,
}

/// Which page of a list is wanted.
pub(crate) struct Paging {
    pub(crate) page: PageRequest,
    pub(crate) order: Order,
    pub(crate) min_sequence: Option<Sequence>,
}

impl Paging {
    /// # Errors
    /// When the limit is out of bounds.
    pub(crate) fn new(
        limit: Option<usize>,
        cursor: Option<String>,
        order: Option<Direction>,
        min_sequence: Option<SequenceNumber>,
    ) -> Result<Self, Problem> {
        let limit = limit.unwrap_or(DEFAULT_PAGE);
        if !(1..=MAX_PAGE).contains(&limit) {
            return Err(Problem::invalid(format!(
                "`limit` must be 1 to {MAX_PAGE}, not {limit}."
            )));
        }
        // `cursor=` is how some clients ask for the first page.
        let cursor = cursor.filter(|it| !it.is_empty());
        Ok(Self {
            page: PageRequest { limit, cursor },
            order: order.unwrap_or_default().into(),
            min_sequence: min_sequence.map(Sequence::from),
        })
    }
}

/// Declares the query parameters of a list: its own, those of every page, and what comes behind.
/// Query strings cannot be flattened, so the fields of a page are written into each.
macro_rules! list_parameters {
    ($(#[$meta:meta])* $name:ident { $($own:tt)* } $({ $($behind:tt)* })?) => {
        $(#[$meta])*
        #[derive(serde::Deserialize, utoipa::IntoParams)]
        #[serde(deny_unknown_fields)]
        #[into_params(parameter_in = Query)]
        pub(crate) struct $name {
            $($own)*
            /// Maximum rows per page: 1 to 1000; default 50.
            #[param(minimum = 1, maximum = 1000)]
            limit: Option<usize>,
            /// `next_cursor` of the previous page.
            cursor: Option<String>,
            /// `asc`: oldest first; `desc`: newest first.
            #[param(inline)]
            order: Option<$crate::http::extract::words::Direction>,
            /// Wait until the event log has reached this sequence number, then answer.
            min_sequence: Option<$crate::http::extract::fields::SequenceNumber>,
            $($($behind)*)?
        }

        impl $name {
            /// Which page is wanted.
            ///
            /// # Errors
            /// When the limit is out of bounds.
            pub(crate) fn paging(
                &self,
            ) -> Result<
                $crate::http::extract::parameters::Paging,
                $crate::http::response::error::Problem,
            > {
                $crate::http::extract::parameters::Paging::new(
                    self.limit,
                    self.cursor.clone(),
                    self.order,
                    self.min_sequence,
                )
            }
        }
    };
}
pub(crate) use list_parameters;

list_parameters! {
    /// Which page of a list without filters is wanted.
    PageParameters {}
}
