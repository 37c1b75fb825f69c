"""Anything sent to a server in any order, while what it accepts is run.

    python -m tests.api.fuzz --seeds 1 2 3 --minutes 10

sends for so long, by each seed, what the OpenAPI document allows and what it does not, about
comparisons, studies, trials and fleets that there are, that there were, and that there never
were. Every answer must be documented and no 5xx. It serves an SQLite file of its own, with
``--postgresql`` a PostgreSQL server of its own.
"""

import argparse
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import schemathesis
from hypothesis import HealthCheck, Phase, Verbosity, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from schemathesis import GenerationMode
from schemathesis.core.failures import FailureGroup

sys.path.insert(0, str(Path(__file__).parents[1] / "search"))

from comparisons import SMALL  # on the path above
from light_trainer import LightTrainer

from tests.api.served import CHECKS, serving
from tests.postgres_server import postgres_server
from tuner.search.database import keys
from tuner.search.database.store import open_store
from tuner.search.fleets import book
from tuner.search.fleets.wish import Wish
from tuner.search.queue.queue import Queue
from tuner.search.work.worker import Worker

STEPS = 40
NAMES = st.sampled_from(["a", "b", "c"])
"""Few, so that what is sent meets what was sent before."""

FLEET = "00c0ffee0000"

_OTHERS = st.sampled_from(["0", "-1", "2147483647", "9" * 30, "%00", "é", "a b"])
_TAGS = st.sampled_from(['"0"', '"1"', '"2"', "*", 'W/"1"', "x"])
_CHANGES = ("pause", "resume", "cancel", "retry")
_PATHS = {
    "study_id": ("/v1/studies", "id"),
    "trial_id": ("/v1/studies/{study_id}/trials", "trial_id"),
}


class Anyone(RuleBasedStateMachine):
    """Whoever sends requests, one after the other.

    Attributes:
        address: Of the server.
        headers: With a key that may do everything.
        schema: Its document.
        answered: How often which status was answered.
        wrong: What was not as documented, or was not answered.
    """

    address: str
    headers: dict[str, str]
    schema: Any  # Any: schemathesis's
    answered: Counter[int]
    wrong: list[BaseException]

    def __init__(self) -> None:
        super().__init__()
        self.operations = [found.ok() for found in self.schema.get_all_operations()]
        self.named = {each.definition.raw["operationId"]: each for each in self.operations}
        ids = ("study_id", "trial_id", "operation_id")
        self.known: dict[str, list[Any]] = {**{key: [1] for key in ids}, "fleet_id": [FLEET]}

    @rule(data=st.data())
    def send_anything(self, data: st.DataObject) -> None:
        """Whatever the document allows, or does not."""
        operation = data.draw(st.sampled_from(self.operations))
        mode = data.draw(st.sampled_from(GenerationMode))
        try:
            case = data.draw(operation.as_strategy(generation_mode=mode))
        except Unsatisfiable:  # nothing can be wrong about a path without parameters
            return
        self._aim(case, data)
        self._send(case)

    @rule(data=st.data(), name=NAMES, n_trials=st.sampled_from([3, 3, 3, 4]))
    def submit(self, data: st.DataObject, name: str, n_trials: int) -> None:
        """A comparison that can be run, most likely."""
        body = {**SMALL, "name": name, "n_trials": n_trials}
        case = self.named["submit_comparison"].Case(body=body)
        self._aim(case, data)
        self._send(case)

    @rule(data=st.data(), what=st.sampled_from(_CHANGES), of=st.sampled_from(["name", "study_id"]))
    def change(self, data: st.DataObject, what: str, of: str) -> None:
        """A comparison or a study that there may be."""
        kind = "comparison" if of == "name" or what == "retry" else "study"
        case = self.named[f"{what}_{kind}"].Case(path_parameters={})
        self._aim(case, data)
        self._send(case)

    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        """A comparison that there may be."""
        case = self.named["delete_comparison"].Case(path_parameters={})
        self._aim(case, data)
        self._send(case)

    @rule()
    def look_around(self) -> None:
        """What there is now."""
        for name, (path, key) in _PATHS.items():
            where = path.format(study_id=self.known["study_id"][-1])
            answer = httpx2.get(f"{self.address}{where}?limit=20", headers=self.headers)
            found = [item[key] for item in answer.json().get("items", ())]
            self.known[name] = found or self.known[name]

    def _aim(self, case: Any, data: st.DataObject) -> None:
        """Have it be about something that there may be, under conditions that may hold."""
        declared = case.operation.path_parameters
        for name in [each.name for each in declared or ()]:
            if case.path_parameters.get(name) and data.draw(st.booleans()):
                continue
            there = self.known.get(name)
            value = data.draw(NAMES if name == "name" else st.integers(0, 99))
            if there is not None:  # what is drawn may not depend on what the server answered
                value = there[value % len(there)]
            other = data.draw(_OTHERS)
            case.path_parameters[name] = other if data.draw(st.integers(0, 7)) == 0 else value
        for name, value in case.path_parameters.items():  # a slash would make it another path
            case.path_parameters[name] = str(value).replace("/", "|").replace("%2F", "|")
        if case.method in ("POST", "PATCH", "DELETE"):
            case.headers = {**(case.headers or {})}
            for header, values in (("If-Match", _TAGS), ("Idempotency-Key", NAMES)):
                if data.draw(st.integers(0, 5)) == 0:
                    value = data.draw(values)
                    case.headers[header] = value.encode("ascii", "ignore").decode()
        if case.operation.path == "/v1/events":
            case.query = {**(case.query or {}), "seconds": 0.01}

    def _send(self, case: Any) -> None:
        try:
            answer = case.call(base_url=self.address, headers=self.headers, timeout=60)
            self.answered[answer.status_code] += 1
            case.validate_response(answer, checks=CHECKS)
        except (
            Exception,
            FailureGroup,
        ) as error:  # hypothesis would try it again, on a server that remembers
            self.wrong.append(error)


@contextmanager
def working(database: str) -> Iterator[None]:
    """A worker in a thread of this process, for as long as the block lasts."""
    ended = threading.Event()
    with closing(open_store(database)) as store:
        worker = Worker(Queue(store), LightTrainer("cpu"), name="here", stopping=ended.is_set)
        thread = threading.Thread(target=worker.run)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def fuzz(database: str, *, seed: int, going_on: Callable[[], bool]) -> Counter[int]:
    """Send sequence after sequence of requests; returns how often which status was answered.

    Args:
        database: The address of an empty database.
        seed: Of what is sent.
        going_on: Asked before every few sequences.

    Raises:
        BaseExceptionGroup: If an answer was not as documented, with the request that it was to.
    """
    with closing(open_store(database)) as store:
        mine = {"Authorization": f"Bearer {keys.create(store, 'fuzz', ('read', 'write'))}"}
        book.write(
            store, FLEET, book.Entry("here:6379", "up", 1, 1, 8, ""), book.Known(Wish(1, 1, 1))
        )
    answered: Counter[int] = Counter()
    wrong: list[BaseException] = []
    with serving(database) as address, working(database):
        document = httpx2.get(f"{address}/v1/openapi.json", headers=mine).json()
        known = {
            "address": address,
            "headers": mine,
            "schema": schemathesis.openapi.from_dict(document),
            "answered": answered,
            "wrong": wrong,
        }
        machine = type("Anyone", (Anyone,), known)
        while going_on() and not wrong:
            machine._hypothesis_internal_use_seed = seed
            run_state_machine_as_test(machine, settings=FEW)
            seed += 1_000_003
    if wrong:
        raise BaseExceptionGroup("not as documented", wrong)
    return answered


FEW = settings(
    max_examples=5,
    stateful_step_count=STEPS,
    deadline=None,
    database=None,
    phases=[Phase.generate],  # the server remembers, so no sequence can be tried again
    suppress_health_check=list(HealthCheck),
    print_blob=False,
    verbosity=Verbosity.quiet,
)


def _before(deadline: float) -> bool:
    return time.monotonic() < deadline


def main() -> int:
    """Run it as the arguments say; it raises if an answer is not as documented."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--postgresql", action="store_true", help="a server, not an SQLite file")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--minutes", type=float, default=10.0, help="of all seeds together")
    given = parser.parse_args()
    for seed in given.seeds:
        deadline = time.monotonic() + 60 * given.minutes / len(given.seeds)
        with ExitStack() as at_end:
            if given.postgresql:
                database = at_end.enter_context(postgres_server()).get_uri()
            else:
                folder = at_end.enter_context(tempfile.TemporaryDirectory())
                database = f"sqlite:///{folder}/fuzz.db"
            answered = fuzz(database, seed=seed, going_on=partial(_before, deadline))
        counts = ", ".join(f"{n} {status}" for status, n in sorted(answered.items()))
        print(f"seed {seed}: {answered.total()} answers, all as documented: {counts}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
