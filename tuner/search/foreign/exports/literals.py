"""Objects and lists written into a cell: as JSON, or as Python prints them."""

import ast
import json
import math
from collections.abc import Mapping


def object_in(cell: object) -> Mapping[str, object] | None:
    """The object in a cell, its names as text; None where there is none.

    NaN and infinities are read too, which Python prints as ``nan`` and ``inf``. Nothing is run.
    """
    if isinstance(cell, Mapping):
        return cell
    if not isinstance(cell, str) or not cell.strip().startswith("{"):
        return None
    found = _read(cell.strip())
    return {str(name): value for name, value in found.items()} if isinstance(found, dict) else None


def literal_in(cell: object) -> object:
    """The object, list or number in a cell, or its text where it is none of them."""
    if not isinstance(cell, str):
        return cell
    found = _read(cell.strip())
    if isinstance(found, tuple):
        return list(found)
    return cell if found is None else found


def _read(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _printed(text)


def _printed(text: str) -> object:
    try:
        tree = ast.parse(text, mode="eval")
        return ast.literal_eval(_Numbers().visit(tree))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


class _Numbers(ast.NodeTransformer):
    """Puts numbers for the names that Python prints for them."""

    _NAMED = {"nan": math.nan, "inf": math.inf}  # noqa: RUF012 (nobody writes into it)

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """A number where the name is one's; else the name, which is refused after."""
        number = self._NAMED.get(node.id)
        return node if number is None else ast.copy_location(ast.Constant(number), node)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        """The number in what numpy prints for one of its own, ``np.float64(0.5)``."""
        of_numpy = isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) == "np"
        if not of_numpy or len(node.args) != 1 or node.keywords:
            return node
        return self.visit(node.args[0])  # type: ignore[no-any-return]  # a visitor returns anything
