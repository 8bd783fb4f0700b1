//! What a process inside the sandbox may and may not do: the sandbox is tested before the daemon's work in it means anything.

use std::os::unix::fs::PermissionsExt;
use std::{fs, io};

use libc::{AF_INET, AF_NETLINK, AF_UNIX, EACCES, EAFNOSUPPORT, ENOENT, ENOSYS, EPERM, EROFS, c_int, c_long};

/// Set for the process that is the probe.
pub(crate) const ROLE: &str = "RAMAND_TEST_PROBE";

pub(crate) fn asked() -> bool {
    std::env::var_os(ROLE).is_some()
}

fn result(answer: c_long) -> io::Result<()> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn socket(family: c_int) -> io::Result<()> {
    // SAFETY: no pointers.
    result(c_long::from(unsafe { libc::socket(family, libc::SOCK_DGRAM, 0) }))
}

fn map(protection: c_int) -> io::Result<()> {
    // SAFETY: a new anonymous mapping, which nothing uses.
    result(unsafe { libc::mmap(std::ptr::null_mut(), 4096, protection, libc::MAP_PRIVATE | libc::MAP_ANON, -1, 0) }
        as c_long)
}

/// A system call whose arguments are numbers, or null where it takes a pointer.
fn call(number: c_long, arguments: [c_long; 3]) -> io::Result<()> {
    // SAFETY: the calls below read no memory before they check their rights, and have null where they would.
    result(unsafe { libc::syscall(number, arguments[0], arguments[1], arguments[2], 0, 0) })
}

type Attempt = fn() -> io::Result<()>;

/// What is tried, and with which of these errors it must fail; with none it must succeed.
const ATTEMPTS: &[(&str, Attempt, &[c_int])] = &[
    ("write its state", || fs::write("/var/lib/ramand/probe", "x"), &[]),
    ("write its configuration", || fs::write("/etc/ramand/probe", "x"), &[EROFS]),
    ("write programs", || fs::write("/usr/bin/more", "x"), &[EROFS]),
    ("write libraries", || fs::write("/usr/lib/more", "x"), &[EROFS, EACCES]),
    ("write beside its state", || fs::write("/var/lib/more", "x"), &[EROFS]),
    ("write /sys", || fs::write("/sys/kernel/profiling", "x"), &[EROFS, EACCES, ENOENT]),
    ("write a temporary file", || fs::write("/tmp/probe", "x"), &[]),
    ("read the kernel's memory", || fs::read("/dev/mem").map(drop), &[ENOENT]),
    ("open another serial port", || fs::read("/dev/ttyS0").map(drop), &[ENOENT]),
    ("learn what the processor can", || fs::read("/proc/cpuinfo").map(drop), &[]),
    ("open a network socket", || socket(AF_INET), &[]),
    ("open a local socket", || socket(AF_UNIX), &[]),
    ("open a netlink socket", || socket(AF_NETLINK), &[EAFNOSUPPORT]),
    ("map memory", || map(libc::PROT_READ | libc::PROT_WRITE), &[]),
    ("map writable code", || map(libc::PROT_WRITE | libc::PROT_EXEC), &[EPERM]),
    ("make a user namespace", || call(libc::SYS_unshare, [libc::CLONE_NEWUSER.into(), 0, 0]), &[EPERM]),
    ("call clone3", || call(libc::SYS_clone3, [0, 0, 0]), &[ENOSYS]),
    ("mount", || call(libc::SYS_mount, [0, 0, 0]), &[EPERM]),
    ("trace", || call(libc::SYS_ptrace, [0, 0, 0]), &[EPERM]),
    ("load a module", || call(libc::SYS_init_module, [0, 0, 0]), &[EPERM]),
    ("read the kernel's log", || call(libc::SYS_syslog, [3, 0, 0]), &[EPERM]),
    ("change the personality", || call(libc::SYS_personality, [0x0400_0000, 0, 0]), &[EPERM]),
    ("run in real time", || call(libc::SYS_sched_setscheduler, [0, libc::SCHED_FIFO.into(), 0]), &[EPERM]),
    ("set a SUID bit", || fs::set_permissions("/tmp/probe", fs::Permissions::from_mode(0o4700)), &[EPERM]),
    ("become root", || call(libc::SYS_setuid, [0, 0, 0]), &[EPERM]),
    ("change the priority of its input and output", || call(libc::SYS_ioprio_set, [1, 0, 0]), &[EPERM]),
];

/// Tries everything; panics with all that went otherwise.
pub(crate) fn answer() {
    let mut faults = Vec::new();
    for (what, attempt, errors) in ATTEMPTS {
        let found = attempt().err().map(|error| error.raw_os_error().unwrap_or(0));
        let right = found.map_or(errors.is_empty(), |found| errors.contains(&found));
        if !right {
            faults.push(format!("{what}: error {found:?} instead of {errors:?}"));
        }
    }
    let mode = fs::metadata("/tmp/probe").expect("written above").permissions().mode() & 0o777;
    if mode != 0o600 {
        faults.push(format!("files are made with mode {mode:o}"));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
