"""Small jobs for the processes of a bench run."""

import os
import time

from tuner.bench.child import Job, Slice


class Works(Job):
    """Works a moment; says from when to when."""

    def run(self, _number):
        start = time.monotonic()
        time.sleep(0.02)
        return Slice(start, time.monotonic())


class Counts(Job):
    """Does as much work as it is told; says how often it was started and gauged."""

    def __init__(self, work):
        self.work = work
        self.calls = []

    def start(self):
        self.calls.append("start")

    def gauge(self):
        self.calls.append("gauge")

    def open(self, number):
        self.calls.append(f"open {number}")

    def run(self, number):
        assert self.calls == ["start", "gauge", *(f"open {i}" for i in range(number + 1))]
        time.sleep(0.05)  # a few ticks of the clock that the machine's load is measured by
        return Slice(self.work * (number + 1), 1.0)


class Raises(Job):
    """Fails in its second slice."""

    def run(self, number):
        if number:
            raise ValueError("this went\nwrong")
        return Slice(1.0, 1.0)


class Dies(Job):
    """Ends without a word."""

    def run(self, _number):
        os._exit(3)


class AsksForLibrary(Job):
    """Says whether the compiled operations are in use."""

    def run(self, _number):
        from tuner.kernels import library

        return Slice(float(library() is not None), 1.0)
