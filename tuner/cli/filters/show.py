"""``tuner filter show``: what a rule, a trial or an optimizer of torch's makes of gradients."""

from pathlib import Path
from typing import Annotated

import typer

from tuner.cli.present import JsonFile, Outputs, PictureFile, as_text

filter = typer.Typer(no_args_is_help=True, rich_markup_mode="rich", add_completion=False)


@filter.callback()
def filters() -> None:
    """Look at gradient filters: of update rules, of trials, of torch's own optimizers."""


@filter.command()
def show(
    filters: Annotated[list[str], typer.Argument(metavar="FILTER...", help="see above")],
    steps: Annotated[
        int | None, typer.Option(min=1, help="length of the run, where a memory is a share of it")
    ] = None,
    second_moment: Annotated[
        float | None, typer.Option(help="mean square of the gradients, by whose root Adam divides")
    ] = None,
    picture: PictureFile = None,
    json: JsonFile = None,
) -> None:
    r"""Impulse, step and frequency response, memory, noise gain and flip ratio of filters.

    A filter is written as RULE:NAME=VALUE,NAME=VALUE, RULE being an update
    rule, or sgd for torch.optim.SGD with its own options; as
    sos:\[\[b0,b1,b2,1,a1,a2]], sections of scipy.signal; or as a trial,
    STORAGE::STUDY#NUMBER. Several are laid over each other.

    The memory is 1 over the cut-off in radians a step, where half the power is
    left. The noise gain is the variance of what is left of white noise. The
    flip ratio is the share of the signs that change at a step then.

    For example:

    tuner filter show filter_flip:alpha=1e-3,gamma=0.1 sgd:lr=0.1,weight_decay=5e-4,momentum=0.9

    tuner filter show designed_filter:family=bessel,order=3,memory=500 --picture bessel.svg

    tuner filter show latent_adam:weight_decay=1e-4,second_moment=1e-6 sgd:lr=0.1,weight_decay=1e-3

    tuner filter show results/digits.db::digits/filter#12 --json -
    """
    outputs = Outputs(json=json, picture=picture)
    outputs.check()
    from tuner.cli.filters.given import Run, shown  # scipy, optuna and others take seconds
    from tuner.cli.filters.printing import print_filters

    found = shown(filters, Run(steps, second_moment))
    written: list[Path] = []
    if picture is not None:
        from tuner.cli.filters.drawing import drawing
        from tuner.compare.figures.axes import as_file

        picture.write_bytes(as_file(drawing(found), picture.suffix.removeprefix(".")))
        written.append(picture)
    data = as_text({"filters": [each.as_data() for each in found]})
    if json == "-":
        typer.echo(data, nl=False)
        return
    if json is not None:
        written.append(Path(json))
        written[-1].write_text(data, encoding="utf-8")
    print_filters(found, outputs.console)
    for file in written:
        outputs.console.print(f"written: {file}", soft_wrap=True)
