"""The pages."""

from fastapi import APIRouter, FastAPI

router = APIRouter(include_in_schema=False)


def mount_assets(app: FastAPI) -> None:
    """Serve the pages' files."""
