"""Every test of the command starts in an empty folder; one finished run for all who look at it."""

import shutil

import pytest

from tests.cli.commands import SPEC, tuner, write


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TUNER_DATABASE_URL", raising=False)
    return tmp_path


@pytest.fixture(scope="session")
def finished_once(tmp_path_factory):
    """A folder in which the small comparison was run, with every kind of output."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("TUNER_DATABASE_URL", raising=False)
        write(SPEC)
        outputs = ("--json", "a.json", "--html", "a.html", "--picture", "a.png")
        done = tuner("run", "mine.toml", *outputs, "--folder", "all")
        assert done.exit_code == 0, done.output
    return folder


@pytest.fixture
def finished(finished_once, here):
    """The same in this test's folder: ``mine.toml``, ``tuner.db`` and what was written."""
    shutil.copytree(finished_once, here, dirs_exist_ok=True)
    return here
