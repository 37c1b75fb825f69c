"""Notes, tags, search and archive on the pages."""

import pytest
from comparisons import comparison
from documents import Document, get

from tuner.search.queue import control
from tuner.search.queue.labels import Labels, change_labels
from tuner.search.watch.views import get_comparison


@pytest.fixture
def several(store):
    for name in ("first", "second", "third"):
        control.submit(store, comparison(name=name))


def listed(page: Document) -> list[str]:
    return [link for link in page.links if link.startswith("/comparisons/")]


@pytest.mark.usefixtures("several")
def test_notes_and_tags_are_written_on_a_page_and_shown_there_and_in_the_list(browser, store):
    answer = browser.post(
        "/comparisons/first/labels",
        data={"notes": "why?\r\n<script>because</script>", "tags": "Paper, base.line  paper"},
    )
    assert (answer.status_code, answer.headers["Location"]) == (303, "/comparisons/first")
    row = get_comparison(store, "first")
    assert row.notes == "why?\n<script>because</script>"
    assert row.tags == ("base.line", "paper")
    for path in ("/comparisons/first", "/"):
        page = get(browser, path)
        assert "why? <script>because</script>" in page.text
        assert "/?tag=paper" in page.links
    page = get(browser, "/comparisons/first")
    assert any(given.get("value") == "base.line paper" for given in page.all("input"))
    live = Document(browser.get("/comparisons/first/progress").text)
    assert "why?" in live.text and "live-labels" in {s.get("id") for s in live.all("section")}
    refused = browser.post("/comparisons/first/labels", data={"tags": "a/b"})
    assert refused.status_code == 422
    assert "got 'a/b'" in Document(refused.text).text
    browser.post("/comparisons/first/labels", data={})
    assert get_comparison(store, "first").tags == ()


@pytest.mark.usefixtures("several")
def test_the_list_is_searched_by_words_tag_and_state_without_a_script(browser, store):
    change_labels(store, "second", Labels(notes="Half & half", tags=["paper"]))
    control.change_comparison(store, "third", "pause")
    assert listed(get(browser, "/?q=HALF")) == ["/comparisons/second"]
    assert listed(get(browser, "/?tag=paper")) == ["/comparisons/second"]
    assert listed(get(browser, "/?status=paused&q=th")) == ["/comparisons/third"]
    page = get(browser, "/?q=half+%26&status=active")
    assert listed(page) == ["/comparisons/second"]
    assert {"id": "q", "name": "q", "type": "search", "value": "half &"}.items() <= next(
        given for given in page.all("input") if given["id"] == "q"
    ).items()
    (source,) = [div["data-source"] for div in page.all("div") if "data-source" in div]
    assert listed(Document(browser.get(source).text)) == ["/comparisons/second"]
    none = get(browser, "/?q=nothing")
    assert "No comparison is like this." in none.text and not listed(none)
    get(browser, "/?status=broken", 422)


@pytest.mark.slow
def test_older_ones_of_a_search_are_those_of_the_search(browser, store):
    for number in range(12):
        control.submit(store, comparison(name=f"c{number}"))
        control.submit(store, comparison(name=f"d{number}"))
    page = get(browser, "/?q=c")
    (older,) = [link for link in page.links if "cursor" in link]
    assert len(listed(page)) == 10
    assert listed(get(browser, older)) == ["/comparisons/c1", "/comparisons/c0"]


@pytest.mark.usefixtures("several")
def test_what_is_archived_is_shown_when_it_is_asked_for(browser, store):
    assert browser.post("/comparisons/first/archive").status_code == 409
    assert "/comparisons/first/archive" not in get(browser, "/comparisons/first").actions
    control.change_comparison(store, "first", "cancel")
    assert "/comparisons/first/archive" in get(browser, "/comparisons/first").actions
    answer = browser.post("/comparisons/first/archive")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/comparisons/first")
    assert listed(get(browser, "/")) == ["/comparisons/third", "/comparisons/second"]
    assert listed(get(browser, "/?archived=1")) == ["/comparisons/first"]
    page = get(browser, "/comparisons/first")
    assert "archived" in page.text and "/comparisons/first/archive" not in page.actions
    browser.post("/comparisons/first/unarchive")
    assert len(listed(get(browser, "/"))) == 3


@pytest.mark.usefixtures("several")
def test_who_may_only_read_writes_nothing(browser, store, log_in):
    control.change_comparison(store, "first", "cancel")
    log_in(browser, "read")
    assert get(browser, "/comparisons/first").actions == ["/logout"]
    for action in ("labels", "archive", "unarchive"):
        answer = browser.post(f"/comparisons/first/{action}", data={"notes": "x"})
        assert answer.status_code == 403
    assert get_comparison(store, "first").notes == ""
