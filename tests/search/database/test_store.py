"""Transactions of a store."""

import signal

import pytest

from tuner.search.database.events import events_after, record
from tuner.search.database.store import Store


@pytest.mark.parametrize("how", ["begin", "transaction"])
def test_ctrl_c_waits_for_the_end_of_a_transaction(store: Store, how: str):
    with pytest.raises(KeyboardInterrupt), getattr(store, how)() as connection:
        record(connection, "a", "submitted")
        signal.raise_signal(signal.SIGINT)
        record(connection, "a", "complete")
    assert [event.kind for event in events_after(store.engine, 0)] == ["submitted", "complete"]
