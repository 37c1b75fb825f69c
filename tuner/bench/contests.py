"""The contests of ``tuner bench``: who is held against whom, at what."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

from tuner.bench.child import Slice
from tuner.bench.match import WORKER, Match, Side
from tuner.bench.rows import alone, by_difference, by_ratio
from tuner.bench.samples import noise, some_of
from tuner.bench.searching import PlainSearch, WorkerSearch
from tuner.bench.serving import Claims, Reads, Served, Submits
from tuner.bench.training import OurTraining, PlainTraining
from tuner.bench.update_rule import RULES, UpdateSteps
from tuner.bnn.data.dataset import load_data
from tuner.search.work.surroundings import ONE_THREAD
from tuner.workload import Workload

DIGITS = Workload(dataset="digits", model="mlp", widths=(64, 64, 64), epochs=20, batch_size=64)
FASHION_MLP = Workload(
    dataset="fashion_mnist",
    model="mlp",
    widths=(512, 512, 512),
    epochs=3,
    batch_size=128,
    real_learning_rate=3e-3,
)
NO_COMPILER = {**WORKER, "TUNER_KERNELS": "off"}
STEPPING = tuple(RULES)
CLIENTS, SIMULATED_WORKERS = 50, 32
POSTGRES = "TUNER_BENCH_POSTGRES"
"""The environment variable with the address of an empty PostgreSQL database to measure too."""

SAMPLES = "training samples per second"
_START_SECONDS = 15.0


@dataclass(frozen=True)
class Setup:
    """How much to do.

    Args:
        folder: A folder for databases and images.
        processes: Processes where all cores are used.
        quick: Whether small budgets are enough.
    """

    folder: Path
    processes: int
    quick: bool = False

    @property
    def seconds(self) -> float:
        """How long a slice lasts, where that is free."""
        return 1.0 if self.quick else 4.0


@dataclass(frozen=True)
class Contest:
    """A question that ``tuner bench`` answers.

    Args:
        matches: Makes its matches, one when the one before it is over.
        round_seconds: About how long a round takes on two cores: a whole one, a quick one.
    """

    matches: Callable[[Setup], Iterator[Match]]
    round_seconds: tuple[float, float]

    def seconds(self, setup: Setup, rounds: int) -> float:
        """About how long it takes, the start of its processes included."""
        return _START_SECONDS + rounds * self.round_seconds[setup.quick]


def digits(setup: Setup) -> Iterator[Match]:
    """Finished trials of a search per hour, on all cores.

    Random trials take equally long however many there are, so the baselines' slices are shorter.
    """
    n = setup.processes
    many, few = (64, 4) if setup.quick else (200, 12)

    def ours(name: str, variables: Mapping[str, str]) -> Side:
        job = WorkerSearch(
            DIGITS, setup.folder, name=f"ours-{name}", space="magnitude", n_trials=many, share=n
        )
        return Side(name, (job,) * n, variables)

    def plain(name: str, *, processes: int = 1, n_trials: int = few, n_jobs: int = 1) -> Side:
        job = PlainSearch(DIGITS, setup.folder, name=name, n_trials=n_trials, n_jobs=n_jobs)
        return Side(name, (job,) * processes, ONE_THREAD)

    baselines = (
        plain(f"{n} processes", processes=n),
        plain("one process"),
        plain(f"n_jobs={n}", n_trials=max(few, n), n_jobs=n),
    )
    names = [side.name for side in baselines]
    yield Match(
        contest="digits",
        workload="8x8 digits, mlp 64-64-64-10, 20 epochs, random search",
        measure=f"finished trials per hour on {n} cores",
        unit="trials/h",
        sides=(ours("auto", WORKER), *baselines, ours("no compiler", NO_COMPILER)),
        pairs=[
            *((variant, "best of plain") for variant in ("auto", "no compiler")),
            *(("auto", name) for name in names),
        ],
        value=lambda slices: 3600 * _rate(slices),
        judge=by_ratio,
        best_of={"best of plain": names},
    )


def own_network(setup: Setup) -> Iterator[Match]:
    """Finished trials of a search per hour on one core, of a network of ordinary torch layers."""
    n_trials = 4 if setup.quick else 12
    mine = replace(DIGITS, model="tuner.bench.ordinary:make", widths=())
    ours = WorkerSearch(
        mine, setup.folder, name="own", space="magnitude", n_trials=n_trials, share=1
    )
    plain = PlainSearch(DIGITS, setup.folder, name="ordinary", n_trials=n_trials)
    yield Match(
        contest="own_network",
        workload="8x8 digits, mlp 64-64-64-10 of torch's own layers, 20 epochs, random search",
        measure="finished trials per hour on one core",
        unit="trials/h",
        sides=(
            Side("own network", (ours,), {**WORKER, "TUNER_WORKLOADS": "tuner.bench.ordinary"}),
            Side("plain", (plain,), ONE_THREAD),
        ),
        pairs=[("own network", "plain")],
        value=lambda slices: 3600 * _rate(slices),
        judge=by_ratio,
    )


def fashion_cnn(setup: Setup) -> Iterator[Match]:
    """Training samples per second of a convolutional network."""
    workload = _on_images(some_of("fashion_mnist", setup.folder, n_train=640), model="cnn")
    yield _training("fashion_cnn", "Fashion-MNIST, cnn 32-32-64-64-128-128", workload, setup)


def resnet20(setup: Setup) -> Iterator[Match]:
    """Training samples per second of a residual network."""
    workload = _on_images(noise(setup.folder, n_train=640), model="bireal_resnet20")
    yield _training("resnet20", "32x32x3 noise, bireal_resnet20", workload, setup)


def fashion_mlp(setup: Setup) -> Iterator[Match]:
    """Training samples per second of a wide fully connected network, several trials at once."""
    images = some_of("fashion_mnist", setup.folder, n_train=6400)
    workload = _on_images(images, model="mlp", widths=(512, 512, 512))
    match = _training("fashion_mlp", "Fashion-MNIST, mlp 512-512-512", workload, setup)
    with_transforms = PlainTraining(workload, loader="Images", seconds=setup.seconds)
    yield replace(
        match,
        measure=f"{SAMPLES} of all trials together, one core unless it says more",
        sides=(*match.sides, Side("plain with transforms", (with_transforms,), ONE_THREAD)),
        pairs=[
            *((v, "plain with transforms") for v, baseline in match.pairs if baseline == "plain"),
            *match.pairs,
        ],
    )


def update_rule(setup: Setup) -> Iterator[Match]:
    """Time of a step on ten million weights, one million for a quick look, and on many tensors.

    Training takes the one of its precision.
    """
    millions = 1 if setup.quick else 10
    yield _steps(
        f"{millions} million weights, against torch.optim.SGD(fused=True)",
        partial(UpdateSteps, shape=(millions * 1_000_000,)),
        precisions=("bfloat16",) if setup.quick else ("bfloat16", "float32"),
        setup=setup,
    )
    yield _steps(
        "300 tensors of 64x64, against torch.optim.SGD(fused=True)",
        partial(UpdateSteps, shape=(64, 64), n_tensors=300),
        precisions=("float32",),
        setup=setup,
    )


def _steps(
    words: str, job: Callable[..., UpdateSteps], *, precisions: Sequence[str], setup: Setup
) -> Match:
    """Each of our rules held against torch's SGD, on the same weights."""
    seconds = setup.seconds / (4 if setup.quick else 2)
    ours = {
        f"{name}, {precision}": job(name, seconds=seconds, precision=precision)
        for name in STEPPING
        for precision in precisions
    }
    beside = [
        (f"{name}, {each}", f"FilterFlip, {each}")
        for name in STEPPING
        if name.startswith("DesignedFilter")
        for each in precisions
    ]
    return Match(
        contest="update_rule",
        workload=words,
        measure="time of a step per weight, flips counted, one core; lower is better",
        unit="ns",
        sides=(
            Side("torch SGD", (job("sgd", seconds=seconds),)),
            *(Side(variant, (steps,)) for variant, steps in ours.items()),
        ),
        pairs=[
            *((variant, "torch SGD") for variant in ours),
            *(pair for pair in beside if ours.keys() >= set(pair)),
        ],
        value=lambda slices: 1e9 / _rate(slices),
        judge=by_ratio,
    )


def outside(setup: Setup) -> Iterator[Match]:
    """Share of a worker's busy time in which it neither trains nor validates: coordination."""

    def workers(workload: Workload, words: str, *, n_trials: int, share: int) -> Match:
        name = f"outside-{workload.dataset}"
        job = WorkerSearch(
            workload, setup.folder, name=name, space="filter", n_trials=n_trials, share=share
        )
        return Match(
            contest="outside",
            workload=words,
            measure="share of a worker's time outside training and validation; lower is better",
            unit="%",
            sides=(Side("auto", (job,) * share),),
            pairs=[("auto", None)],
            value=_outside,
            judge=alone,
        )

    n = setup.processes
    n_trials = 64 if setup.quick else 200
    yield workers(DIGITS, "8x8 digits, mlp 64-64-64-10, 20 epochs", n_trials=n_trials, share=n)
    load_data(FASHION_MLP)  # here, so that missing data skips the contest
    short = replace(FASHION_MLP, epochs=1 if setup.quick else 2)
    words = f"Fashion-MNIST, mlp 512-512-512, {short.epochs} of 12 epochs"
    yield workers(short, words, n_trials=2, share=1)


def accuracy(setup: Setup) -> Iterator[Match]:
    """Validation accuracy of the fast path and of the plain one, same settings, own seeds."""
    workloads = {"8x8 digits, mlp 64-64-64-10, 20 epochs": DIGITS}
    if not setup.quick:
        workloads["Fashion-MNIST, mlp 512-512-512, 3 epochs"] = FASHION_MLP
    for name, workload in workloads.items():
        load_data(workload)  # here, so that missing data skips the contest
        yield Match(
            contest="accuracy",
            workload=name,
            measure="validation accuracy, mean over the seeds",
            unit="%",
            sides=(
                Side("auto", (OurTraining(workload),)),
                Side("plain", (PlainTraining(workload),), ONE_THREAD),
            ),
            pairs=[("auto", "plain")],
            value=lambda slices: 100 * slices[0].accuracy,
            judge=by_difference,
            least_rounds=5,
        )


def service(setup: Setup) -> Iterator[Match]:
    """The server's answers to 50 clients at once, and the queue under 32 simulated workers."""
    databases = {"SQLite": f"sqlite:///{setup.folder / 'service.db'}"}
    if postgres := os.environ.get(POSTGRES, ""):
        databases["PostgreSQL"] = postgres
    n_trials, n = 1000 if setup.quick else 10_000, setup.processes
    filled = f"a database of {n_trials:,} finished trials"

    def served(kind: type[Served], words: str) -> Match:
        jobs = {
            name: kind(url, n_trials=n_trials, clients=CLIENTS, seconds=setup.seconds)
            for name, url in databases.items()
        }
        return Match(
            contest="service",
            workload=filled,
            measure=f"time within which 95% of {words} are answered, {CLIENTS} clients at once; "
            "lower is better",
            unit="ms",
            sides=[Side(name, (job,)) for name, job in jobs.items()],
            pairs=[(name, None) for name in databases],
            value=lambda slices: 1000 * slices[0].p95_seconds,
            judge=alone,
        )

    yield served(Reads, "reads")
    yield served(Submits, "submits")
    claims = {
        name: Claims(url, workers=SIMULATED_WORKERS // n, n_trials=200 if setup.quick else 1000)
        for name, url in databases.items()
    }
    yield Match(
        contest="service",
        workload=f"{SIMULATED_WORKERS} simulated workers, one trial at a time",
        measure="trials claimed and finished per second",
        unit="1/s",
        sides=[Side(name, (job,) * n) for name, job in claims.items()],
        pairs=[(name, None) for name in databases],
        value=_rate,
        judge=alone,
    )


CONTESTS: Mapping[str, Contest] = MappingProxyType(
    {
        "digits": Contest(digits, (60, 20)),
        "own_network": Contest(own_network, (30, 10)),
        "fashion_cnn": Contest(fashion_cnn, (27, 8)),
        "resnet20": Contest(resnet20, (27, 12)),
        "fashion_mlp": Contest(fashion_mlp, (31, 8)),
        "update_rule": Contest(update_rule, (44, 7)),
        "outside": Contest(outside, (30, 15)),
        "accuracy": Contest(accuracy, (50, 4)),
        "service": Contest(service, (40, 15)),
    }
)
"""What ``tuner bench`` can be asked to measure, in its order."""


def _on_images(folder: str, *, model: str, widths: tuple[int, ...] = ()) -> Workload:
    return Workload(dataset="folder", folder=folder, model=model, widths=widths, batch_size=128)


def _training(contest: str, words: str, workload: Workload, setup: Setup) -> Match:
    """What a user gets; without lower precision; without a C++ compiler; the baseline's loop.

    The first and the last also in as many processes as there are cores, which share the caches.
    """
    exact = replace(workload, precision="float32")
    seconds, n = setup.seconds, setup.processes
    auto, plain = (kind(workload, seconds=seconds) for kind in (OurTraining, PlainTraining))
    ours_on_all, plain_on_all = f"auto, {n} processes", f"plain, {n} processes"
    return Match(
        contest=contest,
        workload=words,
        measure=f"{SAMPLES}, one core unless it says more",
        unit="samples/s",
        sides=(
            Side("auto", (auto,)),
            Side("float32", (OurTraining(exact, seconds=seconds),)),
            Side("plain", (plain,), ONE_THREAD),
            Side("no compiler", (auto,), NO_COMPILER),
            Side(ours_on_all, (auto,) * n),
            Side(plain_on_all, (plain,) * n, ONE_THREAD),
        ),
        pairs=[
            *((variant, "plain") for variant in ("auto", "float32", "no compiler")),
            (ours_on_all, plain_on_all),
        ],
        value=_rate,
        judge=by_ratio,
    )


def _rate(slices: Sequence[Slice]) -> float:
    """Work per second of processes that worked at the same time."""
    return sum(part.work for part in slices) / max(part.seconds for part in slices)


def _outside(slices: Sequence[Slice]) -> float:
    """Per cent of the busy time that was not training."""
    busy = sum(part.busy_seconds for part in slices)
    return 100 * (1 - sum(part.training_seconds for part in slices) / busy)
