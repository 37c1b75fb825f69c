"""The benchmark of searches that begin from others, on trials made by formula."""

import re
from contextlib import closing
from dataclasses import asdict, replace

import numpy as np
import pytest
from comparisons import enqueue, work_here
from light_trainer import LightTrainer

from tests.search.warm_start import (
    BENCHMARKS,
    SOURCES,
    Found,
    Sizes,
    carried_of,
    found,
    new_searches,
    old_search,
    report,
)
from tuner.optim.equivalence import describe
from tuner.search.database.store import open_store


class FilterTrainer(LightTrainer):
    """Records which filter a trial was."""

    def describe(self, _workload, rule, settings, steps):
        return asdict(describe(rule, settings, steps))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "source"), [("digits", "aside"), ("fashion", "other_data")])
def test_a_workload_is_searched_from_nothing_and_from_a_source(name, source, sqlite_url, capsys):
    benchmark, sizes = BENCHMARKS[name], Sizes(old=4, trials=2, repeats=1)
    with closing(open_store(sqlite_url)) as store:

        def run(spec):
            enqueue(store, spec)
            work_here(store, trainer=FilterTrainer("cpu"), comparison=spec.name)

        run(spec := old_search(name, benchmark, source, sizes.old))
        carried = carried_of(spec, sqlite_url, SOURCES[source].least)
        assert len(carried.trials) == carried.exact == 4
        for spec in (specs := new_searches(name, benchmark, sizes, {source: carried})):
            assert spec.workload == benchmark.workload
            run(spec)
    nothing, begun = found(specs, sqlite_url)
    assert nothing.carried is None and begun.carried == carried
    report(benchmark, sizes, {"nothing": nothing, source: begun})
    rows = capsys.readouterr().out.splitlines()
    for each in ("nothing", source):
        assert sum(row.startswith(f"| {each} |") for row in rows) == 3


def test_sources_that_may_mislead_are_of_other_data_other_lengths_and_other_ranges():
    for name, benchmark in BENCHMARKS.items():
        old = {source: old_search(name, benchmark, source, 1) for source in SOURCES}
        assert old["exact"].workload == benchmark.workload
        assert old["other_data"].workload.dataset != benchmark.workload.dataset
        assert old["one_epoch"].workload == replace(benchmark.workload, epochs=1)
        aside, exact = (old[each].arms[0].space.parameters for each in ("aside", "exact"))
        assert aside["momentum"] != exact["momentum"]
        assert aside["learning_rate"] == exact["learning_rate"]


def test_a_search_that_loses_by_its_beginning_has_numbers_below_0(capsys):
    def searches(*hits):
        return [np.where(np.arange(1, 7) >= hit, 0.9, 0.8 + hit / 1000) for hit in hits]

    begun = {
        "nothing": Found(None, searches(*[1, 1, 2, 1, 2, 1] * 2)),
        "misled": Found(None, searches(*[5, 6, 7, 7, 5, 6] * 2)),
    }
    benchmark = replace(BENCHMARKS["digits"], targets=(0.9,))
    report(benchmark, Sizes(old=0, trials=6, repeats=12), begun)
    rows = [row for row in capsys.readouterr().out.splitlines() if row.startswith("| misled")]
    _, _, reach, mean, fewer, median = (cell.strip() for cell in rows[0].strip("|").split("|"))
    assert (reach, mean) == ("8", "5.7")
    assert re.fullmatch(r"-4\.3 \(-\S+ to -\S+\)", fewer), fewer
    assert re.fullmatch(r"-4\.0 \(-\S+ to -\S+\)", median), median
    _, first, more, last, over_all = (cell.strip() for cell in rows[1].strip("|").split("|"))
    assert (first, last) == ("80.70", "90.00")
    assert more.startswith("-9.") and over_all.startswith("0.00")
