//! What is counted of requests, and how `/metrics` shows it with everything else.
mod counts;
mod exposition;
mod forge;
mod process;
mod requests;
mod sql;

pub(super) use self::counts::CountsByMethod;
pub use self::counts::Metrics;

use self::exposition::Exposition;
use super::Gateway;
use crate::service::caller::Caller;

/// Everything that is counted and measured, as `caller` may see it. Looks at files: blocks.
pub(super) fn gather(gateway: &Gateway, runtime_answers: bool, caller: &Caller) -> Exposition {
    let mut shown = Exposition::default();
    requests::show(gateway, &mut shown);
    sql::show(gateway, caller, &mut shown);
    forge::show(gateway, runtime_answers, &mut shown);
    process::show(&mut shown);
    shown
}
