//! The system call interfaces a filter can tell apart, and which of them one kernel serves.

use std::fmt;
use std::str::FromStr;

use oci_spec::runtime::Arch;

/// The bit that marks an x32 call; the kernel reports such calls with the architecture of x86_64.
pub(crate) const X32_BIT: u32 = 0x4000_0000;

/// A system call interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Abi {
    /// 64-bit x86.
    X86_64,
    /// 32-bit x86, as `int 0x80` reaches it: also from 64-bit programs.
    X86,
    /// 64-bit x86 with 32-bit pointers: the architecture of x86_64, numbers with one bit more.
    X32,
    /// 64-bit ARM.
    Aarch64,
    /// 32-bit ARM, EABI.
    Arm,
    /// 64-bit RISC-V.
    Riscv64,
}

impl Abi {
    /// Every ABI there are tables for, in the order of their columns.
    pub const ALL: [Self; 6] =
        [Self::X86_64, Self::X86, Self::X32, Self::Aarch64, Self::Arm, Self::Riscv64];

    /// The ABI that this program was built for; `None` where there is no table for it.
    #[must_use]
    pub const fn native() -> Option<Self> {
        if cfg!(all(target_arch = "x86_64", target_pointer_width = "64")) {
            Some(Self::X86_64)
        } else if cfg!(target_arch = "aarch64") {
            Some(Self::Aarch64)
        } else if cfg!(target_arch = "riscv64") {
            Some(Self::Riscv64)
        } else {
            None
        }
    }

    /// The value of `seccomp_data.arch`.
    ///
    /// Reference: seccomp(2); `AUDIT_ARCH_*` in `linux/audit.h`.
    #[must_use]
    pub const fn audit_arch(self) -> u32 {
        match self {
            Self::X86_64 | Self::X32 => 0xc000_003e,
            Self::X86 => 0x4000_0003,
            Self::Aarch64 => 0xc000_00b7,
            Self::Arm => 0x4000_0028,
            Self::Riscv64 => 0xc000_00f3,
        }
    }

    /// Whether an argument has 64 bits. Of 32-bit ABIs, as libseccomp counts x32 too, only the
    /// low half is compared.
    #[must_use]
    pub const fn is_wide(self) -> bool {
        match self {
            Self::X86_64 | Self::Aarch64 | Self::Riscv64 => true,
            Self::X86 | Self::X32 | Self::Arm => false,
        }
    }

    /// The ABIs that a kernel whose own is `self` may serve, itself first.
    #[must_use]
    pub const fn family(self) -> &'static [Self] {
        match self {
            Self::X86_64 => &[Self::X86_64, Self::X86, Self::X32],
            Self::X86 => &[Self::X86],
            Self::X32 => &[Self::X32],
            Self::Aarch64 => &[Self::Aarch64, Self::Arm],
            Self::Arm => &[Self::Arm],
            Self::Riscv64 => &[Self::Riscv64],
        }
    }

    /// The number as the kernel reports it to a filter: x32 has a bit that people leave out.
    #[must_use]
    pub const fn full_number(self, number: u32) -> u32 {
        match self {
            Self::X32 => number | X32_BIT,
            Self::X86_64 | Self::X86 | Self::Aarch64 | Self::Arm | Self::Riscv64 => number,
        }
    }

    /// The word that profiles use for it.
    #[must_use]
    pub const fn oci_name(self) -> &'static str {
        match self {
            Self::X86_64 => "SCMP_ARCH_X86_64",
            Self::X86 => "SCMP_ARCH_X86",
            Self::X32 => "SCMP_ARCH_X32",
            Self::Aarch64 => "SCMP_ARCH_AARCH64",
            Self::Arm => "SCMP_ARCH_ARM",
            Self::Riscv64 => "SCMP_ARCH_RISCV64",
        }
    }

    /// Whether it has a call of that name.
    #[must_use]
    pub fn has(self, name: &str) -> bool {
        super::table::lookup(name).is_some_and(|row| row.number(self).is_some())
    }

    /// The ABI of a call as a filter sees it.
    pub(crate) fn of_call(arch: u32, number: u32) -> Option<Self> {
        if arch == Self::X32.audit_arch() && number >= X32_BIT && number != u32::MAX {
            return Some(Self::X32);
        }
        Self::ALL.into_iter().find(|abi| abi.audit_arch() == arch)
    }

    /// The ABI that a profile means, `None` for one that there is no table for.
    pub(crate) fn from_oci(arch: Arch, native: Self) -> Option<Self> {
        match arch {
            Arch::ScmpArchNative => Some(native),
            Arch::ScmpArchX86_64 => Some(Self::X86_64),
            Arch::ScmpArchX86 => Some(Self::X86),
            Arch::ScmpArchX32 => Some(Self::X32),
            Arch::ScmpArchAarch64 => Some(Self::Aarch64),
            Arch::ScmpArchArm => Some(Self::Arm),
            Arch::ScmpArchRiscv64 => Some(Self::Riscv64),
            Arch::ScmpArchMips
            | Arch::ScmpArchMips64
            | Arch::ScmpArchMips64n32
            | Arch::ScmpArchMipsel
            | Arch::ScmpArchMipsel64
            | Arch::ScmpArchMipsel64n32
            | Arch::ScmpArchPpc
            | Arch::ScmpArchPpc64
            | Arch::ScmpArchPpc64le
            | Arch::ScmpArchS390
            | Arch::ScmpArchS390x
            | Arch::ScmpArchParisc
            | Arch::ScmpArchParisc64
            | Arch::ScmpArchLoongarch64
            | Arch::ScmpArchM68k
            | Arch::ScmpArchSh
            | Arch::ScmpArchSheb => None,
        }
    }
}

/// No ABI is called so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no processor that there is a table for; x86_64, aarch64, riscv64, x86, x32 and arm are")]
pub struct UnknownAbi;

impl FromStr for Abi {
    type Err = UnknownAbi;

    /// Takes the names of uname(1), of Go and of profiles.
    fn from_str(name: &str) -> Result<Self, UnknownAbi> {
        let name = name.to_ascii_lowercase();
        match name.strip_prefix("scmp_arch_").unwrap_or(&name) {
            "x86_64" | "amd64" | "x86-64" => Ok(Self::X86_64),
            "x86" | "i386" | "i686" | "386" => Ok(Self::X86),
            "x32" => Ok(Self::X32),
            "aarch64" | "arm64" => Ok(Self::Aarch64),
            "arm" | "armv7l" => Ok(Self::Arm),
            "riscv64" => Ok(Self::Riscv64),
            _ => Err(UnknownAbi),
        }
    }
}

impl fmt::Display for Abi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::X86_64 => "x86_64",
            Self::X86 => "x86",
            Self::X32 => "x32",
            Self::Aarch64 => "aarch64",
            Self::Arm => "arm",
            Self::Riscv64 => "riscv64",
        })
    }
}
