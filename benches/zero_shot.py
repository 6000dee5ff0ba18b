"""Our side of the zero-shot benchmark: `grid run` on a model from elsewhere, as a user would call it.

usage: zero_shot.py GRID MODEL DATA THREADS

Speaks the protocol of benches/run.py. Whatever number it reads, it makes one whole run in a new folder, from the start
of the program to the rows in the database; `sums` are those of the sequences that the peer scores for that number.
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

SUITES = ["blimp", "blimp-supplement", "entity-tracking", "wug-adj", "reading"]


def spec(model, data, threads):
    # Officially a word is read without the space before it; the peer, as anybody would, reads it with the space.
    mode = {"base": "compat", "reading": "whole"}
    return json.dumps({
        "name": "bench",
        "models": {"model": {"hf": model}},
        "axes": {"curriculum": ["pretrained"]},
        "evaluate": {"data": data, "size": "full", "suites": SUITES, "mode": mode},
        "resources": {"devices": "cpu", "threads": 1, "jobs_per_device": threads},  # a core for each suite
    })  # fmt: skip


def sums(database, suite):
    query = "SELECT scores FROM v_items WHERE suite = ? ORDER BY task, subtask, item"
    lists = [json.loads(text) for (text,) in database.execute(query, (suite,))]
    if suite == "reading":  # all words, then all words before
        return [scores[0] for scores in lists] + [scores[1] for scores in lists if len(scores) > 1]
    return [score for scores in lists for score in scores]


def main():
    grid, model, data = sys.argv[1:4]
    print(json.dumps({"threads": int(sys.argv[4])}), flush=True)
    for line in sys.stdin:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "bench.yaml"
            path.write_text(spec(model, data, int(sys.argv[4])))
            command = [grid, "--quiet", "--runs-dir", str(Path(folder) / "runs"), "run", str(path)]
            start = time.perf_counter()
            peak = watched.run(command)
            seconds = time.perf_counter() - start
            with sqlite3.connect(Path(folder) / "runs" / "runs.db") as database:
                tasks = [sums(database, suite) for suite in SUITES]
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
