#!/usr/bin/env bash
# scipy's Wilcoxon test: with ties, 14 wins of 14 are less significant than 13 of 13.
#
# Expected: 14 wins of 14 are stronger evidence than 13 of 13. The exact two-sided p is 2 / 2^n
#   whatever the ranks: 2.4e-4 and 1.2e-4.
# Seen (scipy 1.17.1): with tied differences 2.4e-4 and then 7.0e-4: up to 13 pairs it enumerates
#   the signs, from 14 on it takes the normal distribution, silently. Without ties it stays exact
#   to 50.
# Why it matters: accuracies on a test set are multiples of 1/n, so differences tie often;
#   p is 5.7 times too large for 14 pairs and 28 times for 20.
# Source: scipy.stats.wilcoxon's notes on method="auto".
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
venv scipy==1.17.1 numpy==2.4.6
python - <<'PY'
import sys
from scipy import stats

def p(differences):
    return float(stats.wilcoxon(differences).pvalue)

print("expected: p = 2 / 2^n: 2.4e-04 for 13 wins of 13, 1.2e-04 for 14 of 14")
tied = {n: p([0.01, 0.02] * (n // 2) + [0.01] * (n % 2)) for n in (13, 14, 20)}
free = {n: p([0.01 * (i + 1) for i in range(n)]) for n in (13, 14, 20)}
for n in tied:
    print(f"seen: {n} of {n}: exact {2 / 2**n:.1e}, without ties {free[n]:.1e}, "
          f"with ties {tied[n]:.1e}")
if not (tied[13] < 3e-4 and tied[14] > 1.5 * tied[13] and free[14] < 1.3e-4):
    sys.exit("CHANGED: with ties, p for 14 of 14 is not above p for 13 of 13")
PY
