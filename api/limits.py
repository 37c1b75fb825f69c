"""What this server takes on: sizes beyond which a submission cannot be meant, or not be borne."""

from tuner.api.settings import Settings
from tuner.errors import InvalidInput
from tuner.search.declared.spec import ComparisonSpec


def check(spec: ComparisonSpec, settings: Settings) -> None:
    """Refuse a comparison that is too large for this server, or reads files that it may not.

    Raises:
        InvalidInput: Names the field, the rule and the value.
    """
    n_trials = spec.n_searched + spec.n_afresh
    n_studies = sum(map(spec.repeats_of, spec.arms))
    workload = spec.workload
    widths = workload.layer_widths
    for field, value, most, setting in (
        ("arms", len(spec.arms), settings.max_arms, "MAX_ARMS"),
        (
            "n_trials, of all arms and repeats, what is trained afresh included",
            n_trials,
            settings.max_trials,
            "MAX_TRIALS",
        ),
        ("repeats, of all arms together", n_studies, settings.max_studies, "MAX_STUDIES"),
        ("workload.epochs", workload.epochs, settings.max_epochs, "MAX_EPOCHS"),
        ("workload.batch_size", workload.batch_size, settings.max_batch_size, "MAX_BATCH_SIZE"),
        ("workload.widths", max(widths), settings.max_width, "MAX_WIDTH"),
        ("workload.widths, their number", len(widths), settings.max_layers, "MAX_LAYERS"),
    ):
        if value > most:
            raise InvalidInput(f"{field}: must be at most {most} (TUNER_{setting}), got {value}")
    if workload.dataset == "folder":
        _check_folder(workload.folder, settings)


def _check_folder(folder: str, settings: Settings) -> None:
    root = settings.data_root
    if root is None:
        raise InvalidInput(
            "workload.folder: this server takes no image folders (TUNER_FOLDER_ROOT is not set)"
        )
    try:
        inside = (root / folder).resolve().is_relative_to(root.resolve())
    except (OSError, ValueError):
        inside = False
    if not inside:
        raise InvalidInput(f"workload.folder: must lie below {root}, got {folder!r}")
