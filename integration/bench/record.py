"""Measures what watching costs: hack/record-bench.sh starts this with everything built.

What is compared runs in turn, in an order that is shuffled anew for each round, so that
whatever disturbs the machine disturbs all alike; of each the median is taken.
"""

import argparse
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# What recording may cost at most, as a ratio to the unrecorded run.
BAR = 1.10
HERE = Path(__file__).resolve().parent


def cpu_of_children():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def once(argv):
    """Wall and CPU time of a command and all that it waits for, in ms."""
    before = cpu_of_children()
    begun = time.perf_counter()
    subprocess.run(
        argv, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wall = time.perf_counter() - begun
    return wall * 1000, (cpu_of_children() - before) * 1000


def interleaved(contenders, rounds):
    """Medians of wall and CPU time, by name."""
    samples = {name: [] for name in contenders}
    for number in range(rounds + 2):
        names = list(contenders)
        random.shuffle(names)
        for name in names:
            sample = once(contenders[name])
            if number >= 2:
                samples[name].append(sample)
    return {
        name: tuple(statistics.median(column) for column in zip(*taken))
        for name, taken in samples.items()
    }


def recorded(casemate, work, argv):
    return [casemate, "seccomp", "record", "-o", str(work / "profile.json"), "--", *argv]


def compare(casemate, work, what, argv, rounds):
    """One line of the table; returns the ratio of wall time."""
    found = interleaved({"plain": argv, "recorded": recorded(casemate, work, argv)}, rounds)
    (wall, cpu), (with_wall, with_cpu) = found["plain"], found["recorded"]
    profile = json.loads((work / "profile.json").read_text())
    rules = len(profile["syscalls"])
    print(
        f"{what:<20} {wall:8.1f} {with_wall:8.1f} {with_wall / wall:6.3f}   "
        f"{cpu:8.1f} {with_cpu:8.1f} {with_cpu / cpu:6.3f}   {rules:5}",
        flush=True,
    )
    return with_wall / wall


def bundle(work, argv):
    """A bundle with nothing but the program of `refused.c`."""
    root = work / "bundle" / "rootfs"
    for name in ["bin", "dev", "proc", "sys", "tmp"]:
        (root / name).mkdir(parents=True, exist_ok=True)
    shutil.copy(work / "refused", root / "bin" / "refused")
    config = json.loads((HERE.parent / "support" / "config.json").read_text())
    config["process"]["args"] = argv
    config["linux"]["cgroupsPath"] = f"/casemate-bench-{os.getpid()}"
    (work / "bundle" / "config.json").write_text(json.dumps(config))
    return work / "bundle"


def policy(work, report):
    file = work / f"{report}.toml"
    file.write_text(f'level = "hardened"\n[seccomp]\nreport = "{report}"\n')
    file.chmod(0o644)
    return str(file)


def containers(casemate, work, rounds):
    """What a start costs, and a refused call, by the way refusals are told of."""
    ways = {way: policy(work, way) for way in ["off", "notify", "kernel-log"]}

    def run(way, argv, *options):
        dir = bundle(work, argv)
        return [
            casemate, "--root", str(work / "state"), "--policy", ways[way],
            "run", *options, "--bundle", str(dir), f"bench-{os.getpid()}",
        ]

    none = ["/bin/refused", "0"]
    starts = {way: run(way, none) for way in ways}
    starts["recorded"] = run("off", none, "--record", str(work / "profile.json"))
    found = interleaved(starts, rounds)
    each = {}
    for way in ways:
        argv = run(way, ["/bin/refused", "40", "500"])
        taken = subprocess.run(argv, check=True, capture_output=True, text=True)
        each[way] = int(taken.stdout)
    print("\na container: `report`     start to end, ms   CPU, ms   a refused call, ns")
    for name, (wall, cpu) in found.items():
        print(f"{name:<25} {wall:15.1f} {cpu:9.1f} {each.get(name, ''):>20}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--casemate", required=True)
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--enforce", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="casemate-record-bench.") as name:
        work = Path(name)
        (work / "hello.c").write_text('#include <stdio.h>\nint main(void) { puts("hello"); }\n')
        subprocess.run(
            ["gcc", "-O2", "-static", "-o", work / "refused", HERE / "refused.c"], check=True
        )
        gcc = ["gcc", "-O1", "-o", str(work / "hello"), str(work / "hello.c")]
        imports = "import json, ssl, http.client, unittest, xml.dom.minidom, multiprocessing"
        python = [sys.executable, "-S", "-c", imports]
        print("                      wall ms, median            CPU ms, median")
        print("                         plain recorded  ratio       plain recorded  ratio   rules")
        ratios = [
            compare(args.casemate, work, "gcc hello.c", gcc, args.runs),
            compare(args.casemate, work, "python3 import", python, args.runs),
        ]
        if os.geteuid() == 0:
            containers(args.casemate, work, args.runs)
    missed = [ratio for ratio in ratios if ratio > BAR]
    print(f"\nbar: at most {BAR} of the unrecorded wall time: {'MISSED' if missed else 'held'}")
    sys.exit(4 if missed and args.enforce else 0)


main()
