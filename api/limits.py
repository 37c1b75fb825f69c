"""What this server takes on: sizes beyond which a submission cannot be meant, or not be borne."""

from dataclasses import replace

from tuner.api.settings import Settings
from tuner.config import below
from tuner.errors import InvalidInput
from tuner.named import check_allowed
from tuner.search.declared.spec import ComparisonSpec
from tuner.workload import Objective, Workload
from tuner.workload.weights import least_weights


def check(spec: ComparisonSpec, settings: Settings) -> ComparisonSpec:
    """Refuse a comparison that is too large for this server, or reads files that it may not.

    Returns:
        What is to be run: an image folder and a teacher are named by the places that were checked,
        wherever the worker that opens them was started.

    Raises:
        InvalidInput: Names the field, the rule and the value.
    """
    n_trials = spec.n_searched + spec.n_afresh
    n_studies = sum(map(spec.repeats_of, spec.arms))
    workload = spec.workload
    limits = [
        ("arms: must be", len(spec.arms), settings.max_arms, "MAX_ARMS"),
        (
            "n_trials: of all arms and repeats, with what is trained afresh, must be",
            n_trials,
            settings.max_trials,
            "MAX_TRIALS",
        ),
        ("repeats: of all arms together must be", n_studies, settings.max_studies, "MAX_STUDIES"),
        ("workload.epochs: must be", workload.epochs, settings.max_epochs, "MAX_EPOCHS"),
    ]
    check_allowed(workload)
    if isinstance(workload, Workload):
        limits += _of_network(workload, settings)
    for what, value, most, setting in limits:
        if value > most:
            raise InvalidInput(f"{what} at most {most} (TUNER_{setting}), got {value}")
    if isinstance(workload, Objective) or not (workload.folder or workload.teacher):
        return spec
    if workload.folder:
        workload = replace(workload, folder=_place(workload.folder, "folder", settings))
    if workload.teacher:
        workload = replace(workload, teacher=_place(workload.teacher, "teacher", settings))
    return spec.model_copy(update={"workload": workload})


def _place(named: str, field: str, settings: Settings) -> str:
    """Where a folder or a file lies that a worker is to open.

    Raises:
        InvalidInput: If this server takes none, or it lies elsewhere than it may.
    """
    if settings.data_root is None:
        what = {"folder": "image folders", "teacher": "teachers"}[field]
        raise InvalidInput(
            f"workload.{field}: this server takes no {what} (TUNER_FOLDER_ROOT is not set)"
        )
    return str(below(settings.data_root, named, f"workload.{field}"))


def _of_network(workload: Workload, settings: Settings) -> list[tuple[str, int, int, str]]:
    """Field and rule, value, the most that is allowed, and which setting says so."""
    size, widths = workload.batch_size, workload.layer_widths
    widest, weights = max(widths, default=0), least_weights(workload)
    network = "workload.widths" if workload.widths else "workload.model"
    return [
        ("workload.batch_size: must be", size, settings.max_batch_size, "MAX_BATCH_SIZE"),
        ("workload.widths: each must be", widest, settings.max_width, "MAX_WIDTH"),
        ("workload.widths: their number must be", len(widths), settings.max_layers, "MAX_LAYERS"),
        (f"{network}: its weights must be", weights, settings.max_weights, "MAX_WEIGHTS"),
    ]
