#!/usr/bin/env bash
# opda's u_tuning_curve is NaN in the middle of its curve from 1,030 trials on.
#
# Expected: the expected best of k of n scores in [0, 1] is a number in [0, 1] for each k <= n.
# Seen (opda 0.8.0): with 1,029 scores all are; with 1,030 some thirty values about k = n/2 are
#   NaN, with 2,000 three quarters are. The binomial coefficients are computed as doubles, overflow
#   beyond 1.8e308, and inf / inf follows. The neighbour average_tuning_curve is right everywhere.
# Why it matters: a random search over a cheap BNN has thousands of trials; the best-of-k curve,
#   the main figure of a tuning comparison, has a hole there, and numpy's warning is one line.
# Source: opda/nonparametric.py, scipy.special.comb.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
venv opda==0.8.0 numpy==2.4.6 scipy==1.17.1
python -W ignore::RuntimeWarning - <<'PY'
import sys
import numpy as np
from opda.nonparametric import EmpiricalDistribution

print("expected: no NaN")
missing = {}
for n in (1000, 1029, 1030, 2000):
    scores = EmpiricalDistribution(np.random.default_rng(0).random(n))
    ks = np.arange(1, n + 1)
    missing[n] = int(np.isnan(scores.u_tuning_curve(ks)).sum())
    other = int(np.isnan(scores.average_tuning_curve(ks)).sum())
    print(f"seen: n = {n}: {missing[n]} of {n} values are NaN (average_tuning_curve: {other})")
if missing[1000] or not (missing[1030] and missing[2000] > 1000):
    sys.exit("CHANGED: u_tuning_curve is NaN for other numbers of trials")
PY
