#!/usr/bin/env bash
# What can be checked on a GPU alone, in at most 8 minutes: the tests of training there, the bench,
# and a comparison of 200 trials a search. Needs no Internet and no installation: a copied checkout,
# and a Python with torch. What else it needs may lie in .packages, which is made where there is a
# network by
#
#   pip install --target .packages '.[test]' && rm -rf .packages/{torch,triton,nvidia,tuner}*
#
# and the files of Fashion-MNIST in .data (see docs/studies.md); without them its contest is skipped.
#
#   PYTHON=python3 tests/gpu_check.sh [FOLDER]    # FOLDER for results: $OUT, or studies/benchmarks/gpu
set -uo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
results=${1:-${OUT:-studies/benchmarks/gpu}}
mkdir -p "$results"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# torch stays the machine's own: .packages comes after what is installed
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH}
if [ -d .packages ]; then
  echo "import sys; sys.path.append('$PWD/.packages')" >"$scratch/sitecustomize.py"
  PYTHONPATH=$PYTHONPATH:$scratch
fi
if [ -d .data ]; then export TUNER_DATA_DIR=$PWD/.data; fi
export TUNER_CACHE_DIR=$scratch/cache TUNER_CHECKPOINT_DIR=$scratch/checkpoints
export TUNER_DATABASE_URL=sqlite:///$scratch/gpu.db PYTHONUNBUFFERED=1

if ! "$python" -c 'import torch, tuner; assert torch.cuda.is_available(), "torch sees no GPU"'; then
  echo "$python cannot train on a GPU here: name one that can in PYTHON, or fill .packages" >&2
  exit 2
fi

failed=0
step() { # seconds, name, command: told to stop by Ctrl-C when they are over
  local began=$SECONDS status=0
  echo "== $2: $(printf ' %q' "${@:3}")"
  timeout --signal=INT --kill-after=10 "$1" "${@:3}" || status=$?
  echo "== $2: status $status after $((SECONDS - began)) s"
  printf '{"step": "%s", "status": %d, "seconds": %d}\n' "$2" "$status" $((SECONDS - began)) \
    >>"$scratch/steps"
  [ "$status" = 0 ] || failed=1
}

step 130 tests "$python" -m pytest -q -p no:cacheprovider tests/train/test_gpu.py
step 70 comparison "$python" -m tuner run digits --json "$results/digits.json"
step 240 bench "$python" -m tuner bench digits fashion_cnn resnet20 --rounds 2 \
  --json "$results/bench.json"

"$python" - "$scratch/steps" >"$results/gpu.json" <<'PYTHON'
import json, sys
import torch
from tuner.machine import processor, versions

steps = [json.loads(line) for line in open(sys.argv[1])]
gpu = {"gpu": torch.cuda.get_device_name(), "cuda": torch.version.cuda, "processor": processor()}
print(json.dumps({**gpu, "versions": versions("torch", "optuna"), "steps": steps}, indent=1))
PYTHON
echo "written: $results"
exit $failed
