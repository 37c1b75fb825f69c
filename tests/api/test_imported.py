"""Whatever a made-up export holds: it is refused, or every page and route can show it."""

import json
import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from random import Random

import pytest
from fastapi.testclient import TestClient
from made_mutants import Lines, mutant, sealed, whole

from tests.conftest import KINDS
from tuner.api.app import create_app
from tuner.api.settings import Settings
from tuner.errors import InvalidInput
from tuner.search.database.store import open_store
from tuner.search.database.transfer import load
from tuner.search.work.keeper import Keeper

N_MUTANTS = 6
BROWSER = {"Accept": "text/html,*/*;q=0.8"}

Import = Callable[[Lines], str]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Lines:
    """A comparison of two arms that ran to its end, with failed trials too."""
    with closing(open_store(f"sqlite:///{tmp_path_factory.mktemp('good')}/a.db")) as store:
        return whole(store)


@pytest.fixture(params=KINDS)
def imported(request: pytest.FixtureRequest, sqlite_with_tables: Path, tmp_path: Path) -> Import:
    """Imports lines into a new database of either kind; returns its address."""
    numbers = count()

    def new() -> str:
        number = next(numbers)
        if request.param == "sqlite":
            shutil.copy(sqlite_with_tables, tmp_path / f"{number}.db")
            return f"sqlite:///{tmp_path}/{number}.db"
        server = request.getfixturevalue("postgres")
        name = f"{tmp_path.name}{number}".replace("-", "_").replace("[", "").lower()
        template = request.getfixturevalue("postgres_with_tables")
        server.psql(f'create database "{name}" template {template};')
        return str(server.get_uri(name))

    def into(lines: Lines) -> str:
        url = new()
        with closing(open_store(url)) as store:
            load(store, sealed(lines))
        return url

    return into


def answers(url: str) -> Iterator[tuple[str, int]]:
    """Every page and route of a database's server, and how it answers."""
    app = create_app(Settings(database=url, requests_per_minute=100_000))
    with TestClient(
        app,
        base_url="http://127.0.0.1",
        client=("127.0.0.1", 1),
        raise_server_exceptions=False,
        follow_redirects=False,
    ) as client:
        document = client.get("/v1/openapi.json").json()
        names = [row["name"] for row in client.get("/v1/comparisons").json().get("items", [])]
        studies = client.get("/v1/studies?limit=200").json().get("items", [])
        trials = [
            trial["trial_id"]
            for study in studies
            for trial in client.get(f"/v1/studies/{study['id']}/trials?limit=200").json()["items"]
        ]
        values = {
            "name": names[:3],
            "study_id": [study["id"] for study in studies],
            "trial_id": trials[:3] + trials[-2:],
        }
        paths = [path for path, methods in document["paths"].items() if "get" in methods]
        paths = [
            path
            for path in paths
            if not any(
                part in path
                for part in (
                    "spaces/",
                    "declared/",
                    "operations/",
                    "artifacts/",
                    "fleets/",
                    "suites/",
                )
            )
        ]
        paths += ["/", "/progress", "/comparisons/{name}", "/comparisons/{name}/progress"]
        paths += ["/comparisons/{name}/figure.svg", "/trials/{trial_id}", "/workers", "/compare"]
        paths += [f"/v1/comparisons/{{name}}/report?format={each}" for each in ("html", "csv")]
        for path in paths:
            place = "?seconds=0.1" if path.endswith("/events") else ""
            for filled in _filled(path, values):
                yield filled, client.get(filled + place, headers=BROWSER).status_code
        searches = [study["study_name"] for study in studies if not study["retrain"]][:2]
        if len(searches) == 2:
            asked = {"studies": searches, "direction": "maximize"}
            yield "/v1/compare", client.post("/v1/compare", json=asked).status_code
        for name in names:
            for action in ("pause", "resume", "retry", "cancel"):
                path = f"/v1/comparisons/{name}/{action}"
                yield path, client.post(path).status_code
            yield f"DELETE {name}", client.delete(f"/v1/comparisons/{name}").status_code


def _filled(path: str, values: dict[str, list[object]]) -> Iterator[str]:
    for name, known in values.items():
        if f"{{{name}}}" in path:
            yield from (path.replace(f"{{{name}}}", str(value)) for value in known)
            return
    yield path


@pytest.mark.slow
def test_an_export_of_this_software_is_shown_on_every_page(good: Lines, imported: Import):
    """Or the test below would test what is not found; bytes that are no text are in it."""
    lines = json.loads(json.dumps(good))
    failed = next(line for line in lines if line.get("state") == "FAIL")
    failed["user_attrs"]["error"] = "UnicodeError: \udcff"
    seen = dict(answers(imported(lines)))
    assert sum(status == 200 for status in seen.values()) > 40
    assert {status for path, status in seen.items() if "retry" not in path} <= {200, 202, 204, 409}
    assert seen["/comparisons/small"] == seen["/v1/comparisons/small/report"] == 200


def faults(lines: Lines, imported: Import, caplog: pytest.LogCaptureFixture) -> list[object]:
    """What goes wrong with a file, but for a refusal in one line that changes nothing."""
    caplog.clear()
    try:
        url = imported(lines)
    except InvalidInput as error:
        return [] if "nothing was imported" in str(error) else [error]
    except Exception as error:
        return [error]
    with closing(open_store(url)) as store, caplog.at_level(logging.WARNING):
        Keeper(store).tend()
    wrong = [record.exc_info for record in caplog.records if "is not kept going" in record.message]
    return [*wrong, *(pair for pair in answers(url) if pair[1] >= 500)]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_a_made_up_export_is_refused_or_shown(
    good: Lines, imported: Import, caplog: pytest.LogCaptureFixture, seed: int
):
    random, bad = Random(seed), []
    for _ in range(N_MUTANTS):
        lines, change = mutant(good, random)
        bad += [(change, fault) for fault in faults(lines, imported, caplog)]
    assert bad == []
