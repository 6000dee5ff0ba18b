#!/usr/bin/env python3
"""Records what lm-evaluation-harness gives on the task files of tests/fixtures/harness, for the test that compares grid
with it item by item.

    python -m venv /tmp/harness && /tmp/harness/bin/pip install lm_eval==0.4.13 torch transformers accelerate
    /tmp/harness/bin/python benches/harness.py MODEL_FOLDER > tests/fixtures/harness/recorded.json

For each task: the metrics, and for each item the log-probability of every answer, the right answer, and whether each
metric counts it as right.
"""

import json
import os
import sys

import lm_eval
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

TASKS = ["questions", "questions-shots", "reviews", "blanks"]
HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "fixtures", "harness")


def recorded(task, result):
    name = next(iter(result["samples"]))
    metrics = {key: value for key, value in result["results"][name].items() if key not in ("alias", "sample_len")}
    items = []
    for sample in sorted(result["samples"][name], key=lambda sample: sample["doc_id"]):
        logs = [float(response[0]) for response in sample["filtered_resps"]]
        right = {metric: sample[metric] for metric in ("acc", "acc_norm", "acc_bytes") if metric in sample}
        items.append({"contexts": [arguments[:2] for arguments in arguments_of(sample)], "sums": logs, "right": right})
    return {"task": task, "name": name, "metrics": metrics, "items": items}


def arguments_of(sample):
    generated = sample["arguments"]
    return list(generated.values()) if isinstance(generated, dict) else generated


def main():
    model = HFLM(pretrained=os.path.abspath(sys.argv[1]), device="cpu", dtype="float32", batch_size=1)
    os.chdir(HERE)
    manager = TaskManager()
    results = []
    for task in TASKS:
        path = os.path.abspath(task + ".yaml")
        result = lm_eval.simple_evaluate(model=model, tasks=[path], task_manager=manager, log_samples=True, bootstrap_iters=1000)
        results.append(recorded(task, result))
    print(json.dumps({"lm_eval": lm_eval.__version__, "tasks": results}, indent=1, default=str))


if __name__ == "__main__":
    main()
