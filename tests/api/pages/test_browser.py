"""The pages in a real headless Chromium, from logging in to the report."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from comparisons import comparison, work_here
from light_trainer import SlowTrainer
from servers import served

from tuner.search.database import keys
from tuner.search.database.store import Store, open_store
from tuner.search.queue import control, roster
from tuner.search.queue.queue import Queue
from tuner.search.watch import views
from tuner.search.watch.progress import study_progress
from tuner.search.work.keeper import Keeper
from tuner.search.work.worker import Worker

playwright = pytest.importorskip("playwright.sync_api")
expect = playwright.expect
expect.set_options(timeout=60_000)  # ms; the dashboard's bundle alone can take more than the 5 s

pytestmark = pytest.mark.slow

TINY = """
name = "tiny"
description = "A tiny one."
n_trials = 24
retrain_seeds = 2

[workload]
dataset = "digits"
widths = [32, 32]
binary_ends = true
epochs = 10
batch_size = 64

[[arms]]
name = "filter"
space = "filter"

[[arms]]
name = "magnitude"
space = "magnitude"

[verdict]
primary = ["filter", "magnitude"]
k = 2
"""
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        why = "there is no Chromium here; install one, such as Debian's package chromium"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(why)
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


class Tab:
    """A tab of a browser of its own, which notes what goes wrong in it."""

    def __init__(self, chromium: Any, address: str, **how: Any) -> None:
        self.context = chromium.new_context(base_url=address, **how)
        self.context.set_default_timeout(60_000)
        self.page = self.context.new_page()
        self.wrong: list[str] = []
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on(
            "console",
            lambda said: self.wrong.append(said.text) if said.type in ("error", "warning") else 0,
        )

    def close(self) -> None:
        self.context.close()


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Store]]:
    """A server without keys and workers, and its database."""
    folder = tmp_path_factory.mktemp("idle")
    with served(folder) as address:
        opened = open_store(f"sqlite:///{folder}/tuner.db")
        yield address, opened
        opened.close()


@pytest.fixture
def store(idle: tuple[str, Store]) -> Store:
    return idle[1]


@pytest.fixture
def tab(chromium: Any, idle: tuple[str, Store]) -> Iterator[Any]:
    """Opens tabs at the idle server."""
    opened: list[Tab] = []

    def open_tab(**how: Any) -> Tab:
        opened.append(Tab(chromium, idle[0], **how))
        return opened[-1]

    yield open_tab
    for one in opened:
        one.close()
        assert one.wrong == []


def test_one_logs_in_launches_a_study_watches_it_and_reads_its_report(
    chromium: Any, tmp_path: Path
):
    store = open_store(f"sqlite:///{tmp_path}/tuner.db")
    key = keys.create(store, "me", keys.SCOPES)
    store.close()
    with served(tmp_path, "--with-workers", "1") as address:
        tab = Tab(chromium, address, viewport={"width": 1280, "height": 900})
        page = tab.page
        page.goto("/")
        expect(page).to_have_title(re.compile("Log in"))
        page.get_by_label("API key").fill(key[:-1])
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("alert")).to_have_text("This is not a valid key.")
        page.get_by_label("API key").fill(key)
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_role("heading", name="No comparison yet")).to_be_visible()

        page.get_by_role("link", name="New comparison").click()
        page.get_by_label("Start from a declared study").select_option("fashion_mnist_cnn")
        page.get_by_role("button", name="Load").click()
        declaration = page.get_by_label("Declaration (TOML)")
        expect(declaration).to_have_value(re.compile(r'^name = "fashion_mnist_cnn"\n'))
        declaration.fill(TINY)
        page.get_by_role("button", name="Launch").click()
        expect(page).to_have_url(re.compile("/comparisons/tiny$"))
        page.evaluate(WATCH)
        state = page.locator("#live-state .badge")
        expect(state).to_have_text("complete", timeout=180_000)
        expect(page.get_by_role("progressbar").first).to_have_attribute("aria-valuenow", "38")
        seen = page.evaluate("window.seen")  # gone if the page had been loaded again
        assert seen[0] in ("0/0", "")
        assert seen[-1] == "38/38"
        assert len(seen) >= 3, seen
        expect(page.get_by_role("status")).to_have_text("tiny: complete, 100 per cent done")
        expect(page.locator(".verdict h2")).to_be_visible()
        picture = page.get_by_role("img", name=re.compile("^Best validation accuracy"))
        expect(picture).to_have_js_property("complete", True)
        assert picture.evaluate("image => image.naturalWidth") > 100
        page.screenshot(path=tmp_path / "page.png", full_page=True)

        page.locator("#best-filter a").first.click()
        expect(page.get_by_role("img", name=re.compile("^Validation accuracy"))).to_be_visible()
        page.go_back()
        page.get_by_role("link", name="Report", exact=True).click()
        expect(page.locator("h1")).to_have_text(re.compile("Supported|Equivalent|Inconcl|Fragile"))
        expect(page.locator("figure svg").first).to_be_visible()
        page.go_back()
        assert tab.wrong == []

        page.get_by_role("link", name="tiny/filter in the Optuna dashboard").click()
        expect(page.get_by_text("tiny/filter").first).to_be_visible()
        page.screenshot(path=tmp_path / "dashboard.png")
        page.goto("/")
        expect(page.get_by_role("region", name="Workers").locator(".badge").first).to_be_visible()
        page.get_by_role("button", name="Log out").click()
        expect(page).to_have_title(re.compile("Log in"))
        page.goto("/comparisons/tiny")
        expect(page).to_have_title(re.compile("Log in"))
        tab.close()


WATCH = """() => {
  window.seen = [];
  const note = () => {
    const bars = document.querySelectorAll('[role=progressbar]');
    const now = [...bars].map((bar) => bar.getAttribute('aria-valuenow')).join('/');
    if (now !== window.seen.at(-1)) window.seen.push(now);
  };
  new MutationObserver(note).observe(document.body, {subtree: true, childList: true});
  note();
}"""


def test_the_form_needs_no_mouse(tab: Any, store: Store):
    mine = tab()
    page = mine.page
    press = page.keyboard.press

    def focused(attribute: str) -> str:
        return page.evaluate(f"document.activeElement.{attribute}")

    def tab_to(identity: str) -> None:
        for _ in range(30):
            press("Tab")
            if identity in (focused("id"), focused("innerText")):
                return
        raise AssertionError(f"{identity} cannot be reached")

    page.goto("/new")
    press("Tab")
    assert focused("innerText") == "Skip to the content"
    expect(page.get_by_text("Skip to the content")).to_be_in_viewport()
    press("Enter")
    assert focused("id") == "content"
    tab_to("study")
    page.keyboard.type("digits")
    tab_to("Load")
    press("Enter")
    expect(page.get_by_label("Declaration (TOML)")).to_have_value(re.compile('name = "digits"'))
    tab_to("text")
    press("Control+A")
    page.keyboard.insert_text(TINY.replace("epochs = 10", "epochs = 0"))
    tab_to("Launch")
    with page.expect_response(re.compile("/new$")) as refused:
        press("Enter")
    assert refused.value.status == 422
    expect(page.get_by_role("alert")).to_contain_text("epochs")
    (said,) = mine.wrong
    assert "422" in said  # Chromium notes every refusal
    mine.wrong.clear()
    tab_to("text")
    press("Control+A")
    page.keyboard.insert_text(TINY)
    tab_to("Launch")
    press("Enter")
    expect(page).to_have_url(re.compile("/comparisons/tiny$"))
    assert store.status("tiny") == "active"
    tab_to("Cancel …")
    press("Enter")
    tab_to("do-cancel")
    press("Enter")
    expect(page.locator("#live-state .badge")).to_have_text("cancelled")
    assert store.status("tiny") == "cancelled"


def test_what_the_reader_opened_stays_open_while_the_page_changes(tab: Any, store: Store):
    control.submit(store, comparison())
    Keeper(store).tend()
    mine = tab()
    page = mine.page
    page.goto("/comparisons/small")
    page.get_by_text("Cancel …").click()
    page.get_by_role("button", name="Cancel it").focus()

    def searched() -> bool:  # the fresh runs are left, so that it is not complete
        studies = study_progress(store, "small")
        return all(studies[f"small/{arm}"].finished == 6 for arm in ("old", "new"))

    trainer = SlowTrainer("cpu")
    Worker(Queue(store), trainer, name="here", stopping=searched, comparison="small").run()
    six = re.compile("^6 of 6 trials")  # the server's keeper may have added fresh runs to it
    expect(page.get_by_role("progressbar").first).to_have_attribute("aria-valuetext", six)
    assert page.evaluate("document.activeElement.id") == "do-cancel"
    page.locator("#best-new summary").click()
    control.change_comparison(store, "small", "pause")
    expect(page.locator("#live-state .badge")).to_have_text("paused")
    expect(page.get_by_role("button", name="Cancel it")).to_be_visible()
    assert page.locator("#best-old").evaluate("details => details.open")
    assert page.locator("#best-new").evaluate("details => details.open")
    control.change_comparison(store, "small", "cancel")
    control.delete(store, "small")
    expect(page.get_by_role("heading", name="Not found")).to_be_visible()
    assert all("404" in said for said in mine.wrong)
    mine.wrong.clear()


def test_the_documentation_shows_every_operation_and_asks_no_other_server(
    tab: Any, idle: tuple[str, Store]
):
    page = tab().page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto("/v1/docs")
    expect(page.get_by_role("heading", name=re.compile("^bnn-tuner"))).to_be_visible()
    paths = page.request.get("/v1/openapi.json").json()["paths"]
    operations = sum(len(methods) for methods in paths.values())
    expect(page.locator(".opblock")).to_have_count(operations)
    page.locator(".opblock-summary", has_text="/v1/health").click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    expect(page.locator(".live-responses-table .response-col_status").last).to_have_text("200")
    assert f"{idle[0]}/v1/health" in asked
    elsewhere = [url for url in asked if not url.startswith((f"{idle[0]}/", "data:"))]
    assert elsewhere == []


def test_no_page_scrolls_sideways_on_a_phone(tab: Any, store: Store):
    control.submit(store, comparison(name="phone", description="A description " + "x" * 100))
    keeper = Keeper(store)
    while store.status("phone") == "active":
        keeper.tend()
        work_here(store, comparison="phone")
    roster.enrol(store, "a-worker-of-a-very-long-name" * 3, "cuda:0")
    (trial,) = views.list_trials(store, "phone/old", limit=1)
    for scheme in ("light", "dark"):
        page = tab(viewport=PHONE, device_scale_factor=2, color_scheme=scheme).page
        for path in (
            "/",
            "/comparisons/phone",
            f"/trials/{trial.trial_id}",
            "/comparisons/phone/arms/old",
            "/workers",
            "/compare",
            "/suites",
            "/new?study=digits",
            "/login",
        ):
            page.goto(path)
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide == PHONE["width"], path


def test_without_scripts_everything_works_but_the_watching(tab: Any, store: Store):
    control.submit(store, comparison(name="still"))
    page = tab(java_script_enabled=False).page
    page.goto("/")
    page.get_by_role("link", name="still").click()
    assert "http-equiv" in page.content()
    page.get_by_text("Cancel …").click()
    page.get_by_role("button", name="Cancel it").click()
    expect(page.locator("#live-state .badge")).to_have_text("cancelled")
    page.get_by_text("Delete …").click()
    page.get_by_role("button", name="Delete it").click()
    expect(page.get_by_role("heading", name="Comparisons")).to_be_visible()
    assert "still" not in store.names()
