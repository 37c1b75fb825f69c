"""The comparison as one self-contained HTML file: no script, no font, no link to anywhere."""

import platform
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import TypeVar

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tuner.compare import words
from tuner.compare.behind import (
    importance_rows,
    optimism_rows,
    redundancy_rows,
    redundancy_told,
)
from tuner.compare.captions import captions
from tuner.compare.comparison import Comparison
from tuner.compare.details import pictures
from tuner.compare.figures import as_svg
from tuner.compare.rows import arm_rows, contrast_table

Found = TypeVar("Found")

PACKAGES = ("bnn-tuner", "numpy", "scipy", "opda", "optuna", "torch")


def to_html(comparison: Comparison, provenance: Mapping[str, str] | None = None) -> str:
    """A page with the verdict first, then figure, tables, ranges, notes and provenance.

    Args:
        comparison: What ``compare`` returned.
        provenance: Further rows for the last table, such as the command that remakes the page or
            the hardware the trials ran on.
    """
    pages = Environment(
        loader=PackageLoader("tuner.compare"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters["jointed"] = _jointed
    headings, by_contrast = contrast_table(comparison)
    contrasts = (
        [label for label, _ in by_contrast],
        [(name, [cells[i] for _, cells in by_contrast]) for i, name in enumerate(headings)],
    )
    return pages.get_template("report.html.j2").render(
        comparison=comparison,
        verdict=comparison.verdict,
        arms=comparison.arms,
        figures={name: as_svg(drawn, name) for name, drawn in pictures(comparison).items()},
        captions=captions(comparison),
        optimism=optimism_rows(comparison.details, comparison.protocol),
        redundancy=_named(
            [(d.arm.name, d.redundancy) for d in comparison.details], redundancy_rows
        ),
        redundancy_told=redundancy_told(
            [d.redundancy for d in comparison.details if d.redundancy is not None]
        ),
        importance=_named(
            [
                (d.arm.name, d.importance if d.importance and d.importance.rankings else None)
                for d in comparison.details
            ],
            importance_rows,
        ),
        arm_rows=arm_rows(comparison),
        contrasts=contrasts,
        ranges=_ranges(comparison),
        incumbents=_incumbents(comparison),
        protocol=_protocol(comparison),
        provenance={**_versions(), **(provenance or {})},
        level=words.level(comparison.protocol),
    )


def _jointed(name: str) -> Markup:
    """A name, escaped, that a line may break after each ``_``."""
    return Markup("_<wbr>").join(name.split("_"))


def _named(
    found: Sequence[tuple[str, Found | None]],
    rows: Callable[[Sequence[Found]], list[tuple[str, list[str]]]],
) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """The names of the arms that have something to show, and the rows of their table."""
    present = [(name, one) for name, one in found if one is not None]
    return [name for name, _ in present], rows([one for _, one in present]) if present else []


def _ranges(comparison: Comparison) -> list[tuple[str, list[str]]]:
    """Each hyperparameter's range in every arm, in the order the arms name them."""
    names = dict.fromkeys(name for arm in comparison.arms for name in arm.ranges)
    return [(name, [arm.ranges.get(name, "-") for arm in comparison.arms]) for name in names]


def _incumbents(comparison: Comparison) -> list[tuple[str, list[str]]]:
    """Each setting of the retrained incumbents, in the order the arms name them."""
    settings = [arm.retrained.settings if arm.retrained else {} for arm in comparison.arms]
    names = dict.fromkeys(name for one in settings for name in one)
    return [(name, [_setting(one.get(name, "-")) for one in settings]) for name in names]


def _setting(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _protocol(comparison: Comparison) -> list[tuple[str, str]]:
    protocol = comparison.protocol
    primary = comparison.contrasts[0]
    target = protocol.target
    return [
        ("workload", protocol.workload),
        ("primary contrast", f"{primary.first} against {primary.second}"),
        ("control", protocol.control or "none"),
        ("exact map", protocol.exact or "none"),
        ("repeated searches", " against ".join(protocol.repeated or ("none",))),
        ("budget k*", f"{comparison.k:,} trials"),
        ("target", "none" if target is None else words.score(target, protocol.unit)),
        ("practical equivalence", words.width(protocol.rope, protocol.unit)),
        ("confidence", words.level(protocol)),
        ("seed of draws and resamples", str(protocol.seed)),
        ("declaration", protocol.declaration_hash or "none"),
    ]


def _versions() -> dict[str, str]:
    versions = {"Python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions
