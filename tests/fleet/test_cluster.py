"""Clusters that are not there, or let nobody in."""

import platform
import socket
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.cli.commands import tuner
from tuner.errors import InvalidInput, TunerError
from tuner.fleet import cluster


def refused(*arguments: object) -> str:
    done = tuner(*arguments)
    assert done.exit_code == 2, done.output
    return " ".join(done.stderr.split())


@pytest.mark.parametrize("command", [("up", "--workers", 1), ("status",), ("scale", 2), ("down",)])
def test_without_ray_every_command_names_the_extra(command, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    said = refused("fleet", *command)
    assert "a fleet needs Ray, which is not installed here" in said
    assert "pip install 'bnn-tuner[ray]'" in said


@pytest.mark.usefixtures("ray")
def test_where_no_cluster_runs_it_is_said_how_to_start_or_name_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    said = refused("fleet", "status")
    assert "no Ray cluster runs on this machine; start one with: ray start --head" in said


@pytest.mark.usefixtures("ray")
def test_an_address_that_does_not_answer_is_refused_and_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(cluster, "ANSWER_SECONDS", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{silent.getsockname()[1]}"
        for address in (nobody, f"ray://{nobody}"):
            with pytest.raises(InvalidInput, match=f"answered at {address} within 0.2 seconds"):
                cluster.entered(address).__enter__()
        silent.listen()  # takes whoever comes, and says nothing
        monkeypatch.setenv("RAY_ADDRESS", nobody)
        assert f"answered at {nobody} within 0.2 seconds" in refused("fleet", "status")


@pytest.mark.usefixtures("ray")
def test_a_head_that_is_dead_but_noted_on_this_machine_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(cluster, "ANSWER_SECONDS", 0.2)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text("127.0.0.1:1\n")
    assert "answered at 127.0.0.1:1 within" in refused("fleet", "down")


@pytest.mark.parametrize("text", ["{", "[1]"])
def test_a_runtime_environment_is_a_json_object(text: str):
    assert "--runtime-env-json" in refused(
        "fleet", "up", "--workers", 1, "--runtime-env-json", text
    )


@pytest.mark.parametrize("address", ["127.0.0.1:6379", "ray://127.0.0.1:10001"])
@pytest.mark.parametrize("differs", ["ray", "python"])
def test_a_cluster_of_another_ray_or_python_is_refused_with_both_versions(
    ray: Any, monkeypatch: pytest.MonkeyPatch, address: str, differs: str
):
    from ray._private.utils import check_version_info

    there = {"ray_version": ray.__version__, "python_version": platform.python_version()}
    there[f"{differs}_version"] = "1.2.3"
    monkeypatch.setattr(cluster, "answers", lambda _address: True)
    monkeypatch.setattr(ray, "init", lambda *_, **__: check_version_info(there, "this machine"))
    with pytest.raises(InvalidInput) as refused:
        cluster.entered(address).__enter__()
    words = str(refused.value)
    assert f"{address}: it runs another version of Ray or of Python" in words
    assert f"{differs.title()}: 1.2.3" in words
    assert f"Python: {platform.python_version()}" in words and "use the same here" in words


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Ray, in a cluster whose head is gone: what asks the head does not return."""
    monkeypatch.setattr(cluster, "ANSWER_SECONDS", 0.2)
    ended = threading.Event()

    def ask(*_: object, **__: object) -> None:
        ended.wait()

    yield SimpleNamespace(nodes=ask, get_actor=ask, init=ask, shutdown=ended.set)
    ended.set()


def test_a_head_that_dies_while_it_is_asked_is_given_up_and_named(silent: Any):
    for ask in (cluster.nodes, lambda ray: cluster.named(ray, "fleet")):
        with pytest.raises(
            TunerError, match=r"did not answer within 0\.2 seconds; it may be gone"
        ):
            ask(silent)


@pytest.mark.usefixtures("ray")
def test_a_client_server_that_outlived_its_head_is_given_up_and_left(
    silent: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(cluster, "CLIENT_SECONDS", 0.2)
    monkeypatch.setattr(cluster, "answers", lambda _address: True)
    monkeypatch.setitem(sys.modules, "ray", silent)
    with pytest.raises(TunerError, match=r"did not answer within 0\.2 seconds"):
        cluster.entered("ray://127.0.0.1:10001").__enter__()
