"""Fine-tuning on rte and mrpc: both contestants of the `finetune` benchmarks of benches/run.py.

usage: finetune.py grid|official GRID MODEL EVALUATION_DATA EPOCHS THREADS first|last

`official` is the recipe of the BabyLM 2025 pipeline as a plain PyTorch and transformers script: batches padded to their
longest row, the whole input through the model body, predictions for the validation file after each epoch. `grid` is
`grid run` on the same model, as a user would call it. Both read the same position of the input, `first` or `last`.

Each input line is a number of seeds. The program fine-tunes both tasks with that many new seeds and answers with `units`
(rows trained on), `seconds`, `accuracies` (of the last epoch) and `peak_bytes`.
"""

import json
import resource
import shutil
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

import watched

TASKS = {"rte": ("sentence1", "sentence2"), "mrpc": ("sentence1", "sentence2")}
BATCH, RATE, LENGTH = 32, 3e-5, 512


def rows(data, task, part):
    path = Path(data) / "full_eval" / "glue_filtered" / f"{task}.{part}.jsonl"
    found = [json.loads(line) for line in path.read_text().splitlines()]
    return [([row[field] for field in TASKS[task]], row["label"]) for row in found]


def grid(binary, model, data, epochs, threads, pooling, seeds):
    folder = Path(tempfile.mkdtemp(prefix="grid-bench-"))
    # The official script trains on the tasks in turn, each with all threads; grid uses one core for each job.
    spec = {
        "name": "bench",
        "data_root": data,
        "models": {"model": {"hf": model}},
        "axes": {"curriculum": ["pretrained"]},
        "evaluate": {"data": data, "suites": ["glue"], "mode": "compat" if pooling == "first" else "fixed"},
        "finetune": {"tasks": list(TASKS), "seeds": seeds, "epochs": epochs},
        "resources": {"devices": ["cpu"], "threads": 1, "jobs_per_device": threads},
    }
    (folder / "spec.yaml").write_text(json.dumps(spec))
    command = [binary, "--runs-dir", folder / "runs", "run", folder / "spec.yaml"]
    peak = watched.run(command)
    with sqlite3.connect(folder / "runs" / "runs.db") as database:
        scores = database.execute(
            "select value from v_scores where metric = 'accuracy-of-last-epoch' order by task, finetune_seed"
        ).fetchall()
    shutil.rmtree(folder)
    return [value for (value,) in scores], peak


def official(model, data, epochs, threads, pooling, seeds):
    import torch
    import torch.nn as nn
    import torch.nn.functional as F
    from transformers import AutoModel, AutoTokenizer

    torch.set_num_threads(threads)
    tokenizer = AutoTokenizer.from_pretrained(model, padding_side="right")

    class Classifier(nn.Module):
        def __init__(self):
            super().__init__()
            self.transformer = AutoModel.from_pretrained(model, dtype=torch.float32)
            hidden = self.transformer.config.hidden_size
            self.classifier = nn.Sequential(
                nn.LayerNorm(hidden, 1e-5, elementwise_affine=False),
                nn.Linear(hidden, hidden),
                nn.GELU(),
                nn.LayerNorm(hidden, 1e-5, elementwise_affine=False),
                nn.Dropout(0.1),
                nn.Linear(hidden, 2),
            )

        def forward(self, ids, mask):
            states = self.transformer(input_ids=ids, attention_mask=mask).last_hidden_state
            place = mask.sum(1) - 1 if pooling == "last" else torch.zeros(len(ids), dtype=torch.long)
            return self.classifier(states[torch.arange(len(ids)), place])

    def collate(batch):
        texts = [tuple(texts) for texts, _ in batch]
        encoded = tokenizer(texts, return_tensors="pt", padding=True, truncation=True, max_length=LENGTH)
        return encoded.input_ids, encoded.attention_mask, torch.tensor([label for _, label in batch])

    def finetune(task, seed):
        torch.manual_seed(seed)
        train, valid = rows(data, task, "train"), rows(data, task, "valid")
        loader = torch.utils.data.DataLoader(train, BATCH, shuffle=True, drop_last=True, collate_fn=collate)
        valid_loader = torch.utils.data.DataLoader(valid, 64, collate_fn=collate)
        classifier = Classifier()
        optimizer = torch.optim.AdamW(classifier.parameters(), lr=RATE, weight_decay=0.01)
        total = len(loader) * epochs
        warm = int(0.06 * total)

        def rate(step):
            if step < warm:
                return step / max(1, warm)
            progress = torch.tensor((step - warm) / max(1, total - warm))
            return max(0.1, 0.1 + 0.9 * 0.5 * (1 + torch.cos(torch.pi * progress)).item())

        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
        accuracy = 0.0
        for _ in range(epochs):
            classifier.train()
            for ids, mask, labels in loader:
                loss = F.cross_entropy(classifier(ids, mask), labels)
                loss.backward()
                optimizer.step()
                scheduler.step()
                optimizer.zero_grad()
            classifier.eval()
            with torch.no_grad():
                right = sum((classifier(ids, mask).argmax(-1) == labels).sum() for ids, mask, labels in valid_loader)
            accuracy = 100.0 * right.item() / len(valid)
        return accuracy

    accuracies = [finetune(task, seed) for task in sorted(TASKS) for seed in seeds]
    return accuracies, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main():
    side, binary, model, data, epochs, threads, pooling = sys.argv[1:]
    epochs, threads = int(epochs), int(threads)
    steps = sum(len(rows(data, task, "train")) // BATCH for task in TASKS) * epochs
    next_seed = 1
    if side == "official":  # import now, so that the first round does not include the import time
        import torch  # noqa: F401
        import transformers  # noqa: F401
    print(json.dumps({"side": side, "epochs": epochs, "threads": threads}), flush=True)
    for line in sys.stdin:
        seeds = list(range(next_seed, next_seed + int(line)))
        next_seed += len(seeds)
        start = time.perf_counter()
        accuracies, peak = [], 0
        if seeds and side == "grid":
            accuracies, peak = grid(binary, model, data, epochs, threads, pooling, seeds)
        elif seeds:
            accuracies, peak = official(model, data, epochs, threads, pooling, seeds)
        seconds = time.perf_counter() - start
        units = steps * BATCH * len(seeds)
        answer = {"units": units, "seconds": seconds, "accuracies": accuracies, "peak_bytes": peak}
        print(json.dumps(answer), flush=True)


main()
