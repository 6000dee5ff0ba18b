"""A plain PyTorch training loop for the same LLaMA model, the peer of `grid-worker bench`.

usage: train.py WORKLOAD_JSON THREADS [--compile] [--fused]

Starts from the weights that grid wrote to the workload's folder `initial`, builds the same rows of token ids, and
implements the protocol of benches/run.py: a line of JSON when ready; then, for each line with a number of steps, a line
of JSON with `units` (predicted tokens), `seconds`, `losses` and `peak_bytes`.
"""

import json
import math
import os
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import load_file


class RMSNorm(nn.Module):
    def __init__(self, weight, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(weight), eps

    def forward(self, x):
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


def linear(weight):
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
    layer.weight = nn.Parameter(weight)
    return layer


def rotate(x, cos, sin):
    half = x.shape[-1] // 2
    return x * cos + torch.cat([-x[..., half:], x[..., :half]], -1) * sin


class Block(nn.Module):
    def __init__(self, shape, weights, prefix):
        super().__init__()
        take = lambda name: weights[f"{prefix}.{name}.weight"]
        self.heads, self.head_dim = shape["heads"], shape["head_dim"]
        self.attention_norm = RMSNorm(take("input_layernorm"), shape["norm_eps"])
        self.mlp_norm = RMSNorm(take("post_attention_layernorm"), shape["norm_eps"])
        # One matrix product for query, key and value, as in optimized implementations.
        self.qkv = linear(torch.cat([take(f"self_attn.{part}_proj") for part in "qkv"]))
        self.output = linear(take("self_attn.o_proj"))
        self.gate, self.up, self.down = (linear(take(f"mlp.{part}_proj")) for part in ("gate", "up", "down"))

    def forward(self, x, cos, sin):
        batch, seq, _ = x.shape
        qkv = self.qkv(self.attention_norm(x)).view(batch, seq, 3, self.heads, self.head_dim)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        query, key = rotate(query, cos, sin), rotate(key, cos, sin)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.output(mixed.transpose(1, 2).reshape(batch, seq, self.heads * self.head_dim))
        h = self.mlp_norm(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


class Llama(nn.Module):
    def __init__(self, shape, weights, seq):
        super().__init__()
        assert shape["arch"] == "llama" and shape["heads"] == shape["kv_heads"] and not shape["tied"], shape
        self.embedding = nn.Embedding.from_pretrained(weights["model.embed_tokens.weight"], freeze=False)
        self.blocks = nn.ModuleList(Block(shape, weights, f"model.layers.{i}") for i in range(shape["layers"]))
        self.norm = RMSNorm(weights["model.norm.weight"], shape["norm_eps"])
        self.head = linear(weights["lm_head.weight"])
        dim = shape["head_dim"]
        frequencies = torch.exp(torch.arange(0, dim, 2).float() * (-math.log(shape["rope_base"]) / dim))
        angles = torch.outer(torch.arange(seq).float(), frequencies)
        angles = torch.cat([angles, angles], -1)
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def forward(self, ids, targets):
        x = self.embedding(ids)
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        logits = self.head(self.norm(x))
        return F.cross_entropy(logits.view(-1, logits.shape[-1]), targets.view(-1))


def forget_peak():
    Path("/proc/self/clear_refs").write_text("5")


def peak_bytes():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def main():
    workload, threads = json.loads(sys.argv[1]), int(sys.argv[2])
    compiled = "--compile" in sys.argv[3:]
    torch.set_num_threads(threads)
    shape, device = workload["model"], torch.device(workload["device"])
    batch, seq, vocab = workload["batch_size"], workload["sequence_length"], shape["vocab_size"]
    weights = load_file(os.path.join(workload["initial"], "model.safetensors"))
    model = Llama(shape, weights, seq).to(device)
    ids = (torch.arange(batch * (seq + 1)) * 7919).remainder(vocab - 3).view(batch, seq + 1).to(device)
    inputs, targets = ids[:, :-1].contiguous(), ids[:, 1:].contiguous()
    # The default optimizer for the plain loop; with torch.compile the fused one, as its users would choose.
    fused = {"fused": True} if compiled or "--fused" in sys.argv[3:] else {}
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1, **fused)
    forward = torch.compile(model) if compiled else model
    half = workload["precision"] == "bf16"

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device.type, torch.bfloat16) if half else nullcontext():
            loss = forward(inputs, targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.item()

    print(json.dumps({"torch": torch.__version__, "threads": torch.get_num_threads()}), flush=True)
    for line in sys.stdin:
        steps = int(line)
        forget_peak()
        start = time.perf_counter()
        losses = [step() for _ in range(steps)]
        seconds = time.perf_counter() - start
        peak = torch.cuda.max_memory_allocated() if device.type == "cuda" else peak_bytes()
        answer = {"units": batch * seq * steps, "seconds": seconds, "losses": losses, "peak_bytes": peak}
        print(json.dumps(answer), flush=True)


main()
