//! A whole forge on the engine: jobs, kills, the Compose stack.
mod job_stories;
mod kills;
mod own_container;
mod postgres;
mod stack;
mod whole;
