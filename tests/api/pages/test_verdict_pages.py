"""The pages: what they say of a verdict, while a comparison runs and at its end."""

from collections.abc import Callable

import pytest
from comparisons import comparison, run, work_here
from documents import get
from light_trainer import LightTrainer

from tuner.search.database.store import Store, open_store
from tuner.search.queue import control
from tuner.search.queue.queue import Queue
from tuner.search.watch.progress import ArmProgress, progress
from tuner.search.watch.views import list_workers
from tuner.search.work.keeper import Keeper
from tuner.search.work.worker import Worker


@pytest.mark.slow
def test_a_page_tells_the_whole_verdict_and_the_whole_question(browser, store):
    arms = [
        *({"name": name, "space": "filter"} for name in ("new", "old", "again")),
        *({"name": f"{name}_tpe", "space": "filter", "sampler": "tpe"} for name in ("new", "old")),
    ]
    verdict = {
        "primary": ["new", "old"],
        "exact": "again",
        "repeated": ["new_tpe", "old_tpe"],
        "target": 0.5,
        "k": 2,
    }
    control.submit(store, comparison(arms=arms, verdict=verdict, repeats=2))
    run(store)
    page = get(browser, "/comparisons/small")
    assert "exact map: again; repeated: new_tpe against old_tpe; good is" in page.text
    told = browser.get("/v1/comparisons/small/report?format=json").json()["verdict"]
    for name in ("heading", "text", "speedup", "repeated", "test"):
        assert told[name] and told[name] in page.text, name


@pytest.mark.slow
def test_a_running_comparison_shows_the_verdict_of_its_last_look(serve, database):
    browser, store = serve(database), open_store(database)
    arms = [
        {"name": "old", "space": "magnitude"},
        {"name": "new", "space": "filter"},
        {"name": "narrow", "space": "magnitude", "n_trials": 4},  # it has no ten searches
    ]
    looks = {"looks": [0.5, 0.75], "stop": "when settled"}
    verdict = {"primary": ["new", "old"], "control": "narrow", "k": 2, **looks}
    control.submit(store, comparison(arms=arms, n_trials=40, verdict=verdict))
    page = get(browser, "/comparisons/small")
    assert "looked at after 10, 15 of 20 searches, and ended there if that settles it" in page.text
    keeper = Keeper(store)
    for _ in range(2):
        keeper.tend()
        assert "Interim" not in get(browser, "/comparisons/small").text
        work_here(store)
    page = get(browser, "/comparisons/small")
    assert "Interim, supported: new ahead" in page.text
    assert "the first 10 of 20 searches" in page.text
    run(store)
    page = get(browser, "/comparisons/small")
    assert "Supported: new ahead" in page.text and "Interim" not in page.text
    store.close()


@pytest.mark.slow
def test_a_look_without_a_stop_is_shown_while_the_searches_go_on(browser, store):
    arms = [{"name": "old", "space": "magnitude"}, {"name": "new", "space": "filter"}]
    verdict = {"primary": ["new", "old"], "k": 2, "looks": [0.5]}
    control.submit(store, comparison(arms=arms, n_trials=40, verdict=verdict))
    keeper = Keeper(store)
    keeper.tend()
    page = get(browser, "/comparisons/small")
    assert "looked at after 10 of 20 searches" in page.text and "ended there" not in page.text
    work_until(store, lambda arm: arm.done >= 20)
    keeper.tend()
    work_until(store, lambda arm: arm.retrained >= 8)
    assert "Interim" not in get(browser, "/comparisons/small").text
    work_until(store, lambda arm: arm.retrained >= 10)
    page = get(browser, "/comparisons/small")
    assert "Interim, supported: new ahead" in page.text
    assert "the first 10 of 20 searches" in page.text
    assert page.bars == {"old": (30, 62), "new": (30, 62)}
    run(store)
    page = get(browser, "/comparisons/small")
    assert "Supported: new ahead" in page.text and "over 20 searches of each" in page.text
    assert page.bars == {"old": (62, 62), "new": (62, 62)}


def work_until(store: Store, reached: Callable[[ArmProgress], bool]) -> None:
    """Have a worker go on until every arm is so far."""
    spec = store.comparison("small")

    def stopping() -> bool:
        return all(map(reached, progress(store, spec).arms))

    name = f"worker {len(list_workers(store))}"
    trainer = LightTrainer("cpu")
    Worker(Queue(store), trainer, name=name, stopping=stopping, comparison="small").run()
