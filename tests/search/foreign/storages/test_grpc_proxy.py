"""Studies behind Optuna's gRPC proxy are read."""

import socket
import subprocess
import sys
from collections.abc import Iterator

import optuna
import pytest
from optuna.trial import create_trial

from tuner.errors import DatabaseProblem, InvalidInput
from tuner.search.foreign.address import parse
from tuner.search.foreign.storages import grpc_proxy
from tuner.search.foreign.storages.kinds import study_at

SERVER = """
import sys, optuna
storage = optuna.storages.get_storage(sys.argv[1])
optuna.storages.run_grpc_proxy_server(storage, host="127.0.0.1", port=int(sys.argv[2]))
"""


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a proxy with the study "old" of five trials."""
    url = f"sqlite:///{tmp_path_factory.mktemp('proxy')}/a.db"
    study = optuna.create_study(storage=url, study_name="old")
    study.add_trials([create_trial(value=value / 10) for value in range(5)])
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", SERVER, url, str(port)])
    yield f"grpc://127.0.0.1:{port}"
    process.kill()
    process.wait(30)


@pytest.mark.slow
def test_a_study_behind_a_proxy_is_read(proxy: str):
    found = study_at(parse(f"{proxy}::old"))
    assert [trial.value for trial in found.trials] == [0.0, 0.1, 0.2, 0.3, 0.4]
    assert study_at(parse(proxy)).name == "old"


def test_a_proxy_that_does_not_answer_is_waited_for_briefly(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(grpc_proxy, "_SECONDS", 0.2)
    with pytest.raises(DatabaseProblem, match=r"does not answer within 0.2 s; check its host"):
        study_at(parse(f"grpc://127.0.0.1:{free_port()}::old"))
    with pytest.raises(InvalidInput, match="names no host"):
        study_at(parse("grpc://:1::old"))
