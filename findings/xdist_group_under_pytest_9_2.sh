#!/usr/bin/env bash
# Under pytest 9.2 pytest-xdist takes the tests of a group apart.
#
# Expected: with --dist loadgroup, tests marked xdist_group of one name run in one process.
# Seen (pytest 9.2.0, pytest-xdist 3.8.0): they run in both. xdist writes the group's name into
#   _nodeid, which pytest 9.2 no longer reads; nothing is said.
# Why it matters: tests that follow each other, or share what is slow to make, fail or take longer
#   without a word; --dist loadfile keeps those of a file together.
# Source: pytest_collection_modifyitems in xdist/remote.py; Node in _pytest/nodes.py.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
venv pytest==9.2.0 pytest-xdist==3.8.0
cat > test_group.py <<'PY'
import os
import pytest

@pytest.mark.xdist_group("steps")
@pytest.mark.parametrize("step", range(8))
def test_step(step):
    with open("workers", "a") as file:
        file.write(os.environ["PYTEST_XDIST_WORKER"] + "\n")
PY
for dist in loadgroup loadfile; do
    rm -f workers
    python -m pytest -q --numprocesses 2 --dist "$dist" test_group.py
    processes=$(sort -u workers | wc -l)
    echo "seen: with $dist, 8 tests of one group in $processes of 2 processes"
    [ "$processes" = "$([ "$dist" = loadgroup ] && echo 2 || echo 1)" ] \
        || { echo "CHANGED: with $dist the group runs in $processes processes" >&2; exit 1; }
done
