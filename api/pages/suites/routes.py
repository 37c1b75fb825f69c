"""The addresses of the pages of suites: those declared, how far each is, its report."""

from collections.abc import Mapping

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from tuner.api import deps, limits
from tuner.api.auth import Reader, Writer
from tuner.api.pages.rendering import page
from tuner.api.reports import remembered as reports
from tuner.api.threads import InThread, Promised, slow
from tuner.search.database.store import Store
from tuner.search.declared.suite_spec import SuiteSpec, declared_suites, load_suite
from tuner.search.queue import control
from tuner.search.watch import views

router = APIRouter(include_in_schema=False, route_class=InThread)


@router.get("/suites")
@slow
def suites(request: Request, store: deps.Database, _who: Reader) -> HTMLResponse:
    """The declared suites, each with the state of its comparisons."""
    specs = [load_suite(name) for name in declared_suites()]
    shown = [(spec, _states(store, spec)) for spec in specs]
    return page(request, "suites", suites=shown)


@router.post("/suites/{suite}")
def launch(
    store: deps.Database, settings: deps.Configured, spec: deps.Suite, _who: Writer
) -> RedirectResponse:
    """Launch those of its comparisons that are not there; all are checked before any is."""
    for each in [limits.check(each, settings) for each in spec.comparisons]:
        control.submit(store, each)
    return RedirectResponse("/suites", 303)


@router.get("/suites/{suite}/report", response_model=None)
@slow
def report(store: deps.Database, spec: deps.Suite, _who: Reader) -> Promised:
    """What its comparisons say together, as far as they were run."""
    return Promised(
        reports.of_suite(store, spec),
        lambda made: HTMLResponse(made.html, headers={"Cache-Control": "no-store"}),
    )


def _states(store: Store, spec: SuiteSpec) -> Mapping[str, str | None]:
    """Comparison name -> its state; ``None`` for one that was never launched."""
    known = set(store.names())
    return {
        each.name: views.get_comparison(store, each.name).status if each.name in known else None
        for each in spec.comparisons
    }
