"""The comparison as one self-contained HTML file: no script, no font, no link to anywhere."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tuner.compare import words
from tuner.compare.comparison import Comparison
from tuner.compare.figures.gallery import in_section, main_picture, pictures
from tuner.compare.report import PACKAGES
from tuner.compare.report.evidence_rows import (
    PAIR_COLUMNS,
    Rows,
    importance_in_words,
    importance_rows,
    optimism_rows,
    pair_rows,
    ranks_in_words,
    redundancy_in_words,
    redundancy_rows,
)
from tuner.compare.report.rows import arm_rows, contrast_table
from tuner.machine import versions
from tuner.wording import count


def to_html(comparison: Comparison, provenance: Mapping[str, str] | None = None) -> str:
    """A page with the verdict first, then figure, tables, ranges, notes and provenance.

    Args:
        comparison: What ``compare`` returned.
        provenance: Further rows for the last table, such as the command that remakes the page or
            the hardware the trials ran on.
    """
    pages = Environment(
        loader=PackageLoader("tuner.compare.report"),
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
        pictures={picture.name: picture for picture in pictures(comparison)},
        main_picture=main_picture(comparison),
        sections=_sections(comparison),
        optimism=optimism_rows(comparison.details, comparison.protocol),
        arm_rows=arm_rows(comparison),
        contrasts=contrasts,
        ranges=_ranges(comparison),
        incumbents=_incumbents(comparison),
        protocol=_protocol(comparison),
        provenance={
            "Python": platform.python_version(),
            **versions(*PACKAGES),
            **(provenance or {}),
        },
        level=words.level(comparison.protocol),
    )


@dataclass(frozen=True)
class _Section:
    """A part of the page: some figures and, below them, a table.

    Args:
        heading: Above it.
        figures: Names of those that it may hold.
        text: A paragraph above the figures, or nothing.
        arms: The table's columns.
        rows: Label and cells of each of its rows; none where there is no table.
        style: Of the table.
        text_alone: Whether the text says something without any figure or table.
    """

    heading: str
    figures: Sequence[str]
    text: str = ""
    arms: Sequence[str] = ()
    rows: Rows = field(default_factory=list)
    style: str = "numbers"
    text_alone: bool = False


def _sections(comparison: Comparison) -> list[_Section]:
    """The parts behind the verdict, in the page's order; the page leaves empty ones out."""
    details = comparison.details
    filters = {d.arm.name: d.redundancy for d in details if d.redundancy is not None}
    importances = {d.arm.name: d.importance for d in details if d.importance is not None}
    ranked = {name: each for name, each in importances.items() if each.ranking is not None}
    many = comparison.many_arms
    return [
        _Section(
            "All arms",
            in_section("ranks"),
            text="" if many is None else ranks_in_words(many),
            arms=list(PAIR_COLUMNS),
            rows=[] if many is None else pair_rows(many),
        ),
        _Section("Budgets", in_section("budgets")),
        _Section(
            "As gradient filters",
            in_section("filters"),
            text=redundancy_in_words(list(filters.values())),
            arms=list(filters),
            rows=redundancy_rows(list(filters.values())) if filters else [],
            style="numbers folding",
        ),
        _Section(
            "Which hyperparameters matter",
            in_section("importance"),
            text=importance_in_words(importances),
            arms=list(ranked),
            rows=importance_rows(list(ranked.values())) if ranked else [],
            text_alone=True,
        ),
    ]


def _jointed(name: str) -> Markup:
    """A name, escaped, that a line may break after each ``_``."""
    return Markup("_<wbr>").join(name.split("_"))


def _ranges(comparison: Comparison) -> list[tuple[str, list[str]]]:
    """Each hyperparameter's range in every arm, in the order the arms name them."""
    names = dict.fromkeys(name for arm in comparison.arms for name in arm.ranges)
    return [(name, [arm.ranges.get(name, "-") for arm in comparison.arms]) for name in names]


def _incumbents(comparison: Comparison) -> list[tuple[str, list[str]]]:
    """Each setting of the retrained incumbents, in the order the arms name them."""
    settings = [arm.retrained.settings if arm.retrained else {} for arm in comparison.arms]
    names = dict.fromkeys(name for each in settings for name in each)
    return [(name, [_setting(each.get(name, "-")) for each in settings]) for name in names]


def _setting(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _protocol(comparison: Comparison) -> list[tuple[str, str]]:
    protocol = comparison.protocol
    primary = comparison.contrasts[0]
    target = protocol.target
    return [
        ("workload", protocol.workload),
        *([("data", str(protocol.data))] if protocol.data else []),
        *([("scores", "minimized: lower is better")] if protocol.minimized else []),
        ("primary contrast", f"{primary.first} against {primary.second}"),
        ("control", protocol.control or "none"),
        ("exact map", protocol.exact or "none"),
        ("repeated searches", " against ".join(protocol.repeated or ("none",))),
        ("budget k*", count(comparison.k, "trial")),
        ("target", "none" if target is None else words.score(target, protocol)),
        ("practical equivalence", words.width(protocol.rope, protocol)),
        ("confidence", words.level(protocol)),
        ("seed of draws and resamples", str(protocol.seed)),
        ("declaration", protocol.declaration_hash or "none"),
    ]
