//! The system-call filter that systemd would load for a unit, as a program for the kernel (seccomp(2), x86-64 only).
//!
//! What each directive forbids is taken from systemd.exec(5); which calls a set holds, from `systemd-analyze syscall-filter`.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::process::Command;

use super::Directives;

/// Where the kernel's headers give each system call its number.
const NUMBERS: &str = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h";

const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
/// The lower half of argument `index`.
const fn argument(index: u32) -> u32 {
    16 + 8 * index
}

const KILL_PROCESS: u32 = 0x8000_0000;
const ALLOW: u32 = 0x7fff_0000;
const fn refuse(errno: i32) -> u32 {
    0x0005_0000 | errno as u32
}

const LOAD: u16 = 0x20;
const RETURN: u16 = 0x06;
const IF_EQUAL: u16 = 0x15;
const IF_ANY_BIT: u16 = 0x45;
const AND: u16 = 0x54;

/// Flags of clone(2) that make a namespace.
const NAMESPACES: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWCGROUP) as u32;

/// Instructions of a filter: code, steps to skip when true, when false, and the operand.
#[derive(Default)]
struct Program(Vec<(u16, u8, u8, u32)>);

impl Program {
    fn load(&mut self, offset: u32) -> &mut Self {
        self.0.push((LOAD, 0, 0, offset));
        self
    }

    fn answer(&mut self, answer: u32) -> &mut Self {
        self.0.push((RETURN, 0, 0, answer));
        self
    }

    /// The answer for the call `number`, where its `argument` has any of `bits`.
    fn refuse_bits(&mut self, number: u32, index: u32, bits: u32, errno: i32) {
        self.load(NUMBER).0.push((IF_EQUAL, 0, 3, number));
        self.load(argument(index)).0.push((IF_ANY_BIT, 0, 1, bits));
        self.answer(refuse(errno));
    }

    /// The answer for the call `number`, where its `argument` has all of `bits`.
    fn refuse_all_bits(&mut self, number: u32, index: u32, bits: u32, errno: i32) {
        self.load(NUMBER).0.push((IF_EQUAL, 0, 4, number));
        self.load(argument(index)).0.push((AND, 0, 0, bits));
        self.0.push((IF_EQUAL, 0, 1, bits));
        self.answer(refuse(errno));
    }

    fn bytes(&self) -> Vec<u8> {
        let instruction = |&(code, yes, no, operand): &(u16, u8, u8, u32)| {
            let [low, high] = code.to_ne_bytes();
            [&[low, high, yes, no][..], &operand.to_ne_bytes()].concat()
        };
        self.0.iter().flat_map(instruction).collect()
    }
}

/// The filter for `directives`, or why there is none here.
pub(crate) fn filter(directives: &Directives) -> Result<Vec<u8>, String> {
    let header =
        fs::read_to_string(NUMBERS).map_err(|error| format!("{NUMBERS}: {error}: apt-get install libc6-dev"))?;
    let numbers: HashMap<&str, u32> = header
        .lines()
        .filter_map(|line| line.strip_prefix("#define __NR_")?.split_once(' '))
        .filter_map(|(name, number)| Some((name, number.trim().parse().ok()?)))
        .collect();
    let number = |name: &str| numbers.get(name).copied();
    let sets = Command::new("systemd-analyze").arg("syscall-filter").output();
    let sets = sets.map_err(|error| format!("systemd-analyze: {error}: apt-get install systemd"))?.stdout;
    let sets = sets_of(&String::from_utf8_lossy(&sets));

    assert_eq!(directives.only("SystemCallArchitectures"), "native");
    assert_eq!(directives.only("SystemCallErrorNumber"), "EPERM");
    let mut allowed = BTreeSet::new();
    for line in directives.all("SystemCallFilter") {
        let (names, removes) = line.strip_prefix('~').map_or((line, false), |names| (names, true));
        for name in names.split_whitespace() {
            let calls = members(&sets, name);
            allowed = if removes { &allowed - &calls } else { &allowed | &calls };
        }
    }

    let mut program = Program::default();
    program.load(ARCHITECTURE).0.push((IF_EQUAL, 1, 0, AUDIT_ARCH_X86_64));
    program.answer(KILL_PROCESS);
    let call = |name: &str| number(name).unwrap_or_else(|| panic!("{NUMBERS} has no {name}"));

    // RestrictAddressFamilies: the rest of socket(2) is decided by the list of calls.
    let families = directives.only("RestrictAddressFamilies").split(' ').map(|family| match family {
        "AF_UNIX" => libc::AF_UNIX,
        "AF_INET" => libc::AF_INET,
        "AF_INET6" => libc::AF_INET6,
        other => panic!("the sandbox does not know {other}"),
    });
    let families: Vec<u32> = families.map(|family| family as u32).collect();
    let count = u8::try_from(families.len()).expect("a few");
    program.load(NUMBER).0.push((IF_EQUAL, 0, count + 2, call("socket")));
    program.load(argument(0));
    for (index, family) in families.iter().enumerate() {
        program.0.push((IF_EQUAL, count - u8::try_from(index).expect("a few"), 0, *family));
    }
    program.answer(refuse(libc::EAFNOSUPPORT));

    for (directive, rule) in RULES {
        assert_eq!(directives.only(directive), "yes");
        rule(&mut program, &call);
    }
    program.load(NUMBER);
    for number in allowed.iter().filter_map(|name| number(name)) {
        program.0.push((IF_EQUAL, 0, 1, number));
        program.answer(ALLOW);
    }
    program.answer(refuse(libc::EPERM));
    Ok(program.bytes())
}

type Rule = fn(&mut Program, &dyn Fn(&str) -> u32);

/// What a directive forbids by the arguments of calls.
const RULES: [(&str, Rule); 5] = [
    ("RestrictNamespaces", |program, call| {
        program.refuse_bits(call("unshare"), 0, NAMESPACES, libc::EPERM);
        program.refuse_bits(call("clone"), 0, NAMESPACES, libc::EPERM);
        program.load(NUMBER).0.push((IF_EQUAL, 0, 1, call("setns")));
        program.answer(refuse(libc::EPERM));
        // Its flags are behind a pointer, where no filter can look: the C library then uses clone.
        program.load(NUMBER).0.push((IF_EQUAL, 0, 1, call("clone3")));
        program.answer(refuse(libc::ENOSYS));
    }),
    ("MemoryDenyWriteExecute", |program, call| {
        let (write, execute) = (libc::PROT_WRITE as u32, libc::PROT_EXEC as u32);
        program.refuse_all_bits(call("mmap"), 2, write | execute, libc::EPERM);
        program.refuse_bits(call("mprotect"), 2, execute, libc::EPERM);
        program.refuse_bits(call("pkey_mprotect"), 2, execute, libc::EPERM);
        program.refuse_bits(call("shmat"), 2, libc::SHM_EXEC as u32, libc::EPERM);
    }),
    ("RestrictRealtime", |program, call| {
        program.refuse_bits(call("sched_setscheduler"), 1, (libc::SCHED_FIFO | libc::SCHED_RR) as u32, libc::EPERM);
    }),
    ("LockPersonality", |program, call| {
        program.refuse_bits(call("personality"), 0, u32::MAX, libc::EPERM);
    }),
    ("RestrictSUIDSGID", |program, call| {
        let bits = libc::S_ISUID | libc::S_ISGID;
        for (name, index) in [("chmod", 1), ("fchmod", 1), ("fchmodat", 2), ("mknod", 1), ("mknodat", 2)] {
            program.refuse_bits(call(name), index, bits, libc::EPERM);
        }
    }),
];

/// `systemd-analyze syscall-filter`: a set's name at the margin, its members indented below.
fn sets_of(listing: &str) -> HashMap<String, Vec<String>> {
    let mut sets: HashMap<String, Vec<String>> = HashMap::new();
    let mut current = String::new();
    for line in listing.lines().filter(|line| !line.trim_start().starts_with('#') && !line.trim().is_empty()) {
        if line.starts_with('@') {
            current = line.trim().to_owned();
        } else {
            sets.entry(current.clone()).or_default().push(line.trim().to_owned());
        }
    }
    sets
}

/// The system calls that `name` stands for: itself, or a set with the sets in it.
fn members(sets: &HashMap<String, Vec<String>>, name: &str) -> BTreeSet<String> {
    if !name.starts_with('@') {
        return BTreeSet::from([name.to_owned()]);
    }
    let set = sets.get(name).unwrap_or_else(|| panic!("systemd knows no {name}"));
    set.iter().flat_map(|member| members(sets, member)).collect()
}
