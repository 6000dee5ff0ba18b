"""Our contestant in the zero-shot benchmark: `grid run` on an imported model, as a user would call it.

usage: zero_shot.py GRID MODEL DATA THREADS causal|mlm

Implements the protocol of benches/run.py. For every number it reads, it does one complete run in a new folder, from the
start of the program to the rows in the database. `sums` covers only the sequences that the peer scores for that number.
"""

import json
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

import watched

sys.path.insert(0, str(Path(__file__).parent / "peers"))
from zero_shot import chosen

SUITES = {
    "causal": ("full", ["blimp", "blimp-supplement", "entity-tracking", "reading"]),
    "mlm": ("fast", ["blimp", "blimp-supplement"]),
}


def spec(model, data, threads, backend):
    # The official rules score a word without the space before it, whereas the peer includes the space.
    mode = {"base": "compat-2026", "reading": "whole"}
    size, suites = SUITES[backend]
    return json.dumps({
        "name": "bench",
        "models": {"model": {"hf": model}},
        "axes": {"curriculum": ["pretrained"]},
        "evaluate": {"data": data, "size": size, "suites": suites, "mode": mode},
        "resources": {"devices": "cpu", "threads": 1, "jobs_per_device": threads},  # one core for each suite
    })  # fmt: skip


def sums(database, suite):
    query = "SELECT scores FROM v_items WHERE suite = ? ORDER BY task, subtask, item"
    lists = [json.loads(text) for (text,) in database.execute(query, (suite,))]
    if suite == "reading":  # all words, then all preceding words
        return [scores[0] for scores in lists] + [scores[1] for scores in lists if len(scores) > 1]
    return [score for scores in lists for score in scores]


def main():
    grid, model, data = sys.argv[1:4]
    backend = sys.argv[5]
    print(json.dumps({"threads": int(sys.argv[4])}), flush=True)
    for line in sys.stdin:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "bench.yaml"
            path.write_text(spec(model, data, int(sys.argv[4]), backend))
            command = [grid, "--quiet", "--runs-dir", str(Path(folder) / "runs"), "run", str(path)]
            start = time.perf_counter()
            peak = watched.run(command)
            seconds = time.perf_counter() - start
            with sqlite3.connect(Path(folder) / "runs" / "runs.db") as database:
                tasks = [sums(database, suite) for suite in SUITES[backend][1]]
            database.close()
        picked = [[task[i] for batch in chosen(len(task), int(line)) for i in batch] for task in tasks]
        answer = {
            "units": sum(map(len, tasks)),
            "seconds": seconds,
            "sums": [sum(task) / len(task) for task in picked],
            "peak_bytes": peak,
        }
        print(json.dumps(answer), flush=True)


main()
