"""Reading pages: what they hold, and whether they are sound."""

import re
import time
from collections import Counter
from html.parser import HTMLParser

VOID = {"meta", "link", "img", "input", "br", "line", "polyline", "polygon", "rect"}


class Document(HTMLParser):
    """A page, read strictly: every element is closed where it should be.

    Attributes:
        text: All words, blanks collapsed.
        elements: Tag and attributes of every element, in order.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self._open: list[str] = []
        self._words: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.feed(html)
        self.close()
        assert not self._open, self._open

    def handle_starttag(self, tag, attributes):
        given = {name: value or "" for name, value in attributes}
        assert len(given) == len(attributes), (tag, attributes)
        self.elements.append((tag, given))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, {name: value or "" for name, value in attributes}))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag, tag

    def handle_data(self, data):
        self._words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self._words).split())

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def links(self) -> list[str]:
        return [a["href"] for a in self.all("a")]

    @property
    def actions(self) -> list[str]:
        return [form["action"] for form in self.all("form")]

    @property
    def bars(self) -> dict[str, tuple[int, int]]:
        """Label -> how much has ended, and of how much, of every progress bar."""
        return {
            bar["aria-label"]: (int(bar["aria-valuenow"]), int(bar["aria-valuemax"]))
            for _, bar in self.elements
            if bar.get("role") == "progressbar"
        }

    def check(self) -> None:
        """Assert what holds for every page, for the policy's sake and for all readers'."""
        ids = Counter(given["id"] for _, given in self.elements if "id" in given)
        assert set(ids.values()) <= {1}, ids
        for tag, given in self.elements:
            for name in ("aria-labelledby", "aria-describedby", "for"):
                assert set(given.get(name, "").split()) <= set(ids), (tag, given)
            assert not [name for name in given if name == "style" or name.startswith("on")], given
            for name in ("src", "href", "action"):
                assert not re.match(r"[a-z]+:|//", given.get(name, "")), given
            assert tag != "style"
            assert tag != "script" or "src" in given
            assert tag != "img" or "alt" in given
        labelled = {given["for"] for given in self.all("label")}
        for tag in ("input", "select", "textarea"):
            for given in self.all(tag):
                assert given.get("type") == "hidden" or given["id"] in labelled, given
        assert [given["lang"] for given in self.all("html")] == ["en"]
        assert len(self.all("h1")) == len(self.all("main")) == 1
        assert self.links[0] == "#content"


def get(browser, path: str, status: int = 200) -> Document:
    """The page at a path, sound as every page is."""
    deadline = time.monotonic() + 60
    while "data-soon" in (answer := browser.get(path)).text:  # something is being made
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert answer.status_code == status, answer.text
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"
    page = Document(answer.text)
    page.check()
    return page
