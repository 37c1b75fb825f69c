"""The page at /: what runs and what came out, for people, with a form that launches a study.

Rendered here, without a build step; ``assets/live.js`` keeps open pages up to date.
"""

from tuner.api.pages.failures import install
from tuner.api.pages.routes import router

__all__ = ["install", "router"]
