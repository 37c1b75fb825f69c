"""The compiled library: made once and kept, and done without where it cannot be had."""

import logging
import os
import shutil
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from tuner import kernels
from tuner.bnn import sign_conv, sign_product
from tuner.train import TrialConfig, train
from tuner.workload import Workload

ROOT = Path(__file__).resolve().parents[2]
COMPILER = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="needs a C++ compiler")

COMPILING = 'case "$*" in *--version*) exit ;; esac\n'
FAILURES = {
    "at the source": (
        COMPILING + "(echo 'In x.h:'; echo 'x.h:3: error: no vectors'; echo 'error: nor y') >&2\n"
        "exit 1",
        "x.h:3: error: no vectors",
    ),
    "before": ("(echo 'licence expired'; echo 'call us') >&2; exit 3", "licence expired"),
    "without a word": ("exit 3", "exit status 3"),
    "unseen": (
        COMPILING + 'while [ "$1" != -o ]; do shift; done; echo "not a library" > "$2"',
        "file too short",
    ),
}
"""Programs in the compiler's place, and what is quoted of them."""

ASK = "from tuner import kernels; print(kernels.library())"
USE = """
import torch
from tuner import kernels
from tuner.bnn.normsign import max_pool
assert kernels.library() is not None
print(max_pool(torch.tensor([[[[1.0, 4.0], [3.0, 2.0]]]])).item())
"""


@pytest.fixture(autouse=True)
def cache_folder(monkeypatch, tmp_path):
    """An empty cache folder, and ``library()`` as a process has it that never asked before."""
    monkeypatch.setenv("TUNER_KERNELS", "")  # set, so that what a failure sets is undone
    monkeypatch.setenv("TUNER_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("CXX", raising=False)
    asked = kernels.library, sign_conv.trusted, sign_product.trusted
    for each in asked:
        each.cache_clear()
    yield tmp_path / "cache"
    for each in asked:
        each.cache_clear()


def program(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """The library, compiled without optimisation, which is faster and enough here."""
    file = tmp_path_factory.mktemp("made") / "kernels.so"
    source = Path(kernels.__file__).with_name("kernels.cpp")
    flags = [*kernels._FLAGS, *kernels._FOR_THIS_PROCESSOR, "-O0"]
    subprocess.run([COMPILER, *flags, "-o", file, source], check=True)
    return file


def counting_compiler(folder: Path, made: Path, wait_for: int = 1) -> tuple[str, Path]:
    """What makes that library at once, and a file that gets a line for each time it does.

    It begins once ``wait_for`` have been asked to compile, or after ten seconds.
    """
    count = folder / "compiled"
    count.touch()
    script = f"""
case "$*" in *--version*) exec {COMPILER} "$@" ;; esac
echo once >> {count}
tries=0
while [ "$(wc -l < {count})" -lt {wait_for} ] && [ $tries -lt 200 ]
do sleep 0.05; tries=$((tries + 1)); done
while [ "$1" != -o ]; do shift; done
cp {made} "$2"
"""
    return program(folder / "compiler", script), count


def python(script: str) -> subprocess.Popen:
    command = [sys.executable, "-c", script]
    return subprocess.Popen(
        command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    )


def warnings(caplog) -> list[str]:
    records = [r for r in caplog.records if r.name == "tuner.kernels"]
    assert all(r.levelno == logging.WARNING for r in records)
    return [r.getMessage() for r in records]


def train_a_little():
    workload = Workload(widths=(8, 8), epochs=1, batch_size=32, n_train=64)
    (result,) = train(workload, [TrialConfig("filter_flip", {"alpha": 0.1}, 1)])
    return result


@pytest.mark.slow
def test_switched_off_it_is_none_and_no_compiler_is_asked(monkeypatch, tmp_path, cache_folder):
    asked = tmp_path / "asked"
    monkeypatch.setenv("CXX", program(tmp_path / "compiler", f"touch {asked}; exit 1"))
    monkeypatch.setenv("TUNER_KERNELS", "off")
    process = python(ASK)
    assert process.communicate() == ("None\n", "")
    assert not asked.exists()
    assert not cache_folder.exists()


def test_without_a_compiler_one_warning_says_so_and_training_works(monkeypatch, tmp_path, caplog):
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert kernels.library() is None
    result = train_a_little()
    assert not result.diverged
    assert len(result.curve) == 1
    assert kernels.library() is None
    (warning,) = warnings(caplog)
    assert "no C++ compiler found" in warning
    assert "g++ or clang++ on the PATH, or one in $CXX" in warning


@pytest.mark.parametrize(("script", "reason"), FAILURES.values(), ids=FAILURES)
def test_a_compiler_that_fails_is_quoted(script, reason, monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("CXX", program(tmp_path / "compiler", script))
    assert kernels.library() is None
    assert kernels.library() is None
    (warning,) = warnings(caplog)
    assert reason in warning
    assert not any(later in warning for later in ("call us", "nor y"))


def test_a_compiler_that_is_not_there_is_named(monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("CXX", str(tmp_path / "no-such-compiler"))
    assert kernels.library() is None
    (warning,) = warnings(caplog)
    assert "no-such-compiler" in warning


@pytest.mark.slow
def test_a_compiler_that_hangs_is_given_up(monkeypatch, tmp_path, caplog):
    script = 'echo "licence server is silent" >&2; exec sleep 20'
    monkeypatch.setenv("CXX", program(tmp_path / "compiler", script))
    monkeypatch.setattr(kernels, "_SECONDS", 0.5)
    assert kernels.library() is None
    assert len(warnings(caplog)) == 1


@needs_compiler
def test_a_cache_folder_that_cannot_be_made_is_named(monkeypatch, tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("TUNER_CACHE_DIR", str(tmp_path / "file"))
    assert kernels.library() is None
    (warning,) = warnings(caplog)
    assert str(tmp_path / "file") in warning
    assert (tmp_path / "file").read_text() == "in the way"


@pytest.mark.slow
def test_after_a_failure_child_processes_neither_try_again_nor_repeat_the_warning(
    monkeypatch, tmp_path, capfd
):
    asked = tmp_path / "asked"
    script = f"echo once >> {asked}; echo 'error: none here' >&2; exit 1"
    monkeypatch.setenv("CXX", program(tmp_path / "compiler", script))
    assert kernels.library() is None
    assert len(asked.read_text().split()) == 1
    capfd.readouterr()
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as child:
        assert child.submit(kernels.library).result() is None
    assert capfd.readouterr() == ("", "")
    assert len(asked.read_text().split()) == 1


@pytest.mark.slow
@needs_compiler
def test_a_second_process_finds_it_compiled(monkeypatch, tmp_path, made, caplog):
    compiler, count = counting_compiler(tmp_path, made)
    monkeypatch.setenv("CXX", compiler)
    assert kernels.library() is not None, warnings(caplog)
    assert count.read_text().split() == ["once"]
    assert python(USE).communicate() == ("4.0\n", "")
    assert count.read_text().split() == ["once"]


@pytest.mark.slow
@needs_compiler
def test_two_processes_that_compile_at_once_both_get_it(monkeypatch, tmp_path, made, cache_folder):
    compiler, count = counting_compiler(tmp_path, made, wait_for=2)
    monkeypatch.setenv("CXX", compiler)
    pair = [python(USE), python(USE)]
    assert [process.communicate() for process in pair] == [("4.0\n", "")] * 2
    assert count.read_text().split() == ["once"] * 2
    (left,) = cache_folder.iterdir()
    assert left.suffix == ".so"


@pytest.mark.slow
@pytest.mark.skipif(COMPILER is None, reason="needs a C++ compiler")
@pytest.mark.parametrize("damage", ["cut", "overwritten", "empty"])
def test_a_damaged_library_is_compiled_again(damage, cache_folder, monkeypatch, tmp_path, made):
    compiler, count = counting_compiler(tmp_path, made)
    monkeypatch.setenv("CXX", compiler)
    assert kernels.library() is not None
    (file,) = cache_folder.glob("kernels-*.so")
    whole = file.read_bytes()
    half = len(whole) // 2
    file.unlink()  # its pages are in use here
    file.write_bytes(
        {"cut": whole[:half], "overwritten": whole[:half] + bytes(half), "empty": b""}[damage]
    )
    kernels.library.cache_clear()
    assert kernels.library() is not None
    assert file.read_bytes() == whole
    assert count.read_text().split() == ["once"] * 2
