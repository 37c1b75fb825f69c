"""The page at /: what runs and what came out, for people, with a form that launches a study.

Rendered here, without a build step; ``assets/live.js`` keeps open pages up to date.
"""

from fastapi import APIRouter

from tuner.api.pages import arm_routes, label_routes, routes, workers
from tuner.api.pages.comparing import routes as comparing
from tuner.api.pages.failures import install
from tuner.api.pages.suites import routes as suites

router = APIRouter()
for some in (label_routes, arm_routes, comparing, suites, workers, routes):
    router.include_router(some.router)

__all__ = ["install", "router"]
