//! `linux.resources.memory`.

use oci_spec::runtime::LinuxMemory;

use super::{Conversion, IfAbsent, Write, or_max};

const AT: &str = "/linux/resources/memory";

pub(super) fn convert(memory: &LinuxMemory, out: &mut Conversion) {
    let limit = bytes(memory.limit(), "limit", out);
    let swap = bytes(memory.swap(), "swap", out);
    let reservation = bytes(memory.reservation(), "reservation", out);

    convert_swap(limit, swap, out);
    if let Some(limit) = limit {
        out.set_unless(
            limit == -1,
            format!("{AT}/limit"),
            Some(Write::new("memory", "memory.max", or_max(limit))),
            Some(Write::new("memory", "memory.limit_in_bytes", limit)),
        );
    }
    if let Some(reservation) = reservation {
        out.set(
            format!("{AT}/reservation"),
            Some(Write::new("memory", "memory.low", or_max(reservation))),
            Some(Write::new("memory", "memory.soft_limit_in_bytes", reservation)),
        );
    }
    convert_v1_only(memory, out);
    note_obsolete(memory, out);
}

/// A limit in bytes: 0 is unset, -1 is no limit, less is refused.
fn bytes(value: Option<i64>, name: &str, out: &mut Conversion) -> Option<i64> {
    let value = value.filter(|value| *value != 0)?;
    if value < -1 {
        out.refuse(format!("{AT}/{name}"), format!("{value} is neither bytes nor -1"));
        return None;
    }
    Some(value)
}

/// The specification (and v1) count memory and swap together, v2 counts swap alone.
fn convert_swap(limit: Option<i64>, swap: Option<i64>, out: &mut Conversion) {
    let pointer = format!("{AT}/swap");
    let both = |v2: String, v1: i64, if_absent: IfAbsent| {
        (
            Some(Write::new("memory", "memory.swap.max", v2).if_absent(if_absent.clone())),
            Some(Write::new("memory", "memory.memsw.limit_in_bytes", v1).if_absent(if_absent)),
        )
    };
    let (v2, v1) = match (limit, swap) {
        (Some(-1), None) | (_, Some(-1)) => both("max".to_owned(), -1, IfAbsent::Skip),
        (_, None) => return,
        (None, Some(_)) => {
            return out.refuse(pointer, "counts memory and swap together, so it needs `limit`");
        }
        (Some(-1), Some(swap)) => both(swap.to_string(), swap, IfAbsent::SkipWithoutSwap),
        (Some(limit), Some(swap)) if swap < limit => {
            return out.refuse(pointer, format!("{swap} is less than `limit`, {limit}"));
        }
        (Some(limit), Some(swap)) => {
            both((swap - limit).to_string(), swap, IfAbsent::SkipWithoutSwap)
        }
    };
    out.set_unless(swap.is_none_or(|swap| swap == -1), pointer, v2, v1);
}

/// What cgroup v2 does not have.
fn convert_v1_only(memory: &LinuxMemory, out: &mut Conversion) {
    if let Some(swappiness) = memory.swappiness() {
        let pointer = format!("{AT}/swappiness");
        if swappiness > 100 {
            out.refuse(pointer, format!("{swappiness} is not a percentage, 0 to 100"));
        } else {
            out.set(pointer, None, Some(Write::new("memory", "memory.swappiness", swappiness)));
        }
    }
    if memory.disable_oom_killer() == Some(true) {
        let pointer = format!("{AT}/disableOOMKiller");
        out.set(pointer, None, Some(Write::new("memory", "memory.oom_control", 1)));
    }
    if let Some(tcp) = bytes(memory.kernel_tcp(), "kernelTCP", out) {
        let write = Write::new("memory", "memory.kmem.tcp.limit_in_bytes", tcp);
        out.set(format!("{AT}/kernelTCP"), None, Some(write));
    }
}

/// What no supported kernel does any more. The specification lets a runtime ignore `kernel`.
fn note_obsolete(memory: &LinuxMemory, out: &mut Conversion) {
    if memory.kernel().is_some_and(|kernel| kernel > 0) {
        out.note(format!("{AT}/kernel"), "no effect: kernels since 5.16 have no such limit");
    }
    if memory.use_hierarchy() == Some(false) {
        let why = "no effect: kernels since 5.11 always account hierarchically";
        out.note(format!("{AT}/useHierarchy"), why);
    }
}
