//! `linux.resources.blockIO`.

use oci_spec::runtime::{LinuxBlockIo, LinuxThrottleDevice};

use super::{Conversion, IfAbsent, Write};

const AT: &str = "/linux/resources/blockIO";

pub(super) fn convert(block_io: &LinuxBlockIo, out: &mut Conversion) {
    if let Some(weight) = weight(block_io.weight(), "weight", out) {
        // BFQ takes the specification's numbers, io.cost its own scale; which one is there
        // depends on the kernel's configuration.
        let scaled = 1 + (u32::from(weight) - 10) * 9_999 / 990;
        let other = IfAbsent::Use { file: "io.weight".into(), value: scaled.to_string() };
        out.set(
            format!("{AT}/weight"),
            Some(Write::new("io", "io.bfq.weight", weight).if_absent(other)),
            Some(v1_or_bfq("weight", weight.to_string())),
        );
    }
    if let Some(weight) = weight(block_io.leaf_weight(), "leafWeight", out) {
        let v1 = Write::new("blkio", "blkio.leaf_weight", weight);
        out.set(format!("{AT}/leafWeight"), None, Some(v1));
    }
    convert_weight_devices(block_io, out);
    for throttle in &THROTTLES {
        let devices = (throttle.devices)(block_io).unwrap_or_default();
        for (i, device) in devices.iter().enumerate() {
            convert_throttle(throttle, i, device, out);
        }
    }
}

/// A weight: 0 is unset, else 10 to 1000.
fn weight(value: Option<u16>, name: &str, out: &mut Conversion) -> Option<u16> {
    let value = value.filter(|value| *value != 0)?;
    if !(10..=1000).contains(&value) {
        out.refuse(format!("{AT}/{name}"), format!("{value} is not between 10 and 1000"));
        return None;
    }
    Some(value)
}

/// `blkio.NAME`, which kernels since 5.0 call `blkio.bfq.NAME`.
fn v1_or_bfq(name: &str, value: String) -> Write {
    let bfq = format!("blkio.bfq.{name}").into();
    Write::new("blkio", format!("blkio.{name}"), &value)
        .if_absent(IfAbsent::Use { file: bfq, value })
}

fn convert_weight_devices(block_io: &LinuxBlockIo, out: &mut Conversion) {
    let devices = block_io.weight_device().as_deref().unwrap_or_default();
    for (i, device) in devices.iter().enumerate() {
        let at = format!("weightDevice/{i}");
        let Some(node) = node(device.major(), device.minor(), &at, out) else { continue };
        if let Some(weight) = weight(device.weight(), &format!("{at}/weight"), out) {
            let line = format!("{node} {weight}");
            let v2 = Write::new("io", "io.bfq.weight", &line);
            let v1 = v1_or_bfq("weight_device", line);
            out.set(format!("{AT}/{at}/weight"), Some(v2), Some(v1));
        }
        if let Some(weight) = weight(device.leaf_weight(), &format!("{at}/leafWeight"), out) {
            let v1 = Write::new("blkio", "blkio.leaf_weight_device", format!("{node} {weight}"));
            out.set(format!("{AT}/{at}/leafWeight"), None, Some(v1));
        }
    }
}

/// One of the four lists of rates.
struct Throttle {
    property: &'static str,
    v2_key: &'static str,
    v1_file: &'static str,
    devices: fn(&LinuxBlockIo) -> Option<&[LinuxThrottleDevice]>,
}

const THROTTLES: [Throttle; 4] = [
    Throttle {
        property: "throttleReadBpsDevice",
        v2_key: "rbps",
        v1_file: "blkio.throttle.read_bps_device",
        devices: |io| io.throttle_read_bps_device().as_deref(),
    },
    Throttle {
        property: "throttleWriteBpsDevice",
        v2_key: "wbps",
        v1_file: "blkio.throttle.write_bps_device",
        devices: |io| io.throttle_write_bps_device().as_deref(),
    },
    Throttle {
        property: "throttleReadIOPSDevice",
        v2_key: "riops",
        v1_file: "blkio.throttle.read_iops_device",
        devices: |io| io.throttle_read_iops_device().as_deref(),
    },
    Throttle {
        property: "throttleWriteIOPSDevice",
        v2_key: "wiops",
        v1_file: "blkio.throttle.write_iops_device",
        devices: |io| io.throttle_write_iops_device().as_deref(),
    },
];

fn convert_throttle(
    throttle: &Throttle,
    i: usize,
    device: &LinuxThrottleDevice,
    out: &mut Conversion,
) {
    let at = format!("{}/{i}", throttle.property);
    let Some(node) = node(device.major(), device.minor(), &at, out) else { return };
    let rate = device.rate();
    // A rate of 0 takes a limit away: v1 writes it so, v2 says `max`.
    let v2 = if rate == 0 { "max".to_owned() } else { rate.to_string() };
    out.set(
        format!("{AT}/{at}"),
        Some(Write::new("io", "io.max", format!("{node} {}={v2}", throttle.v2_key))),
        Some(Write::new("blkio", throttle.v1_file, format!("{node} {rate}"))),
    );
}

/// `MAJOR:MINOR`.
fn node(major: i64, minor: i64, at: &str, out: &mut Conversion) -> Option<String> {
    if let (Ok(major), Ok(minor)) = (u32::try_from(major), u32::try_from(minor)) {
        return Some(format!("{major}:{minor}"));
    }
    out.refuse(format!("{AT}/{at}"), format!("{major}:{minor} is no device number"));
    None
}
