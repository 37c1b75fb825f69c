"""The addresses of the page that compares any studies."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import HTMLResponse
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile

from tuner.api import deps
from tuner.api.auth import Reader, Writer
from tuner.api.pages.comparing.form import Form, offered, report
from tuner.api.pages.comparing.uploads import SIDES, Sent, Upload, report_of
from tuner.api.pages.launching import Mistake
from tuner.api.pages.rendering import page
from tuner.api.threads import InThread, in_lane, slow
from tuner.search.database.store import Store
from tuner.search.foreign.arm import SAMPLERS

router = APIRouter(include_in_schema=False, route_class=InThread)

Word = Annotated[str, Query(max_length=300)]


async def _form(
    new: Word = "",
    old: Word = "",
    others: Annotated[str, Query(max_length=6000)] = "",
    target: Word = "",
    k: Word = "",
    rope: Word = "",
    unit: Word = "",
    sampler: Word = "",
    direction: Word = "",
    objective: Word = "",
    last_reports: Word = "",
) -> Form:
    return Form(
        new, old, others, target, k, rope, unit, sampler, direction, objective, last_reports
    )


@router.get("/compare")
@slow
def compare(
    request: Request, store: deps.Database, _who: Reader, form: Annotated[Form, Depends(_form)]
) -> Response:
    """The form; once it names two studies, what came out of them."""
    if not form.is_complete:
        return _shown(request, store, form)
    return _answer(request, store, form, report(store, form))


@router.post("/compare")
async def compare_files(
    request: Request, store: deps.Database, settings: deps.Configured, _who: Writer
) -> Response:
    """What came out of studies in files; who may not send any is refused before they are read."""
    async with request.form(max_files=len(SIDES), max_fields=20) as sent:
        upload = _upload(sent)
        found = await in_lane("slow", report_of, settings.database, upload)
    return await run_in_threadpool(_answer, request, store, upload.form, found)


def _upload(sent: FormData) -> Upload:
    words = {name: value[:300] for name, value in sent.items() if isinstance(value, str)}
    files = {
        side: Sent(file.filename, file.file)
        for side in SIDES
        if isinstance(file := sent.get(f"{side}_file"), UploadFile) and file.filename
    }
    return Upload(
        form=Form(**{name: words.get(name, "") for name in Form.__dataclass_fields__}),
        files=files,
        stored=[side for side in SIDES if words.get(f"{side}_from") == "database"],
    )


def _answer(request: Request, store: Store, form: Form, found: str | list[Mistake]) -> Response:
    if isinstance(found, str):
        return HTMLResponse(found, headers={"Cache-Control": "no-store"})
    return _shown(request, store, form, found)


def _shown(
    request: Request, store: Store, form: Form, mistakes: list[Mistake] | None = None
) -> HTMLResponse:
    return page(
        request,
        "compare",
        status=422 if mistakes else 200,
        form=form,
        mistakes=mistakes or [],
        offered=offered(store),
        samplers=SAMPLERS,
    )
