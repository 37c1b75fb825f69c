"""A suite's comparisons as a database has them, answered as one."""

from tuner.compare.comparison import Comparison, compare
from tuner.compare.suite.outcome import Declaration, Suite, answered
from tuner.errors import InvalidInput
from tuner.search.database.store import Store
from tuner.search.declared.spec import ComparisonSpec, declaration_hash
from tuner.search.declared.suite_spec import SuiteSpec
from tuner.search.results.arms import arms
from tuner.search.results.scores import NothingToCompare


def collected(store: Store, spec: SuiteSpec) -> Suite:
    """What the comparisons of a suite say together, as far as they were run.

    Args:
        store: The database.
        spec: The suite.

    Raises:
        InvalidInput: If the database has nothing of any of them, or another comparison under the
            name of one.
    """
    known = set(store.names())
    there = {
        each.name: comparison
        for each in spec.comparisons
        if each.name in known and (comparison := _compared(store, each, spec.arms)) is not None
    }
    declared = Declaration(
        name=spec.name,
        description=" ".join(spec.description.split()),
        arms=spec.arms,
        comparisons=tuple(each.name for each in spec.comparisons),
        declaration_hash=spec.declaration_hash,
    )
    return answered(declared, there)


def _compared(store: Store, spec: ComparisonSpec, names: tuple[str, ...]) -> Comparison | None:
    """What came out of a comparison; ``None`` until each arm of the suite has a finished trial."""
    if declaration_hash(store.comparison(spec.name)) != declaration_hash(spec):
        raise InvalidInput(
            f"comparison {spec.name!r}: the database has another one of that name; name another "
            "database, or give the suite's another name"
        )
    try:
        read, protocol = arms(store, spec.name)
    except NothingToCompare:
        return None
    if not {arm.name for arm in read}.issuperset(names):
        return None
    return compare(read, protocol)
