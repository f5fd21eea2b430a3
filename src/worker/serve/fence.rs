//! The fence of a process that serves a database: its folder and nothing else, no sockets but those
//! that it accepts, no other programs. Set before its first thread starts.
use super::order::ServeOrder;
use crate::config::FenceMode;
use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, Signal, getppid, getrlimit, set_dumpable_behavior,
    set_parent_process_death_signal, setrlimit,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule,
};
use std::collections::BTreeMap;
use std::io;

/// Files that it may have open: those of its connections, and what the gateway is answered on.
const OPEN_FILES: u64 = 1_024;
/// What SQLite reads beside the database: where random numbers come from.
const READ: &[&str] = &["/dev/urandom", "/dev/null"];

/// Ends this process with the one that started it.
pub(super) fn end_with_parent() -> io::Result<()> {
    let parent = getppid();
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // It may have ended before that was asked for.
    match getppid() == parent {
        true => Ok(()),
        false => Err(io::Error::other(
            "the process that started this one has ended",
        )),
    }
}

/// Sets the fence, for good.
///
/// # Errors
/// When a part is missing that must hold.
pub(super) fn fence(order: &ServeOrder) -> io::Result<()> {
    rustix::thread::set_no_new_privs(true)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    for (resource, most) in [(Resource::Core, 0), (Resource::Nofile, OPEN_FILES)] {
        let most = getrlimit(resource).maximum.map_or(most, |it| it.min(most));
        let bound = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        setrlimit(resource, bound)?;
    }
    let parts = [
        ("Landlock", confine_files(order)),
        ("seccomp", confine_calls()),
    ];
    for (part, set) in parts {
        let Err(reason) = set else { continue };
        match order.fence {
            FenceMode::Strict => {
                return Err(io::Error::other(format!(
                    "this kernel does not give {part} ({reason}), which `isolation: worker` \
                     needs; DBFORGE_ISOLATION_FENCE=best-effort goes without"
                )));
            }
            FenceMode::BestEffort => {
                tracing::warn!(reason, "a database is served without {part}");
            }
        }
    }
    Ok(())
}

fn confine_files(order: &ServeOrder) -> Result<(), String> {
    let set = || -> Result<RulesetStatus, RulesetError> {
        let all = AccessFs::from_all(ABI::V5);
        let mut rules = Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::from_all(ABI::V1))?
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(all)?
            .handle_access(AccessNet::from_all(ABI::V4))?
            .scope(Scope::from_all(ABI::V6))?
            .create()?;
        if let Ok(folder) = PathFd::new(&order.folder) {
            rules = rules.add_rule(PathBeneath::new(folder, all))?;
        }
        for file in READ {
            if let Ok(file) = PathFd::new(file) {
                rules = rules.add_rule(PathBeneath::new(file, AccessFs::ReadFile))?;
            }
        }
        Ok(rules.restrict_self()?.ruleset)
    };
    match set() {
        Ok(RulesetStatus::NotEnforced) => Err("it is not enforced".to_owned()),
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// Refuses what a database's SQL never needs: other programs and processes, sockets of its own,
/// other processes' memory, and what changes the machine.
fn confine_calls() -> Result<(), String> {
    let refused = [
        libc::SYS_execve,
        libc::SYS_execveat,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_process_madvise,
        libc::SYS_pidfd_getfd,
        libc::SYS_pidfd_open,
        libc::SYS_socket,
        libc::SYS_connect,
        libc::SYS_bind,
        libc::SYS_listen,
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_move_mount,
        libc::SYS_open_tree,
        libc::SYS_fsopen,
        libc::SYS_fsmount,
        libc::SYS_pivot_root,
        libc::SYS_chroot,
        libc::SYS_setns,
        libc::SYS_unshare,
        libc::SYS_bpf,
        libc::SYS_perf_event_open,
        libc::SYS_userfaultfd,
        libc::SYS_io_uring_setup,
        libc::SYS_io_uring_enter,
        libc::SYS_io_uring_register,
        libc::SYS_keyctl,
        libc::SYS_add_key,
        libc::SYS_request_key,
        libc::SYS_init_module,
        libc::SYS_finit_module,
        libc::SYS_delete_module,
        libc::SYS_kexec_load,
        libc::SYS_kexec_file_load,
        libc::SYS_reboot,
        libc::SYS_swapon,
        libc::SYS_swapoff,
        libc::SYS_acct,
        libc::SYS_quotactl,
        libc::SYS_open_by_handle_at,
        libc::SYS_name_to_handle_at,
        libc::SYS_personality,
        libc::SYS_setuid,
        libc::SYS_setgid,
        libc::SYS_setresuid,
        libc::SYS_setresgid,
        libc::SYS_setgroups,
    ];
    let filter = || -> Result<(), Box<dyn std::error::Error>> {
        let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
            refused.into_iter().map(|call| (call, Vec::new())).collect();
        // A thread is one of this process; anything else is a new process.
        let thread = libc::CLONE_THREAD as u64;
        let no_thread = SeccompCondition::new(
            0,
            SeccompCmpArgLen::Qword,
            SeccompCmpOp::MaskedEq(thread),
            0,
        )?;
        rules.insert(libc::SYS_clone, vec![SeccompRule::new(vec![no_thread])?]);
        apply(rules, libc::EPERM)?;
        // The C library falls back to `clone`, whose flags are seen.
        apply(
            BTreeMap::from([(libc::SYS_clone3, Vec::new())]),
            libc::ENOSYS,
        )
    };
    filter().map_err(|error| error.to_string())
}

fn apply(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    answer: i32,
) -> Result<(), Box<dyn std::error::Error>> {
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(answer.unsigned_abs()),
        std::env::consts::ARCH.try_into()?,
    )?;
    let program: BpfProgram = filter.try_into()?;
    seccompiler::apply_filter(&program)?;
    Ok(())
}
