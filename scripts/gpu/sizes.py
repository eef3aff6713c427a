"""What check.py runs, on a GPU and in a rehearsal."""

from dataclasses import dataclass


@dataclass
class Sizes:
    """What is run, on a GPU or in a rehearsal."""

    device: str
    dtypes: tuple
    checkpoint: tuple
    checkpoint_bytes: int
    lengths: tuple
    # Tokens of a prompt before each of them: the first one on a GPU compiles and chooses kernels.
    warm_up: int
    # Bytes of a number in the large checkpoint's run.
    width: int
    # Repeats of 18 needles at ten depths.
    repeats: int
    peer_length: int
    peer_dtype: str


# 16 tokens fewer than 128k: the answers of `bench` need positions, too.
ON_GPU = Sizes("cuda", ("f32", "bf16"), ("--like", "llama-3.1-8b"), 17 << 30,
               (8192, 32768, 131072 - 16), 2048, 2, 6, 8192, "bf16")
REHEARSAL = Sizes("cpu", ("f32",), ("--like", "smollm2-135m", "--layers", "2", "--vocab", "4096"),
                  64 << 20, (128, 256, 512), 64, 4, 1, 256, "f32")
