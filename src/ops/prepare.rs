//! From a bundle to a plan: the part that `create`, `run` and `explain` share. It creates
//! nothing.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use oci_spec::runtime::{Capabilities, Capability, Spec};

use super::filter::{self, WatchRequest};
use super::pod::{self, Fellow};
use super::{Context, OpsError, Result, given_ids, group_plan, notify};
use crate::audit::DEFAULT_FILE;
use crate::cgroup::Hierarchies;
use crate::host::bundle::Bundle;
use crate::host::{hooks, namespaces, policy_file, probe, sources};
use crate::plan::action::{IdMapping, Namespace};
use crate::plan::build::{self, Inputs};
use crate::plan::cgroup::Driver;
use crate::plan::facts::{CallerFacts, KernelFacts};
use crate::plan::names::capability_words;
use crate::plan::{self, LaunchPlan};
use crate::policy::rules::{CallerView, HostView, PodView};
use crate::policy::{self, CallerInside, Judged, Level, Policy, Subject};
use crate::seccomp::{self, SetIdBits};
use crate::spec::id::ContainerId;
use crate::spec::{self, Config};
use crate::store::rfc3339;

/// A bundle that was judged, and what will be done with it.
#[derive(Debug)]
pub(super) struct Prepared {
    /// The bundle.
    pub bundle: Bundle,
    /// The specification, after the policy.
    pub judged: Judged,
    /// What will be done.
    pub plan: LaunchPlan,
    /// The plan as it is stored.
    pub document: Vec<u8>,
    /// The digest of that.
    pub digest: String,
    /// The root file system's path, for the state.
    pub rootfs: String,
    /// The user of the host who calls.
    pub owner: u32,
    /// The host's control groups.
    pub hierarchies: Hierarchies,
    /// The container whose ids are shared.
    pub fellow: Option<Fellow>,
    /// The namespaces that are joined, by device and inode number.
    pub joined: Vec<(Namespace, (u64, u64))>,
    /// What the caller is told although nothing fails.
    pub warnings: Vec<String>,
}

impl Prepared {
    /// Closes what is open, leaves the memory to the end of the process, and returns what the
    /// caller is still to be told.
    ///
    /// To free thousands of blocks one by one is to write to every page of them, and as long as
    /// init has not executed its program, each such page is copied for that.
    pub(super) fn leave(self) -> Vec<String> {
        let Self { bundle, judged, plan, document, hierarchies, fellow, joined, warnings, .. } =
            self;
        drop((bundle, hierarchies, fellow, joined));
        std::mem::forget((judged, plan, document));
        warnings
    }
}

/// What a caller wants otherwise than the bundle has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Otherwise {
    /// What is watched of the container.
    pub watch: WatchRequest,
    /// What the container runs instead.
    pub arguments: Option<Vec<String>>,
}

/// Reads, checks and judges a bundle, and builds its plan.
pub(super) fn prepare(
    context: &Context,
    doing: &str,
    bundle: &Path,
    id: Option<&ContainerId>,
    otherwise: &Otherwise,
) -> Result<Prepared> {
    let policy = load_policy(context, doing)?;
    let driver = group_plan::driver(context, doing)?;
    let bundle = Bundle::open(bundle).map_err(|error| OpsError::because(doing, &error))?;
    let config = read(doing, &bundle, policy.level)?;
    let mut facts = probe::kernel_facts(config.spec(), &bundle)
        .map_err(|error| OpsError::because(doing, &error).hint(error.hint()))?;
    let fellow = pod::look(context, doing, policy.level, config.spec(), &mut facts)?;
    let unknown = config.unknown_capabilities().to_vec();
    let mut warnings = not_raised(config.spec());
    let mut notes: Vec<String> = unknown
        .iter()
        .map(|name| format!("/process/capabilities: {name} is not known, and nobody gets it"))
        .collect();
    let (mut spec, mut host) = host_view(context, config, &facts, &bundle);
    if let (Some(arguments), Some(process)) = (&otherwise.arguments, spec.process_mut()) {
        process.set_args(Some(arguments.clone()));
    }
    given_ids::adopt(doing, policy.level, &mut spec, &facts, &mut notes)?;
    host.subject = subject(&policy, bundle.path(), id);
    host.systemd = driver == Driver::Systemd;
    if facts.caller.is_none() {
        host.taken = given_ids::taken(context, &spec, id);
    }
    let judged = policy::judge(&policy, spec, &host)
        .map_err(|refusals| OpsError::refused(doing, &refusals))?;
    warnings.extend(not_given(&judged.spec, unknown, facts.bounding));
    let hierarchies = Hierarchies::open().map_err(|error| OpsError::because(doing, &error))?;
    let hierarchies = match facts.caller {
        None => hierarchies,
        Some(_) => hierarchies.without_v1(),
    };
    let cgroup = group_plan::build(doing, &judged, driver, &facts, &hierarchies, &mut notes)?;
    if policy.rootless.caller == CallerInside::Say {
        warnings.extend(judged.reduced.iter().cloned());
    }
    let filter = filter::build(doing, &judged, &policy.seccomp, &otherwise.watch, &mut notes)?;
    let rootfs = facts.rootfs.path.as_str().to_owned();
    let joins_v1 = cgroup.is_some() && hierarchies.has_v1();
    let hierarchies_shown = if joins_v1 { hierarchies.views() } else { Vec::new() };
    let bundle_path = bundle.path().to_str().unwrap_or_default();
    let inputs = Inputs {
        judged: &judged,
        facts: &facts,
        cgroup,
        filter: filter.program,
        listener: filter.listener,
        notify: notify::of_caller().is_some(),
        bundle: bundle_path,
        joins_v1,
        hierarchies: hierarchies_shown,
        notes,
    };
    let plan = build::build(inputs).map_err(|faults| {
        let error = OpsError::faulty(doing, &faults);
        warnings.iter().fold(error, |error, warning| error.fact("warning", warning.clone()))
    })?;
    let document = plan.to_json().map_err(|error| OpsError::because(doing, &error))?;
    let digest = plan::digest(&document);
    let joined = facts.namespaces.iter().map(|found| (found.kind, found.identity)).collect();
    let owner = facts.caller.as_ref().and_then(CallerFacts::uid);
    Ok(Prepared {
        owner: owner.unwrap_or_else(|| rustix::process::getuid().as_raw()),
        bundle,
        judged,
        plan,
        document,
        digest,
        rootfs,
        hierarchies,
        fellow,
        joined,
        warnings,
    })
}

/// Spec: config.md, "Linux Process": a capability that nobody can get is warned of. In the words
/// that runc has for it, which is what people look for. What the policy withholds is not among
/// them: that is recorded as its change.
fn not_given(spec: &Spec, unknown: Vec<String>, bounding: u64) -> Vec<String> {
    let process = spec.process().as_ref();
    let [lost, idle] = process.map_or([0, 0], |process| plan::not_given(process, bounding));
    let words = |set| (set != 0).then(|| capability_words(set));
    let lost: Vec<_> = unknown.into_iter().chain(words(lost)).collect();
    let lost = (!lost.is_empty())
        .then(|| format!("ignoring unknown or unavailable capabilities: [{}]", lost.join(" ")));
    let idle = words(idle)
        .map(|names| format!("can't make capabilities effective that are not permitted: {names}"));
    lost.into_iter().chain(idle).collect()
}

/// The kernel keeps the ambient set within two others. Reference: capabilities(7).
fn not_raised(spec: &Spec) -> Vec<String> {
    let capabilities = spec.process().as_ref().and_then(|process| process.capabilities().as_ref());
    let Some(capabilities) = capabilities else { return Vec::new() };
    let has = |set: &Option<Capabilities>, one: &Capability| {
        set.as_ref().is_some_and(|set| set.contains(one))
    };
    let raised = |one: &Capability| {
        has(capabilities.permitted(), one) && has(capabilities.inheritable(), one)
    };
    let asked = capabilities.ambient().iter().flatten();
    let mut lost: Vec<_> = asked.filter(|one| !raised(one)).map(ToString::to_string).collect();
    lost.sort_unstable();
    let warning = |name: &String| {
        format!("can't raise ambient capability CAP_{name}: it is not permitted and inheritable")
    };
    lost.iter().map(warning).collect()
}

/// The specification with every path followed to what it is, and what the policy must know of
/// the host to judge it.
fn host_view(
    context: &Context,
    config: Config,
    facts: &KernelFacts,
    bundle: &Bundle,
) -> (Spec, HostView) {
    let mut spec = config.into_value();
    for namespace in
        spec.linux_mut().iter_mut().flat_map(|linux| linux.namespaces_mut().iter_mut().flatten())
    {
        // To an engine an empty path is none: a new namespace, never the host's.
        if namespace.path().as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
            namespace.set_path(None);
        }
    }
    let kernel_sources = sources::resolve(&mut spec, bundle);
    if let Some(root) = spec.root_mut() {
        root.set_path(PathBuf::from(facts.rootfs.path.as_str()));
    }
    let own = |path: &'static str| Path::new(path).parent();
    let ours = [own(super::POLICY_FILE), own(super::RANGES), own(DEFAULT_FILE)];
    let ours = ours.into_iter().flatten().chain([context.root.as_path()]);
    let protected = ours.map(sources::place_of).collect();
    let hooks = hooks::found(&spec, bundle, Path::new(facts.rootfs.path.as_str()));
    let namespaces = namespaces::found(facts);
    let (caller, pod) = (facts.caller.as_ref().and_then(caller_view), pod_view(facts));
    (
        spec,
        HostView {
            namespaces,
            caller,
            pod,
            kernel_sources,
            hooks,
            protected,
            ..HostView::default()
        },
    )
}

/// Whom exceptions are asked for, and on which day; where there is none, nobody asks.
pub(super) fn subject(policy: &Policy, bundle: &Path, id: Option<&ContainerId>) -> Subject {
    if policy.exceptions.is_empty() {
        return Subject::default();
    }
    let now = rfc3339(SystemTime::now());
    Subject {
        id: id.map(ToString::to_string),
        bundle: bundle.to_string_lossy().into_owned(),
        today: now.split('T').next().unwrap_or_default().to_owned(),
    }
}

fn caller_view(facts: &CallerFacts) -> Option<CallerView> {
    let lines = |map: &[IdMapping]| map.iter().map(|line| (line.inside, line.size)).collect();
    Some(CallerView { uid: facts.uid()?, uids: lines(&facts.uids), gids: lines(&facts.gids) })
}

fn pod_view(facts: &KernelFacts) -> Option<PodView> {
    let line = |line: &IdMapping| (line.inside, line.outside, line.size);
    let pod = facts.pod.as_ref()?;
    let [uids, gids] = [&pod.uids, &pod.gids].map(|lines| lines.iter().map(line).collect());
    Some(PodView { of: pod.of.clone(), uids, gids })
}

pub(super) fn load_policy(context: &Context, doing: &str) -> Result<Policy> {
    let text = policy_file::read(context.policy.as_deref())
        .map_err(|error| OpsError::because(doing, &error))?;
    let Some((file, text)) = text else { return Ok(Policy::default()) };
    let policy = policy::parse(&file, &text).map_err(|error| OpsError::because(doing, &error))?;
    for exception in &policy.exceptions {
        let rules: Vec<_> = exception.baseline_rules().collect();
        seccomp::check_waivers(&rules, SetIdBits::Denied).map_err(|error| {
            let at = format!("policy {file}, line {}: {error}", exception.line);
            let failed = OpsError::failed(doing, at);
            match error.hint() {
                Some(hint) => failed.hint(hint),
                None => failed,
            }
        })?;
    }
    Ok(policy)
}

/// Parses and checks config.json; everything that this version cannot apply is a refusal.
fn read(doing: &str, bundle: &Bundle, level: Level) -> Result<Config> {
    let config = spec::parse(bundle.config())
        .map_err(|errors| listed(doing, errors.iter().map(ToString::to_string)))?;
    let mut faults: Vec<String> = config.not_applied().iter().map(ToString::to_string).collect();
    // The specification has unknown properties ignored; a level that promises something cannot.
    if level == Level::Hardened {
        faults.extend(config.unknown().iter().map(ToString::to_string));
    }
    faults.extend(spec::check(config.spec()).iter().map(ToString::to_string));
    if faults.is_empty() { Ok(config) } else { Err(listed(doing, faults.into_iter())) }
}

/// All faults of config.json: the first one in the sentence, the others as facts.
pub(super) fn listed(doing: &str, mut faults: impl Iterator<Item = String>) -> OpsError {
    let first = faults.next().unwrap_or_default();
    let mut error = OpsError::failed(doing, format!("config.json {first}"));
    error.facts.extend(faults.take(8).map(|fault| ("also", fault)));
    error.fact("undone", "nothing was created")
}
