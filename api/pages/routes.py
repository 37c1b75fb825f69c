"""The pages' addresses."""

from typing import Annotated, Literal, get_args

from fastapi import APIRouter, Depends, Form, Path, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from tuner.api import deps
from tuner.api.auth import Reader, Writer, authority
from tuner.api.pages.launching import declaration, launch
from tuner.api.pages.overview import overview
from tuner.api.pages.rendering import PICTURE, asset, page
from tuner.api.pages.results import results
from tuner.api.pages.trial import trial_page
from tuner.api.reports import remembered as reports
from tuner.api.sessions import local_path
from tuner.api.threads import InThread, Promised, slow
from tuner.errors import NotFound, UnknownName
from tuner.search.database.tables import DONE
from tuner.search.declared.arm_spec import Pruner, Sampler
from tuner.search.declared.spaces import declared_spaces
from tuner.search.declared.spec import declaration_hash, declared
from tuner.search.queue import control
from tuner.search.queue.operations import PROMPT_SECONDS
from tuner.search.watch.searching import Sought
from tuner.workload import DATASETS, MODELS, in_words

router = APIRouter(include_in_schema=False, route_class=InThread)


async def _sought(
    q: Annotated[str, Query(max_length=200)] = "",
    tag: Annotated[str, Query(max_length=40)] = "",
    status: Literal["", "active", "paused", "complete", "cancelled"] = "",
    archived: bool = False,
) -> Sought:
    return Sought(q.strip(), tag.strip(), status or None, archived)


Looked = Annotated[Sought, Depends(_sought)]


@router.get("/")
def home(
    request: Request,
    store: deps.Database,
    _who: Reader,
    sought: Looked,
    cursor: deps.Cursor = None,
) -> HTMLResponse:
    """The comparisons that are looked for, newest first, and the workers."""
    return page(request, "home", overview=overview(store, sought, cursor), cursor=cursor)


@router.get("/progress")
def home_progress(
    request: Request,
    store: deps.Database,
    _who: Reader,
    sought: Looked,
    cursor: deps.Cursor = None,
) -> HTMLResponse:
    """The part of the first page that changes."""
    return page(request, "home_live", overview=overview(store, sought, cursor), cursor=cursor)


@router.get("/favicon.ico")
def icon() -> RedirectResponse:
    """Where browsers look for the icon of a report, which names none."""
    return RedirectResponse(asset("icon.svg"))


@router.get("/comparisons/{name}")
@slow
def comparison(
    request: Request, store: deps.Database, row: deps.Comparison, _who: Reader
) -> HTMLResponse:
    """What it asks, how far it is, what came out."""
    spec = store.comparison(row.name)
    return page(
        request,
        "comparison",
        spec=spec,
        results=results(store, row, spec),
        workload=in_words(spec.workload),
        declared=declaration_hash(spec),
    )


@router.get("/comparisons/{name}/progress")
@slow
def comparison_progress(
    request: Request, store: deps.Database, row: deps.Comparison, _who: Reader
) -> HTMLResponse:
    """The part of a comparison's page that changes."""
    spec = store.comparison(row.name)
    return page(request, "comparison_live", spec=spec, results=results(store, row, spec))


@router.get("/comparisons/{name}/figure.svg", response_model=None)
def figure(store: deps.Database, row: deps.Comparison, _who: Reader) -> Promised:
    """The tuning curves as a picture that stands alone."""
    return Promised(
        reports.of(store, row),
        lambda made: Response(made.picture, media_type="image/svg+xml", headers=PICTURE),
    )


@router.get("/comparisons/{name}/report", response_model=None)
def report(request: Request, store: deps.Database, row: deps.Comparison, _who: Reader) -> Response:
    """To the report, or until it is made a page that says so, and looks again by itself."""
    if reports.soon(reports.in_full(store, row)) is None:
        return page(request, "being_made", name=row.name)
    return RedirectResponse(f"/v1/comparisons/{row.name}/report?format=html", 303)


@router.post("/comparisons/{name}/{action}")
def change(
    store: deps.Database,
    row: deps.Comparison,
    action: Literal["pause", "resume", "cancel", "retry", "delete"],
    _who: Writer,
) -> RedirectResponse:
    """What the buttons of a comparison's page do."""
    if action == "delete":
        if control.delete(store, row.name, within_seconds=PROMPT_SECONDS).state == DONE:
            return RedirectResponse("/", 303)
    elif action == "retry":
        control.retry_failed(store, row.name, within_seconds=PROMPT_SECONDS)
    else:
        control.change_comparison(store, row.name, action, within_seconds=PROMPT_SECONDS)
    return RedirectResponse(f"/comparisons/{row.name}", 303)


@router.get("/trials/{trial_id}")
def trial(
    request: Request,
    store: deps.Database,
    trial_id: Annotated[int, Path(ge=0, le=2**31 - 1)],
    _who: Reader,
) -> HTMLResponse:
    """One trial, with all that was recorded about it."""
    return page(request, "trial", shown=trial_page(store, trial_id))


@router.get("/new")
def new(
    request: Request, store: deps.Database, _who: Writer, study: str | None = None
) -> HTMLResponse:
    """The form that launches a study; it starts from a declared one, if one is named."""
    try:
        text = "" if study is None else declaration(store, study)
    except UnknownName as error:
        raise NotFound(str(error)) from error
    return _form(request, text, study=study)


@router.post("/new")
def launch_new(
    request: Request,
    store: deps.Database,
    settings: deps.Configured,
    _who: Writer,
    text: Annotated[str, Form()] = "",
) -> Response:
    """Launch what the form holds, or show what is wrong with it."""
    outcome = launch(store, settings, text)
    if isinstance(outcome, str):
        return RedirectResponse(f"/comparisons/{outcome}", 303)
    return _form(request, text, mistakes=outcome)


@router.get("/login")
def login(request: Request, next: str = "/", failed: bool = False) -> HTMLResponse:
    """The form that takes a key."""
    return page(
        request,
        "login",
        next=local_path(next),
        failed=failed,
        is_open=authority(request).is_open(),
    )


def _form(
    request: Request, text: str, *, study: str | None = None, mistakes: object = ()
) -> HTMLResponse:
    choices = {
        "data sets": DATASETS,
        "networks": MODELS,
        "spaces": declared_spaces(),
        "samplers": get_args(Sampler),
        "pruners": get_args(Pruner),
    }
    return page(
        request,
        "new",
        status=422 if mistakes else 200,
        declared=declared(),
        study=study,
        text=text,
        mistakes=mistakes,
        choices=choices,
    )
