import platform
import shutil
from pathlib import Path

import pytest

import tuner
from tuner import __version__
from tuner.fleet import code

HERE = {"bnn-tuner": "0.1.0", "source": "a1", "torch": "2.14.1"}


def test_what_differs_is_said_on_both_sides():
    assert code.differing(HERE, dict(HERE)) == ""
    there = {"bnn-tuner": "0.1.0", "source": "b2", "ray": "2.60.0"}
    assert code.differing(HERE, there) == (
        "ray is 2.60.0 there, missing here; source is b2 there, a1 here; "
        "torch is missing there, 2.14.1 here"
    )


def test_the_code_is_this_and_local_builds_of_a_library_are_alike():
    here = code.code_here()
    assert here["bnn-tuner"] == __version__
    assert platform.python_version().startswith(f"{here['Python']}.")
    assert "+" not in here["torch"]


def test_the_hash_changes_with_what_trains_and_with_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    copy = tmp_path / "tuner"
    for name in ("__init__.py", "rules.py", "cli/app.py", "kernels/steps.h"):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(tuner.__file__).parent / name, copy / name)
    monkeypatch.setattr(tuner, "__file__", str(copy / "__init__.py"))

    def hashed() -> str:
        return code.source_hash.__wrapped__()

    before = hashed()
    assert len(before) == 12 and hashed() == before
    for name, same in (("cli/app.py", True), ("kernels/steps.h", False), ("rules.py", False)):
        with (copy / name).open("a", encoding="utf-8") as file:
            file.write("\n")
        after = hashed()
        assert (after == before) is same, name
        before = after
