"""The comparison as plain data, ready for ``json.dumps``.

    schema_version   4
    verdict          {kind, heading, interim, text, speedup, repeated, test, ranges, winner, more}
    k                the budget k*
    protocol         the declaration; minimized, only where it is true
    arms             [{name, sampler, ranges, n, searches, trials_per_search, failed, pruned,
                       best, median: estimate | null, seconds, seconds_per_trial,
                       curve: [{k, value, low, high}], best_of: [{k, value, low, high}],
                       trace: [[{trial, best}]],
                       target: {hits, share, trials: {value, low, high} | null, seconds} | null,
                       retrained: {settings, seeds, val, test, test_scores, luck} | null,
                       selected: {n, planned, median, lowest, scores} | null}]
    contrasts        [{first, second,
                       selected: {n, planned, difference, wins, other_images} | null,
                       best_of_k, best_of_k_seen, probability, repeats, test, test_typical,
                       test_p, test_p_holm, test_other_images, test_typical_other_images,
                       speedups: {trials, epochs, seconds: {value, low, high, reason}}}]
    details          [{arm, edf: {scores, share, low, high, below}, optimism,
                       budgets: [{axis, x, value, low, high, per_trial, independent, note}],
                       traces: {trials, median, low, high, lengths} | null,
                       redundancy: {n, cells, exact, without_filter, unusable, outside, conditions,
                       any_violated, predictions, law, ...} | null,
                       importance: {ranking: {shares, effective, explained, unlearned} | null,
                                    reason, n, n_used, method, left_out, notes} | null}]
    over_budgets     {k, value, low, high, words, narrow}, the primary difference over k | null
    many_arms        {names, fresh, ranks: {n, ranks, p, critical, groups},
                      pairs: [{first, second, wins, p, p_holm}]}, arms by place in names; only
                     where there are four random searches or more
    notes            [text]

An estimate is {value, low, high}. Where the studies minimize, scores and their differences are in
their own sign, low <= high: the best is the least, and a difference below 0 is for the first arm.
What is unknown or infinite is null. Long lists are thinned to 500 points. Version 2 added details,
speedups and two sentences to version 1, version 3 best_of_k_bounded. Version 4 turned the best of
k round: best_of_k supposes the scores' known bounds alone, best_of_k_seen what version 3 called
best_of_k; it added what was selected, trained afresh, which the verdict is about; importances are
by one method, which they name. Keys that came later to version 4: test_other_images,
test_typical_other_images, many_arms, and scored_on, minimized and data of the protocol: data, only
where they are the user's own, {classes, train, validation, test, test_in_train, digest}.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from math import isfinite

import numpy as np

from tuner.compare.comparison import Comparison
from tuner.compare.evidence.details import ArmDetail
from tuner.compare.protocol import Protocol
from tuner.compare.report.own_sign import in_own_sign

SCHEMA_VERSION = 4
_MOST_POINTS = 500

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


def to_json(comparison: Comparison) -> dict[str, Json]:
    """Everything in the comparison as dicts, lists, strings and finite numbers."""
    minimized, comparison = comparison.protocol.minimized, in_own_sign(comparison)
    many = comparison.many_arms
    return {
        "schema_version": SCHEMA_VERSION,
        "verdict": _mapped(comparison.verdict),
        "k": comparison.k,
        "protocol": _protocol(comparison.protocol, minimized=minimized),
        "arms": plain_data(comparison.arms),
        "contrasts": plain_data(comparison.contrasts),
        "over_budgets": plain_data(comparison.over_budgets),
        **({} if many is None else {"many_arms": plain_data(many)}),
        "details": [_detail(detail) for detail in comparison.details],
        "notes": list(comparison.notes),
    }


def _protocol(protocol: Protocol, *, minimized: bool) -> Json:
    """The declaration in the studies' own sign, and whether lower values are better there."""
    named = _mapped(protocol)
    del named["minimized"]
    if protocol.data is None:
        del named["data"]
    return {**named, "minimized": True} if minimized else named


def _detail(detail: "ArmDetail") -> Json:
    """One arm's details; the trials themselves are in the sheets."""
    named = {field.name: getattr(detail, field.name) for field in fields(detail)}
    named["arm"] = detail.arm.name
    named["edf"] = _thinned(detail.edf)
    named["budgets"] = [_thinned(curve) for curve in detail.budgets]
    if detail.traces is not None:
        traces = detail.traces
        steps = np.arange(1, traces.median.size + 1)
        named["traces"] = {"trials": _points(steps), **_thinned(traces, without="lengths")}
        named["traces"]["lengths"] = traces.lengths
    return plain_data(named)


def _thinned(curves: object, without: str = "") -> dict[str, object]:
    """The fields of a dataclass of equally long lists, at most some hundred points of each."""
    return {
        field.name: _points(getattr(curves, field.name))
        for field in fields(curves)  # type: ignore[arg-type]  # an instance of a dataclass
        if field.name != without
    }


def _points(values: object) -> object:
    if not isinstance(values, np.ndarray) or values.size <= _MOST_POINTS:
        return values
    return values[np.unique(np.linspace(0, values.size - 1, _MOST_POINTS).astype(int))]


def plain_data(value: object) -> Json:
    """Numbers, arrays, dataclasses and mappings as JSON has them; infinite and NaN as null."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return float(value) if isfinite(value) else None
    if isinstance(value, np.ndarray):
        return [plain_data(entry) for entry in value.tolist()]
    if is_dataclass(value) and not isinstance(value, type):
        return _mapped(value)
    if isinstance(value, Mapping):
        return {str(key): plain_data(entry) for key, entry in value.items()}
    if isinstance(value, Sequence):
        return [plain_data(entry) for entry in value]
    return str(value)


def _mapped(value: object) -> dict[str, Json]:
    """A dataclass as field -> plain value."""
    named = fields(value)  # type: ignore[arg-type]  # an instance of a dataclass
    return {field.name: plain_data(getattr(value, field.name)) for field in named}
