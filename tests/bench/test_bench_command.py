"""``tuner bench`` as a person meets it."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import fields
from multiprocessing import active_children
from pathlib import Path
from types import MappingProxyType

import pytest
from typer.testing import CliRunner

from tests.bench.jobs import Counts, Raises
from tuner.bench import contests
from tuner.bench.contests import CONTESTS, Contest, Setup
from tuner.bench.match import Match, Row, Side
from tuner.bench.measured_on import CLEAN
from tuner.bench.rows import by_ratio
from tuner.bnn.data import dataset, sources
from tuner.cli.app import app

ROUNDS = "2"


def bench(*arguments):
    others = set(active_children())  # of tests that ran in this process before
    result = CliRunner().invoke(app, ["bench", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert set(active_children()) <= others
    return result


def small(name, job):
    """A contest of two processes that hardly do anything."""

    def matches(_setup: Setup):
        yield Match(
            name,
            "nothing",
            "work per second",
            "1/s",
            sides=(Side("auto", (job,)), Side("plain", (Counts(2),))),
            pairs=[("auto", "plain")],
            value=lambda slices: slices[0].work,
            judge=by_ratio,
        )

    return Contest(matches, (1.0, 1.0))


@pytest.fixture
def without_compiler(monkeypatch):
    monkeypatch.setenv("TUNER_KERNELS", "off")  # compiling takes some seconds


@pytest.fixture
def small_contests(monkeypatch):
    known = {
        "small": small("small", Counts(6)),
        "bad": small("bad", Raises()),
        "fashion_cnn": CONTESTS["fashion_cnn"],
    }
    monkeypatch.setattr(contests, "CONTESTS", MappingProxyType(known))


@pytest.mark.slow
@pytest.mark.usefixtures("small_contests")
def test_a_quick_contest_prints_rows_with_every_key(tmp_path):
    file = tmp_path / "bench.json"
    shown = bench("small", "--quick", "--rounds", ROUNDS, "--json", str(file))
    assert shown.exit_code == 0, shown.output
    assert "round 1 of 2" in shown.output
    assert "a quick look" in shown.output
    document = json.loads(file.read_text())
    assert document["quick"] is True
    assert document["rounds"] == 2
    (row,) = document["rows"]
    assert set(row) == {field.name for field in fields(Row)}
    assert 0 < row["low"] <= row["ratio"] <= row["high"]
    assert all(math.isfinite(row[key]) for key in ("high", "value", "baseline_value"))
    assert "auto " in shown.output and "3.00" in shown.output
    machine = document["machine"]
    assert {"avx2", "avx512f", "avx512_bf16", "amx_bf16"} < set(machine["flags"])
    assert machine["microarchitecture"] in shown.output
    assert row["clean"] == (row["load"] <= CLEAN)
    assert ("not clean" in shown.output) != row["clean"]
    assert {"python", "torch", "optuna", "bnn-tuner"} == set(machine["versions"])
    assert (machine["kernels_seconds"] or 1) > 0
    assert machine["compiler"] is None or machine["kernels_seconds"] is not None


@pytest.mark.slow
@pytest.mark.usefixtures("small_contests", "without_compiler")
def test_a_contest_that_fails_is_reported_in_one_line_and_the_others_go_on():
    shown = bench("bad", "small", "--rounds", ROUNDS, "--json", "-")
    assert shown.exit_code == 1
    assert "bad failed: bad, auto: ValueError: this went wrong" in shown.stderr.splitlines()
    assert "Traceback" not in shown.output
    document = json.loads(shown.stdout)
    assert document["failed"] == {"bad": "bad, auto: ValueError: this went wrong"}
    assert [(row["contest"], row["ratio"]) for row in document["rows"]] == [
        ("bad", 0.5),  # its first round
        ("small", 3),
    ]
    assert document["machine"]["kernels_seconds"] is None


@pytest.mark.slow
@pytest.mark.usefixtures("small_contests", "without_compiler")
def test_a_contest_without_its_data_is_skipped_in_one_line(tmp_path, monkeypatch):
    def no_network(*_arguments):
        raise OSError("no network")

    monkeypatch.setenv("TUNER_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(sources, "SYSTEM_DIR", tmp_path / "nowhere")
    monkeypatch.setattr(sources, "_fetch_idx", no_network)
    dataset._load.cache_clear()
    shown = bench("fashion_cnn", "small", "--rounds", ROUNDS)
    assert shown.exit_code == 0
    (line,) = (line for line in shown.output.splitlines() if "skipped" in line)
    assert line.startswith("fashion_cnn skipped: fashion_mnist: put train-images-idx3-ubyte.gz")
    assert "3.00" in shown.output


def test_an_unknown_contest_is_refused_in_one_line_that_lists_the_names():
    refused = bench("digits", "fashion_cn")
    assert refused.exit_code == 2
    (line,) = refused.stderr.splitlines()
    assert "contest 'fashion_cn' is unknown; did you mean 'fashion_cnn'?" in line
    assert all(name in line for name in CONTESTS)
    assert bench("--rounds", "0").exit_code == 2
    assert "does not exist" in bench("--json", "gone/bench.json").stderr


def test_the_help_names_every_contest():
    shown = bench("--help").output
    assert all(name in shown for name in CONTESTS)


ENDLESS = """
import sys

if __name__ == "__main__":  # the contest's processes import this file too, and need nothing of it
    from tests.bench.test_bench_command import Counts, contests, small
    from tuner.cli import main

    contests.CONTESTS = {"small": small("small", Counts(6))}
    sys.argv = ["tuner", "bench", "small", "--quick", "--rounds", "1000000"]
    main()
"""
"""The command, with a contest that starts at once, and takes hours."""


@pytest.mark.slow
def test_ctrl_c_prints_what_was_measured_and_leaves_no_process(tmp_path):
    script = tmp_path / "endless.py"
    script.write_text(ENDLESS)
    root = Path(__file__).resolve().parents[2]
    variables = {"PYTHONPATH": str(root), "PYTHONUNBUFFERED": "1", "TUNER_KERNELS": "off"}
    with subprocess.Popen(
        [sys.executable, str(script)],
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if "round 1 of" in line:
                    break
            os.killpg(process.pid, signal.SIGINT)  # a terminal's Ctrl-C reaches every process
            output, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "stopped; this is what was measured so far" in output
    assert "auto " in output and "3.00" in output
    for _ in range(100):
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise AssertionError("a process is left over")
