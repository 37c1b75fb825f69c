"""An S3 server, and addresses of every kind that unfinished training may be kept at."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

_numbers = count()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """A server of moto's on this machine; libraries for S3 find it by the variables."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "nobody")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "a secret of S3")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_url(s3_server: str) -> str:
    """The address of a folder in a new bucket."""
    import fsspec

    bucket = f"bucket{next(_numbers)}"
    assert s3_server
    fsspec.filesystem("s3").mkdir(bucket)
    return f"s3://{bucket}/checkpoints"


KINDS = ("folder", "memory", "renamed", pytest.param("s3", marks=pytest.mark.slow))


@pytest.fixture(params=KINDS)
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where files are kept: a folder, a store, a disk that fsspec renames files on, S3."""
    kind = request.param
    if kind == "s3":
        return str(request.getfixturevalue("s3_url"))
    return {
        "folder": str(tmp_path / "kept"),
        "memory": f"memory://kept{next(_numbers)}",
        "renamed": f"local://{tmp_path}/kept",
    }[kind]
