"""`make bench`: compares grid with other implementations of the same work (its peers), side by side in one run.

usage: run.py [--quick] [--rounds N] [--only TEXT]

All contestants of a benchmark are started once and keep running. In each round they do the same work, one after the
other. A ratio is the median over the rounds of (ours / peer) within one round, so that other load on the machine affects
both sides. Results are printed and written to target/bench/NAME.json as {name, ours, peer, ratio, runs, machine}.

A contestant is a program that writes a line of JSON when it is ready. Then, for each line that it reads (the number of
times to do its unit of work), it writes a line of JSON with at least `units` (of work), `seconds` and `peak_bytes`. Its
`losses` (or another list that the benchmark names as its `check`) must agree with ours.

To add a benchmark, add a peer to benches/peers/ and an entry to `benchmarks`.
"""

import argparse
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "target" / "bench"
GRID = ROOT / "target" / "release" / "grid"
WORKER = ROOT / "target" / "release" / "grid-worker"


@dataclass
class Contestant:
    """A named program with additional environment variables."""

    name: str
    command: list
    environment: dict = field(default_factory=dict)


@dataclass
class Benchmark:
    """Our program against each of its peers."""

    name: str
    unit: str
    repeat: int  # units of work in one round
    warmup: int  # units of work before the first round, not measured
    ours: Contestant
    peers: list
    check: str  # the list in every answer that must agree; empty if the contestants do different work
    tolerance: float  # largest relative difference between the lists
    rounds: int = 0  # the most rounds; 0 for no limit
    neighbours: int = 0  # busy programs that run beside the contestants


def cores():
    return len(os.sched_getaffinity(0))


def tuned():
    """The settings that grid-worker uses: MKL's AVX path on AMD, and an allocator (here glibc's) that keeps its pages."""
    library = OUT / "mkl_amd.so"
    compiler = shutil.which("cc") or shutil.which("gcc")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, ROOT / "benches" / "mkl_amd.c"], check=True)
    tunables = "glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=4294967296:glibc.malloc.top_pad=268435456"
    return {"LD_PRELOAD": str(library), "GLIBC_TUNABLES": tunables}


def llama(hidden, layers, heads, intermediate, vocab_size):
    return {
        "arch": "llama", "vocab_size": vocab_size, "max_positions": 2048, "hidden": hidden, "layers": layers,
        "heads": heads, "kv_heads": heads, "head_dim": hidden // heads, "intermediate": intermediate,
        "rope_base": 10000.0, "norm_eps": 1e-6, "tied": False, "init_std": 0.02,
    }  # fmt: skip


def training(name, model, batch_size, precision, repeat):
    """Training steps of one model, against eager and compiled PyTorch, each stock and with our settings."""
    threads = str(cores())
    initial = OUT / "initial" / name
    workload = {
        "model": model, "batch_size": batch_size, "sequence_length": 256, "precision": precision, "device": "cpu",
    }  # fmt: skip
    ours = json.dumps(workload | {"initial": str(initial)})
    peer = [sys.executable, str(ROOT / "benches" / "peers" / "train.py"), ours, threads]
    count = {"OMP_NUM_THREADS": threads}
    return Benchmark(
        name=f"train-{name}-{precision}",
        unit="token",
        repeat=repeat,
        warmup=2,
        ours=Contestant("grid", [str(WORKER), "--threads", threads, "bench", ours], count),
        peers=[
            Contestant("eager", peer, count),
            Contestant("eager-tuned", [*peer, "--fused"], count | tuned()),
            Contestant("compile", [*peer, "--compile"], count),
            Contestant("compile-tuned", [*peer, "--compile"], count | tuned()),
        ],
        check="losses",
        tolerance=1e-4 if precision == "f32" else 5e-3,
    )


def waiting(name, neighbours, repeat):
    """A small model by two threads that adapt how they wait, against the default of libgomp and against one thread."""
    model = llama(hidden=128, layers=2, heads=2, intermediate=352, vocab_size=2048)
    workload = {
        "model": model, "batch_size": 16, "sequence_length": 64, "precision": "f32", "device": "cpu", "initial": None,
    }  # fmt: skip
    spin = {"GOMP_SPINCOUNT": "300000"}  # the default of libgomp

    def worker(label, threads, environment):
        command = [str(WORKER), "--threads", str(threads), "bench", json.dumps(workload)]
        return Contestant(label, command, environment | {"OMP_NUM_THREADS": str(threads)})

    return Benchmark(
        name=f"waiting-{name}",
        unit="token",
        repeat=repeat,
        warmup=2,
        ours=worker("grid", 2, spin | {"OMP_WAIT_POLICY": "ACTIVE"}),
        peers=[worker("spinning", 2, spin), worker("one-thread", 1, {})],
        check="",  # one program; the losses of a batch that was learned by heart differ by rounding only, but relatively much
        tolerance=0,
        neighbours=neighbours,
    )


def preference(precision, repeat):
    """DPO on pairs, against supervised fine-tuning on their chosen and their rejected replies: two passes for each pair.

    All tokens are replies, which is the worst case: the vocabulary is only applied to replies, and DPO applies it once more.
    """
    workload = {
        "model": llama(hidden=256, layers=4, heads=4, intermediate=704, vocab_size=8192), "batch_size": 16,
        "sequence_length": 128, "precision": precision, "device": "cpu", "initial": None,
    }  # fmt: skip
    command = lambda more: [str(WORKER), "--threads", str(cores()), "bench", json.dumps(workload | more)]
    return Benchmark(
        name=f"preference-{precision}",
        unit="token",
        repeat=repeat,
        warmup=2,
        ours=Contestant("grid", command({"objective": "dpo"})),
        peers=[Contestant("two-sft", command({}))],
        check="",
        tolerance=0,
    )


def generation(model, precision, quick):
    """Greedy replies to prompts of one length, against `generate` of transformers, prompt by prompt and in batches."""
    threads = str(cores())
    workload = {
        "model": {"folder": str(model)} if model else {"random": llama(hidden=192, layers=4, heads=3, intermediate=768, vocab_size=4096)},
        "prompts": 32, "prompt_length": 32, "new_tokens": 32 if quick else 96, "temperature": 0.0, "top_p": 1.0,
        "precision": precision, "device": "cpu", "initial": str(OUT / "initial" / "generation"),
    }  # fmt: skip
    ours = json.dumps(workload)
    peer = lambda batch: [sys.executable, str(ROOT / "benches" / "peers" / "generate.py"), ours, threads, str(batch)]
    count = {"OMP_NUM_THREADS": threads}
    return Benchmark(
        name=f"generation-{precision}",
        unit="token",
        repeat=1,
        warmup=1,
        ours=Contestant("grid", [str(WORKER), "--threads", threads, "bench-generation", ours], count),
        peers=[
            Contestant("batch-1", peer(1), count),
            Contestant("batch-32", peer(32), count),
            Contestant("batch-32-tuned", peer(32), count | tuned()),
        ],
        # In bfloat16, the two most probable tokens are often equal.
        check="ids" if precision == "f32" else "",
        tolerance=0,
    )


def digests(rounds):
    """The share of the time of a run of the quickstart in which files are not digested."""
    shares, seconds, jobs = [], [], 0
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            environment = os.environ | {"GRID_LOG": "grid::domain::digest=debug,warn"}
            command = [str(GRID), "run", str(ROOT / "experiments" / "quickstart.yaml"), "--runs-dir", folder]
            start = time.monotonic()
            run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            seconds.append(time.monotonic() - start)
            logs = [run.stderr, *(path.read_text() for path in Path(folder).glob("workers/*.log"))]
            found = [float(text) for log in logs for text in re.findall(r"digested bytes=\d+ seconds=([0-9.e-]+)", log)]
            assert found, "no file was digested"
            shares.append(sum(found) / (seconds[-1] * cores()))
            jobs = len(list(Path(folder).glob("quickstart/*")))
    side = lambda name, rate: {"name": name, "units_per_second": rate, "peak_bytes": 1}
    share, rate = statistics.median(shares), jobs / statistics.median(seconds)
    result = {
        "name": "digests-vs-none", "unit": "job", "ours": side("grid", rate), "peer": side("none", rate / (1 - share)),
        "ratio": 1 - share, "memory_ratio": 1, "runs": [{"seconds": seconds, "shares": shares}],
    }  # fmt: skip
    (OUT / "digests-vs-none.json").write_text(json.dumps(result, indent=1) + "\n")
    yield result


def finetuning(model, data, name, position, epochs, rounds):
    """rte and mrpc on a small model, both sides reading the same position of the input; each round is a new seed."""
    arguments = [GRID, model, data, epochs, cores()]
    command = lambda side: [sys.executable, str(ROOT / "benches" / "finetune.py"), side, *map(str, arguments), position]
    count = {"OMP_NUM_THREADS": str(cores())}
    return Benchmark(
        name=f"finetune-{name}",
        unit="row",
        repeat=1,
        warmup=0,
        ours=Contestant("grid", command("grid")),
        peers=[Contestant("official", command("official"), count), Contestant("official-tuned", command("official"), count | tuned())],
        check="accuracies",
        tolerance=0.3,  # wide (139 test rows, different random numbers): detects a different task, not a different seed
        rounds=rounds,
    )


def zero_shot(name, model, data, backend):
    """The official zero-shot evaluation of one model, by the rules of 2026: on four suites, from BLiMP to reading times, or on
    the fast sets of two suites for a model that predicts masked tokens."""
    threads = str(cores())
    peer = [sys.executable, str(ROOT / "benches" / "peers" / "zero_shot.py"), str(model), str(data), threads, backend]
    ours = [sys.executable, str(ROOT / "benches" / "zero_shot.py"), str(GRID), str(model), str(data), threads, backend]
    count = {"OMP_NUM_THREADS": threads}
    return Benchmark(
        name=name,
        unit="sequence",
        repeat=1,
        warmup=1,
        ours=Contestant("grid", ours, count),
        peers=[Contestant("transformers", peer, count), Contestant("tuned", peer, count | tuned())],
        check="sums",
        tolerance=1e-5,
    )


def benchmarks(quick):
    small = llama(hidden=256, layers=4, heads=4, intermediate=704, vocab_size=8192)
    large = llama(hidden=768, layers=12, heads=12, intermediate=2048, vocab_size=16384)
    for precision in ("f32", "bf16"):
        yield training("4x256", small, 16, precision, 2 if quick else 4)
    for name, neighbours, repeat in (("idle", 0, 150), ("busy", cores(), 60)):
        yield waiting(name, neighbours, repeat // 3 if quick else repeat)
    for precision in ("f32", "bf16"):
        yield preference(precision, 2 if quick else 6)
    for precision in ("f32", "bf16"):
        yield training("12x768", large, 4, precision, 1 if quick else 2)
    # A model folder in Hugging Face format and the official folder evaluation_data, which may not be redistributed.
    model, data, masked = (os.environ.get(f"GRID_BENCH_{name}") for name in ("MODEL", "DATA", "MASKED_MODEL"))
    for precision in ("f32", "bf16"):
        yield generation(Path(model).resolve() if model else None, precision, quick)
    if model and data:
        model, data = Path(model).resolve(), Path(data).resolve()
        yield zero_shot("zero-shot", model, data, "causal")
        for position in ("last", "first"):
            yield finetuning(model, data, position, position, 1 if quick else 3, 3)
    else:
        print("zero-shot, finetune: skipped; set GRID_BENCH_MODEL to a model and GRID_BENCH_DATA to the evaluation data")
    if masked and data:
        yield zero_shot("masked-zero-shot", Path(masked).resolve(), Path(data).resolve(), "mlm")
    else:
        print("masked-zero-shot: skipped; set GRID_BENCH_MASKED_MODEL to a BERT or RoBERTa, and GRID_BENCH_DATA as above")


class Running:
    """A contestant that has been started."""

    def __init__(self, contestant):
        self.contestant = contestant
        environment = os.environ | contestant.environment
        self.process = subprocess.Popen(
            contestant.command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.ready = self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"bench: {self.contestant.name} ended before it answered (exit {self.process.wait()})")
        return json.loads(line)

    def round(self, repeat):
        self.process.stdin.write(f"{repeat}\n")
        self.process.stdin.flush()
        return self.answer()

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def processor():
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def agree(benchmark, ours, theirs):
    """The largest relative difference between the lists that must agree."""
    if not benchmark.check:
        return 0.0
    ours, theirs = ours[benchmark.check], theirs[benchmark.check]
    assert len(ours) == len(theirs), f"{benchmark.name}: {len(ours)} and {len(theirs)} {benchmark.check}"
    return max((abs(a - b) / max(abs(a), abs(b), 1e-12) for a, b in zip(ours, theirs)), default=0.0)


def run(benchmark, rounds):
    contestants = [Running(contestant) for contestant in (benchmark.ours, *benchmark.peers)]
    neighbours = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(benchmark.neighbours)]
    try:
        first = [running.round(benchmark.warmup) for running in contestants]
        rounds = min(rounds, benchmark.rounds or rounds)
        answers = [[running.round(benchmark.repeat) for running in contestants] for _ in range(rounds)]
    finally:
        for neighbour in neighbours:
            neighbour.kill()
    for running in contestants:
        running.end()
    machine = {"processor": processor(), "threads": cores(), "system": platform.platform()}
    speed = lambda answer: answer["units"] / answer["seconds"]
    for index, peer in enumerate(benchmark.peers, start=1):
        off = max(agree(benchmark, first[0], first[index]), *(agree(benchmark, a[0], a[index]) for a in answers))
        if off > benchmark.tolerance:
            sys.exit(f"bench: {benchmark.name}: {benchmark.check} of grid and {peer.name} differ by {off:.2g}: they do not do the same work")
        side = lambda i: {
            "name": contestants[i].contestant.name,
            "units_per_second": statistics.median(speed(answer[i]) for answer in answers),
            "peak_bytes": max(answer[i]["peak_bytes"] for answer in answers),
            "ready": contestants[i].ready,
        }
        result = {
            "name": f"{benchmark.name}-vs-{peer.name}",
            "unit": benchmark.unit,
            "ours": side(0),
            "peer": side(index),
            "ratio": statistics.median(speed(answer[0]) / speed(answer[index]) for answer in answers),
            "memory_ratio": side(0)["peak_bytes"] / side(index)["peak_bytes"],
            "check": {"what": benchmark.check, "largest_relative_difference": off},
            "runs": [{"ours": answer[0], "peer": answer[index]} for answer in answers],
            "machine": machine,
        }
        (OUT / f"{result['name']}.json").write_text(json.dumps(result, indent=1) + "\n")
        yield result


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--rounds", type=int, help="rounds of each benchmark; by default 5, with --quick 2")
    parser.add_argument("--only", default="", help="benchmarks whose names contain this")
    arguments = parser.parse_args()
    rounds = arguments.rounds or (2 if arguments.quick else 5)
    OUT.mkdir(parents=True, exist_ok=True)
    print(f"{processor()}, {cores()} threads; medians of {rounds} alternating rounds")
    print(f"{'benchmark':<20} {'peer':<14} {'ours/s':>9} {'peer/s':>9} {'ratio':>6} {'memory':>7} {'peak MiB':>9}", flush=True)
    selected = [benchmark for benchmark in benchmarks(arguments.quick) if arguments.only in benchmark.name]
    results = [(benchmark.name, run(benchmark, rounds)) for benchmark in selected]
    if arguments.only in "digests":
        results.append(("digests", digests(min(rounds, 2))))
    for name, of_benchmark in results:
        for result in of_benchmark:
            ours, peer = result["ours"], result["peer"]
            print(
                f"{name:<20} {peer['name']:<14} {ours['units_per_second']:>9.0f} "
                f"{peer['units_per_second']:>9.0f} {result['ratio']:>6.2f} {result['memory_ratio']:>7.2f} "
                f"{ours['peak_bytes'] / 2**20:>9.0f}",
                flush=True,
            )


main()
