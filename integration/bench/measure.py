"""Measures the contenders of hack/bench.sh, which starts this with everything built.

Runs every contender once per round, in an order that is shuffled anew for each round, so
that no one always follows the same neighbour; what is compared is compared within a round.
"""

import argparse
import json
import os
import random
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import seccomp_bars

WARM_UP_ROUNDS = 3
PAUSE_S = 0.060
MODES = {"back to back": 0.0, "60 ms pauses": PAUSE_S}
# What casemate is to reach: (quantity, measured against, at most).
BARS = [
    ("wall", "floor-userns", 1.4),
    ("wall", "crun-new", 0.5),
    ("wall", "runc-new", 0.12),
    ("cpu", "crun-new", 0.5),
]
RSS_BAR_MIB = 4.0
# The versions that the bars were set against.
PEERS = {"crun-new": (1, 28), "runc-new": (1, 5)}


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


class Lap:
    """The small program that starts a command and reports what it cost."""

    def __init__(self, path, log):
        self.log = open(log, "w+b")
        self.process = subprocess.Popen(
            [path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, close_fds=True
        )

    def run(self, argv):
        """Returns (start ns, end ns, CPU ms, peak RSS KiB, exit status)."""
        self.log.seek(0)
        self.log.truncate()
        self.process.stdin.write(b"".join(os.fsencode(a) + b"\0" for a in argv) + b"\0")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            return 0, 0, 0.0, 0, 127
        start, end, cpu_us, rss_kib, status = map(int, line.split())
        return start, end, cpu_us / 1000, rss_kib, status

    def last_error(self):
        """What the last command wrote to standard error."""
        self.log.seek(0)
        return self.log.read().decode(errors="replace")


class Contender:
    """One program with a bundle and a state directory of its own."""

    def __init__(self, role, title, args, path, kind):
        self.role, self.title, self.path, self.kind = role, title, path, kind
        self.bundle = Path(args.work) / role
        self.state = Path("/run") / Path(args.work).name / f"{role}.state"
        self.state.parent.mkdir(mode=0o700, exist_ok=True)
        self.id = f"{args.name}-{role}"
        self.version = tuple(map(int, re.findall(r"\d+", title)[:2]))
        self.forget = None
        make_bundle(self.bundle, args, self.id)

    def argv(self):
        if self.kind == "bare":
            return [self.path]
        if self.kind == "floor":
            return [self.path, self.role.removeprefix("floor-"), str(self.bundle), self.id]
        return [self.path, "--root", str(self.state), "run", "--bundle", str(self.bundle), self.id]

    def drop_resources(self):
        path = self.bundle / "config.json"
        config = json.loads(path.read_text())
        del config["linux"]["resources"]
        path.write_text(json.dumps(config))

    def prepare(self):
        """What has to be done before a run, outside the measured time."""
        if self.forget:
            shutil.rmtree(self.forget, ignore_errors=True)


def make_bundle(bundle, args, cgroup):
    root = bundle / "rootfs"
    for directory in ("bin", "dev", "etc", "proc", "run", "sys", "tmp", "var/tmp"):
        (root / directory).mkdir(parents=True)
    (bundle / "shm").mkdir()
    for name in ("hosts", "hostname", "containerenv"):
        (bundle / name).touch()
    for name in ("etc/hosts", "etc/hostname", "run/.containerenv"):
        (root / name).touch()
    shutil.copy(Path(args.built) / "true", root / "bin/true")
    text = Path(args.config).read_text()
    config = json.loads(text.replace("@BUNDLE@", str(bundle)).replace("@CGROUP@", f"/{cgroup}"))
    for controller in ("memory", "pids"):
        config["linux"]["resources"].pop(controller, None)
    for limit in config["process"]["rlimits"]:
        _, hard = resource.getrlimit(getattr(resource, limit["type"]))
        if hard != resource.RLIM_INFINITY:
            limit["hard"], limit["soft"] = min(limit["hard"], hard), min(limit["soft"], hard)
    (bundle / "config.json").write_text(json.dumps(config))


def version_of(path):
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"\d+\.\d+(\.\d+)?", said.stdout)
    return found.group(0) if found else "of unknown version"


def list_contenders(args):
    """Every contender that there is a program for."""
    floor = f"{args.built}/floor"
    found = [
        Contender("floor-userns", "floor, user namespace", args, floor, "floor"),
        Contender("floor-plain", "floor, plain", args, floor, "floor"),
        # What starting a process takes, without and with a C library's own start-up (where
        # glibc asks the processor what it is, which is slow on a virtual machine). The
        # measuring program ends at once, for its input is empty.
        Contender("start", "(empty program)", args, f"{args.built}/true", "bare"),
        Contender("start-libc", "(empty program, libc)", args, f"{args.built}/lap", "bare"),
    ]
    if os.access(args.casemate, os.X_OK):
        found.insert(0, Contender("casemate", "casemate hardened", args, args.casemate, "runtime"))
    else:
        say("casemate: left out, there is no binary (build it, or set CASEMATE)")
    seen = set()
    for program in ("crun", "runc"):
        for age in ("new", "old"):
            path = getattr(args, f"{program}_{age}")
            if not path or not os.access(path, os.X_OK):
                say(f"{program} ({'newest' if age == 'new' else 'installed'}): left out, not there")
                continue
            title = f"{program} {version_of(path)}"
            if title in seen:
                continue
            seen.add(title)
            found.append(Contender(f"{program}-{age}", title, args, path, "runtime"))
    return found


def add_cold_crun(lap, args, contenders):
    """Adds the newest crun with its seccomp cache emptied before each run, if it has one."""
    warm = next((c for c in contenders if c.role == "crun-new"), None)
    cache = warm.state / ".cache" if warm else None
    if not cache or not cache.is_dir():
        return
    cold = Contender("crun-new-cold", f"{warm.title}, cold", args, warm.path, "runtime")
    cold.forget = cold.state / ".cache"
    warm.title += ", warm"
    if try_once(lap, cold):
        contenders.insert(contenders.index(warm) + 1, cold)


def try_once(lap, contender):
    """Whether the contender runs here. An old crun needs a right that may be missing to load
    device rules; rather than leave it out, the rules are left out, for it alone."""
    status = lap.run(contender.argv())[-1]
    if status == 0:
        return True
    lines = lap.last_error().strip().splitlines() or ["nothing on standard error"]
    if contender.role.endswith("-old"):
        contender.drop_resources()
        if lap.run(contender.argv())[-1] == 0:
            say(f"{contender.title}: without device rules, with them: {lines[0]}")
            contender.title += ", no rules"
            return True
    say(f"{contender.title}: left out, `run` ended with {status}: {lines[0]}")
    return False


def warn_of_circumstances(contenders):
    """Says what makes the numbers of this run less than they should be."""
    load = os.getloadavg()[0]
    if load > 0.7:
        say(f"the machine is busy (load {load:.1f}): wall times will be high; trust ratios and p10")
    for role, wanted in PEERS.items():
        peer = next((c for c in contenders if c.role == role), None)
        if peer and peer.version < wanted:
            say(f"the bars were set against {role.removesuffix('-new')} {'.'.join(map(str, wanted))}, this is {peer.title}")


def measure(lap, contenders, runs, mode):
    """Returns role -> list of (wall ms, CPU ms, RSS KiB), one entry per round."""
    samples = {c.role: [] for c in contenders}
    order = list(contenders)
    for number in range(-WARM_UP_ROUNDS, runs):
        if sys.stderr.isatty():
            print(f"\rbench: {mode}: round {max(number + 1, 0)} of {runs} ", end="", file=sys.stderr, flush=True)
        random.shuffle(order)
        for contender in order:
            contender.prepare()
            if MODES[mode]:
                time.sleep(MODES[mode])
            start, end, cpu, rss, status = lap.run(contender.argv())
            if status != 0:
                raise SystemExit(f"bench: {contender.title} failed with {status} in round {number}: {lap.last_error()}")
            if number >= 0:
                samples[contender.role].append(((end - start) / 1e6, cpu, rss))
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    return samples


def count_syscalls(contender, work):
    """System calls of one run, all processes, as strace counts them; None without strace."""
    if not shutil.which("strace"):
        return None
    out = Path(work) / "strace"
    contender.prepare()
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    strace = ["strace", "-f", "-qq", "-c", "-U", "calls,name", "-o", str(out)]
    if subprocess.run(strace + contender.argv(), check=False, **quiet).returncode != 0:
        return None
    found = re.search(r"^\s*(\d+)\s+total", out.read_text(), re.MULTILINE)
    return int(found.group(1)) if found else None


def tenth(values):
    return sorted(values)[len(values) // 10]


def summarise(samples):
    wall, cpu, rss = zip(*samples)
    return {
        "wall_ms_median": statistics.median(wall),
        "wall_ms_p10": tenth(wall),
        "cpu_ms_median": statistics.median(cpu),
        "rss_mib_peak": max(rss) / 1024,
    }


def ratio(samples, quantity, one, other):
    """The median of the rounds' own ratios."""
    column = {"wall": 0, "cpu": 1}[quantity]
    pairs = zip(samples[one], samples[other])
    return statistics.median(a[column] / b[column] for a, b in pairs if b[column])


def judge(samples):
    """Casemate against its bars: (what, value, bar, met)."""
    if "casemate" not in samples:
        return []
    rows = []
    for quantity, other, bar in BARS:
        if other in samples:
            value = ratio(samples, quantity, "casemate", other)
            rows.append((f"{quantity}, casemate / {other}", value, bar, value <= bar))
    peak = max(rss for _, _, rss in samples["casemate"]) / 1024
    rows.append(("peak RSS of casemate, MiB", peak, RSS_BAR_MIB, peak <= RSS_BAR_MIB))
    return rows


def show(mode, runs, contenders, samples, syscalls):
    print(f"\n{mode}, {runs} rounds")
    print(f"  {'':24}{'wall ms':>9}{'p10':>8}{'CPU ms':>8}{'RSS MiB':>9}{'syscalls':>10}{'x floor':>9}")
    for c in contenders:
        s = summarise(samples[c.role])
        calls = syscalls[c.role] if syscalls[c.role] is not None else "-"
        print(
            f"  {c.title:24}{s['wall_ms_median']:9.2f}{s['wall_ms_p10']:8.2f}{s['cpu_ms_median']:8.2f}"
            f"{s['rss_mib_peak']:9.2f}{calls:>10}{ratio(samples, 'wall', c.role, 'floor-userns'):9.2f}"
        )
    for what, value, bar, met in judge(samples):
        print(f"  {what:40}{value:7.3f}  <= {bar:<5} {'met' if met else 'NOT MET'}")


def trace_floor(lap, contenders, runs):
    """Prints, for each floor, the median time of every step since main."""
    os.environ["FLOOR_TRACE"] = "1"
    lap = Lap(lap.process.args[0], lap.log.name + ".trace")
    for c in (c for c in contenders if c.kind == "floor"):
        at = {}
        for _ in range(runs):
            start, end, _, _, status = lap.run(c.argv())
            if status != 0:
                raise SystemExit(f"bench: {c.title} failed: {lap.last_error()}")
            for line in lap.last_error().splitlines():
                track, ns, step = line.split("\t")
                at.setdefault((track, step), []).append((int(ns) - start) / 1000)
            at.setdefault(("parent", "reaped"), []).append((end - start) / 1000)
        print(f"\n{c.title}: medians of {runs} runs, µs since the start of the process")
        before = {}
        for (track, step), times in sorted(at.items(), key=lambda item: statistics.median(item[1])):
            median = statistics.median(times)
            print(f"  {median:8.0f}  {'+%.0f' % (median - before.get(track, 0.0)):>7}  {track:7} {step}")
            before[track] = median


def measure_filter(args):
    """The bars of the seccomp compiler, if there is a binary."""
    if not os.access(args.casemate, os.X_OK):
        return []
    return seccomp_bars.measure(args.casemate, f"{args.built}/oracle", args.config, args.work, say)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("work", "built", "name", "config", "casemate"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("crun-new", "crun-old", "runc-new", "runc-old"):
        parser.add_argument(f"--{name}", default="")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--json")
    parser.add_argument("--trace", action="store_true")
    parser.add_argument("--enforce", action="store_true")
    parser.add_argument("--filter", action="store_true")
    return parser.parse_args()


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    args = parse_arguments()
    if args.runs < 1:
        raise SystemExit("bench: --runs takes a number of at least 1")
    if args.filter:
        bars = measure_filter(args)
        return 4 if args.enforce and not (bars and all(met for *_, met in bars)) else 0
    lap = Lap(f"{args.built}/lap", Path(args.work) / "stderr")
    contenders = [c for c in list_contenders(args) if try_once(lap, c)]
    if not any(c.role == "floor-userns" for c in contenders):
        raise SystemExit("bench: the floor does not run here: nothing to measure against")
    if args.trace:
        trace_floor(lap, contenders, args.runs)
        return 0
    add_cold_crun(lap, args, contenders)
    warn_of_circumstances(contenders)
    if args.json:
        Path(args.json).touch()
    say("config: Podman's default, resources.pids and resources.memory dropped for all, rlimits clamped to the hard limits")
    syscalls = {c.role: count_syscalls(c, args.work) for c in contenders}
    report = {"kernel": os.uname().release, "runs": args.runs, "modes": {}}
    missed = not any(c.role == "casemate" for c in contenders)
    for mode in MODES:
        samples = measure(lap, contenders, args.runs, mode)
        show(mode, args.runs, contenders, samples, syscalls)
        bars = judge(samples)
        missed = missed or not all(met for *_, met in bars)
        report["modes"][mode] = {
            "bars": [dict(zip(("what", "value", "at_most", "met"), bar)) for bar in bars],
            "contenders": {
                c.role: {"title": c.title, "syscalls": syscalls[c.role], **summarise(samples[c.role]),
                         "samples_wall_ms_cpu_ms_rss_kib": samples[c.role]}
                for c in contenders
            },
        }
    bars = measure_filter(args)
    missed = missed or not all(met for *_, met in bars)
    report["filter"] = [dict(zip(("what", "value", "at_most", "met"), bar)) for bar in bars]
    if args.json:
        Path(args.json).write_text(json.dumps(report, indent=1) + "\n")
    return 4 if args.enforce and missed else 0


if __name__ == "__main__":
    sys.exit(main())
