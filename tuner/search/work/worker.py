"""A worker: claims trials from the queue and has them trained until it is told to stop."""

import logging
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from random import Random
from types import MappingProxyType
from typing import TypeVar

from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import DBAPIError

from tuner.errors import DeviceTooSmall, Interrupted, InvalidInput, NotFound, TunerError
from tuner.machine import versions
from tuner.search.database.patience import away, patiently
from tuner.search.database.patience import in_a_line as database_said
from tuner.search.declared.study_spec import StudySpec
from tuner.search.queue import roster
from tuner.search.queue.claims import Claim, NextUp, TrialsLost
from tuner.search.queue.giving_back import suspects
from tuner.search.queue.outside import reconcile
from tuner.search.queue.queue import Queue
from tuner.search.queue.waiting import may_be_taken, own_code
from tuner.search.work.batch import Batch
from tuner.search.work.trainer import Trainer, batch_of
from tuner.signals import stoppable

MAX_FAILED_BATCHES = 3
"""A worker whose batches fail this often in a row stops: the fault may be its own.

A study of which it cannot take trials so often in a row, it leaves out.
"""

_IDLE_SECONDS, _LONGEST_IDLE_SECONDS = 0.1, 1.0
_log = logging.getLogger(__name__)

Result = TypeVar("Result")


class Worker:
    """Runs trials from a queue.

    A worker of one comparison stops if it cannot run it. A worker of a whole database leaves out
    the studies that it cannot run, such as those whose data set is not on its machine, and says so
    in the roster; so it does with trials of another version of this software. What people do to a
    study of Optuna's meanwhile costs that study's trials at most.

    Args:
        queue: The queue.
        trainer: Trains them.
        name: A name that no other process ever has.
        device: What it trains on, for the roster.
        stopping: Asked between batches and after every epoch.
        comparison: Work on this comparison only.
        share: How many workers share the queue, so that none takes more than its part; None to
            count those in the roster.
        leaving_out: Studies to leave out, each with why.
        place: What to record with each trial about where it ran, beside the versions.

    Attributes:
        failing: The studies whose batches raised since one last did not.
        busy_seconds: Seconds spent on trials so far, from their claim to their record.
        training_seconds: The part of them inside ``trainer.train``.
    """

    def __init__(
        self,
        queue: Queue,
        trainer: Trainer,
        *,
        name: str,
        device: str = "cpu",
        stopping: Callable[[], bool],
        comparison: str | None = None,
        share: int | None = 1,
        leaving_out: Mapping[str, str] = MappingProxyType({}),
        place: Mapping[str, object] = MappingProxyType({}),
    ) -> None:
        self._queue = queue
        self._trainer = trainer
        self._name = name
        self._device = device
        self._stopping = stopping
        self._comparison = comparison
        self._share = share
        self._chance = Random(name)
        self._shown: set[tuple[str, int]] = set()
        self._looked_at: set[str] = set()
        self._cannot = dict(leaving_out)
        self._not_taken: Counter[str] = Counter()
        self.failing: set[str] = set()
        self._holds = False
        self.busy_seconds = 0.0
        self.training_seconds = 0.0
        self.epochs = 0
        self.finished = 0
        self._ran_on = {"versions": versions("bnn-tuner", "optuna", "torch"), **place}

    def run(self) -> None:
        """Work until told to stop; trials unfinished then are put back, their training kept.

        Raises:
            TunerError: If no trial can run here, such as when the data set is missing.
            RuntimeError: If several batches in a row raised; says what the last one did.
            DBAPIError, StorageInternalError: If the database stayed away.
        """
        state: roster.State = "stopped"
        message = None
        self._wait_for(lambda: roster.enrol(self._queue.store, self._name, self._device))
        try:
            with self._heartbeat():
                if self._cannot:
                    self._wait_for(partial(self._note, "idle", None))
                self._work()
        except Exception as error:
            state, message = "broken", _in_a_line(error)
            raise
        finally:
            self._leave(state, message)

    def _work(self) -> None:
        failed_batches, idle_seconds = 0, _IDLE_SECONDS
        while not self._stopping():
            began = time.monotonic()
            claim = self._wait_for(self._claim)
            if claim is None:
                time.sleep(idle_seconds)
                idle_seconds = min(2 * idle_seconds, _LONGEST_IDLE_SECONDS)
                continue
            idle_seconds = _IDLE_SECONDS
            error = self._train(claim)
            self.busy_seconds += time.monotonic() - began
            failed_batches = failed_batches + 1 if error else 0
            self.failing = self.failing | {claim.study_name} if error else set()
            if failed_batches == MAX_FAILED_BATCHES:
                raise RuntimeError(
                    f"{failed_batches} batches of trials in a row raised, the last with {error}"
                )
            self._wait_for(partial(self._note, "idle", error or None))

    def _claim(self) -> Claim | None:
        if self._holds:  # trials it was told to leave, or whose claim or record went unheard
            self._queue.release([self._name])
            self._holds = False
        upcoming = self._queue.upcoming(self._comparison, without=self._cannot)
        others = upcoming[1:]
        self._chance.shuffle(others)  # those who come too late for one go to different ones
        for place in (*upcoming[:1], *others):
            try:
                claim = self._take(place)
            except (NotFound, Interrupted):  # deleted, paused or cancelled just now
                return None
            except Exception as error:
                if away(error) or self._comparison is not None:
                    raise
                self._not_taken_because(place.study_name, error)
                return None
            del self._not_taken[place.study_name]
            if claim is not None:
                return claim
        return None

    def _take(self, place: NextUp) -> Claim | None:
        """Claim what waits there."""
        name, first = place.study_name, place.position
        spec = self._queue.store.study(name)
        with self._looking_at(name):
            size = place.batch or self._queue.batch(name, self._batch_size(spec))
            self._check_code(spec)
        batch = spec.batch_at(first, size)
        if place.retry:
            together = batch = range(first, first + 1)
        else:
            together = suspects(batch, first, place.strikes)
        self._holds = True
        claim = self._queue.claim(name, self._name, together, strikes=place.strikes)
        if not claim.trial_ids:
            self._holds = False
            return None
        self._show_to_optuna(claim, spec)
        roster.begins(self._queue.store, self._name, name, len(claim.trial_ids))
        return claim if together == batch else replace(claim, batch=batch)

    def _not_taken_because(self, study_name: str, error: Exception) -> None:
        """Note that something is amiss with a study; if it stays so, leave the study out."""
        about = {"study": study_name, "worker": self._name}
        if not isinstance(error, TunerError):
            _log.warning("trials could not be taken", exc_info=True, extra=about)
        self._not_taken[study_name] += 1
        if isinstance(error, TunerError) or self._not_taken[study_name] >= MAX_FAILED_BATCHES:
            self._leave_out(study_name, error)
            self._wait_for(partial(self._note, "idle", None))  # there may be nothing else to do

    def _leave_out(self, study_name: str, error: Exception) -> None:
        about = {"study": study_name, "worker": self._name}
        _log.warning("trials cannot be run here: %s", _in_a_line(error), extra=about)
        self._cannot[study_name] = f"{study_name} cannot be run here: {_in_a_line(error)}"

    def _batch_size(self, spec: StudySpec) -> int:
        """How many trials of the study should train together, as far as this worker sees."""
        share = self._share
        if share is None:
            lately = self._queue.lease_seconds
            share = max(1, roster.count(self._queue.store, within_seconds=lately))
        return batch_of(spec, self._trainer, share)

    @contextmanager
    def _looking_at(self, study_name: str) -> Iterator[None]:
        """Be at work on a study whose network is built and measured inside, for the first time.

        Raises:
            Interrupted: If the worker is told to stop, or the study is not to be run any more.
        """
        if study_name in self._looked_at:
            yield
            return
        store = self._queue.store
        roster.begins(store, self._name, study_name, 0)
        try:
            with stoppable(lambda: self._stopping() or not may_be_taken(store, study_name)):
                yield
            self._looked_at.add(study_name)
        finally:
            self._wait_for(partial(self._note, "idle", None))

    def _check_code(self, spec: StudySpec) -> None:
        """Refuse trials whose comparison ran another version of the user's code.

        Raises:
            InvalidInput: If so, and its declaration does not want both.
        """
        ours = self._trainer.conditions(spec.workload).get("code")
        if ours is None or spec.code_changes == "noted":
            return
        theirs = own_code(self._queue.store, spec.comparison, ours)
        if theirs not in (ours, None):
            raise InvalidInput(
                f"its trials ran {theirs} of your code, this is {ours}, and two versions "
                "do not compare; put the code back, or give the comparison another name "
                '(declared with code_changes = "noted" from the start, it runs both and notes it)'
            )

    def _show_to_optuna(self, claim: Claim, spec: StudySpec) -> None:
        """Let Optuna's cache see the trials: it writes to trials it has seen only.

        Of a study whose sampler learns it reads all of them, once, before there is a transaction.
        """
        store, name = self._queue.store, claim.study_name
        if not spec.learns:
            store.see(name, claim.trial_ids)
        elif not self._shown.issuperset((name, trial_id) for trial_id in claim.trial_ids):
            frozen = store.trials_of(name)
            self._shown.update((name, trial._trial_id) for trial in frozen)

    def _train(self, claim: Claim) -> str:
        """Train the claimed trials; returns what went wrong, in a line, or nothing."""
        about = {"study": claim.study_name, "trial": claim.trial_ids, "worker": self._name}
        try:
            spec = self._wait_for(lambda: self._queue.store.study(claim.study_name))
        except NotFound:
            _log.info("trials are left: their comparison is deleted", extra=about)
            return ""
        batch = Batch(
            self._queue,
            self._name,
            claim,
            spec,
            stopping=self._stopping,
            ran_on=self._ran_on,
        )
        try:
            batch.train(self._trainer)
            self._holds = False
            seconds = round(batch.training_seconds, 3)
            _log.info("trials finished", extra={**about, "seconds": seconds})
        except (Interrupted, TrialsLost) as error:
            _log.info("trials are left: %s", error or "they are not ours any more", extra=about)
        except DeviceTooSmall as error:  # at this moment
            return self._raised(claim, error)
        except TunerError as error:
            if self._comparison is not None:
                raise
            self._leave_out(claim.study_name, error)
        except Exception as error:
            if not away(error):
                return self._raised(claim, error)
            _log.warning("trials are left: %s", database_said(error), extra=about)
        finally:
            self.training_seconds += batch.training_seconds
            self.epochs += batch.epochs
            self.finished += batch.finished
        return ""

    def _raised(self, claim: Claim, error: Exception) -> str:
        """Note that training raised; returns what it was, or nothing if that came from outside."""
        about = {"study": claim.study_name, "trial": claim.trial_ids, "worker": self._name}
        known = isinstance(error, TunerError)
        text = str(error) if known else "".join(traceback.format_exception(error))
        if self._wait_for(lambda: self._disturbed(claim)):
            _log.info("trials are left: %s", _in_a_line(error), extra=about)
            return ""
        _log.warning("trials raised", exc_info=error, extra=about)
        try:
            self._wait_for(lambda: self._queue.fail(self._name, claim.trial_ids, text))
            self._holds = False
        except Exception as unwritten:
            if away(unwritten) or self._comparison is not None:
                raise
            self._not_taken_because(claim.study_name, unwritten)
        return f"{claim.study_name}: {_in_a_line(error)}"

    def _disturbed(self, claim: Claim) -> bool:
        """Whether trials of the claim were changed from outside, or are not held here any more."""
        if reconcile(self._queue.store, claim.study_name):
            return True
        held = self._queue.standing(self._name, claim.trial_ids).held
        return len(held) < len(claim.trial_ids)

    def _leave(self, state: roster.State, message: str | None) -> None:
        """Put back what is held; if the database is away, the leases will run out."""
        try:
            self._queue.release([self._name])
            self._note(state, message)
        except (DBAPIError, StorageInternalError) as error:
            why = database_said(error)
            _log.warning("trials are not put back: %s", why, extra={"worker": self._name})

    def _note(self, state: roster.State, message: str | None) -> None:
        """Write into the roster what was done so far."""
        roster.rests(
            self._queue.store,
            self._name,
            finished=self.finished,
            epochs=self.epochs,
            training_seconds=self.training_seconds,
            state=state,
            message=message or "; ".join(self._cannot.values()) or None,
        )

    def _wait_for(self, action: Callable[[], Result]) -> Result:
        """Do it as soon as the database lets it."""
        return patiently(action, stopping=self._stopping)

    @contextmanager
    def _heartbeat(self) -> Iterator[None]:
        """Keep the leases alive, however long an epoch takes, and reap those of the dead."""
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(self._queue.lease_seconds / 4):
                try:
                    self._queue.renew(self._name)  # first: the others may have to wait
                    roster.seen(self._queue.store, self._name)
                    self._queue.reap()
                except (DBAPIError, StorageInternalError) as error:  # the next beat may do it
                    why = database_said(error)
                    _log.warning("leases are not renewed: %s", why, extra={"worker": self._name})
                except Exception:
                    about = {"worker": self._name}
                    _log.warning("leases are not renewed", exc_info=True, extra=about)

        thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def _in_a_line(error: Exception) -> str:
    words = " ".join(str(error).split())
    return words if isinstance(error, TunerError) else f"{type(error).__name__}: {words}"
