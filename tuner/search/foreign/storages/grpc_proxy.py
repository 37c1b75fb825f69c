"""Studies behind Optuna's gRPC proxy."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit

from tuner.errors import DatabaseProblem, InvalidInput
from tuner.search.foreign.record import StudyRecord
from tuner.search.foreign.storages.optuna_storage import OptunaStudies, unwarned

_PORT, _SECONDS = 13000, 10


@contextmanager
def studies_at(address: str) -> Iterator[Mapping[str, StudyRecord]]:
    """The studies behind a proxy, as they stand.

    Args:
        address: ``grpc://HOST:PORT``; Optuna's own port where none is given.

    Raises:
        InvalidInput: If the address is malformed, or gRPC is not installed.
        DatabaseProblem: If nobody answers within ten seconds.
    """
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port or _PORT
    except ValueError as error:
        raise InvalidInput(f"proxy {address!r}: write grpc://HOST:PORT ({error})") from error
    if not host:
        raise InvalidInput(f"proxy {address!r}: names no host; write grpc://HOST:PORT")
    try:
        import grpc
        from optuna.storages import GrpcStorageProxy
    except ImportError as error:
        raise InvalidInput(
            f"proxy {address!r}: gRPC is not installed; install it with: "
            "pip install grpcio protobuf"
        ) from error
    with unwarned():
        proxy = GrpcStorageProxy(host=f"[{host}]" if ":" in host else host, port=port)
    try:
        proxy.wait_server_ready(timeout=_SECONDS)
        yield OptunaStudies(proxy)
    except (ConnectionError, grpc.RpcError) as error:
        details = error.details() if isinstance(error, grpc.RpcError) else None
        raise DatabaseProblem(
            f"proxy {address}: {details or f'does not answer within {_SECONDS} s'}; check its "
            "host and port, and that it runs"
        ) from error
    finally:
        proxy.close()
