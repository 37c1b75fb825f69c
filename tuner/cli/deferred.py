"""A command whose module is imported when the command is used, and not to list it."""

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand
from typer.main import get_command


class Deferred(TyperCommand):
    """Stands for a command in the list of all, and hands any use of it to the command itself.

    Args:
        place: Where the command is, as in ``tuner.cli.commands.run:demo``: a function, or a
            ``typer.Typer`` of that name. The name is what the user types.
        help: The first line of its help.
    """

    def __init__(self, place: str, help: str) -> None:
        self._module, _, name = place.partition(":")
        super().__init__(name, help=help)

    def load(self) -> Any:  # Any: a command of click's, which typer hides
        """The command itself."""
        command = getattr(import_module(self._module), str(self.name))
        if not isinstance(command, typer.Typer):
            single = typer.Typer(add_completion=False, rich_markup_mode="rich")
            single.command(self.name)(command)
            command = single
        return get_command(command)

    def make_context(self, *arguments: Any, **options: Any) -> Any:  # Any: as its base has it
        """The context of the command itself: whatever comes after asks that one."""
        return self.load().make_context(*arguments, **options)
