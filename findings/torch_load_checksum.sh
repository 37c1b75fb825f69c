#!/usr/bin/env bash
# torch.load reads a damaged checkpoint without a word.
#
# Expected: torch.save writes a ZIP file with a CRC-32 of each tensor, so a flipped bit is noticed.
# Seen (torch 2.14.1): one flipped bit changes the sign of a weight and torch.load returns it; no
#   error and no warning. Python's zipfile, asked for testzip(), names the damaged tensor.
# Why it matters: where the weights' signs are the network, and where a search goes on from a
#   checkpoint after a machine died, a wrong weight is a wrong result and not noise.
# Source: https://docs.pytorch.org/docs/stable/notes/serialization.html on the ZIP format.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
venv torch==2.14.1 numpy==2.4.6
python - <<'PY'
import sys, zipfile
from pathlib import Path
import torch

weight = torch.randn(1000, generator=torch.Generator().manual_seed(0))
torch.save({"weight": weight}, "checkpoint.pt")
content = bytearray(Path("checkpoint.pt").read_bytes())
content[content.find(weight.numpy().tobytes()) + 3] ^= 0x80  # the sign of the first number
Path("checkpoint.pt").write_bytes(content)
print("expected: an error that the checksum does not fit")
loaded = torch.load("checkpoint.pt", weights_only=True)["weight"]
with zipfile.ZipFile("checkpoint.pt") as archive:
    damaged = archive.testzip()
print(f"seen: no error; the first weight was {weight[0]:.4f} and is {loaded[0]:.4f}; "
      f"zipfile says that {damaged} is damaged")
if loaded[0] != -weight[0] or not damaged:
    sys.exit("CHANGED: the damaged checkpoint is not loaded as it is")
PY
