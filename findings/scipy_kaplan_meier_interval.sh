#!/usr/bin/env bash
# scipy's confidence interval of a survival curve is [1, 1] before the first event.
#
# Expected: five searches are followed and none has reached the target by trial 3: an interval of
#   the chance that a search is still without success reaches well below 1 (the exact binomial one
#   for 5 of 5 is [0.48, 1]).
# Seen (scipy 1.17.1): [1, 1], complete certainty from five searches, without a warning; with
#   method="log-log" NaN at the times of censoring, and [1, 1] at 0. Greenwood's variance is 0
#   there.
# Why it matters: "trials until the target accuracy" of two arms are compared on just such curves,
#   with few repeats; the arm without an early success gets a band of no width.
# Source: scipy.stats.ecdf; Sawyer, The Greenwood and Exponential Greenwood Confidence Intervals.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
venv scipy==1.17.1 numpy==2.4.6
python - <<'PY'
import sys
from scipy import stats

searches = stats.CensoredData(uncensored=[5, 6], right=[3, 4, 9])
survival = stats.ecdf(searches).sf
exact = stats.binomtest(5, 5).proportion_ci()
print(f"expected: an interval such as the exact binomial one, [{exact.low:.2f}, {exact.high:.0f}]")
interval = survival.confidence_interval(confidence_level=0.95)
seen = {t: (float(interval.low.evaluate(t)), float(interval.high.evaluate(t))) for t in (3, 4, 5)}
for t, (low, high) in seen.items():
    print(f"seen: at trial {t} [{low:.2f}, {high:.2f}]")
if seen[3] != (1, 1) or seen[4] != (1, 1) or seen[5][0] == 1:
    sys.exit("CHANGED: the interval before the first event is not [1, 1]")
PY
