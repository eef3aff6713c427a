#!/usr/bin/env python3
"""Gives idle heads of needle-llama's layers 0 and 1 a circuit to begin with.

The embedded weights were trained for 23 million tokens from an initial circuit that looked two tokens
back; the heads 2 to 6 of layer 0 and all of layer 1 stayed even and did nothing. This script set them to
what examples/train_needle_llama/circuit.rs now begins with (heads that look 3 to 6 tokens back, heads that
match subjects and things), scaled to what the trained layers hold: directions are read by ridge
regression on activations of a few essays and stories. Training then went on. It is kept because the
weights come from it; training from scratch does not need it.

    pip install numpy tokenizers
    scripts/graft-needle-llama.py FROM_DIR TO_DIR       (folders with the trainer's f32 checkpoint)
"""

import json
import os
import random
import shutil
import struct
import sys

import numpy as np
from tokenizers import Tokenizer

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
LAYERS, HIDDEN, HEADS, GROUPS, DIM = 6, 256, 8, 4, 32
HALF = DIM // 2
SPEEDS = 1e7 ** (-np.arange(HALF) / HALF)  # of the rotary pairs
TOKEN = 191  # dimensions that hold the token itself
SHORT = 16  # numbers of a short code
FAR = [3, 4, 5, 6]  # tokens back that get one
BACK = [16, 10, 8, 6, 4]  # shares of the rotary pairs in the logit of a head that looks back
MATCH = 2.2
NEAR = 0.3
WRITTEN, VALUES = 0.25, 0.5  # how loud codes and copied tokens are

TOKENIZER = Tokenizer.from_file(os.path.join(ROOT, "models/needle-llama/tokenizer.json"))


def ids_of(text):
    return np.array([0] + TOKENIZER.encode(text, add_special_tokens=False).ids)


class Model:
    def __init__(self, path):
        data = open(path, "rb").read()
        size = struct.unpack("<Q", data[:8])[0]
        self.head, self.start, self.data = json.loads(data[8 : 8 + size]), 8 + size, bytearray(data)
        self.w = {}
        for name, tensor in self.head.items():
            if name != "__metadata__":
                a, b = tensor["data_offsets"]
                raw = np.frombuffer(data[self.start + a : self.start + b], np.float32)
                self.w[name] = raw.reshape(tensor["shape"]).copy()

    def save(self, path):
        for name, tensor in self.head.items():
            if name != "__metadata__":
                a, b = tensor["data_offsets"]
                self.data[self.start + a : self.start + b] = self.w[name].astype(np.float32).tobytes()
        open(path, "wb").write(self.data)

    @staticmethod
    def norm(x, weight):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * weight

    def normed(self, ids, layer):
        """What the attention of `layer` reads, [T, HIDDEN]."""
        x, n = self.w["model.embed_tokens.weight"][ids], len(ids)
        angles = np.arange(n)[:, None] * SPEEDS
        cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]

        def rotated(v):
            a, b = v[..., :HALF], v[..., HALF:]
            return np.concatenate([a * cos - b * sin, b * cos + a * sin], -1)

        later = np.triu(np.full((n, n), -1e9, np.float32), 1)
        for number in range(layer + 1):
            w = {k: self.w[f"model.layers.{number}.{k}.weight"] for k in WEIGHTS}
            h = self.norm(x, w["input_layernorm"])
            if number == layer:
                return h
            q = rotated((h @ w["self_attn.q_proj"].T).reshape(n, HEADS, DIM))
            k = rotated((h @ w["self_attn.k_proj"].T).reshape(n, GROUPS, DIM))
            v = (h @ w["self_attn.v_proj"].T).reshape(n, GROUPS, DIM)
            o = np.zeros((n, HEADS, DIM), np.float32)
            for head in range(HEADS):
                a = q[:, head] @ k[:, head // 2].T / np.sqrt(DIM) + later
                a = np.exp(a - a.max(-1, keepdims=True))
                o[:, head] = a / a.sum(-1, keepdims=True) @ v[:, head // 2]
            x = x + o.reshape(n, HIDDEN) @ w["self_attn.o_proj"].T
            h = self.norm(x, w["post_attention_layernorm"])
            gate, up = h @ w["mlp.gate_proj"].T, h @ w["mlp.up_proj"].T
            x = x + (gate / (1 + np.exp(-gate)) * up) @ w["mlp.down_proj"].T


WEIGHTS = ["input_layernorm", "post_attention_layernorm"]
WEIGHTS += [f"self_attn.{p}_proj" for p in "qkvo"] + [f"mlp.{p}_proj" for p in ("gate", "up", "down")]


def texts():
    """Essays with a story and a question behind them."""
    r = random.Random(3)
    people = ["Mary", "John", "Daniel", "Sandra", "Bill", "Fred"]
    places = ["kitchen", "office", "garden", "hallway", "bathroom", "bedroom", "park"]
    things = ["football", "apple", "milk", "book"]
    essays = sorted(os.listdir(os.path.join(ROOT, "haystack")))
    for name in essays[:6]:
        facts = []
        for _ in range(14):
            who = r.choice(people)
            if r.random() < 0.6:
                go = r.choice(["went to", "moved to", "travelled to", "went back to"])
                facts.append(f"{who} {go} the {r.choice(places)}.")
            else:
                do = r.choice(["took", "got", "dropped", "picked up", "left"])
                facts.append(f"{who} {do} the {r.choice(things)}{r.choice(['', ' there'])}.")
        essay = open(os.path.join(ROOT, "haystack", name)).read()[300:900]
        asked = f"\nBased on the content of the book, Question: Where is the {r.choice(things)}?\nAnswer: "
        yield essay + " " + " ".join(facts) + asked


def fitted(x, y, ridge):
    """Rows that read `y` from `x`."""
    return np.linalg.solve(x.T @ x + ridge * len(x) * np.eye(HIDDEN) * x.var(), x.T @ y).T


def constant(x, more=None):
    """A direction that is 1 for every token, as nearly as there is one."""
    z = x if more is None else np.concatenate([np.repeat(x, 3, 0), more])
    u = fitted(z, np.ones(len(z)), 1e-3)
    return u / (x @ u).mean()


def slow(i):
    return HALF // 2 + i // 2 + (i % 2) * HALF


def main(source, target):
    model = Model(os.path.join(source, "f32/model.safetensors"))
    rng, w = np.random.default_rng(5), model.w
    ids = [ids_of(text) for text in texts()]
    h0 = [model.normed(i, 0) for i in ids]
    seen = np.concatenate([a[1:] for a in h0])
    code = rng.normal(size=(32, TOKEN))
    code /= np.linalg.norm(code, axis=1, keepdims=True)
    free = rng.normal(size=(64, HIDDEN))
    free[:, TOKEN] = 0
    free = np.linalg.qr(free.T)[0].T
    far = {back: free[i * SHORT : (i + 1) * SHORT] for i, back in enumerate(FAR)}
    loud = (seen @ np.pad(code, ((0, 0), (0, HIDDEN - TOKEN))).T).std()

    # Layer 0: heads that look back.
    embedded = model.norm(w["model.embed_tokens.weight"], w["model.layers.0.input_layernorm.weight"])
    one = constant(seen, embedded)
    q, k, v, o = (w[f"model.layers.0.self_attn.{p}_proj.weight"] for p in "qkvo")
    for head in (2, 3):
        q[head * DIM : (head + 1) * DIM] = 0
        for i, share in enumerate(BACK):
            angle, length = -(head + 1) * SPEEDS[i], np.sqrt(share * np.sqrt(DIM))
            q[head * DIM + i] = length * np.cos(angle) * one
            q[head * DIM + i + HALF] = length * np.sin(angle) * one
    for group in (1,):
        k[group * DIM : (group + 1) * DIM] = 0
        for i, share in enumerate(BACK):
            k[group * DIM + i] = np.sqrt(share * np.sqrt(DIM)) * one
        v[group * DIM : (group + 1) * DIM] = rng.normal(size=(DIM, HIDDEN)) * 0.02
        v[group * DIM : (group + 1) * DIM, :TOKEN] = code / loud
    for head in (2, 3):
        o[:, head * DIM : (head + 1) * DIM] = 0
        o[:, head * DIM : head * DIM + SHORT] = (WRITTEN * far[head + 1]).T

    # Layer 1: heads that match subjects and things.
    x = np.concatenate([model.normed(i, 1)[1:] for i in ids])
    one = constant(x)

    def read(back):
        """Rows, of deviation 1, that read the short code of the token `back` before."""
        codes = [a[:, :TOKEN] @ code[:SHORT].T / loud for a in h0]
        codes = [np.concatenate([np.zeros((back, SHORT)), c[: len(c) - back]])[1:] for c in codes]
        rows = fitted(x, np.concatenate(codes), 1e-1)
        return rows / (x @ rows.T).std()

    asks, has = read(4), read(0)
    q, k, v, o = (w[f"model.layers.1.self_attn.{p}_proj.weight"] for p in "qkvo")

    def match(matrix, head, rows):
        matrix[head * DIM : (head + 1) * DIM] = 0
        for i in range(SHORT):
            matrix[head * DIM + slow(i)] = MATCH * rows[i]
        for pair in range(HALF // 4, HALF // 2):
            matrix[head * DIM + pair] = np.sqrt(NEAR * np.sqrt(DIM)) * one

    match(q, 4, asks)
    match(q, 5, asks)
    match(k, 2, has)
    v[2 * DIM : 2 * DIM + SHORT], v[2 * DIM + SHORT : 3 * DIM] = read(3), read(4)
    for head in (4, 5):
        o[:, head * DIM : (head + 1) * DIM] = 0
        for first in (head * DIM, head * DIM + SHORT):
            o[:TOKEN, first : first + SHORT] = VALUES * code[:SHORT].T

    os.makedirs(os.path.join(target, "f32"), exist_ok=True)
    shutil.copy(os.path.join(source, "f32/config.json"), os.path.join(target, "f32"))
    model.save(os.path.join(target, "f32/model.safetensors"))


if __name__ == "__main__":
    main(*sys.argv[1:3])
