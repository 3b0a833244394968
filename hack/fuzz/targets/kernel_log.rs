//! Any line of a log, any file of refusals: read or passed over, and what is read says no more
//! than one line of text.
#![no_main]

use casemate::record::kernel_log::parse;
use casemate::record::report::Report;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(report) = Report::parse(bytes) {
        assert_eq!(Report::parse(&report.to_json()).ok().as_ref(), Some(&report));
        let _ = report.to_string();
    }
    let text = String::from_utf8_lossy(bytes);
    // A program chooses its name, and that is where the bytes go that are not the kernel's.
    let hex: String = bytes.iter().take(15).map(|byte| format!("{byte:02X}")).collect();
    let line = format!(
        "audit: type=1326 audit(1700000000.123:45): auid=1 uid=524288 gid=0 ses=1 pid=7 \
         comm={hex} exe=\"/x\" sig=0 arch=c000003e syscall=272 compat=0 ip=0x0 code=0x50000"
    );
    let logged = parse(&line);
    if !hex.is_empty() {
        let logged = logged.expect("the kernel writes such lines");
        assert_eq!((logged.uid, logged.pid, logged.nr), (524_288, 7, 272));
        assert!(!logged.name.contains(char::is_control));
    }
    for line in text.lines() {
        let _ = parse(line);
    }
});
