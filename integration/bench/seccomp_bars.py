"""The bars of the seccomp compiler: how large the filter of Podman's default profile is, how long
it takes to compile, and to load beside libseccomp's tree program for the same profile.

Loads are timed one by one, each in a process of its own, ours and libseccomp's in turn; the
bar is on the median of the pairs' own ratios, so that what slows the machine down slows both.
"""

import json
import statistics
import subprocess
from pathlib import Path

PAIRS = 201
COMPILE_REPEATS = 7

# What is to be reached: (quantity, unit, at most).
COMPILE_US, INSTRUCTIONS, LOAD_RATIO = 120.0, 450, 0.45

TREE = 2
ARCHES = {"SCMP_ARCH_X86_64": 0xC000003E, "SCMP_ARCH_X86": 0x40000003, "SCMP_ARCH_X32": 0x4000003E}
ACTIONS = {
    "SCMP_ACT_KILL": 0x00000000,
    "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": 0x00050000,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ALLOW": 0x7FFF0000,
}
OPERATORS = ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"]


class Oracle:
    """libseccomp, driven by integration/seccomp_compiler/oracle.c."""

    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, text):
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def compile(self, profile):
        """The program that runc would load: (code, jt, jf, k) of each instruction."""
        length = self.ask(script(profile))
        if length < 0:
            raise SystemExit("bench: libseccomp refuses the profile")
        return unpack(self.process.stdout.read(length))

    def load(self, program):
        """Microseconds that seccomp(2) takes."""
        words = " ".join(f"{code} {jt} {jf} {k}" for code, jt, jf, k in program)
        took = self.ask(f"load 0 {len(program)} {words}\n")
        if took <= 0:
            raise SystemExit("bench: the kernel refuses the program")
        return took / 1000


def script(profile):
    """The profile in the words of the oracle, as runc makes rules of it."""
    default = action(profile["defaultAction"], profile.get("defaultErrnoRet"))
    lines = [f"begin {TREE} {default}"]
    lines += [f"arch {ARCHES[arch]}" for arch in profile.get("architectures", []) if arch in ARCHES]
    for rule in profile["syscalls"]:
        answer = action(rule["action"], rule.get("errnoRet"))
        if answer == default:
            continue
        args = rule.get("args") or []
        lists = [args] if len({a["index"] for a in args}) == len(args) else [[a] for a in args]
        for name in rule["names"]:
            for conditions in lists:
                words = [f"rule {answer} {name} {len(conditions)}"]
                for a in conditions:
                    op = OPERATORS.index(a["op"].removeprefix("SCMP_CMP_")) + 1
                    words.append(f"{a['index']} {op} {a['value']} {a.get('valueTwo', 0)}")
                lines.append(" ".join(words))
    return "\n".join(lines) + "\nend\n"


def action(name, number):
    low = (1 if number is None else number) if name == "SCMP_ACT_ERRNO" else 0
    return ACTIONS[name] | low


def unpack(data):
    return [
        (int.from_bytes(data[i : i + 2], "little"), data[i + 2], data[i + 3],
         int.from_bytes(data[i + 4 : i + 8], "little"))
        for i in range(0, len(data), 8)
    ]


def measure(casemate, oracle, config, work, say):
    """Prints the three bars; gives them as (what, value, at most, met)."""
    profile = Path(work) / "filter.json"
    profile.write_text(json.dumps(json.loads(Path(config).read_text())["linux"]["seccomp"]))
    program = Path(work) / "filter.bpf"
    command = [casemate, "seccomp", "compile", str(profile), "--json", "-o", str(program)]
    reports = []
    for _ in range(COMPILE_REPEATS):
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode != 0:
            say(f"filter: left out, `seccomp compile` says: {done.stderr.decode().strip()}")
            return []
        reports.append(json.loads(done.stdout))
    compile_us = statistics.median(report["compileUsec"] for report in reports)
    instructions = reports[0]["instructions"]
    bars = [
        ("filter: compile, µs", compile_us, COMPILE_US),
        ("filter: size, instructions", instructions, INSTRUCTIONS),
    ]
    note = f"median of {COMPILE_REPEATS} times {reports[0]['compileRuns']} compiles"
    if Path(oracle).exists():
        ratio, told = loads(Oracle(oracle), unpack(program.read_bytes()), json.loads(profile.read_text()))
        bars.append(("filter: load, casemate / libseccomp", ratio, LOAD_RATIO))
        note += f"; {told}"
    else:
        say("filter: loads are left out, there is no libseccomp to build with (libseccomp-dev)")
    bars = [(what, value, bar, value <= bar) for what, value, bar in bars]
    print(f"\nPodman's default profile as a filter, with the baseline ({note})")
    for what, value, bar, met in bars:
        print(f"  {what:40}{value:9.3f}  <= {bar:<5} {'met' if met else 'NOT MET'}")
    return bars


def loads(oracle, own, profile):
    tree = oracle.compile(profile)
    pairs = []
    for number in range(PAIRS):
        # Which of the two comes first changes, so that neither always warms up for the other.
        if number % 2:
            pairs.append((oracle.load(own), oracle.load(tree)))
        else:
            theirs = oracle.load(tree)
            pairs.append((oracle.load(own), theirs))
    ratio = statistics.median(ours / theirs for ours, theirs in pairs)
    ours, theirs = (statistics.median(column) for column in zip(*pairs))
    return ratio, f"load {ours:.0f} µs beside {theirs:.0f} µs for {len(tree)} instructions, {PAIRS} pairs"
