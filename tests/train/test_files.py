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
from tuner.kept import at
from tuner.train import Keep, Parts, files, train
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


def first_moments(state):
    return state["adam"][0]


MADE_UP = {
    "as if it had ended": lambda state: state.update(finished=4),
    "beyond its end": lambda state: state.update(finished=9),
    "not begun": lambda state: state.update(finished=0),
    "further than its curves": lambda state: state.update(finished=2),
    "a word for a number": lambda state: state.update(finished="x"),
    "true for one": lambda state: state.update(finished=True),
    "nobody left": lambda state: state.update(active=[]),
    "somebody else": lambda state: state.update(active=[0, 7]),
    "one twice": lambda state: state.update(active=[0, 0, 1]),
    "one in no place": lambda state: state.update(active=[0]),
    "one in two places": lambda state: state.update(stopped=[1]),
    "no curves": lambda state: state.update(curves=[]),
    "a short curve": lambda state: state["curves"][0].clear(),
    "a long curve": lambda state: state["curves"][0].append(state["curves"][0][0]),
    "a curve of words": lambda state: state["curves"].__setitem__(0, [("a", "b", "c", "d", "e")]),
    "an impossible share": lambda state: state["curves"].__setitem__(0, [(1, 0.1, 7.0, 0.0, 0.0)]),
    "other steps": lambda state: state["rule"]["param_groups"][0].update(step_count=1000),
    "no network": lambda state: state.update(network=None),
    "no moments": lambda state: state.update(adam=[None] * len(state["adam"])),
    "moments of other steps": lambda state: first_moments(state)["step"].fill_(9),
    "moments of another shape": lambda state: first_moments(state).update(exp_avg=torch.ones(3)),
    "not a number": lambda state: [
        value.fill_(torch.nan) for value in state["network"].values() if value.is_floating_point()
    ],
}


@pytest.mark.parametrize("made_up", MADE_UP)
def test_a_file_that_says_what_cannot_be_is_not_believed(made_up, tmp_path, caplog):
    expected = curves(train(WORKLOAD, TRIALS))
    file = interrupt(tmp_path)
    state = torch.load(file, weights_only=True)
    MADE_UP[made_up](state)
    torch.save(state, file)
    results = train(WORKLOAD, TRIALS, keep=Keep(tmp_path))
    assert curves(results) == expected
    (message,) = warnings(caplog)
    assert message.startswith(f"training starts over, as {file} cannot be used (")
    assert list(tmp_path.iterdir()) == []


def test_parts_that_say_what_cannot_be_are_not_believed(tmp_path, caplog):
    results = train(WORKLOAD, TRIALS)
    parts = Parts(tmp_path, WORKLOAD, TRIALS, "cpu", test=False)
    parts.add(results[:1])
    (file,) = tmp_path.iterdir()
    written = files.restore(at(tmp_path), file.name)
    assert Parts(tmp_path, WORKLOAD, TRIALS, "cpu", test=False).results == results[:1]
    result = written["results"][0]
    for made_up in (
        {**written, "most": 0},
        {**written, "most": "all"},
        {**written, "results": [result] * 2},
        {**written, "results": [{**result, "curve": ()}]},
        {**written, "results": [{**result, "curve": result["curve"][1:]}]},
        {**written, "results": [{}]},
        {**written, "results": 3},
    ):
        caplog.clear()
        files.save(at(tmp_path), file.name, made_up)
        again = Parts(tmp_path, WORKLOAD, TRIALS, "cpu", test=False)
        assert (again.results, again.most) == ([], 2)
        assert len(warnings(caplog)) == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # what torch makes of damaged files is not at stake
def test_no_damaged_bit_changes_a_result(tmp_path):
    expected = curves(train(WORKLOAD, TRIALS))
    file = interrupt(tmp_path)
    whole = file.read_bytes()
    for place in range(0, len(whole), len(whole) // 150):
        file.write_bytes(flip_a_bit(whole, place))
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
    file = tmp_path / f"{'0' * 64}.pt"
    files.save(at(tmp_path), file.name, {"epoch": 1})
    old = file.read_bytes()
    with file.open("rb") as reader:
        files.save(at(tmp_path), file.name, {"epoch": 2})
        assert reader.read() == old
    assert files.restore(at(tmp_path), file.name) == {"epoch": 2}


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
    at(tmp_path).sweep()
    assert sorted(tmp_path.iterdir()) == sorted(kept)
    assert not any(file.exists() for file in old)
    at(tmp_path).sweep(days=5)
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
