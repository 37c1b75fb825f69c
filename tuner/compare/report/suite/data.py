"""A suite as plain data, ready for ``json.dumps``.

    schema_version   1
    suite            {name, description, arms, declaration_hash}
    answer           {kind, heading, sentences, scope, winner}
    interim          [text], what is missing of what was declared
    confidence       of every interval
    workloads        [{comparison, workload, target, declaration_hash, verdict, heading,
                       arms: {name: {n, hits, trials_to_target, ratio, missed}},
                       speedups: {trials, epochs, seconds: {value, low, high, reason}}}]
    profiles         {name: [{factor, share: {value, low, high}}]}
    pooled           {trials, epochs, seconds: {speedup, another, between, n, missed_by_old,
                       missed_by_new, left_out}}, trials, and what else has a cost everywhere
    without          {comparison: the same in trials without it}
    against          {further arm: the same in trials against it in place of the old one}
    ranges           {name: {hyperparameter: range}}

A miss has no number of trials and no ratio (null), and missed is true: it is infinitely far.
"""

from tuner.compare.report.data import Json, plain_data
from tuner.compare.suite.outcome import AXES, Suite
from tuner.compare.suite.said import ahead, heading, interim, kind, scope, sentences

SCHEMA_VERSION = 1


def suite_to_json(suite: Suite) -> dict[str, Json]:
    """Everything of the suite as dicts, lists, strings and finite numbers."""
    declared = suite.declared
    first = next(iter(suite.comparisons.values()))
    ranges = {arm.name: plain_data(arm.ranges) for arm in first.arms if arm.name in suite.arms}
    return {
        "schema_version": SCHEMA_VERSION,
        "suite": {
            "name": declared.name,
            "description": declared.description,
            "arms": list(declared.arms),
            "declaration_hash": declared.declaration_hash,
        },
        "answer": {
            "kind": kind(suite),
            "heading": heading(suite),
            "sentences": list(sentences(suite)),
            "scope": scope(suite),
            "winner": ahead(suite, suite.pooled["trials"]),
        },
        "interim": list(interim(suite)),
        "confidence": suite.protocol.confidence,
        "workloads": [_workload(suite, place) for place in range(len(suite.comparisons))],
        "profiles": {
            arm: [
                {"factor": factor, "share": plain_data(share)}
                for factor, share in zip(suite.factors, shares, strict=True)
            ]
            for arm, shares in suite.profiles.items()
        },
        "pooled": plain_data(suite.pooled),
        "without": plain_data(suite.without),
        "against": plain_data(suite.against),
        "ranges": ranges,
    }


def _workload(suite: Suite, place: int) -> Json:
    name, comparison = list(suite.comparisons.items())[place]
    protocol = comparison.protocol
    arms = {arm.name: arm for arm in comparison.arms}
    return {
        "comparison": name,
        "workload": protocol.workload,
        "target": None if protocol.target is None else float(protocol.own(protocol.target)),
        "declaration_hash": protocol.declaration_hash,
        "verdict": comparison.verdict.kind,
        "heading": comparison.verdict.heading,
        "arms": {
            arm: {
                "n": arms[arm].n,
                "hits": target.hits,
                "trials_to_target": plain_data(float(suite.costs[place, column])),
                "ratio": plain_data(float(suite.ratios[place, column])),
                "missed": target.hits == 0,
            }
            for column, arm in enumerate(suite.arms)
            if (target := arms[arm].target) is not None
        },
        "speedups": {axis: plain_data(suite.speedup(name, axis)) for axis in AXES},
    }
