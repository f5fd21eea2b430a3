//! The program: the gateway, what runs inside its workers, and the commands for both.
use std::process::ExitCode;

/// Answers are made of many short-lived buffers on several threads; glibc's allocator is slow at
/// those, and a static program would keep it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    dbforge::cli::main()
}
