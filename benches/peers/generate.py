"""Generation as a user would write it with transformers: `generate` on batches of prompts, with its key/value cache.

usage: generate.py WORKLOAD_JSON THREADS BATCH

Reads the model that grid wrote to the workload's folder `initial`, builds the same prompts, and implements the protocol
of benches/run.py: each line of standard input is a number of repetitions; each answer has `units` (new tokens),
`seconds`, `ids` (the first 16 new ids of each reply) and `peak_bytes`. Prompts are padded on the left if their lengths
differ, which those of the benchmark do not.
"""

import json
import sys
import time
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM


def forget_peak():
    Path("/proc/self/clear_refs").write_text("5")


def peak_bytes():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def main():
    workload, threads, batch = json.loads(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(threads)
    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[workload["precision"]]
    model = AutoModelForCausalLM.from_pretrained(workload["initial"], dtype=dtype).eval()
    model.generation_config.eos_token_id = None  # no reply ends early
    count, length, new = (workload[key] for key in ("prompts", "prompt_length", "new_tokens"))
    vocab = model.config.vocab_size
    prompts = (torch.arange(count * length) * 7919).remainder(vocab - 3).view(count, length)
    sampling = {"do_sample": False}
    if workload["temperature"] > 0:
        sampling = {"do_sample": True, "temperature": workload["temperature"], "top_p": workload["top_p"], "top_k": 0}

    @torch.inference_mode()
    def replies():
        for ids in prompts.split(batch):
            output = model.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=new, pad_token_id=0, **sampling
            )
            assert output.shape[1] == length + new, output.shape
            yield from output[:, length:].tolist()

    print(json.dumps({"torch": torch.__version__, "threads": torch.get_num_threads()}), flush=True)
    for line in sys.stdin:
        times = int(line)
        forget_peak()
        start = time.perf_counter()
        for _ in range(times):
            all_ids = list(replies())
        seconds = time.perf_counter() - start
        ids = [id for reply in all_ids for id in reply[:16]]
        answer = {"units": count * new * times, "seconds": seconds, "ids": ids, "peak_bytes": peak_bytes()}
        print(json.dumps(answer), flush=True)


main()
