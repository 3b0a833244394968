//! bpf(2): programs that decide on a control group's access to devices.
#![expect(unsafe_code, reason = "bpf(2) takes a structure of pointers, and no crate wraps it")]

use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::{Errno, Result};

/// One eBPF instruction, as the kernel reads it.
///
/// Reference: Linux, include/uapi/linux/bpf.h, `struct bpf_insn`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// Class, operation and source.
    pub code: u8,
    /// Destination and source register, four bits each.
    registers: u8,
    /// How far a jump goes, in instructions after the next; or an offset in memory.
    pub offset: i16,
    /// The constant operand.
    pub immediate: i32,
}

/// Why the kernel did not take a program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("load a device program of {instructions} instructions: {errno}{}", log.as_deref().map(|line| format!(": {line}")).unwrap_or_default())]
pub struct LoadError {
    /// The kernel's answer.
    pub errno: Errno,
    /// How long the program was.
    pub instructions: usize,
    /// The last line of the verifier's log, if it wrote one.
    pub log: Option<String>,
}

const PROG_LOAD: libc::c_long = 5;
const PROG_ATTACH: libc::c_long = 8;
const PROG_DETACH: libc::c_long = 9;
const PROG_GET_FD_BY_ID: libc::c_long = 13;
const PROG_QUERY: libc::c_long = 16;
const TYPE_CGROUP_DEVICE: u32 = 15;
const ATTACH_CGROUP_DEVICE: u32 = 6;
const ALLOW_MULTI: u32 = 2;
/// How many programs the kernel lets a group have.
const MAX_PROGRAMS: usize = 64;
const LOG_BYTES: usize = 64 * 1024;

#[repr(C)]
#[derive(Default)]
struct LoadAttributes {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
}

#[repr(C)]
#[derive(Default)]
struct AttachAttributes {
    target: u32,
    program: u32,
    attach_type: u32,
    attach_flags: u32,
}

#[repr(C)]
#[derive(Default)]
struct QueryAttributes {
    target: u32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
    padding: u32,
    prog_attach_flags: u64,
    link_ids: u64,
    link_attach_flags: u64,
    // Some kernels write this field whatever size they were told.
    revision: u64,
}

#[repr(C)]
#[derive(Default)]
struct IdAttributes {
    id: u32,
    next_id: u32,
    open_flags: u32,
}

impl Instruction {
    /// An instruction on registers `destination` and `source`, each 0 to 10.
    #[must_use]
    pub fn new(code: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> Self {
        let registers = if cfg!(target_endian = "little") {
            destination | (source << 4)
        } else {
            (destination << 4) | source
        };
        Self { code, registers, offset, immediate }
    }

    /// Destination and source register.
    #[must_use]
    pub fn registers(&self) -> (u8, u8) {
        let (low, high) = (self.registers & 0xf, self.registers >> 4);
        if cfg!(target_endian = "little") { (low, high) } else { (high, low) }
    }
}

/// Loads a program of type `BPF_PROG_TYPE_CGROUP_DEVICE`; the descriptor is close-on-exec.
///
/// # Errors
/// [`LoadError`]: `EPERM` without `CAP_BPF` (and `CAP_NET_ADMIN`) in the initial user namespace;
/// `EINVAL` or `EACCES` when the verifier refuses it, and then `log` says why.
///
/// Reference: bpf(2), `BPF_PROG_LOAD`.
pub fn load_device_program(program: &[Instruction]) -> std::result::Result<OwnedFd, LoadError> {
    load(program, &mut []).or_else(|errno| {
        // Only once it failed: a log costs the kernel more than the verdict.
        let mut log = vec![0; LOG_BYTES];
        load(program, &mut log).map_err(|_| LoadError {
            errno,
            instructions: program.len(),
            log: last_line(&log),
        })
    })
}

fn load(program: &[Instruction], log: &mut [u8]) -> Result<OwnedFd> {
    let license = c"Apache-2.0";
    let mut name = [0; 16];
    for (to, from) in name.iter_mut().zip(b"casemate") {
        *to = *from;
    }
    let mut attributes = LoadAttributes {
        prog_type: TYPE_CGROUP_DEVICE,
        insn_cnt: u32::try_from(program.len()).map_err(|_| Errno::E2BIG)?,
        insns: address(program.as_ptr()),
        license: address(license.as_ptr()),
        log_level: u32::from(!log.is_empty()),
        log_size: u32::try_from(log.len()).map_err(|_| Errno::E2BIG)?,
        log_buf: if log.is_empty() { 0 } else { address(log.as_mut_ptr()) },
        prog_name: name,
        ..LoadAttributes::default()
    };
    let fd = loop {
        match bpf(PROG_LOAD, &mut attributes) {
            // A signal interrupted the verifier.
            Err(Errno::EAGAIN) => {}
            other => break other?,
        }
    };
    // SAFETY: the kernel has just made this descriptor for us and nothing else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Attaches a device program to a cgroup v2 directory, beside those that are there already:
/// an access passes only if all of them allow it. The group keeps the program alive.
///
/// # Errors
/// `EBADF` if `cgroup` is no directory of a v2 hierarchy; `EPERM` without `CAP_NET_ADMIN`, or
/// when an ancestor has a program that forbids more; `E2BIG` beyond 64 programs.
///
/// Reference: bpf(2), `BPF_PROG_ATTACH`.
pub fn attach_device_program(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<()> {
    let mut attributes = AttachAttributes {
        target: number(cgroup)?,
        program: number(program)?,
        attach_type: ATTACH_CGROUP_DEVICE,
        attach_flags: ALLOW_MULTI,
    };
    bpf(PROG_ATTACH, &mut attributes).map(drop)
}

/// The ids of the device programs attached to this very group (not to those above).
///
/// # Errors
/// `EBADF` if `cgroup` is no directory of a v2 hierarchy.
///
/// Reference: bpf(2), `BPF_PROG_QUERY`.
pub fn device_programs(cgroup: BorrowedFd<'_>) -> Result<Vec<u32>> {
    let mut ids = vec![0_u32; MAX_PROGRAMS];
    let mut attributes = QueryAttributes {
        target: number(cgroup)?,
        attach_type: ATTACH_CGROUP_DEVICE,
        prog_ids: address(ids.as_mut_ptr()),
        prog_cnt: u32::try_from(ids.len()).map_err(|_| Errno::E2BIG)?,
        ..QueryAttributes::default()
    };
    bpf(PROG_QUERY, &mut attributes)?;
    ids.truncate(usize::try_from(attributes.prog_cnt).map_err(|_| Errno::E2BIG)?);
    Ok(ids)
}

/// Detaches one device program, named by id, from a group.
///
/// # Errors
/// `ENOENT` if there is no such program, or it is not attached here.
///
/// Reference: bpf(2), `BPF_PROG_GET_FD_BY_ID`, `BPF_PROG_DETACH`.
pub fn detach_device_program(cgroup: BorrowedFd<'_>, id: u32) -> Result<()> {
    let fd = bpf(PROG_GET_FD_BY_ID, &mut IdAttributes { id, ..IdAttributes::default() })?;
    // SAFETY: the kernel has just made this descriptor for us and nothing else knows it.
    let program = unsafe { OwnedFd::from_raw_fd(fd) };
    let mut attributes = AttachAttributes {
        target: number(cgroup)?,
        program: number(std::os::fd::AsFd::as_fd(&program))?,
        attach_type: ATTACH_CGROUP_DEVICE,
        attach_flags: 0,
    };
    bpf(PROG_DETACH, &mut attributes).map(drop)
}

/// The call itself. `A` is one of the `repr(C)` structures above, all integers.
fn bpf<A>(command: libc::c_long, attributes: &mut A) -> Result<i32> {
    let pointer: *mut A = attributes;
    // SAFETY: `pointer` comes from an exclusive borrow that outlives the call, and the size is
    // that of the very structure; addresses inside it belong to slices which the callers
    // borrow across the call, with the lengths given beside them. No one else sees them.
    let ret = unsafe { libc::syscall(libc::SYS_bpf, command, pointer, size_of::<A>()) };
    if ret < 0 {
        return Err(Errno::last());
    }
    i32::try_from(ret).map_err(|_| Errno::EOVERFLOW)
}

/// A pointer in the kernel's 64-bit form.
fn address<T>(pointer: *const T) -> u64 {
    // No target of Linux has pointers of more than 64 bits.
    u64::try_from(pointer.expose_provenance()).unwrap_or_default()
}

/// A descriptor as the unsigned number that bpf(2) wants.
fn number(fd: BorrowedFd<'_>) -> Result<u32> {
    u32::try_from(fd.as_raw_fd()).map_err(|_| Errno::EBADF)
}

/// The last line that says something. The verifier ends with statistics; what is wrong stands
/// before them.
fn last_line(log: &[u8]) -> Option<String> {
    let text = log.split(|byte| *byte == 0).next().unwrap_or_default();
    let text = String::from_utf8_lossy(text);
    let line = text
        .lines()
        .map(str::trim)
        .rfind(|line| !line.is_empty() && !line.starts_with("processed "))?;
    Some(line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXIT: u8 = 0x95;

    #[test]
    fn the_error_of_a_refused_program_ends_with_the_verifiers_reason() {
        // R0, the verdict, is never set.
        let error = load_device_program(&[Instruction::new(EXIT, 0, 0, 0, 0)]).unwrap_err();

        let said = error.to_string();
        assert!(said.starts_with("load a device program of 1 instructions: "), "{said}");
        assert!(said.contains("R0 !read_ok"), "{said}");
    }

    #[test]
    fn a_directory_that_is_no_control_group_is_refused() {
        let mov = Instruction::new(0xb4, 0, 0, 0, 1);
        let program = load_device_program(&[mov, Instruction::new(EXIT, 0, 0, 0, 0)]).unwrap();
        let directory = std::fs::File::open("/").unwrap();

        let error = attach_device_program(
            std::os::fd::AsFd::as_fd(&directory),
            std::os::fd::AsFd::as_fd(&program),
        );

        assert_eq!(error, Err(Errno::EBADF));
    }
}
