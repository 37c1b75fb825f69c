"""The pages: what they say in every state of things, and to whom."""

import os
import re
from dataclasses import asdict, replace
from xml.etree import ElementTree

import pytest
from comparisons import comparison, run, work_here
from documents import Document, get
from light_trainer import LightTrainer, PickyTrainer

from tuner.api.pages.results import _picture
from tuner.search.database.store import open_store
from tuner.search.queue import control, roster
from tuner.search.watch import views
from tuner.search.work.keeper import Keeper
from tuner.trial import DataCounts


@pytest.fixture
def submitted(store):
    control.submit(store, comparison(description="Which one? <script>alert(1)</script>"))


def test_an_empty_page_says_what_to_do(browser):
    page = get(browser, "/")
    assert "No comparison yet" in page.text
    assert "/new?study=digits" in page.links
    assert "tuner worker --database" in page.text
    for link in ("/new", "/dashboard", "/v1/docs"):
        assert link in page.links


@pytest.mark.slow
def test_the_first_page_lists_comparisons_newest_first_a_page_at_a_time(browser, store):
    for number in range(13):
        control.submit(store, comparison(name=f"c{number}"))
    page = get(browser, "/")
    assert [link for link in page.links if "/comparisons/" in link] == [
        f"/comparisons/c{number}" for number in range(12, 2, -1)
    ]
    (older,) = [link for link in page.links if "cursor" in link]
    page = get(browser, older)
    assert [link for link in page.links if "/comparisons/" in link] == [
        f"/comparisons/c{number}" for number in range(2, -1, -1)
    ]
    assert not [link for link in page.links if "cursor" in link]
    (source,) = [div["data-source"] for div in page.all("div") if "data-source" in div]
    live = Document(browser.get(source).text)
    assert [link for link in live.links if "/comparisons/" in link] == [
        link for link in page.links if "/comparisons/" in link
    ]
    get(browser, "/?cursor=nonsense", 422)


@pytest.mark.slow
@pytest.mark.usefixtures("submitted")
def test_the_first_page_shows_progress_and_workers(browser, store):
    Keeper(store).tend()
    page = get(browser, "/")
    assert page.bars == {"old": (0, 11), "new": (0, 11)}
    assert "digits, mlp 64-64-64, 3 epochs. 12 trials in 2 arms" in page.text
    assert "no worker is running; start one with: tuner worker" in page.text
    roster.announce(store, "w", "cpu")
    page = get(browser, "/")
    assert "workers are starting" in page.text and "o worker is running" not in page.text
    work_here(store)
    roster.enrol(store, "w", "cuda:0")
    roster.begins(store, "w", "small/old", 3)
    page = get(browser, "/")
    assert page.bars == {"old": (6, 11), "new": (6, 11)}
    assert re.search(r"cuda:0, bnn-tuner \S+ working 3 of small/old 0 0 \d+ s ago", page.text)
    assert "1 stopped or gone within a week" in page.text
    roster.rests(
        store, "w", finished=9, epochs=27, training_seconds=1, state="broken", message="<b>out</b>"
    )
    assert "broken" in (page := get(browser, "/")).text
    assert "<b>out</b>" in page.text


@pytest.mark.usefixtures("submitted")
def test_a_comparison_tells_what_was_declared_and_how_far_it_is(browser):
    page = get(browser, "/comparisons/small")
    assert "Which one? <script>alert(1)</script>" in page.text
    assert "12 trials in 2 arms; each arm's best setting is retrained with 2 fresh" in page.text
    assert "seeds, what each of 6 searches selects with one" in page.text
    assert "Does new need less tuning than old ? By the best of 2 trials;" in page.text
    assert "alpha 1e-05 .. 0.1, log" in page.text
    assert "They are drawn as soon as every arm has a finished trial." in page.text
    assert not page.all("img")[1:]
    assert "not begun" in page.text


@pytest.mark.slow
@pytest.mark.usefixtures("submitted")
def test_the_page_counts_data_of_the_users_own_once_a_trial_was_trained_on_them(browser, store):
    class Counting(LightTrainer):
        def conditions(self, _workload):
            return {"data": asdict(DataCounts(3, 90, 10, 20, 2, "ab"))}

    Keeper(store).tend()
    assert "Data" not in get(browser, "/comparisons/small").text
    work_here(store, trainer=Counting("cpu"))
    assert "Data 3 classes; 90 samples to train on, 10 to validate on, 20 to test on. 2 of 20" in (
        get(browser, "/comparisons/small").text
    )


@pytest.mark.slow
@pytest.mark.usefixtures("submitted")
def test_what_changes_can_be_had_alone(browser, store):
    def live() -> Document:
        answer = browser.get("/comparisons/small/progress", headers={"Accept": "*/*"})
        assert answer.status_code == 200
        return Document(answer.text)

    refresh = '<noscript><meta http-equiv="refresh" content="15"></noscript>'

    def ids(page: Document) -> list[str]:
        return [given["id"] for given in page.all("section") if "data-live" in given]

    for path in ("/", "/comparisons/small"):
        assert refresh in browser.get(path).text
    whole = get(browser, "/comparisons/small")
    assert ids(live()) == ids(whole)
    (source,) = [div["data-source"] for div in whole.all("div") if "data-source" in div]
    assert source == "/comparisons/small/progress"
    assert live().bars == {"old": (0, 11), "new": (0, 11)}
    assert "small: active, 0 per cent done" in announced(live())
    run(store)
    assert live().bars == {"old": (11, 11), "new": (11, 11)}
    assert "small: complete, 100 per cent done" in announced(live())
    get(browser, "/comparisons/small")  # waits until its verdict is made
    for path in ("/", "/comparisons/small"):
        assert "refresh" not in browser.get(path).text
    home = Document(browser.get("/progress").text)
    assert home.bars == live().bars
    assert ids(home) == ids(get(browser, "/"))


def announced(page: Document) -> str:
    return next(s["data-announce"] for s in page.all("section") if "data-announce" in s)


@pytest.mark.slow
def test_a_finished_comparison_shows_what_came_out(serve, database):
    browser, store = serve(database), open_store(database)
    control.submit(store, comparison())
    run(store)
    page = get(browser, "/comparisons/small")
    assert "Inconclusive" in page.text
    assert re.search(r"Best settings, retrained .* new alpha \S+ gamma \S+", page.text)
    assert re.search(r"new alpha \S+ gamma \S+ .*?( \d\d\.\d\d%){3} 2 ", page.text)
    data = "/v1/comparisons/small/report?format="
    for link in ("/comparisons/small/report", f"{data}json", f"{data}csv"):
        assert link in page.links
        assert browser.get(link, follow_redirects=True).status_code == 200
    number = store.study_id("small/new")
    assert f"/dashboard/studies/{number}" in page.links
    assert browser.get(f"/dashboard/studies/{number}").status_code == 200
    (picture,) = [i["src"] for i in page.all("img") if "figure" in i["src"]]
    answer = browser.get(picture)
    assert answer.headers["content-type"] == "image/svg+xml"
    assert ElementTree.fromstring(answer.text).tag == "{http://www.w3.org/2000/svg}svg"
    store.close()


class OnceLucky(LightTrainer):
    """Fresh seeds in the filter space never reach again what its search did."""

    def train(self, workload, rule, trials, on_epoch, *, test, stopping):
        results = super().train(workload, rule, trials, on_epoch, test=test, stopping=stopping)
        for result in results:
            if test and rule == "filter_flip":
                result.val_accuracy -= 0.5
        return results


@pytest.mark.slow
def test_a_best_setting_is_called_lucky_where_its_fresh_seeds_show_it(browser, store):
    arms = [
        {"name": "old", "space": "magnitude"},
        {"name": "new", "space": "filter"},
        {"name": "untuned", "space": "filter", "sampler": "defaults"},
    ]
    control.submit(store, comparison(arms=arms, verdict={"target": 0.5}, retrain_seeds=10))
    run(store, trainer=OnceLucky("cpu"))
    page = get(browser, "/comparisons/small")
    report = browser.get("/v1/comparisons/small/report?format=json").json()
    lucky = [arm["retrained"]["luck"] for arm in report["arms"]]
    assert lucky[0] is None and "are lucky" in lucky[1] and lucky[2] is None
    assert f"new: {lucky[1]}" in page.text and page.text.count("lucky") == 1
    assert f"new: {lucky[1]}" in report["notes"]
    assert re.search(
        r"untuned alpha \S+ gamma \S+ .*?\d\d\.\d\d% \[\d\d\.\d\d, \d\d\.\d\d\]", page.text
    )


@pytest.mark.slow
def test_the_best_trials_of_an_arm_lead_to_their_pages(browser, store):
    control.submit(store, comparison(n_trials=7, repeats=2, retrain_seeds=0))
    run(store)
    values = sorted(
        (
            (row.value, row.trial_id)
            for study in ("small/old/0", "small/old/1")
            for row in views.list_trials(store, study, limit=20)
        ),
        reverse=True,
    )
    page = get(browser, "/comparisons/small")
    links = [link for link in page.links if link.startswith("/trials/")]
    assert len(links) == 20
    assert links[:10] == [f"/trials/{trial_id}" for _, trial_id in values[:10]]
    trial = get(browser, links[0])
    assert f"Validation accuracy {values[0][0]:.2%}" in trial.text
    assert "/comparisons/small" in trial.links


@pytest.mark.slow
@pytest.mark.usefixtures("complete")
def test_a_trial_shows_its_settings_its_filter_and_its_curves(browser, store):
    (row, *_) = views.best_trials(store, "small/old", 1)
    _, trial = views.get_trial(store, row.trial_id)
    page = get(browser, f"/trials/{row.trial_id}")
    assert f"learning_rate {trial.params['learning_rate']:.3g}" in page.text
    assert re.search(r"started \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", page.text)
    assert "latent_sgd" in page.text
    assert "half-life inf steps" in page.text
    titles = [svg["aria-label"] for svg in page.all("svg") if "aria-label" in svg]
    assert titles[0] == "Validation accuracy after each epoch"
    points = page.all("polyline")[0]["points"].split()
    assert len(points) == 3
    assert f"seed {trial.user_attrs['seed']}" in page.text
    (again,) = views.list_trials(store, "small/old/retrain", limit=1)
    assert "Test accuracy" in get(browser, f"/trials/{again.trial_id}").text


@pytest.mark.usefixtures("submitted")
def test_a_trial_that_waits_has_a_page_and_an_unknown_one_has_none(browser, store):
    Keeper(store).tend()
    (row, *_) = views.list_trials(store, "small/old", limit=1)
    page = get(browser, f"/trials/{row.trial_id}")
    assert "waiting" in page.text
    assert "Validation accuracy –" in page.text
    assert "there is no trial 99999" in get(browser, "/trials/99999", 404).text
    get(browser, "/trials/one", 422)


@pytest.mark.slow
@pytest.mark.usefixtures("submitted")
def test_failed_trials_are_shown_with_their_traceback_and_can_be_retried(
    browser, store, monkeypatch
):
    seed = comparison().studies()[0].trial_seed(2)
    monkeypatch.setitem(os.environ, "POISON", str(seed))
    run(store, trainer=PickyTrainer("cpu"))
    page = get(browser, "/comparisons/small")
    assert f"ArithmeticError: seed {seed} is poisonous" in page.text
    assert "Traceback (most recent call last)" in page.text
    assert "1 failed" in page.text
    (row,) = views.list_trials(store, "small/old", limit=9, state="failed")
    assert "What it raised last" in get(browser, f"/trials/{row.trial_id}").text
    assert "/comparisons/small/retry" in page.actions
    answer = browser.post("/comparisons/small/retry")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/comparisons/small")
    page = get(browser, "/comparisons/small")
    assert "poisonous" not in page.text
    assert "active" in page.text


@pytest.mark.usefixtures("submitted")
def test_the_buttons_are_those_that_the_state_allows_and_they_work(browser, store):
    def buttons() -> set[str]:
        actions = get(browser, "/comparisons/small").actions
        every = {action.removeprefix("/comparisons/small/") for action in actions}
        return every - {"labels"}  # there in any state

    def press(action: str) -> str:
        answer = browser.post(f"/comparisons/small/{action}")
        assert answer.status_code == 303, answer.text
        return answer.headers["Location"]

    assert buttons() == {"pause", "cancel"}
    assert press("pause") == "/comparisons/small"
    assert store.status("small") == "paused"
    assert buttons() == {"resume", "cancel", "archive", "delete"}
    press("resume")
    assert buttons() == {"pause", "cancel"}
    press("cancel")
    assert buttons() == {"archive", "delete"}
    refused = browser.post("/comparisons/small/resume")
    assert refused.status_code == 409
    assert "cancelled; only paused ones can be resumed" in Document(refused.text).text
    assert press("delete") == "/"
    assert "there is no comparison" in get(browser, "/comparisons/small", 404).text
    assert browser.post("/comparisons/small/pause").status_code == 404
    assert browser.post("/comparisons/small/explode").status_code in (404, 422)


@pytest.mark.usefixtures("submitted")
def test_what_cannot_be_taken_back_asks_once_more(browser):
    for action, after in (("cancel", "paused"), ("delete", "cancelled")):
        html = browser.get("/comparisons/small").text
        asked = re.search(
            rf'<details class="confirm" id="confirm-{action}">.*?</details>', html, re.S
        )
        if action == "delete":
            assert asked is None  # while it is active
            browser.post("/comparisons/small/cancel")
            html = browser.get("/comparisons/small").text
            asked = re.search(
                rf'<details class="confirm" id="confirm-{action}">.*?</details>', html, re.S
            )
        assert asked is not None, after
        assert f'action="/comparisons/small/{action}"' in asked.group()


@pytest.mark.slow
def test_a_single_search_has_its_tuning_curve_and_no_verdict(browser, store):
    alone = comparison(arms=[{"name": "search", "space": "filter"}], retrain_seeds=0, verdict={})
    control.submit(store, alone)
    page = get(browser, "/comparisons/small")
    assert "It is drawn as soon as there are finished trials." in page.text
    run(store)
    page = get(browser, "/comparisons/small")
    assert "Expected best validation accuracy of k random trials" in page.text
    assert page.all("polyline")
    assert "Question" not in page.text
    assert not [link for link in page.links if "report" in link]


def test_the_figure_is_drawn_anew_now_and_then_while_trials_end_and_at_the_end():
    row = views.ComparisonRow("small", "active", 1, 0.0, "1")
    study = views.StudyRow(
        1, "small/old", "small", "old", 0, False, 200, "active", 1, 0, 0, 0, 0, 0, 0.5
    )
    pictures = [_picture(row, [replace(study, done=done)]) for done in range(200)]
    assert len(set(pictures)) == 20
    ended = replace(row, status="cancelled")
    assert _picture(ended, [replace(study, done=199)]) not in pictures


@pytest.mark.slow
def test_a_search_that_learns_says_that_it_has_no_tuning_curve(browser, store):
    arm = {"name": "search", "space": "filter", "sampler": "tpe"}
    control.submit(store, comparison(arms=[arm], retrain_seeds=0, verdict={}))
    run(store)
    assert "its trials are not independent" in get(browser, "/comparisons/small").text


@pytest.mark.slow
@pytest.mark.usefixtures("submitted")
def test_a_comparison_of_which_an_arm_failed_altogether_says_so(browser, store, monkeypatch):
    spec = comparison()
    seeds = [str(spec.studies()[0].trial_seed(index)) for index in range(6)]
    monkeypatch.setitem(os.environ, "POISON", ",".join(seeds))
    keeper = Keeper(store)
    for _ in range(20):
        keeper.tend()
        if store.status("small") != "active":
            break
        try:
            work_here(store, trainer=PickyTrainer("cpu"))
        except RuntimeError:
            continue  # the worker blamed itself, and another one comes
    page = get(browser, "/comparisons/small")
    assert "none of its 6 finished trials has a value" in page.text
    assert "6 failed" in page.text


@pytest.mark.slow
@pytest.mark.usefixtures("submitted")
def test_the_assets_are_served_and_named_by_their_contents(browser):
    page = get(browser, "/comparisons/small")
    assets = [given["href"] for given in page.all("link")]
    assets += [given["src"] for given in page.all("script")]
    assert len(assets) == 3
    for path in assets:
        answer = browser.get(path)
        assert answer.status_code == 200
        assert re.fullmatch(r"/assets/[a-z.]+\?v=[0-9a-f]{12}", path)
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", answer.text)
    assert browser.get("/assets/../rendering.py").status_code == 404
    assert browser.get("/assets/%2e%2e/rendering.py").status_code == 404
