"""Zero-shot evaluation as a user would write it with transformers: batches of 64 sequences in the order of the files,
padded to the longest, all logits, log-softmax, gather, sum.

Usage: zero_shot.py MODEL DATA [--part N]

DATA is the official folder evaluation_data, full_eval. With --part N only every N-th batch of a task is computed and
the time of those batches is multiplied by N. Prints one JSON object: seconds per task, and the whole.
"""

import argparse
import csv
import json
import resource
import time
import zipfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

BATCH = 64


def rows(folder):
    for path in sorted(folder.glob("*.jsonl")):
        with path.open() as lines:
            yield from map(json.loads, lines)


def boxes(folder):
    """The rows of entity tracking, from the folder or from the archive beside the data."""
    if folder.is_dir():
        yield from rows(folder)
        return
    beside = folder.parent.parent.parent / "entity_tracking" / "entity_tracking_full.zip"
    with zipfile.ZipFile(beside) as archive:
        for name in sorted(archive.namelist()):
            if name.endswith(".jsonl"):
                yield from map(json.loads, archive.read(name, b"iamnotaLM").decode().splitlines())


def tasks(data):
    """Name and (context, continuation) pairs of each task."""
    for name in ("blimp_filtered", "supplement_filtered"):
        pairs = [("", row[key]) for row in rows(data / name) for key in ("sentence_good", "sentence_bad")]
        yield name, pairs
    yield "entity_tracking", [(row["input_prefix"], option) for row in boxes(data / "entity_tracking") for option in row["options"]]
    nonce = rows(data / "wug_adj_nominalization")
    yield "wug_adj_nominalization", [("", form) for row in nonce for form in row["sentences"].split("\t")]
    with (data / "reading" / "reading_data.csv").open() as lines:
        words = list(csv.DictReader(lines))
    reading = [(row["item"], " " + row["word"]) for row in words]
    reading += [(row["prev_item"], " " + row["prev_word"]) for row in words if row["prev_item"]]
    yield "reading", reading


@torch.no_grad()
def score(model, tokenizer, pairs, part):
    """Sums of the log-probabilities of the continuations, in nats; seconds, those of skipped batches estimated."""
    sums, seconds = [], 0.0
    batches = [pairs[start : start + BATCH] for start in range(0, len(pairs), BATCH)]
    chosen = batches[::part]
    for batch in chosen:
        start = time.perf_counter()
        texts = [context + continuation for context, continuation in batch]
        encoded = tokenizer(texts, return_tensors="pt", padding=True, return_offsets_mapping=True)
        logits = model(input_ids=encoded["input_ids"], attention_mask=encoded["attention_mask"]).logits
        logprobs = torch.log_softmax(logits[:, :-1], dim=-1)
        logprobs = logprobs.gather(-1, encoded["input_ids"][:, 1:, None]).squeeze(-1)
        starts = torch.tensor([len(context) for context, _ in batch])
        counts = (encoded["offset_mapping"][:, 1:, 1] > starts[:, None]) & (encoded["attention_mask"][:, 1:] == 1)
        sums += torch.where(counts, logprobs, 0.0).sum(-1).tolist()
        seconds += time.perf_counter() - start
    return sums, seconds * len(batches) / max(1, len(chosen))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("data", type=Path)
    parser.add_argument("--part", type=int, default=1)
    parser.add_argument("--threads", type=int, default=None)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    start = time.perf_counter()
    tokenizer = AutoTokenizer.from_pretrained(arguments.model)
    tokenizer.padding_side = "right"
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    model = AutoModelForCausalLM.from_pretrained(arguments.model, dtype=torch.float32).eval()
    result = {"load": time.perf_counter() - start}
    checks = {}
    for name, pairs in tasks(arguments.data / "full_eval"):
        sums, result[name] = score(model, tokenizer, pairs, arguments.part)
        checks[name] = sum(sums) / len(sums)
    whole = sum(result.values())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": result, "whole": whole, "part": arguments.part, "mean_sums": checks, "peak_bytes": peak}))


if __name__ == "__main__":
    main()
