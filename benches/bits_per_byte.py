#!/usr/bin/env python3
"""Records the bits per byte of a text by a plain loop in PyTorch, for the test that compares grid with it.

    python benches/bits_per_byte.py MODEL_FOLDER > tests/fixtures/harness/bits_per_byte.json

Documents are separated by blank lines. Each is scored after the begin-of-text token, or else the end-of-text token, in
windows of the positions of the model: the first one scores all of its tokens, each further one the next STRIDE.
"""

import json
import math
import os
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

TEXT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "fixtures", "harness", "text.txt")
STRIDE = 48


def main():
    folder = sys.argv[1]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    positions = model.config.max_position_embeddings
    with open(TEXT, encoding="utf-8", newline="") as file:
        documents = [part.strip("\n") for part in file.read().split("\n\n") if part.strip()]
    nats, count, tokens = 0.0, 0, 0
    for document in documents:
        ids = tokenizer.encode(document, add_special_tokens=False)
        prefix = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
        ids = [prefix] + ids
        done = 1
        while done < len(ids):
            end = min(len(ids), positions + 1 if done == 1 else done + STRIDE)
            start = max(0, end - positions - 1)
            window = torch.tensor([ids[start:end]])
            with torch.no_grad():
                logits = model(window[:, :-1]).logits[0].double()
            logs = torch.log_softmax(logits, dim=-1)
            for place in range(done, end):
                nats -= logs[place - start - 1, ids[place]].item()
                tokens += 1
            done = end
        count += len(document.encode("utf-8"))
    result = {"bits_per_byte": nats / math.log(2) / count, "bytes": count, "tokens": tokens, "stride": STRIDE, "positions": positions}
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
