"""The way to a Ray cluster: found, asked whether it answers, and entered; or refused in words."""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir
from typing import Any, TypeVar

from tuner.errors import InvalidInput, TunerError

NAMESPACE = "bnn-tuner"
"""Where the fleet's actors have their names in a cluster."""

ANSWER_SECONDS = 10.0
"""So long a cluster, or a fleet in it, is waited for."""

CLIENT_SECONDS = 30.0
"""So long a cluster may take to start what serves a machine that is none of its nodes."""

Result = TypeVar("Result")

_HERE = "auto"
_CLIENT = "ray://"
_HEAD = "node:__internal_head__"


@dataclass(frozen=True)
class Node:
    """A machine of the cluster that is up.

    Args:
        node_id: Ray's name of it.
        host: Its host's name.
        address: Its address.
        head: Whether the cluster stands and falls with it.
        resources: What it has in all, as Ray counts it.
    """

    node_id: str
    host: str
    address: str
    head: bool
    resources: Mapping[str, float]


def ray_here() -> Any:  # Any: Ray, which a plain install lacks
    """Ray.

    Raises:
        InvalidInput: If it is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise InvalidInput(
            f"a fleet needs Ray, which is not installed here ({error}); install it with: "
            "pip install 'bnn-tuner[ray]'"
        ) from error
    return ray


def address_of(address: str | None) -> str:
    """Where the cluster is: as given, else RAY_ADDRESS, else the one that runs on this machine.

    Raises:
        InvalidInput: If none is given and none runs here.
    """
    given = address or os.environ.get("RAY_ADDRESS", "") or _HERE
    if given != _HERE:
        return given
    noted = Path(os.environ.get("RAY_TMPDIR", "") or gettempdir()) / "ray" / "ray_current_cluster"
    try:
        return noted.read_text(encoding="utf-8").strip()  # as ray start left it
    except OSError:
        raise InvalidInput(
            "no Ray cluster runs on this machine; start one with: ray start --head, or name "
            "one with --address HOST:6379, or --address ray://HOST:10001 from a machine that is "
            "none of its nodes"
        ) from None


def answers(address: str) -> bool:
    """Whether something listens there that speaks as the head of a Ray cluster does.

    It is waited for, ``ANSWER_SECONDS`` at most.
    """
    import grpc  # comes with Ray

    channel = grpc.insecure_channel(address.removeprefix(_CLIENT))
    try:
        grpc.channel_ready_future(channel).result(timeout=ANSWER_SECONDS)
    except grpc.FutureTimeoutError:
        return False
    finally:
        channel.close()
    return True


@contextmanager
def entered(
    address: str | None,
    runtime_env: Mapping[str, Any] | None = None,  # Any: as Ray documents it
) -> Iterator[Any]:
    """Be a driver of the cluster while the block runs.

    Args:
        address: See ``address_of``.
        runtime_env: Ray's runtime environment for what is started meanwhile.

    Yields:
        Ray.

    Raises:
        InvalidInput: If Ray is not installed, or there is no cluster, or it does not answer, or
            is of another version.
        TunerError: If it answers and then falls silent.
    """
    ray = ray_here()
    where = address_of(address)
    if not answers(where):
        raise InvalidInput(
            f"nothing that is the head of a Ray cluster answered at {where} within "
            f"{ANSWER_SECONDS:g} seconds; see that it runs (ray status) and that its port can be "
            "reached from here"
        )
    options = {
        "namespace": NAMESPACE,
        "runtime_env": dict(runtime_env or {}) or None,
        "log_to_driver": False,
        "logging_level": logging.ERROR,
    }
    try:
        if where.startswith(_CLIENT):
            heard(lambda: ray.init(where, **options), CLIENT_SECONDS)
        else:
            ray.init(where, **options)
    except TunerError:
        ray.shutdown()
        raise
    except (Exception, SystemExit) as error:  # Ray ends the process where it finds no way in
        ray.shutdown()
        raise InvalidInput(f"the Ray cluster at {where}: {_why(where, error)}") from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _why(where: str, error: BaseException) -> str:
    """Why Ray let nobody in."""
    said = " ".join(str(error).split())
    if "ersion" in said and ("mismatch" in said or "differ" in said):
        return (
            f"it runs another version of Ray or of Python ({said}); use the same here, or run "
            "this command on one of its nodes"
        )
    way_out = (
        "see ray_client_server*.err in the logs of its head; a node of it comes in by HOST:6379"
        if where.startswith(_CLIENT)
        else "a machine that is none of its nodes comes in by ray://HOST:10001"
    )
    return f"it let nobody in ({said}); {way_out}"


def nodes(ray: Any) -> list[Node]:  # Any: Ray
    """The nodes that are up, the head first.

    Raises:
        TunerError: If the head does not say so within ``ANSWER_SECONDS``.
    """
    alive = [node for node in heard(ray.nodes) if node["Alive"]]
    return sorted(
        (
            Node(
                node_id=node["NodeID"],
                host=node["NodeManagerHostname"],
                address=node["NodeManagerAddress"],
                head=_HEAD in node["Resources"],
                resources=dict(node["Resources"]),
            )
            for node in alive
        ),
        key=lambda node: (not node.head, node.address, node.node_id),
    )


def on_head() -> dict[str, float]:
    """The resources that an actor asks for to be on the head: it lives as long as the cluster."""
    return {_HEAD: 0.001}


def on_node(node_id: str) -> Any:  # Any: Ray has no type for its strategies
    """How an actor asks to be on a node, or on another where that one is gone or full."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(node_id, soft=True, _spill_on_unavailable=True)


def heard(call: Callable[[], Result], seconds: float | None = None) -> Result:
    """What a call of Ray's returns, which waits for the head however long that is silent.

    Args:
        call: The call; it goes on in a thread of its own if it is not waited for any more.
        seconds: How long it is waited for; ``ANSWER_SECONDS`` if nothing is said.

    Raises:
        TunerError: If it did not return in time.
    """
    said: Future[Result] = Future()

    def ask() -> None:
        try:
            said.set_result(call())
        except BaseException as error:  # Ray ends processes
            said.set_exception(error)

    most = ANSWER_SECONDS if seconds is None else seconds
    threading.Thread(target=ask, name="asking Ray", daemon=True).start()
    if not wait([said], timeout=most).done:
        raise TunerError(
            f"the head of the Ray cluster did not answer within {most:g} seconds; it may be gone, "
            "and the fleet with it: see ray status; no trial is lost: start Ray again and bring a "
            "fleet up"
        )
    return said.result()


def answer(ray: Any, reference: Any) -> Any:  # Any: Ray, a reference of it, what it stands for
    """What an actor answered.

    Raises:
        TunerError: If it did not within ``ANSWER_SECONDS``.
    """
    try:
        return ray.get(reference, timeout=ANSWER_SECONDS)
    except ray.exceptions.GetTimeoutError as error:
        raise TunerError(
            f"the fleet's manager did not answer within {ANSWER_SECONDS:g} seconds; the cluster "
            "may be overloaded, or its head may be gone: see ray status"
        ) from error


def gone(ray: Any, name: str, *, within_seconds: float) -> bool:  # Any: Ray
    """Whether no actor has the name any more, after so long a wait at most."""
    deadline = time.monotonic() + within_seconds
    while named(ray, name) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def named(ray: Any, name: str) -> Any:  # Any: Ray, a handle of an actor
    """The fleet's actor of that name; None if there is none.

    Raises:
        TunerError: If the head does not say so within ``ANSWER_SECONDS``.
    """
    try:
        return heard(lambda: ray.get_actor(name, namespace=NAMESPACE))
    except ValueError:
        return None


def names(ray: Any) -> Sequence[str]:  # Any: Ray
    """The names of the fleet's actors."""
    every = ray.util.list_named_actors(all_namespaces=True)
    return [each["name"] for each in every if each["namespace"] == NAMESPACE]


def last_line(error: Exception) -> str:
    """What Ray says of an actor that did not start: its last line, which names the exception."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
