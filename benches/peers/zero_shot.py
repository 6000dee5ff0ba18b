"""Zero-shot scoring as a user would write it with transformers: batches of 64 sequences in the order of the files,
padded to the longest one, with all logits computed; then log-softmax, gather, sum. A model that predicts masked tokens gets
each text once for each of its tokens, with that token masked, in batches of 64 of these texts: the official pipeline.

usage: zero_shot.py MODEL DATA THREADS causal|mlm

DATA is the official folder evaluation_data. Implements the protocol of benches/run.py. A unit of work is every 40th
batch of each task, hence a fortieth of the whole. `sums` are the mean log-probabilities of the sequences of each task.
"""

import csv
import json
import sys
import time
import zipfile
from pathlib import Path

BATCH, PARTS = 64, 40


def rows(folder):
    for path in sorted(folder.glob("*.jsonl")):
        with path.open() as lines:
            yield from map(json.loads, lines)


def boxes(data):
    """The rows of entity tracking, from its folder or from the archive beside the data."""
    folder = data / "full_eval" / "entity_tracking"
    if folder.is_dir():
        yield from rows(folder)
        return
    with zipfile.ZipFile(data.parent / "entity_tracking" / "entity_tracking_full.zip") as archive:
        for name in sorted(archive.namelist()):
            if name.endswith(".jsonl"):
                yield from map(json.loads, archive.read(name, b"iamnotaLM").decode().splitlines())


def tasks(data, backend):
    """The sequences of each task of the edition of 2026: pairs of a context and the continuation that is scored."""
    if backend == "mlm":  # the fast sets, because each token is a text
        for name in ("blimp_fast", "supplement_fast"):
            folder = data / "fast_eval" / name
            yield [("", row[key]) for row in rows(folder) for key in ("sentence_good", "sentence_bad")]
        return
    full = data / "full_eval"
    for name in ("blimp_filtered", "supplement_filtered"):
        yield [("", row[key]) for row in rows(full / name) for key in ("sentence_good", "sentence_bad")]
    kept = [row for row in boxes(data) if not any("nothing" in option for option in row["options"])]
    yield [(row["input_prefix"], option) for row in kept for option in row["options"]]
    with (full / "reading" / "reading_data.csv").open() as lines:
        words = list(csv.DictReader(lines))
    before = [row for row in words if row["prev_item"] not in ("", "None")]
    yield [(row["item"], " " + row["word"]) for row in words] + [
        (row["prev_item"], " " + row["prev_word"]) for row in before
    ]


def chosen(count, units):
    """The indices of the sequences in this many units of work, batch by batch."""
    batches = range(0, count, BATCH)
    return [range(start, min(count, start + BATCH)) for index, start in enumerate(batches) if index % PARTS < units]


def main():
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer

    torch.set_num_threads(int(sys.argv[3]))
    backend = sys.argv[4]
    tokenizer = AutoTokenizer.from_pretrained(sys.argv[1], padding_side="right")
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    auto = {"causal": AutoModelForCausalLM, "mlm": AutoModelForMaskedLM}[backend]
    model = auto.from_pretrained(sys.argv[1], dtype=torch.float32).eval()

    @torch.no_grad()
    def score_masked(batch):
        encoded = tokenizer([text for _, text in batch], return_tensors="pt", padding=True, return_offsets_mapping=True)
        ids, mask = encoded["input_ids"], encoded["attention_mask"]
        texts, places = torch.nonzero(encoded["offset_mapping"][:, :, 1] > 0, as_tuple=True)
        sums = torch.zeros(len(batch))
        for start in range(0, len(texts), BATCH):
            of_text, place = texts[start : start + BATCH], places[start : start + BATCH]
            row = torch.arange(len(of_text))
            masked = ids[of_text].clone()
            targets = masked[row, place]
            masked[row, place] = tokenizer.mask_token_id
            logits = model(input_ids=masked, attention_mask=mask[of_text]).logits[row, place]
            logprobs = torch.log_softmax(logits, dim=-1)
            sums.index_add_(0, of_text, logprobs[row, targets])
        return sums.tolist()

    @torch.no_grad()
    def score(batch):
        if backend == "mlm":
            return score_masked(batch)
        texts = [context + continuation for context, continuation in batch]
        encoded = tokenizer(texts, return_tensors="pt", padding=True, return_offsets_mapping=True)
        ids, mask = encoded["input_ids"], encoded["attention_mask"]
        logprobs = torch.log_softmax(model(input_ids=ids, attention_mask=mask).logits[:, :-1], dim=-1)
        logprobs = logprobs.gather(-1, ids[:, 1:, None]).squeeze(-1)
        starts = torch.tensor([[len(context)] for context, _ in batch])
        counts = (encoded["offset_mapping"][:, 1:, 1] > starts) & (mask[:, 1:] == 1)
        return torch.where(counts, logprobs, 0.0).sum(-1).tolist()

    sequences = list(tasks(Path(sys.argv[2]), backend))
    print(json.dumps({"torch": torch.__version__, "threads": torch.get_num_threads()}), flush=True)
    for line in sys.stdin:
        Path("/proc/self/clear_refs").write_text("5")
        start, units, means = time.perf_counter(), 0, []
        for task in sequences:
            sums = []
            for batch in chosen(len(task), int(line)):
                sums += score([task[index] for index in batch])
            units += len(sums)
            means.append(sum(sums) / len(sums))
        seconds = time.perf_counter() - start
        peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024
        print(json.dumps({"units": units, "seconds": seconds, "sums": means, "peak_bytes": peak}), flush=True)


if __name__ == "__main__":
    main()
