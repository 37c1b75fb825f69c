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

v1 = APIRouter()
v1.include_router(system.router)
for kind in (comparisons, studies, suites, trials, operations, fleets, tools, events):
    v1.include_router(kind.router, dependencies=DOCUMENTED)
