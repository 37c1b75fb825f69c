"""Any studies compared on the page: of the database, in files that are sent, and mixed."""

import csv
import glob
import io
import pickle
import sqlite3
import tempfile
from pathlib import Path

import optuna
import pytest
from documents import Document, get

from tuner.api.pages.comparing import uploads
from tuner.api.pages.comparing.form import Form
from tuner.search.database import keys

optuna.logging.set_verbosity(optuna.logging.WARNING)

TABLE = "/compare"


def fill(storage, name: str, shift: float) -> optuna.Study:
    study = optuna.create_study(
        storage=storage, study_name=name, direction="maximize",
        sampler=optuna.samplers.RandomSampler(seed=1),
    )  # fmt: skip
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1) * 0.5 + shift, n_trials=12)
    return study


@pytest.fixture(scope="module")
def sqlite_file(tmp_path_factory) -> Path:
    """A SQLite file of Optuna's with two studies."""
    path = tmp_path_factory.mktemp("theirs") / "theirs.db"
    for name, shift in (("fresh", 0.4), ("stale", 0.1)):
        fill(f"sqlite:///{path}", name, shift)
    return path


@pytest.fixture(scope="module")
def journal_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("journal") / "journal.log"
    backend = optuna.storages.journal.JournalFileBackend(str(path))
    fill(optuna.storages.JournalStorage(backend), "logged", 0.2)
    return path


def table(shift: float) -> bytes:
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(["number", "value", "params_x", "state"])
    rows.writerows([i, shift + 0.01 * i, i / 12, "COMPLETE"] for i in range(12))
    return text.getvalue().encode()


def sent(browser, files: dict[str, tuple[str, bytes]], **fields: str):
    before = set(glob.glob(f"{tempfile.gettempdir()}/tuner-upload-*"))
    given = {f"{side}_file": file for side, file in files.items()}
    answer = browser.post(TABLE, data={"direction": "maximize", **fields}, files=given)
    assert set(glob.glob(f"{tempfile.gettempdir()}/tuner-upload-*")) == before  # nothing is kept
    return answer


def verdict_of(answer) -> str:
    assert answer.status_code == 200, answer.text
    text = answer.text
    assert 'class="verdict' in text and "<svg" in text
    return text


def refusal_of(answer) -> str:
    assert answer.status_code == 422, answer.text
    page = Document(answer.text)
    page.check()
    assert "Not compared" in page.text
    return page.text


@pytest.mark.slow
@pytest.mark.usefixtures("complete")
def test_studies_of_the_database_are_compared_at_an_address_that_can_be_kept(browser, store):
    fill(store.rdb, "somebody's <own>", 0.3)
    page = get(browser, "/compare")
    offered = [option["value"] for option in page.all("option") if "value" in option]
    assert {"small/new", "small/old", "somebody's <own>"} <= set(offered)
    asked = {"new": "small/new", "old": "small/old", "target": "0.5", "unit": "accuracy"}
    text = verdict_of(browser.get("/compare", params=asked))
    assert "small/new" in text and "comparing small/new, small/old" in text
    assert browser.get("/compare", params=asked).text == text
    three = {**asked, "others": "somebody's <own>\r\n\r\n", "sampler": "random"}
    assert "somebody&#39;s &lt;own&gt;" in verdict_of(browser.get("/compare", params=three))


@pytest.mark.usefixtures("complete")
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"old": "small/none"}, "there is no study 'small/none' (there are small/new, "),
        ({"old": "small/new"}, "study 'small/new' is given twice"),
        ({"target": "high"}, "target : input should be a valid number"),
        ({"target": "nan"}, "target : input should be a finite number"),
        ({"k": "0"}, "k : input should be greater than or equal to 1"),
        ({"rope": "-1"}, "rope : input should be greater than or equal to 0"),
        ({"sampler": "rndom"}, "'rndom' is unknown"),
        ({"direction": "up"}, "direction : input should be 'maximize' or 'minimize'"),
        ({"others": "\n".join(f"s{i}" for i in range(30))}, "studies : "),
    ],
)
def test_what_cannot_be_compared_is_said_beside_what_was_asked(browser, changes, words):
    asked = {"new": "small/new", "old": "small/old", **changes}
    answer = browser.get("/compare", params=asked)
    assert words in refusal_of(answer)
    values = {given["name"]: given.get("value") for given in Document(answer.text).all("input")}
    assert values["new"] == asked["new"] or "new" in asked


def test_a_study_alone_stands_in_the_form(browser):
    page = get(browser, "/compare?new=small/new")
    assert any(given.get("value") == "small/new" for given in page.all("input"))
    assert page.actions == ["/compare", "/compare"]


@pytest.mark.slow
def test_studies_in_files_are_compared_and_the_files_are_gone(
    browser, store, sqlite_file, journal_file
):
    content = sqlite_file.read_bytes()
    text = verdict_of(
        sent(browser, {"new": ("theirs.db", content)}, new="fresh", old="stale", target="0.6")
    )
    assert "comparing fresh, stale" in text
    text = verdict_of(
        sent(
            browser,
            {"new": ("theirs.db", content), "old": ("j.log", journal_file.read_bytes())},
            new="fresh",
        )
    )
    assert "comparing fresh, logged" in text
    text = verdict_of(
        sent(browser, {"new": ("a.csv", table(0.4)), "old": ("b.csv", table(0.1))}, unit="loss")
    )
    assert "comparing a, b" in text
    fill(store.rdb, "mine", 0.2)
    text = verdict_of(
        sent(browser, {"old": ("b.csv", table(0.1))}, new="mine", new_from="database")
    )
    assert "comparing mine, b" in text


def directly(folder: Path, files: dict[str, tuple[str, bytes]], **fields: str):
    """What the process that reads such files says, in this one."""
    paths = {}
    for side, (name, content) in files.items():
        place = folder / str(len(list(folder.iterdir())))
        paths[side] = str(uploads._written(place, uploads.Sent(name, io.BytesIO(content))))
    stored = [side for side in ("new", "old") if fields.pop(f"{side}_from", "") == "database"]
    form = Form(direction="maximize", **fields)
    return uploads._compared(f"sqlite:///{folder}/none.db", form, paths, stored)


@pytest.mark.slow
def test_files_that_cannot_be_compared_are_refused_in_words_without_paths(
    browser, sqlite_file, tmp_path
):
    content = sqlite_file.read_bytes()
    named = {"new": "fresh", "old": "stale"}
    for files, fields, words in (
        ({}, {}, "choose a file"),
        (
            {"new": ("theirs.db", content)},
            {**named, "old": "no"},
            "study 'no': is not in",
        ),
        ({"new": ("t.db", content[:5000])}, named, "t.db"),
        ({"new": ("p.pkl", pickle.dumps(print))}, named, "p.pkl: a pickle is not taken here"),
        ({"new": ("p.csv", b"")}, {**named, "k": "0"}, "greater than or equal to 1"),
        ({"new": ("p.csv", b"")}, {**named, "sampler": "rndom"}, "'rndom' is unknown"),
    ):
        text = refusal_of(sent(browser, files, **fields))
        assert words in text
        assert tempfile.gettempdir() not in text and str(tmp_path) not in text
    table_of_theirs = ("b.csv", table(0.1))
    for files, fields, words in (
        ({"new": ("theirs.db", content)}, {}, "both studies are in one file"),
        ({"new": ("t.db", content), "old": table_of_theirs}, {}, "holds 2 studies: fresh, stale"),
        ({"new": ("x.csv", b"\0\xff" * 99)}, named, "holds no studies that can be read"),
        ({"new": ("a.csv", b""), "old": table_of_theirs}, {}, "is empty; copy it afresh"),
    ):
        (mistake,) = directly(tmp_path, files, **fields)
        assert words in mistake.rule


def test_what_a_file_is_called_leads_nowhere(tmp_path):
    names = ("../../../x.csv", "/etc/passwd", "C:\\x.csv", ".bashrc", "\n<b>.csv", "a" * 300, "..")
    for number, name in enumerate(names):
        folder = tmp_path / str(number)
        path = uploads._written(folder, uploads.Sent(name, io.BytesIO(b"content")))
        assert path.parent == folder and path.read_bytes() == b"content"
        assert path.resolve() == path.absolute() and len(path.name) <= 60
    assert len(list(tmp_path.iterdir())) == len(names)


def test_a_study_s_name_opens_no_other_file(browser, tmp_path):
    secret = tmp_path / "secret.csv"
    secret.write_bytes(table(0.9))
    (tmp_path / "sent").mkdir()
    files = {"new": ("a.csv", table(0.4))}
    for name in (str(secret), f"../../{secret}", f"sqlite:///{secret}", f"x::{secret}"):
        (mistake,) = directly(tmp_path / "sent", files, new="a", old=name)
        assert "is not in" in mistake.rule
        (mistake,) = directly(tmp_path / "sent", files, new="a", old=name, old_from="database")
        assert "there is no study" in mistake.rule
        assert "there is no study" in refusal_of(
            browser.get("/compare", params={"new": name, "old": "other"})
        )


@pytest.mark.slow
def test_a_file_that_takes_for_ever_is_given_up(browser, tmp_path, monkeypatch):
    path = tmp_path / "endless.db"
    fill(f"sqlite:///{path}", "endless", 0.1)
    with sqlite3.connect(path) as connection:
        connection.execute("alter table trials rename to hidden")
        connection.execute(
            "create view trials as with recursive n(i) as (select 1 union all select i + 1 from n)"
            " select hidden.* from hidden, n"
        )
    monkeypatch.setattr(uploads, "MOST_SECONDS", 3)
    files = {"new": ("e.db", path.read_bytes()), "old": ("b.csv", table(0.1))}
    text = refusal_of(sent(browser, files))
    assert "took more than 3 s" in text or "e.db" in text


def test_files_are_taken_from_who_may_write_and_of_a_size_that_is_allowed(serve, store, log_in):
    browser = serve(max_upload_bytes=20_000)
    large = sent(browser, {"new": ("a.csv", b"x" * 30_000)})
    assert large.status_code == 413
    assert "TUNER_MAX_UPLOAD_BYTES" in large.text
    keys.create(store, "other", keys.SCOPES)
    assert sent(browser, {"new": ("a.csv", table(0.4))}).status_code == 401
    log_in(browser, "read")
    assert sent(browser, {"new": ("a.csv", table(0.4))}).status_code == 403
    assert get(browser, "/compare").actions == ["/logout", "/compare"]
    cross = {"Origin": "https://evil.example"}
    log_in(browser, "read", "write")
    assert browser.post("/compare", files={"new_file": b"x"}, headers=cross).status_code == 403
