"""What is read ahead comes in order, one at a time, and its errors where it would have come."""

import os
import threading
import time
import traceback
from contextlib import closing

import pytest
import torch

from tuner.bnn.data.ahead import ahead, in_turn
from tuner.guard import TimeLimitReached, guarded

A_MINUTE = 60


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "reads samples ahead"]


def test_each_is_read_while_the_one_before_it_is_used_and_no_further_one():
    began = [threading.Event() for _ in range(4)]

    def read(number: int) -> torch.Tensor:
        began[number].set()
        return torch.tensor(number)

    for used, found in enumerate(ahead(read, 4)):
        assert int(found) == used
        if used < 3:
            assert began[used + 1].wait(A_MINUTE)
        assert [event.is_set() for event in began] == [number <= used + 1 for number in range(4)]
    assert not readers()
    assert [int(found) for found in in_turn(read, 4)] == [0, 1, 2, 3]
    assert not [*ahead(read, 0)]


def test_what_reading_raises_is_raised_where_it_would_have_been_returned():
    def broken(number: int) -> torch.Tensor:
        if number == 2:
            raise KeyError("mine")
        return torch.tensor(number)

    found = ahead(broken, 4)
    assert [int(next(found)), int(next(found))] == [0, 1]
    with pytest.raises(KeyError, match="mine") as raised:
        next(found)
    assert "in broken" in "".join(traceback.format_exception(raised.value))
    assert not readers()


def test_whoever_takes_no_more_closes_it():
    with closing(ahead(torch.tensor, 3)) as found:
        next(found)
        assert len(readers()) == 1
    assert not readers()


def test_gradients_are_as_they_are_around_it():
    weight = torch.ones((), requires_grad=True)
    for enabled in (True, False):
        with torch.set_grad_enabled(enabled):
            assert [x.requires_grad for x in ahead(lambda _: weight + 1, 2)] == [enabled] * 2


@pytest.mark.slow
def test_a_time_limit_ends_the_wait_and_says_where_the_reading_was():
    free = threading.Event()

    def stuck(_number: int) -> torch.Tensor:
        free.wait(A_MINUTE)
        return torch.zeros(())

    with pytest.raises(TimeLimitReached) as ended, guarded(0.05):
        next(ahead(stuck, 1))
    free.set()
    text = "".join(traceback.format_exception(ended.value))
    assert "It waited for samples, which were being read here:" in text and "in stuck" in text
    while readers():  # it ends once it was freed
        time.sleep(0.01)


def test_a_copy_of_the_process_does_not_wait_for_what_nobody_reads():
    with closing(ahead(torch.tensor, 3)) as found:
        next(found)
        if not (child := os.fork()):
            try:
                next(found)
            except RuntimeError as error:
                os._exit(7 if "this is a copy" in str(error) else 1)
            os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert int(next(found)) == 1
