from tuner.fleet.remote_worker import Doing, Seen
from tuner.fleet.seats import Seat, rows_of, status_of
from tuner.search.watch.views import WorkerRow


def seat(
    number: int, doing: Doing | None = "working", node: str = "node", **changes: object
) -> Seat:
    seen = None
    if doing is not None:
        seen = Seen(doing, f"host-{number}-", "host", node, ("3",), "why" * (doing == "broken"))
    return Seat(number, None, seen=seen, **changes)  # type: ignore[arg-type]


def row(name: str, started: float, state: str = "working", **changes: object) -> WorkerRow:
    values = {
        **dict.fromkeys(WorkerRow.__dataclass_fields__),
        "name": name,
        "started": started,
        "last_seen": 7200.0,
        "state": state,
        "running": 4,
        "finished": 10,
        "study_name": "small/old",
    }
    return WorkerRow(**(values | changes))  # type: ignore[arg-type]


def test_a_seat_tells_what_its_worker_does_and_how_fast_it_is():
    roster = [row("host-1-0-a", 0.0, "stopped"), row("host-1-0-b", 3600.0), row("host-12-0", 0.0)]
    assert [each.name for each in rows_of(seat(1), roster)] == ["host-1-0-b", "host-1-0-a"]
    told = status_of(seat(1), roster)
    assert (told.state, told.study, told.running) == ("working", "small/old", 4)
    assert (told.finished, told.trials_an_hour, told.device) == (20, 10.0, "gpu 3")


def test_a_seat_without_a_worker_says_what_it_waits_for():
    told = status_of(seat(1, None), [])
    assert (told.state, told.message) == ("waiting", "for a node with room, or to start")
    assert status_of(seat(1, None, restarting=True), []).state == "restarting"
    assert status_of(seat(1), []).state == "starting"
    assert status_of(seat(1, draining=True), []).state == "draining"
    broken = status_of(seat(1, "broken"), [row("host-1-0-a", 0.0)])
    assert (broken.state, broken.message) == ("broken", "why")
