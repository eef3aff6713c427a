#!/usr/bin/env python3
"""headprof's probes in PyTorch and transformers: what its speed, memory and scores are held against.

    peer.py CHECKPOINT_DIR PROBES.jsonl OUT.json [--mode rows|eager] [--device cpu|cuda]
            [--dtype f32|bf16] [--threads N] [--top-k K]

PROBES.jsonl is what `headprof --export-probes` writes: per line {"id", "ids": [T], "needle":
[[start, end), ...], "max_new_tokens", "stop_ids"}. Every prompt is answered greedily, and every
token of the answer, the stop token included, gives one attention row per head, [L, H, T + t].

The modes differ in how a prompt is run, not in what comes out:

    rows    the prompt but for its last token with scaled_dot_product_attention, which keeps no
            weights; with weights from there on. So do the retrieval heads' scripts.
    eager   with weights from the start, [H, T, T] for each layer. So does DiliLazyKV's script.

OUT.json: {"seconds": {"load", "total", "prefill", "decode", "score"}, "peak_rss_bytes", "mode",
"device", "dtype", "probes": [{"id", "generated": [int], and per score [L][H]}]}. `total` is all
but `load`; in mode eager the prompt is part of `decode`. The scores, with needle N of n tokens,
prompt p, answer g, row a_t of the query that gave g_t, Top_k its k largest weights (equal ones:
lower position first):

    retrieval            1/n sum_t [argmax a_t in N and p[argmax a_t] = g_t]
    retrieval_reasoning  1/n sum_t sum of a_t over Top_n and N
    dili                 of row 0: its mass on Top_k and N, as a share of that on Top_k
    lazy                 of row 0: the same, as a share of that on N
    inf                  harmonic mean of dili and lazy

scripts/peers/compare.py compares them with headprof's; scripts/bench-peers.sh does all of it.
"""

import argparse
import json
import resource
import time
from contextlib import contextmanager

import torch
from transformers import AutoModelForCausalLM

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}
# A mass below which a share of it is taken to be 0.
NO_MASS = 1e-9


class Clock:
    """Seconds by phase, the device's own work included."""

    def __init__(self, device):
        self.wait = torch.cuda.synchronize if device.startswith("cuda") else lambda: None
        self.seconds = {"load": 0.0, "prefill": 0.0, "decode": 0.0, "score": 0.0}

    @contextmanager
    def phase(self, name):
        start = time.perf_counter()
        yield
        self.wait()
        self.seconds[name] += time.perf_counter() - start


def largest(weights, count):
    """Positions of the `count` largest of `weights` [..., T], largest first, of equal ones the lower.

    torch.topk leaves the order of equal values open, so it is given integers that have none: the
    bits of a float that is not negative are ordered as the float is, and below them the position
    decides. That is several times faster than sorting whole rows.
    """
    keys = weights.shape[-1]
    backwards = torch.arange(keys - 1, -1, -1, device=weights.device)
    ordered = (weights.view(torch.int32).long() << 32) | backwards
    return ordered.topk(min(count, keys), dim=-1).indices


def share(part, whole):
    return torch.where(whole > NO_MASS, part / whole.clamp_min(NO_MASS), 0.0)


def head_scores(rows, prompt, spans, answer, top_k):
    """All scores of one probe, [L, H] each, of its rows [L, H, T + t]."""
    device = rows[0].device
    in_needle = torch.zeros(rows[-1].shape[-1], dtype=torch.bool, device=device)
    for start, end in spans:
        in_needle[start:end] = True
    n = sum(end - start for start, end in spans)
    retrieval = torch.zeros(rows[0].shape[:2], device=device)
    reasoning = torch.zeros_like(retrieval)
    # What the prompt has at a position; of the answer's own positions, nothing that a token could be.
    text = torch.full(in_needle.shape, -1, device=device)
    text[: len(prompt)] = prompt
    for row, token in zip(rows, answer):
        top = largest(row, n)
        first = top[..., 0]
        retrieval += in_needle[first] & (text[first] == token)
        reasoning += (row.gather(-1, top) * in_needle[top]).sum(-1)
    row = rows[0]
    top = largest(row, top_k)
    mass = row.gather(-1, top)
    hit = (mass * in_needle[top]).sum(-1)
    dili = share(hit, mass.sum(-1))
    # Sums in another order can leave the part above the whole by a rounding.
    lazy = share(hit, torch.maximum(row[..., in_needle[: row.shape[-1]]].sum(-1), hit))
    inf = share(2 * dili * lazy, dili + lazy)
    named = {"retrieval": retrieval / n, "retrieval_reasoning": reasoning / n}
    named |= {"dili": dili, "lazy": lazy, "inf": inf}
    return {name: [[round(v, 7) for v in layer] for layer in s.tolist()] for name, s in named.items()}


def answer_probe(model, probe, mode, clock):
    """Runs one probe: its rows, on the device, and the tokens of its answer."""
    prompt = torch.tensor([probe["ids"]], device=model.device)
    stop, limit = set(probe.get("stop_ids", [])), probe["max_new_tokens"]
    pending, cache = prompt, None
    if mode == "rows":
        with clock.phase("prefill"):
            if prompt.shape[1] > 1:
                model.set_attn_implementation("sdpa")
                before = model(prompt[:, :-1], use_cache=True, logits_to_keep=1)
                cache = before.cache
            pending = prompt[:, -1:]
    rows, answer = [], []
    with clock.phase("decode"):
        model.set_attn_implementation("eager")
        while len(answer) < limit and not (answer and answer[-1] in stop):
            step = model(
                pending,
                cache=cache,
                use_cache=True,
                output_attentions=True,
                logits_to_keep=1,
            )
            cache = step.cache
            # A copy: the weights of the whole prompt are not to be held by their last row.
            rows.append(torch.stack([layer[0, :, -1] for layer in step.attentions]).float())
            pending = step.logits[:, -1].argmax(-1, keepdim=True)
            answer.append(pending.item())
            del step
    return prompt[0], rows, answer


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("checkpoint")
    parser.add_argument("probes")
    parser.add_argument("out")
    parser.add_argument("--mode", choices=["rows", "eager"], default="rows")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", choices=list(DTYPES), default="f32")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--top-k", type=int, default=10)
    return parser.parse_args()


@torch.inference_mode()
def main():
    args = parse_arguments()
    if args.threads:
        torch.set_num_threads(args.threads)
    clock = Clock(args.device)
    with clock.phase("load"):
        model = AutoModelForCausalLM.from_pretrained(args.checkpoint, dtype=DTYPES[args.dtype])
        model = model.to(args.device).eval()
    start, results = time.perf_counter(), []
    with open(args.probes) as lines:
        for probe in map(json.loads, filter(str.strip, lines)):
            prompt, rows, answer = answer_probe(model, probe, args.mode, clock)
            with clock.phase("score"):
                scores = head_scores(rows, prompt, probe["needle"], answer, args.top_k)
            results.append({"id": probe["id"], "generated": answer, **scores})
    seconds = clock.seconds | {"total": time.perf_counter() - start}
    report = {
        "seconds": seconds,
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "mode": args.mode,
        "device": args.device,
        "dtype": args.dtype,
        "probes": results,
    }
    with open(args.out, "w") as out:
        json.dump(report, out)
    spent = ", ".join(f"{name} {seconds[name]:.2f}" for name in ("prefill", "decode", "score"))
    print(
        f"{len(results)} probes in {seconds['total']:.2f} s ({spent}), "
        f"after {seconds['load']:.2f} s for the model"
    )


if __name__ == "__main__":
    main()
