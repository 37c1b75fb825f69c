"""The routes of the API, one file for each kind of thing."""

from fastapi import APIRouter

from tuner.api.auth import DOCUMENTED
from tuner.api.routes import (
    comparisons,
    events,
    fleets,
    operations,
    studies,
    suites,
    system,
    tools,
    trials,
)
from tuner.api.routes.short_way import ShortWay

_KINDS = (comparisons, studies, suites, trials, operations, fleets, tools, events)

v1 = APIRouter()
v1.include_router(system.router)
for kind in _KINDS:
    v1.include_router(kind.router, dependencies=DOCUMENTED)
plain_reads = ShortWay("/v1", [kind.router for kind in (*_KINDS, system)])
