"""Who sees which page, the form that launches a study, errors as pages."""

import html
import re

import pytest
from comparisons import comparison, remove
from documents import Document, get

from tuner.search.database import keys
from tuner.search.declared.spec import declared
from tuner.search.queue import control
from tuner.search.watch import views

SPEC = """
name = "mine"
n_trials = 4
[workload]
epochs = 2
[[arms]]
name = "new"
space = "filter"
[[arms]]
name = "old"
space = "magnitude"
"""
PAGES = (
    "/",
    "/progress",
    "/comparisons/small",
    "/comparisons/small/progress",
    "/trials/1",
    "/new",
    "/comparisons/small/arms/old",
    "/comparisons/small/arms/old/slices.svg",
    "/compare",
    "/workers",
    "/workers/progress",
)


def test_who_is_not_logged_in_is_asked_to_and_comes_back(serve, store):
    browser = serve(logins_per_minute=100)
    key = keys.create(store, "me", keys.SCOPES)
    for path in (*PAGES, "/comparisons/small?a=1&b=2", "/dashboard"):
        answer = browser.get(path)
        assert answer.status_code == 303, path
        page = get(browser, answer.headers["Location"])
        (wanted,) = [i["value"] for i in page.all("input") if i["name"] == "next"]
        assert wanted == path
        answer = browser.post("/login", data={"key": key, "next": wanted})
        assert answer.headers["Location"] == path
        browser.cookies.clear()
    assert browser.post("/comparisons/small/delete").status_code == 401
    assert browser.post("/new", data={"text": SPEC}).status_code == 401
    program = browser.get("/comparisons/small/progress", headers={"Accept": "*/*"})
    assert (program.status_code, program.headers["content-type"]) == (
        401,
        "application/problem+json",
    )


def test_a_wrong_key_is_refused_in_words(browser, store):
    keys.create(store, "me", keys.SCOPES)
    answer = browser.post("/login", data={"key": "tuner_x_y", "next": "/new"})
    page = get(browser, answer.headers["Location"])
    assert "This is not a valid key." in page.text
    assert {"name": "next", "type": "hidden", "value": "/new"} in page.all("input")
    assert "This is not a valid key." not in get(browser, "/login").text
    assert browser.get("/").status_code == 303


@pytest.mark.parametrize(
    "wanted", ["//evil.example", "https://evil.example", "javascript:alert(1)"]
)
def test_the_login_leads_to_no_other_site(browser, store, wanted):
    page = Document(browser.get("/login", params={"next": wanted}).text)
    assert "/" in page.links  # without a key there is nothing to ask for
    assert not [link for link in page.links if "evil" in link or "alert" in link]
    keys.create(store, "me", keys.SCOPES)
    page = get(browser, f"/login?next={wanted}")
    assert {"name": "next", "type": "hidden", "value": "/"} in page.all("input")


@pytest.mark.slow
def test_a_key_that_may_only_read_sees_no_buttons_and_no_form(browser, store, log_in):
    control.submit(store, comparison())
    log_in(browser, "read")
    for path in ("/", "/comparisons/small"):
        page = get(browser, path)
        assert set(page.actions) <= {"/logout", "/"}  # the search changes nothing
        assert "/new" not in page.links
        assert "somebody (may look only)" in page.text
    assert "has not the scope 'write'" in get(browser, "/new", 403).text
    for path in ("/new", "/comparisons/small/pause", "/comparisons/small/delete"):
        answer = browser.post(path, data={"text": SPEC})
        assert answer.status_code == 403
        assert "Not allowed" in Document(answer.text).text
    assert store.status("small") == "active"


@pytest.mark.slow
def test_who_logs_out_is_out(browser, log_in):
    log_in(browser, "read", "write")
    assert get(browser, "/").actions[0] == "/logout"
    assert browser.post("/logout").headers["Location"] == "/login"
    assert browser.get("/").headers["Location"] == "/login?next=/"


def test_another_site_cannot_press_the_buttons(browser, store, log_in):
    control.submit(store, comparison())
    log_in(browser, "read", "write")
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        for path in ("/comparisons/small/cancel", "/new"):
            assert browser.post(path, data={"text": SPEC}, headers=headers).status_code == 403
    assert store.status("small") == "active"
    assert store.names() == ["small"]
    own = {"Origin": "http://127.0.0.1", "Sec-Fetch-Site": "same-origin"}
    assert browser.post("/comparisons/small/cancel", headers=own).status_code == 303


@pytest.mark.parametrize("name", sorted({*declared()} - {"imagenet_reactnet"}))
def test_every_declared_study_can_be_launched_as_it_is(browser, store, name):
    page = get(browser, f"/new?study={name}")
    (text,) = re.findall(
        r"<textarea[^>]*>\n(.*)</textarea>", browser.get(f"/new?study={name}").text, re.S
    )
    text = html.unescape(text)
    assert {"value": name, "selected": ""} in page.all("option")
    answer = browser.post("/new", data={"text": text})
    assert answer.headers["Location"] == f"/comparisons/{name}"
    assert store.comparison(name).workload
    again = browser.post("/new", data={"text": text.replace("\n", "\r\n")})
    assert again.headers["Location"] == f"/comparisons/{name}"
    assert f'name = "{name}-2"' in get(browser, f"/new?study={name}").text


def test_a_declared_study_of_a_folder_says_what_the_server_lacks(browser, store):
    (text,) = re.findall(
        r"<textarea[^>]*>\n(.*)</textarea>", browser.get("/new?study=imagenet_reactnet").text, re.S
    )
    answer = browser.post("/new", data={"text": html.unescape(text)})
    assert answer.status_code == 422
    assert "this server takes no image folders (TUNER_FOLDER_ROOT is not set)" in answer.text
    assert not store.names()


def test_a_mistake_is_said_of_the_field_that_is_meant_and_names_it_once(browser):
    workload = "{epochs = 3, real_epochs = 3}"
    arms = '[{name = "b", space = "filter"}]'
    text = f'name = "a"\nn_trials = 2\nworkload = {workload}\narms = {arms}'
    answer = browser.post("/new", data={"text": text})
    assert answer.status_code == 422
    said = Document(answer.text).text
    assert said.count("workload.real_epochs") == 1
    assert "must be < 3 epochs, got 3" in said


def test_an_unknown_study_is_not_found(browser):
    assert (
        "study 'digit' is unknown; did you mean 'digits'?"
        in get(browser, "/new?study=digit", 404).text
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('name = "mine"', ""), "name : this key is required"),
        (
            ("n_trials = 4", "n_trials = 0"),
            "n_trials : input should be greater than or equal to 1",
        ),
        (("epochs = 2", "epoch = 2"), "key 'epoch' is unknown; did you mean 'epochs'?"),
        (("epochs = 2", "epochs = 99999"), "workload.epochs: must be at most 10000"),
        (('"magnitude"', '"magnitud"'), "arms.1.space : search space 'magnitud' is unknown"),
        (('name = "mine"', 'name = "small"'), "holds another declaration under this name"),
        (("[[arms]]", "[[arms"), "this is not valid TOML"),
        (("n_trials = 4", f"n_trials = {'9' * 5000}"), "this is not valid TOML"),
        (("n_trials = 4", f"n_trials = {'[' * 5000}{']' * 5000}"), "nested too deeply"),
        ((SPEC, ""), "workload : this key is required"),
        (("epochs = 2", 'dataset = "folder"\nfolder = "/etc"'), "takes no image folders"),
        (('name = "mine"', 'name = "<script>"'), "string should match pattern"),
        (('name = "mine"', 'name = "mine"\nwhen = 2026-01-01'), "key 'when' is unknown"),
    ],
)
def test_a_malformed_declaration_is_refused_beside_the_text_which_is_kept(
    browser, store, change, words
):
    control.submit(store, comparison())
    text = SPEC.replace(*change)
    answer = browser.post("/new", data={"text": text})
    assert answer.status_code == 422
    page = Document(answer.text)
    page.check()
    assert words in page.text
    assert (
        text.strip()[:200] in page.text.replace("\n", " ") or " ".join(text.split()) in page.text
    )
    assert any(given.get("role") == "alert" for given in page.all("div"))
    assert page.all("textarea")[0]["aria-invalid"] == "true"
    assert store.names() == ["small"]


def test_every_mistake_is_named(browser):
    text = SPEC.replace("n_trials = 4", "n_trials = 0\nseed = -1")
    page = Document(browser.post("/new", data={"text": text}).text)
    assert "n_trials" in page.text
    assert "seed : input should be greater than or equal to 0" in page.text


def test_errors_are_pages_for_browsers_and_problems_for_programs(browser):
    page = get(browser, "/nowhere", 404)
    assert "there is nothing at this path" in page.text
    assert "/" in page.links
    for path, accept in (("/nowhere", "*/*"), ("/v1/comparisons/none", "text/html")):
        answer = browser.get(path, headers={"Accept": accept})
        assert answer.headers["content-type"] == "application/problem+json"
    answer = browser.delete("/new")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD, POST")
    assert "Request" in Document(answer.text).text


def test_the_database_being_away_is_a_page_too(browser, monkeypatch):
    from sqlalchemy.exc import OperationalError

    def away(*_args: object, **_how: object) -> None:
        raise OperationalError("select", {}, Exception("database is locked"))

    monkeypatch.setattr("tuner.search.watch.views.list_comparisons", away)
    page = get(browser, "/", 503)
    assert "the database does not answer" in page.text
    monkeypatch.setattr("tuner.search.watch.views.list_comparisons", lambda *_a, **_k: 1 / 0)
    answer = browser.get("/")
    assert answer.status_code == 500
    assert "division" not in answer.text


@pytest.mark.parametrize("path", ["/comparisons/small/progress", "/comparisons/small/arms/old"])
def test_a_comparison_that_is_deleted_while_its_page_is_made_is_not_found(
    browser, store, monkeypatch, path
):
    control.submit(store, comparison())
    look_up = views.get_comparison

    def then_gone(*asked):
        row = look_up(*asked)
        remove(store, "small")
        return row

    monkeypatch.setattr(views, "get_comparison", then_gone)
    answer = browser.get(path)
    assert (answer.status_code, "is unknown (there is none)" in answer.text) == (404, True)
