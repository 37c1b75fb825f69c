"""The comparison as plain data, ready for ``json.dumps``.

    schema_version   1
    verdict          {kind, text, test, ranges, winner, more}
    k                the budget k*
    protocol         the declaration
    arms             [{name, sampler, ranges, n, failed, pruned, best, seconds, seconds_per_trial,
                       curve: [{k, value, low, high}], best_of: [{k, value, low, high}],
                       trace: [[{trial, best}]],
                       target: {hits, share, trials, seconds} | null,
                       retrained: {settings, seeds, val, test, test_scores} | null}]
    contrasts        [{first, second, best_of_k, probability, repeats, test, test_p, test_p_holm}]
    notes            [text]

An estimate is {value, low, high}. What is unknown or infinite is null.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from math import isfinite

from tuner.compare.comparison import Comparison

SCHEMA_VERSION = 1

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


def to_json(comparison: Comparison) -> dict[str, Json]:
    """Everything in the comparison as dicts, lists, strings and finite numbers."""
    return {
        "schema_version": SCHEMA_VERSION,
        "verdict": _plain(comparison.verdict),
        "k": comparison.k,
        "protocol": _plain(comparison.protocol),
        "arms": _plain(comparison.arms),
        "contrasts": _plain(comparison.contrasts),
        "notes": list(comparison.notes),
    }


def _plain(value: object) -> Json:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return float(value) if isfinite(value) else None
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, Sequence):
        return [_plain(entry) for entry in value]
    return str(value)
