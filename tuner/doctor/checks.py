"""All checks by name, in the order in which they are told."""

from collections.abc import Iterable, Mapping

from tuner.doctor.database_checks import clock, database, schema, writable
from tuner.doctor.machine_checks import batches, compiler, data_sets, gpu, kernels
from tuner.doctor.server_checks import checkpoints, disk, folders, keys, proxy, secret
from tuner.doctor.setup import Check, Finding, Setup
from tuner.errors import UnknownName

SERVING: Mapping[str, Check] = {
    "database": database,
    "schema": schema,
    "writable": writable,
    "clock": clock,
    "disk": disk,
    "checkpoints": checkpoints,
    "keys": keys,
    "secret": secret,
    "proxy": proxy,
    "folders": folders,
}
"""Those about what a server needs; none of them takes torch, or long."""

CHECKS: Mapping[str, Check] = {
    **SERVING,
    "compiler": compiler,
    "kernels": kernels,
    "batches": batches,
    "gpu": gpu,
    "data": data_sets,
}
"""All of them."""


def examine(
    database: str, environment: Mapping[str, str], names: Iterable[str]
) -> dict[str, Finding]:
    """Name of a check -> what it finds; without those that have nothing to look at.

    Args:
        database: The database's address.
        environment: The variables that are set.
        names: Of ``CHECKS``.

    Raises:
        UnknownName: If there is no such check.
    """
    wanted = list(names)
    for name in wanted:
        if name not in CHECKS:
            raise UnknownName("check", name, CHECKS)
    setup = Setup(database, environment)
    try:
        found = {name: CHECKS[name](setup) for name in wanted}
    finally:
        setup.close()
    return {name: finding for name, finding in found.items() if finding is not None}
