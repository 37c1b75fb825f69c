"""What damage, a full disk and age do to the files of unfinished training."""

import os
import pickle
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from keeping import TRIALS, WORKLOAD, Fault, curves, fault_after, interrupt, warnings

from tuner.errors import Interrupted
from tuner.train import Keep, files, train
from tuner.train.checkpoint import digest


def flip_a_bit(content, at):
    return content[:at] + bytes([content[at] ^ 16]) + content[at + 1 :]


DAMAGE = {
    "empty": lambda _: b"",
    "cut": lambda content: content[: len(content) // 2],
    "without its last byte": lambda content: content[:-1],
    "overwritten": lambda content: content[:999] + bytes(len(content) - 999),
    "one bit": lambda content: flip_a_bit(content, len(content) // 2),
    "a pickle": lambda _: pickle.dumps(Fault()),
    "text": lambda _: b"\x00 no zip\n" * 99,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_removed_and_training_starts_over(damage, tmp_path, caplog):
    expected = curves(train(WORKLOAD, TRIALS))
    file = interrupt(tmp_path)
    file.write_bytes(DAMAGE[damage](file.read_bytes()))
    with pytest.raises(Fault):
        train(WORKLOAD, TRIALS, fault_after(1), keep=Keep(tmp_path))
    assert list(tmp_path.iterdir()) == []
    (message,) = warnings(caplog)
    assert message.startswith(f"training starts over, as {file} cannot be used (")
    assert curves(train(WORKLOAD, TRIALS, keep=Keep(tmp_path))) == expected


@pytest.mark.parametrize("content", [{}, {"active": [0, 1]}, [], "misfit"])
def test_a_state_that_does_not_fit_is_removed_and_training_starts_over(content, tmp_path, caplog):
    expected = curves(train(WORKLOAD, TRIALS))
    file = interrupt(tmp_path)
    if content == "misfit":
        content = torch.load(file, weights_only=True)
        content["adam"].pop()
    torch.save(content, file)
    assert curves(train(WORKLOAD, TRIALS, keep=Keep(tmp_path))) == expected
    assert len(warnings(caplog)) == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # what torch makes of damaged files is not at stake
def test_no_damaged_bit_changes_a_result(tmp_path):
    expected = curves(train(WORKLOAD, TRIALS))
    file = interrupt(tmp_path)
    whole = file.read_bytes()
    for at in range(0, len(whole), len(whole) // 150):
        file.write_bytes(flip_a_bit(whole, at))
        assert curves(train(WORKLOAD, TRIALS, keep=Keep(tmp_path))) == expected


@contextmanager
def full_disk() -> Iterator[None]:
    """Files can hold a thousand bytes: not around a test, whose report may go to a longer one."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_is_spoken_of_once_and_training_goes_on(tmp_path, caplog):
    expected = curves(train(WORKLOAD, TRIALS))
    with full_disk():
        found = curves(train(WORKLOAD, TRIALS, keep=Keep(tmp_path, seconds=0)))
    assert found == expected
    (message,) = warnings(caplog)
    assert "cannot be kept" in message
    assert "File too large" in message
    assert list(tmp_path.iterdir()) == []


def test_who_is_told_to_stop_stops_also_with_a_full_disk(tmp_path, caplog):
    with full_disk(), pytest.raises(Interrupted):
        train(WORKLOAD, TRIALS, keep=Keep(tmp_path, lambda: True))
    assert len(warnings(caplog)) == 1


def test_a_folder_that_cannot_be_made_is_spoken_of_once_and_training_goes_on(tmp_path, caplog):
    (tmp_path / "file").touch()
    expected = curves(train(WORKLOAD, TRIALS))
    for folder in (tmp_path / "file", tmp_path / "file" / "folder"):
        caplog.clear()
        assert curves(train(WORKLOAD, TRIALS, keep=Keep(folder, seconds=0))) == expected
        (message,) = warnings(caplog)
        assert str(tmp_path / "file") in message


def test_something_else_of_the_file_s_name_stops_no_training(tmp_path, caplog):
    expected = curves(train(WORKLOAD, TRIALS))
    (tmp_path / f"{digest(WORKLOAD, TRIALS, 'cpu')}.pt" / "inside").mkdir(parents=True)
    assert curves(train(WORKLOAD, TRIALS, keep=Keep(tmp_path, seconds=0))) == expected
    assert len(warnings(caplog)) == 2


def test_who_reads_a_file_while_it_is_replaced_has_the_old_one_whole(tmp_path):
    file = files.path(tmp_path, "0" * 64)
    files.save(file, {"epoch": 1})
    old = file.read_bytes()
    with file.open("rb") as reader:
        files.save(file, {"epoch": 2})
        assert reader.read() == old
    assert files.restore(file) == {"epoch": 2}


def aged(path: Path, days: float) -> Path:
    path.touch()
    then = time.time() - days * 24 * 3600
    os.utime(path, (then, then))
    return path


def test_a_sweep_removes_old_files_of_ours_and_no_others(tmp_path):
    name = "0123456789abcdef" * 4
    old = [aged(tmp_path / f"{name}.pt", 8), aged(tmp_path / f"{name}.12ab.part", 8)]
    kept = [
        aged(tmp_path / f"{name[::-1]}.pt", 6),
        aged(tmp_path / f"{name}.34cd.part", 6),
        aged(tmp_path / "model.pt", 800),
        aged(tmp_path / f"{name}.txt", 800),
        aged(tmp_path / f"x{name}.pt", 800),
    ]
    files.sweep(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(kept)
    assert not any(file.exists() for file in old)
    files.sweep(tmp_path, days=5)
    assert sorted(tmp_path.iterdir()) == sorted(kept[2:])


def test_the_first_file_that_a_process_writes_sweeps_the_folder(tmp_path):
    old = aged(tmp_path / f"{'0' * 64}.pt", 8)
    train(WORKLOAD, TRIALS, keep=Keep(tmp_path))
    assert old.exists()
    interrupt(tmp_path)
    assert not old.exists()
    aged(old, 8)
    train(WORKLOAD, TRIALS, keep=Keep(tmp_path, seconds=0))
    assert old.exists()
