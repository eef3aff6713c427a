#!/usr/bin/env python3
"""Writes what transformers computes for a checkpoint, for `headprof verify DIR [golden.json]`.

    make_golden.py DIR [--length 48 | --prompt-ids 5,17,3] [--seed 0] [--steps 4] [--out DIR/golden.json]

The prompt is random ids, or the ids given. After it, greedy decoding goes on for `--steps` tokens on
the processor, over a key/value cache. Numbers are computed in f64 (8 bytes of memory per weight), then
the same ids once more in f32, to say how far that is off; with `--f32` in f32 alone, for models that are
too large. In the file (T = length of the prompt, S = steps, V = vocabulary, L = layers, H = query heads):

    input_ids          [T]
    generated          [S+1]           greedy ids
    logits_last        [S+1][V]        row s predicts generated[s]
    attention          [S+1][L][H][t]  weights of the query that produced row s; t = T + s keys, or
                                       the last `window` keys where a layer's cache keeps no more
    score_size         [S+1][L][H]     largest sum over a key's |q_i k_i| / sqrt(D): what rounding of a
                                       score is relative to
    logits_all_argmax  [T]             greedy id after every token of the prompt
    torch_f32          how far f32 is off at most: logits, relative to the largest |logit|, and
                       attention [L]

The tables of rotary angles are in f32 in both, as transformers has them. Needs torch and transformers.
"""

import argparse
import json
import random
from pathlib import Path

DIGITS = 7  # significant digits: as many as f32 has


def rounded(values):
    """Nested lists of floats with DIGITS significant digits."""
    if isinstance(values, dict):
        return {key: rounded(v) for key, v in values.items()}
    if isinstance(values, list):
        return [rounded(v) for v in values]
    return float(f"{values:.{DIGITS}g}")


def random_ids(length, vocab, seed):
    """`length` ids below `vocab`; the same on every machine and version of torch."""
    draw = random.Random(seed)
    return [draw.randrange(vocab) for _ in range(length)]


def exactly(model):
    """Makes `model`, in f64, compute its norms in f64: they fall back to f32."""
    import torch

    def norm(module, x):
        return module.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + module.variance_epsilon))

    for module in model.modules():
        if type(module).__name__.endswith("RMSNorm"):
            module.forward = norm.__get__(module)


def recording_attention(sizes):
    """Plain attention, softmax in the type of the query, that appends each layer's `score_size`."""
    import torch

    def attention(module, query, key, value, attention_mask, scaling, dropout=0.0, **_):
        repeats = query.shape[1] // key.shape[1]
        key, value = (x.repeat_interleave(repeats, dim=1) for x in (key, value))
        scores = query @ key.transpose(2, 3) * scaling
        if attention_mask is not None:
            scores = scores + attention_mask
        weights = scores.softmax(dim=-1)
        last = query[:, :, -1:].abs() @ key.abs().transpose(2, 3) * scaling
        sizes.append(last[0, :, 0].amax(dim=-1).tolist())
        return (weights @ value).transpose(1, 2).contiguous(), weights

    return attention


def run(directory, dtype, prompt_ids, steps, given=None):
    """What a model in `dtype` makes of the prompt and, if they are `given`, these greedy ids."""
    import torch
    import transformers
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

    sizes = []
    transformers.AttentionInterface.register("recording", recording_attention(sizes))
    ALL_MASK_ATTENTION_FUNCTIONS.register("recording", ALL_MASK_ATTENTION_FUNCTIONS["eager"])
    model = transformers.AutoModelForCausalLM.from_pretrained(
        directory, dtype=dtype, attn_implementation="recording"
    ).eval()
    if dtype == torch.float64:
        exactly(model)
    out = {"logits_last": [], "attention": [], "score_size": [], "generated": []}
    ids, cache = torch.tensor([prompt_ids]), None
    with torch.no_grad():
        for step in range(steps + 1):
            sizes.clear()
            result = model(ids, past_key_values=cache, use_cache=True, output_attentions=True)
            cache = result.past_key_values
            logits = result.logits[0]
            out.setdefault("logits_all_argmax", logits.argmax(-1).tolist())
            out["logits_last"].append(logits[-1].tolist())
            out["attention"].append([layer[0, :, -1].tolist() for layer in result.attentions])
            out["score_size"].append(list(sizes))
            out["generated"].append(given[step] if given else int(logits[-1].argmax()))
            ids = torch.tensor([out["generated"][-1:]])
    return out


def largest(a, b):
    """The largest difference of two nested lists."""
    if isinstance(a, list):
        return max(map(largest, a, b))
    return abs(a - b)


def by_layer(out):
    """Attention as [L][S+1][H][t]."""
    return [list(layer) for layer in zip(*out["attention"])]


def golden(directory, prompt_ids, steps, f32=False):
    """The contents of golden.json for the checkpoint in `directory`."""
    import torch
    import transformers

    out = run(directory, torch.float32 if f32 else torch.float64, prompt_ids, steps)
    contents = {
        "transformers": transformers.__version__,
        "input_ids": prompt_ids,
        "generated": out["generated"],
        "logits_last": rounded(out["logits_last"]),
        "attention": rounded(out["attention"]),
        "score_size": rounded(out["score_size"]),
        "logits_all_argmax": out["logits_all_argmax"],
    }
    if not f32:
        single = run(directory, torch.float32, prompt_ids, steps, given=out["generated"])
        scale = max(abs(logit) for row in out["logits_last"] for logit in row) or 1.0
        contents["torch_f32"] = rounded({
            "logits": largest(out["logits_last"], single["logits_last"]) / scale,
            "attention": [
                largest(*layers) for layers in zip(by_layer(out), by_layer(single))
            ],
        })
    return contents


def write(directory, prompt_ids, steps, out=None, f32=False):
    """Writes golden.json for the checkpoint in `directory` and returns its contents."""
    contents = golden(directory, prompt_ids, steps, f32)
    out = Path(out) if out else Path(directory) / "golden.json"
    out.write_text(json.dumps(contents, separators=(",", ":")) + "\n")
    return contents


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("dir", type=Path, help="folder with config.json and model.safetensors")
    parser.add_argument("--prompt-ids", help="the prompt's token ids, separated by commas")
    parser.add_argument("--length", type=int, default=48, help="tokens of a random prompt")
    parser.add_argument("--seed", type=int, default=0, help="seed of a random prompt")
    parser.add_argument("--steps", type=int, default=4, help="tokens to decode after the first")
    parser.add_argument("--out", type=Path, help="file to write (default: DIR/golden.json)")
    parser.add_argument("--f32", action="store_true", help="compute in f32 alone (half the memory)")
    args = parser.parse_args()
    if args.prompt_ids:
        prompt_ids = [int(n) for n in args.prompt_ids.split(",")]
    else:
        vocab = json.loads((args.dir / "config.json").read_text())["vocab_size"]
        prompt_ids = random_ids(args.length, vocab, args.seed)
    contents = write(args.dir, prompt_ids, args.steps, args.out, args.f32)
    print(f"{len(prompt_ids)} prompt tokens, then {contents['generated']}")


if __name__ == "__main__":
    main()
