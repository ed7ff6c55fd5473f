//! What a process may do: decided here, done in [`start`](mod@crate::start).
//!
//! A ported program needs no path, no socket of its own making, and no system call beyond those of its devices, so the list
//! is short and made from its ports. What is not on it kills the process (SIGSYS), which the supervisor reports.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr,
    RulesetCreatedAttr, Scope,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

/// How far a unit is shut in.
#[derive(Clone, Debug)]
pub struct Confinement {
    /// The user and group it runs as, if the supervisor may choose. Nobody else has this number.
    pub user_id: Option<u32>,
    /// An empty directory that becomes its root, if the supervisor may do that.
    pub empty_root: Option<CString>,
    /// A ported program's devices; `None` for a plain program, which keeps the usual system calls.
    pub ported: Option<Devices>,
    /// The most memory that it may have, in bytes: all its processes together if it has a group, else each of them for
    /// what is its own (`RLIMIT_DATA`).
    pub memory: Option<u64>,
    /// The control group that becomes its own, if the supervisor may make one; [`group::prepare`](crate::group::prepare)
    /// has made the directory around it.
    pub group: Option<PathBuf>,
    /// The processors it may run on, by the kernel's numbers; any if empty.
    pub cores: Vec<usize>,
}

/// What kinds of devices a ported program has, as far as system calls tell them apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Devices {
    /// Files or block devices, the largest of which has so many bytes.
    pub disk: Option<u64>,
    /// Listening sockets.
    pub listener: bool,
    /// Shared frames, of so many bytes.
    pub screen: Option<u64>,
}

/// Every program needs these: memory, its own state, time, what it has open, and its end.
const ALWAYS: &[i64] = &[
    libc::SYS_brk,
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_close,
    libc::SYS_execveat,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_fstat,
    libc::SYS_futex,
    libc::SYS_getcwd,
    libc::SYS_getegid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_gettid,
    libc::SYS_gettimeofday,
    libc::SYS_getuid,
    libc::SYS_lseek,
    libc::SYS_madvise,
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_ppoll,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_sigaltstack,
    libc::SYS_uname,
    libc::SYS_write,
    libc::SYS_writev,
];

/// As [`ALWAYS`], where they exist.
#[cfg(target_arch = "x86_64")]
const ALWAYS_HERE: &[i64] = &[libc::SYS_arch_prctl, libc::SYS_poll, libc::SYS_time];
/// As [`ALWAYS`], where they exist.
#[cfg(not(target_arch = "x86_64"))]
const ALWAYS_HERE: &[i64] = &[];

/// A C library tries these at its start and lives without them, so they fail instead of killing.
#[cfg(target_arch = "x86_64")]
const FAILING: &[i64] = &[libc::SYS_readlink, libc::SYS_readlinkat, libc::SYS_open, libc::SYS_openat];
/// A C library tries these at its start and lives without them, so they fail instead of killing.
#[cfg(not(target_arch = "x86_64"))]
const FAILING: &[i64] = &[libc::SYS_readlinkat, libc::SYS_openat];

const DISK: &[i64] =
    &[libc::SYS_fallocate, libc::SYS_fdatasync, libc::SYS_fsync, libc::SYS_pwrite64, libc::SYS_pwritev];

const LISTENER: &[i64] = &[
    libc::SYS_accept4,
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
];

/// Stands in filters for the number of the process that they are for, which nobody knows before the fork. No process has it
/// (`PID_MAX_LIMIT` in linux/threads.h).
const OWN_PID: u32 = 0x7fff_fff1;

/// Reading the process's own auxiliary vector (linux/prctl.h).
const PR_GET_AUXV: u64 = 0x4155_5856;
/// `FIONREAD`: how much can be read.
const FIONREAD: u64 = 0x541b;

impl Devices {
    /// The filters, to be installed in this order.
    pub(crate) fn filters(self) -> io::Result<Vec<BpfProgram>> {
        let mut allowed: BTreeMap<i64, Vec<SeccompRule>> = ALWAYS
            .iter()
            .chain(ALWAYS_HERE)
            .chain(FAILING)
            .chain(self.disk.is_some().then_some(DISK).into_iter().flatten())
            .chain(self.listener.then_some(LISTENER).into_iter().flatten())
            .map(|call| (*call, Vec::new()))
            .collect();
        if self.screen.is_some() {
            allowed.insert(libc::SYS_pwrite64, Vec::new());
        }
        allowed.extend(limited().map_err(io::Error::other)?);
        let failing = FAILING.iter().map(|call| (*call, Vec::new())).collect();
        let refuse = SeccompAction::Errno(libc::EACCES as u32);
        Ok(vec![
            program(failing, SeccompAction::Allow, refuse)?,
            program(allowed, SeccompAction::KillProcess, SeccompAction::Allow)?,
        ])
    }
}

/// Makes a filter one for this process.
pub(crate) fn own(filter: &mut BpfProgram, pid: u32) {
    for instruction in filter.iter_mut().filter(|instruction| instruction.k == OWN_PID) {
        instruction.k = pid;
    }
}

fn program(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    on_match: SeccompAction,
) -> io::Result<BpfProgram> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH).map_err(io::Error::other)?;
    SeccompFilter::new(rules, otherwise, on_match, architecture)
        .and_then(BpfProgram::try_from)
        .map_err(io::Error::other)
}

/// Calls of which only some uses are harmless.
fn limited() -> Result<Vec<(i64, Vec<SeccompRule>)>, seccompiler::BackendError> {
    let argument = |index, length, value| SeccompCondition::new(index, length, SeccompCmpOp::Eq, value);
    let dword = |index, value| argument(index, SeccompCmpArgLen::Dword, value);
    let one_of = |index: u8, values: &[u64]| {
        values
            .iter()
            .map(|value| SeccompRule::new(vec![dword(index, *value)?]))
            .collect::<Result<Vec<_>, _>>()
    };
    let abort = |signal| {
        SeccompRule::new(vec![dword(0, OWN_PID.into())?, dword(signal, libc::SIGABRT as u64)?])
            .map(|rule| vec![rule])
    };
    let control = [
        libc::F_GETFD,
        libc::F_SETFD,
        libc::F_GETFL,
        libc::F_DUPFD_CLOEXEC,
        // Whether the memory of a link can be taken away.
        libc::F_GET_SEALS,
    ];
    Ok(vec![
        (libc::SYS_fcntl, one_of(1, &control.map(|command| command as u64))?),
        // Not FIONBIO, and above not F_SETFL: what does not block is shared with a peer, and would then block it.
        (libc::SYS_ioctl, one_of(1, &[FIONREAD])?),
        // Asking for a limit, not setting one.
        (libc::SYS_prlimit64, vec![SeccompRule::new(vec![argument(2, SeccompCmpArgLen::Qword, 0)?])?]),
        // Streams that are there: the supervisor's, and those of listeners. Nobody is named.
        (libc::SYS_sendto, vec![SeccompRule::new(vec![argument(4, SeccompCmpArgLen::Qword, 0)?])?]),
        (libc::SYS_recvfrom, vec![SeccompRule::new(vec![argument(4, SeccompCmpArgLen::Qword, 0)?])?]),
        // Where the vDSO is, through which the time is told without a system call.
        (libc::SYS_prctl, one_of(0, &[PR_GET_AUXV])?),
        // abort(3), of itself: a process without clone(2) has one thread, whose number is its own.
        (libc::SYS_tgkill, abort(2)?),
        (libc::SYS_tkill, abort(1)?),
        // What is open, not what has a name.
        (libc::SYS_statx, only_open(2)?),
        (libc::SYS_newfstatat, only_open(3)?),
    ])
}

/// The flag `AT_EMPTY_PATH` in this argument.
fn only_open(index: u8) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let flag = libc::AT_EMPTY_PATH as u64;
    let condition =
        SeccompCondition::new(index, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(flag), flag)?;
    Ok(vec![SeccompRule::new(vec![condition])?])
}

/// A ruleset that leaves nothing of the file system but the running of `program`, and no new connections; `None` where the
/// kernel has no Landlock. The strictest that the kernel knows.
pub(crate) fn landlock(program: &OwnedFd) -> io::Result<Option<OwnedFd>> {
    let abi = ABI::V6;
    // To be run, a file is opened to be read too (security/landlock/fs.c, `get_required_file_open_access`).
    let run: BitFlags<AccessFs> = AccessFs::Execute | AccessFs::ReadFile;
    let created = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))
        .and_then(|ruleset| ruleset.handle_access(AccessNet::from_all(abi)))
        .and_then(|ruleset| ruleset.scope(Scope::from_all(abi)))
        .and_then(landlock::Ruleset::create)
        .and_then(|ruleset| ruleset.add_rule(PathBeneath::new(program, run)))
        .map_err(io::Error::other)?;
    Ok(created.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_fit_the_kernels_limit() {
        let devices = Devices { disk: Some(1), listener: true, screen: Some(1) };
        for filter in devices.filters().unwrap() {
            // BPF_MAXINSNS (linux/bpf_common.h).
            assert!(filter.len() <= 4096, "{} instructions", filter.len());
        }
    }
}
