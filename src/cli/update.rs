//! `update`.

mod amounts;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::{Map, Value, json};

use super::{Outcome, output};
use crate::ops::{self, Context, OpsError, UpdateRequest};
use amounts::{parse_bytes, parse_signed};

/// Change the limits of a container
///
/// What is not named stays as it is. The rules of the container's level hold as they did when it
/// was created; the change is recorded.
#[derive(Debug, Args)]
pub(super) struct UpdateArgs {
    /// Name of the container
    #[arg(value_name = "ID")]
    id: String,

    /// File with the new limits as `/linux/resources` of a config.json has them; `-` is standard
    /// input
    ///
    /// The other options are not looked at then.
    #[arg(long, short, value_name = "FILE")]
    resources: Option<PathBuf>,

    /// Share of the block devices, 10 to 1000
    #[arg(long, value_name = "WEIGHT")]
    blkio_weight: Option<u16>,

    /// Length of a period, in microseconds
    #[arg(long, value_name = "USEC")]
    cpu_period: Option<u64>,

    /// Processor time in each period, in microseconds; -1 is no limit
    #[arg(long, value_name = "USEC", allow_hyphen_values = true, value_parser = parse_signed)]
    cpu_quota: Option<i64>,

    /// Unused time that may be saved up, in microseconds
    #[arg(long, value_name = "USEC")]
    cpu_burst: Option<u64>,

    /// Share of the processors, 2 to 262144; 1024 is usual
    #[arg(long, value_name = "SHARES")]
    cpu_share: Option<u64>,

    /// Length of a period of real-time processes, in microseconds
    #[arg(long, value_name = "USEC")]
    cpu_rt_period: Option<u64>,

    /// Processor time of real-time processes in each period, in microseconds
    #[arg(long, value_name = "USEC", allow_hyphen_values = true, value_parser = parse_signed)]
    cpu_rt_runtime: Option<i64>,

    /// 1 for what runs only when nothing else wants to, 0 for what does not
    #[arg(long, value_name = "0|1", allow_hyphen_values = true, value_parser = parse_signed)]
    cpu_idle: Option<i64>,

    /// Processors, as in `0-3,7`
    #[arg(long, value_name = "LIST")]
    cpuset_cpus: Option<String>,

    /// Memory nodes, as in `0-1`
    #[arg(long, value_name = "LIST")]
    cpuset_mems: Option<String>,

    /// Memory, in bytes or as in `64m`; -1 is no limit
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true, value_parser = parse_bytes)]
    memory: Option<i64>,

    /// Memory that is left to it when memory is short
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true, value_parser = parse_bytes)]
    memory_reservation: Option<i64>,

    /// Memory and swap together; -1 is no limit of swap
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true, value_parser = parse_bytes)]
    memory_swap: Option<i64>,

    /// Obsolete: kernels have no such limit any more
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true, value_parser = parse_bytes)]
    kernel_memory: Option<i64>,

    /// Obsolete: kernels have no such limit any more
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true, value_parser = parse_bytes)]
    kernel_memory_tcp: Option<i64>,

    /// Most processes and threads; -1 is no limit, which the level may not allow
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = parse_signed)]
    pids_limit: Option<i64>,

    /// Schema of the L3 cache in the container's resctrl group
    #[arg(long, value_name = "SCHEMA")]
    l3_cache_schema: Option<String>,

    /// Schema of memory bandwidth in the container's resctrl group
    #[arg(long, value_name = "SCHEMA")]
    mem_bw_schema: Option<String>,
}

pub(super) fn perform(context: &Context, args: &UpdateArgs) -> Outcome {
    let document = match &args.resources {
        Some(file) => read(&args.id, file)?,
        None => args.document().to_string().into_bytes(),
    };
    if args.kernel_memory.or(args.kernel_memory_tcp).is_some() {
        tracing::debug!("kernel memory settings are ignored");
    }
    let schemata = args.l3_cache_schema.iter().chain(&args.mem_bw_schema).cloned().collect();
    let resources = ops::parse_update(&args.id, &document)?;
    let request = UpdateRequest { id: args.id.clone(), resources, schemata };
    ops::update(context, &request).map(|()| ExitCode::SUCCESS)
}

impl UpdateArgs {
    /// The options as the document that they stand for.
    fn document(&self) -> Value {
        let mut all = Map::new();
        let mut section = |name: &str, members: Vec<(&str, Option<Value>)>| {
            let members: Map<_, _> = members
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value?)))
                .collect();
            if !members.is_empty() {
                all.insert(name.to_owned(), Value::Object(members));
            }
        };
        let signed = |value: Option<i64>| value.map(|value| json!(value));
        let plain = |value: Option<u64>| value.map(|value| json!(value));
        let text = |value: &Option<String>| value.as_ref().map(|value| json!(value));
        section(
            "memory",
            vec![
                ("limit", signed(self.memory)),
                ("reservation", signed(self.memory_reservation)),
                ("swap", signed(self.memory_swap)),
            ],
        );
        section(
            "cpu",
            vec![
                ("shares", plain(self.cpu_share)),
                ("quota", signed(self.cpu_quota)),
                ("period", plain(self.cpu_period)),
                ("burst", plain(self.cpu_burst)),
                ("realtimePeriod", plain(self.cpu_rt_period)),
                ("realtimeRuntime", signed(self.cpu_rt_runtime)),
                ("idle", signed(self.cpu_idle)),
                ("cpus", text(&self.cpuset_cpus)),
                ("mems", text(&self.cpuset_mems)),
            ],
        );
        section("pids", vec![("limit", signed(self.pids_limit))]);
        let weight = self.blkio_weight.map(|weight| json!(weight));
        section("blockIO", vec![("weight", weight)]);
        Value::Object(all)
    }
}

/// More than any document of limits has.
const DOCUMENT_LIMIT_BYTES: u64 = 4 << 20;

fn read(id: &str, file: &Path) -> Result<Vec<u8>, OpsError> {
    let failed = |error: &io::Error| {
        let what = format!("read {}: {}", file.display(), output::number(error));
        OpsError::failed(format!("update `{id}`"), what)
    };
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        io::stdin().lock().take(DOCUMENT_LIMIT_BYTES).read_to_end(&mut bytes)
    } else {
        File::open(file).and_then(|file| file.take(DOCUMENT_LIMIT_BYTES).read_to_end(&mut bytes))
    };
    read.map_err(|error| failed(&error)).map(|_| bytes)
}
