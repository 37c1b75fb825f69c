"""Notes, tags and the archive: what may be written, and what becomes of it."""

import json
import math
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from comparisons import comparison
from pydantic import ValidationError

from tuner.errors import Conflict, InvalidInput, NotFound, Stale
from tuner.search.database.events import events_after
from tuner.search.database.export_format import ComparisonLine
from tuner.search.database.store import Store, open_store
from tuner.search.database.transfer import export, load
from tuner.search.queue.control import change_comparison
from tuner.search.queue.labels import Labels, change_labels
from tuner.search.watch.searching import Sought
from tuner.search.watch.views import get_comparison, list_comparisons


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    with closing(open_store(database)) as opened:
        opened.declare(comparison())
        yield opened


def test_a_part_that_is_not_named_stays_as_it_is(store: Store):
    change_labels(store, "small", Labels(notes=" why?\nbecause ", tags=["Paper", "a.b", "paper"]))
    row = get_comparison(store, "small")
    assert (row.notes, row.tags, row.archived) == ("why?\nbecause", ("a.b", "paper"), False)
    change_labels(store, "small", Labels(notes=""))
    row = get_comparison(store, "small")
    assert (row.notes, row.tags, row.revision) == ("", ("a.b", "paper"), 3)
    change_labels(store, "small", Labels(tags=[]))
    assert get_comparison(store, "small").tags == ()
    assert [e.kind for e in events_after(store.engine, 0)] == ["submitted", *["labelled"] * 3]


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (Labels(tags=["two words"]), "tags: must be 1 to 40 letters .* got 'two words'"),
        (Labels(tags=[""]), "tags: .* got ''"),
        (Labels(tags=["x" * 41]), "tags: "),
        (Labels(tags=["%"]), "tags: "),
        (Labels(tags=[f"t{i}" for i in range(21)]), "tags: must be at most 20, got 21"),
        (Labels(notes="x" * 10_001), "notes: must be at most 10000 characters, got 10001"),
        (Labels(notes="a\0b"), "notes: hold text that cannot be written down"),
        (Labels(notes="\ud800"), "notes: hold text that cannot be written down"),
    ],
)
def test_what_cannot_be_written_is_refused_and_nothing_changes(
    store: Store, labels: Labels, words: str
):
    before = get_comparison(store, "small")
    with pytest.raises(InvalidInput, match=words):
        change_labels(store, "small", labels)
    assert get_comparison(store, "small") == before


def test_a_change_meant_for_another_revision_or_comparison_is_refused(store: Store):
    with pytest.raises(Stale, match="it is at revision 1, not 7"):
        change_labels(store, "small", Labels(notes="x"), revision=7)
    with pytest.raises(NotFound, match="'large' is not in the database"):
        change_labels(store, "large", Labels(notes="x"))
    change_labels(store, "small", Labels(notes="x"), revision=1)
    assert get_comparison(store, "small").notes == "x"


def test_an_export_takes_them_along_and_a_made_up_one_is_refused(store: Store, tmp_path: Path):
    change_labels(store, "small", Labels(notes="why?\nbecause", tags=["b", "a"]))
    change_comparison(store, "small", "cancel")
    change_labels(store, "small", Labels(archived=True))
    lines = list(export(store, ["small"]))
    (line,) = (kept for text in lines if (kept := json.loads(text))["kind"] == "comparison")
    assert ComparisonLine.model_validate(line).tags == " a b "
    for made_up in ({"tags": "a b"}, {"tags": " A "}, {"notes": "\0"}, {"archived": math.inf}):
        with pytest.raises(ValidationError, match="1 validation error"):
            ComparisonLine.model_validate({**line, **made_up})
    with closing(open_store(f"sqlite:///{tmp_path}/other.db")) as other:
        assert load(other, lines) == (["small"], [])
        row = get_comparison(other, "small")
    assert (row.notes, row.tags, row.archived) == ("why?\nbecause", ("a", "b"), True)


def test_what_is_archived_is_hidden_unless_it_is_active(store: Store):
    def listed(**sought: object) -> list[str]:
        rows = list_comparisons(store, limit=9, sought=Sought(**sought))  # type: ignore[arg-type]
        return [row.name for row in rows]

    with pytest.raises(Conflict, match="is active; pause or cancel it before archiving it"):
        change_labels(store, "small", Labels(archived=True))
    change_comparison(store, "small", "pause")
    change_labels(store, "small", Labels(archived=True))
    assert (listed(), listed(archived=True)) == ([], ["small"])
    assert get_comparison(store, "small").hidden
    change_comparison(store, "small", "resume")
    assert (listed(), listed(archived=True)) == (["small"], [])
    change_comparison(store, "small", "cancel")
    change_labels(store, "small", Labels(archived=False))
    assert (listed(), listed(archived=True)) == (["small"], [])


def test_comparisons_are_found_by_words_tag_and_state(store: Store):
    for name in ("Digits_full", "digits-x", "other"):
        store.declare(comparison(name=name))
    change_labels(store, "other", Labels(notes="Same as DIGITS; 50% of it", tags=["paper"]))
    change_labels(store, "digits-x", Labels(tags=["paper2"]))
    change_comparison(store, "digits-x", "pause")

    def found(**sought: object) -> set[str]:
        rows = list_comparisons(store, limit=9, sought=Sought(**sought))  # type: ignore[arg-type]
        return {row.name for row in rows}

    assert found(words="digits") == {"Digits_full", "digits-x", "other"}
    assert found(words="digits  FULL") == {"Digits_full"}
    assert found(words="s_f") == {"Digits_full"}  # _ and % stand for themselves
    assert found(words="%") == {"other"}
    assert found(words="paper") == {"other", "digits-x"}
    assert found(tag="Paper") == {"other"}
    assert found(tag="pape") == found(tag="%") == found(words="x\0y") == set()
    assert found(words="digits", status="paused") == {"digits-x"}
