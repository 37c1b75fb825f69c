"""A suite as one self-contained HTML file: no script, no font, no link to anywhere."""

import platform
from collections.abc import Mapping

from jinja2 import Environment, PackageLoader, StrictUndefined

from tuner.compare import words
from tuner.compare.figures.suite.registry import SUITE_FIGURES, svg
from tuner.compare.report import PACKAGES
from tuner.compare.report.suite.rows import pooled_rows, profile_rows, range_rows, workload_rows
from tuner.compare.suite.outcome import Suite
from tuner.compare.suite.said import heading, interim, kind, scope, sentences
from tuner.machine import versions


def suite_to_html(suite: Suite, provenance: Mapping[str, str] | None = None) -> str:
    """A page with the answer first, then figures, tables, ranges and provenance.

    Args:
        suite: What ``answered`` returned.
        provenance: Further rows for the last table, such as the command that remakes the page.
    """
    pages = Environment(
        loader=PackageLoader("tuner.compare.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return pages.get_template("suite.html.j2").render(
        suite=suite,
        kind=kind(suite),
        heading=heading(suite),
        sentences=sentences(suite),
        scope=scope(suite),
        interim=interim(suite),
        pictures={
            name: (svg(name, suite), SUITE_FIGURES[name].caption(suite)) for name in SUITE_FIGURES
        },
        tables={
            "Trials to the target": workload_rows(suite),
            "Over all workloads": pooled_rows(suite),
            "Performance profile": profile_rows(suite),
            "Ranges searched, the same on every workload": range_rows(suite),
        },
        protocol={
            "suite": suite.declared.name,
            "new, old and further arms": ", ".join(suite.arms),
            "confidence": words.level(suite.protocol),
            "declaration of the suite": suite.declared.declaration_hash,
            **{
                f"declaration of {name}": each.protocol.declaration_hash or "none"
                for name, each in suite.comparisons.items()
            },
        },
        provenance={
            "Python": platform.python_version(),
            **versions(*PACKAGES),
            **(provenance or {}),
        },
    )
