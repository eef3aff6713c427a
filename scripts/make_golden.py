#!/usr/bin/env python3
"""Writes what transformers computes for a checkpoint, for `headprof verify DIR [golden.json]`.

    make_golden.py DIR [--length 48 | --prompt-ids 5,17,3] [--seed 0] [--steps 4] [--out DIR/golden.json]

The prompt is random ids, or the ids given. After it, greedy decoding goes on for `--steps` tokens,
in f32 on the processor, with eager attention over a key/value cache. In the file (T = length of
the prompt, S = steps, V = vocabulary, L = layers, H = query heads):

    input_ids          [T]
    generated          [S+1]           greedy ids
    logits_last        [S+1][V]        row s predicts generated[s]
    attention          [S+1][L][H][t]  weights of the query that produced row s; t = T + s keys, or
                                       the last `window` keys where a layer's cache keeps no more
    logits_all_argmax  [T]             greedy id after every token of the prompt

Needs torch and transformers.
"""

import argparse
import json
import random
from pathlib import Path

DIGITS = 7  # significant digits: as many as f32 has


def rounded(values):
    """Nested lists of floats with DIGITS significant digits."""
    if isinstance(values, list):
        return [rounded(v) for v in values]
    return float(f"{values:.{DIGITS}g}")


def random_ids(length, vocab, seed):
    """`length` ids below `vocab`; the same on every machine and version of torch."""
    draw = random.Random(seed)
    return [draw.randrange(vocab) for _ in range(length)]


def golden(directory, prompt_ids, steps):
    """The contents of golden.json for the checkpoint in `directory`."""
    import torch
    import transformers

    model = transformers.AutoModelForCausalLM.from_pretrained(
        directory, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    logits_last, attention, generated = [], [], []
    ids, cache, argmax = torch.tensor([prompt_ids]), None, None
    with torch.no_grad():
        for _ in range(steps + 1):
            out = model(ids, past_key_values=cache, use_cache=True, output_attentions=True)
            cache = out.past_key_values
            if argmax is None:
                argmax = out.logits[0].argmax(-1).tolist()
            logits_last.append(out.logits[0, -1].tolist())
            attention.append([layer[0, :, -1].tolist() for layer in out.attentions])
            generated.append(int(out.logits[0, -1].argmax()))
            ids = torch.tensor([generated[-1:]])
    return {
        "transformers": transformers.__version__,
        "input_ids": prompt_ids,
        "generated": generated,
        "logits_last": rounded(logits_last),
        "attention": rounded(attention),
        "logits_all_argmax": argmax,
    }


def write(directory, prompt_ids, steps, out=None):
    """Writes golden.json for the checkpoint in `directory` and returns its contents."""
    contents = golden(directory, prompt_ids, steps)
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
    args = parser.parse_args()
    if args.prompt_ids:
        prompt_ids = [int(n) for n in args.prompt_ids.split(",")]
    else:
        vocab = json.loads((args.dir / "config.json").read_text())["vocab_size"]
        prompt_ids = random_ids(args.length, vocab, args.seed)
    contents = write(args.dir, prompt_ids, args.steps, args.out)
    print(f"{len(prompt_ids)} prompt tokens, then {contents['generated']}")


if __name__ == "__main__":
    main()
