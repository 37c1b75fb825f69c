"""``tuner fleet``: workers on the nodes of a Ray cluster."""

from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from tuner.cli.present import AsJson, Database, RuntimeEnv, as_text, as_typed, runtime_env
from tuner.cli.stages import Stages
from tuner.config import database_url
from tuner.fleet import driver
from tuner.fleet.order import GRACE_SECONDS, Order, Shape, Spread, resources
from tuner.fleet.seats import FleetStatus, WorkerStatus
from tuner.search.fleets.wish import IDLE_SECONDS, Wish
from tuner.search.queue.queue import RETRIES
from tuner.wording import count

Address = Annotated[
    str | None,
    typer.Option(
        help="the cluster: HOST:6379, or ray://HOST:10001 from outside it "
        "\\[RAY_ADDRESS, or the one on this machine]"
    ),
]

fleet = typer.Typer(
    help="Workers on the nodes of a Ray cluster: brought up, watched, scaled, ended.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=False,
)


@fleet.command()
def up(
    workers: Annotated[int, typer.Option(help="how many worker processes")],
    address: Address = None,
    gpus: Annotated[float, typer.Option(help="the part of a GPU that each takes")] = 0.0,
    cpus: Annotated[float, typer.Option(help="CPUs that each takes")] = 1.0,
    memory: Annotated[float | None, typer.Option(help="GiB that each takes \\[any]")] = None,
    least: Annotated[
        int | None, typer.Option("--min", help="fewest workers, where the queue is short")
    ] = None,
    most: Annotated[
        int | None, typer.Option("--max", help="most workers, where the queue is long")
    ] = None,
    idle: Annotated[
        float, typer.Option(help="seconds that workers stay which the queue no longer asks for")
    ] = IDLE_SECONDS,
    spread: Annotated[Spread, typer.Option(help="to many nodes, or to few")] = "spread",
    grace: Annotated[
        float, typer.Option(help="seconds that workers told to stop may go on")
    ] = GRACE_SECONDS,
    retries: Annotated[
        int, typer.Option(help="how often a trial that raised is run again")
    ] = RETRIES,
    runtime_env_json: RuntimeEnv = None,
    database: Database = None,
) -> None:
    """Bring a fleet up: workers that Ray places on nodes, and starts again where a node dies.

    They run whatever comparisons the database holds. With --min and --max there are as many as
    the queue keeps busy. The nodes need this software, the same as here, and reach the database
    under the address given.

    For example:

    tuner fleet up --workers 8 --database postgresql://me@host/tuner

    tuner fleet up --address ray://head:10001 --workers 4 --gpus 0.5 --min 0 --max 64
    """
    wish = Wish(
        workers, workers if least is None else least, workers if most is None else most, idle
    )
    order = Order(
        database or database_url(),
        wish,
        Shape(gpus, cpus, memory, spread),
        grace_seconds=grace,
        retries=retries,
    )
    with Stages(Console(stderr=True)) as stage:
        stage("asking the cluster")
        now = driver.up(
            address,
            order,
            runtime_env=runtime_env(runtime_env_json),
            on_status=lambda now: stage(f"{now.up} of {count(now.target, 'worker')} up"),
        )
    typer.echo(f"{now.up} of {count(now.target, 'worker')} up on {now.database}")
    for worker in now.workers:
        if worker.message:
            typer.echo(f"worker {worker.number} {worker.state}: {worker.message}", err=True)
    typer.echo(as_typed("see them with: tuner fleet status"))


@fleet.command()
def status(address: Address = None, as_json: AsJson = False) -> None:
    """Nodes and workers: what each is on, what it trains, how many trials an hour it finishes.

    For example:

    tuner fleet status

    tuner fleet status --address ray://head:10001 --json
    """
    cluster = driver.status(address)
    now = cluster.fleet
    if as_json:
        rest = {"nodes": [asdict(node) for node in cluster.nodes]}
        summary = {"up": now.up, "trials_an_hour": now.trials_an_hour}
        typer.echo(as_text({**asdict(now), **summary, **rest}), nl=False)
        return
    console = Console()
    console.print(_in_a_line(now), highlight=False, soft_wrap=True)
    if now.trouble:
        console.print(f"trouble: {now.trouble}", highlight=False, soft_wrap=True)
    on_node = [worker.node_id for worker in now.workers]
    nodes = _table("node", "address", "has", "workers")
    for node in cluster.nodes:
        host = f"{node.host} (head)" if node.head else node.host
        has, n = resources(node.resources), on_node.count(node.node_id)
        nodes.add_row(host, node.address, has, str(n))
    console.print(nodes)
    workers = _table("worker", "state", "node", "device", "trains", "finished", "trials/h", "")
    for worker in now.workers:
        workers.add_row(*_row(worker))
    if now.workers:
        console.print(workers)


@fleet.command()
def scale(
    workers: Annotated[int, typer.Argument(help="how many worker processes")],
    address: Address = None,
) -> None:
    """Give the fleet so many workers from now on, however long the queue is.

    Those that are too many finish their epoch and put their trials back.

    For example:

    tuner fleet scale 16
    """
    now = driver.scale(address, workers)
    typer.echo(f"{count(now.target, 'worker')} from now on, {now.up} up")


@fleet.command()
def down(address: Address = None) -> None:
    """End the fleet: workers finish their epoch, keep the training, put the trials back.

    Typed again meanwhile, in any terminal, it ends them at once; their trials go back too.

    For example:

    tuner fleet down
    """
    with Stages(Console(stderr=True)) as stage:
        stage("asking the cluster")
        at_once = driver.down(
            address,
            on_status=lambda now: stage(f"{count(len(now.workers), 'worker')} left"),
        )
    typer.echo(f"the fleet is down{', ended at once' if at_once else ''}; no trial is lost")


def _in_a_line(now: FleetStatus) -> str:
    wish = now.wish
    size = f"{now.up} of {count(now.target, 'worker')} up"
    if now.draining:
        size = f"ending, {count(len(now.workers), 'worker')} left"
    elif wish.follows:
        size += f", from {wish.least} to {wish.most} as the queue is long"
    return (
        f"fleet {now.fleet_id} on {now.database}: {size}, {now.trials_an_hour:.0f} trials an hour"
    )


def _row(worker: WorkerStatus) -> tuple[str, ...]:
    trains = "" if worker.study is None else f"{worker.study} ({count(worker.running, 'trial')})"
    return (
        str(worker.number),
        worker.state,
        worker.host,
        worker.device,
        trains,
        str(worker.finished),
        f"{worker.trials_an_hour:.0f}",
        worker.message,
    )


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading)
    return table
