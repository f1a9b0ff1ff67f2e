"""The ``workbench`` command. Thin: it reads what was typed, calls the package, prints what comes back.

Heavy modules are imported inside the commands, so that ``--help`` answers at once. Exit codes: 0 all
is well, 1 something failed, 2 something typed is not known, 130 interrupted.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperCommand, TyperGroup

from workbench.errors import ConfigError, WorkbenchError, unknown


class _Group(TyperGroup):
    """A WorkbenchError becomes one line and exit code 1, wherever it comes from."""

    def invoke(self, ctx: typer.Context) -> object:
        try:
            return super().invoke(ctx)
        except WorkbenchError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            typer.echo("interrupted; what finished is kept, --resume goes on", err=True)
            raise typer.Exit(130) from None


class _WithPairs(TyperCommand):
    """Lets ``-p KEY VALUE`` take two words: typer's repeated options take one, so they are joined."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:
        words, joined = list(args), []
        while words:
            word = words.pop(0)
            joined.append(word)
            if word == "-p" and len(words) >= 2:
                joined.append(f"{words.pop(0)}={words.pop(0)}")
        return super().parse_args(ctx, joined)


@contextmanager
def _typed() -> Iterator[None]:
    """What the user typed is looked up in here: a name nobody knows ends with exit code 2."""
    try:
        yield
    except ConfigError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from None


app = typer.Typer(
    cls=_Group,
    help="Lessons and figures of the workbench: run them, check their data, time the package.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="Real data sets: list them, fetch one, check one.", no_args_is_help=True)
app.add_typer(data_app, name="data")

Names = Annotated[
    list[str] | None,
    typer.Argument(help="A lesson's number (02), a full name, or 'figures'.", show_default="the tour"),
]


@app.command(cls=_WithPairs)
def run(
    names: Names = None,
    parameters: Annotated[
        list[str] | None,
        typer.Option("-p", metavar="KEY VALUE", help="Set a parameter of the notebooks; repeatable."),
    ] = None,
    profile: Annotated[
        str | None, typer.Option(help="quick, real or paper.", show_default="the notebook's own")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Notebooks at once; they share the cores.")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Skip what already ran just so.")] = False,
) -> None:
    """Run lessons and figure notebooks; their pictures go to figures/.

    Without NAMES: the tour, which is every lesson and the headline figures.
    """
    pairs = []
    for pair in parameters or []:
        key, given, text = pair.partition("=")
        if not given:
            typer.echo(f"error: -p takes a name and a value; only {key!r} was given", err=True)
            raise typer.Exit(2)
        pairs.append((key, text))
    with _typed():
        from workbench.lab.execute import plan, run_jobs
        from workbench.lab.notebooks import select
        from workbench.lab.places import places

        at = places()
        planned = plan(select(names or [], at), pairs, profile)
    ended = run_jobs(planned, at, at_once=jobs, resume=resume)
    _conclude(ended, f"pictures: {at.shown(at.figures)}/index.html")


def _conclude(ended: list, where: str) -> None:
    failed = sum(bool(outcome.error) for outcome in ended)
    skipped = sum(outcome.skipped for outcome in ended)
    ran = len(ended) - failed - skipped
    typer.echo(f"{ran} ran, {skipped} already done, {failed} failed; {where}")
    if failed:
        raise typer.Exit(1)


@app.command("list")
def list_notebooks() -> None:
    """List lessons and figure notebooks: reading minutes, profiles, title."""
    from workbench.lab.notebooks import find
    from workbench.lab.places import places

    for book in find(places()).values():
        minutes = "-" if book.minutes is None else f"{book.minutes} min"
        mark = "*" if book.headline else " "
        typer.echo(f"{mark} {book.name:<32} {minutes:>7}  {' '.join(book.datasets):<17}  {book.title}")
    typer.echo("* headline figure: part of the tour, which is what 'workbench run' runs")


@app.command()
def lab() -> None:
    """Open JupyterLab on notebooks/."""
    import subprocess
    import sys

    from workbench.lab.places import places

    done = subprocess.run([sys.executable, "-m", "jupyterlab", str(places().notebooks)], check=False)
    raise typer.Exit(done.returncode)


@app.command()
def edition(
    which: Annotated[str, typer.Argument(metavar="student|instructor")],
    out: Annotated[Path, typer.Option(help="Folder for the notebooks; made if missing.")],
) -> None:
    """Build the student edition of the lessons (no solutions) or the instructor edition."""
    with _typed():
        from workbench.lab.editions import EDITIONS, build_edition
        from workbench.lab.notebooks import find, written
        from workbench.lab.places import places, write_files

        if which not in EDITIONS:
            raise unknown("edition", which, EDITIONS)
    lessons = [book.path for book in find(places()).values() if not book.figure]
    write_files({out / path.name: written(build_edition(path, which)) for path in lessons})
    typer.echo(f"{len(lessons)} lessons written to {out}")


@app.command()
def tidy(names: Names = None) -> None:
    """Run notebooks (quick) and write clean outputs into the committed files; link the lessons."""
    with _typed():
        from workbench.lab import execute
        from workbench.lab.notebooks import link_lessons, select
        from workbench.lab.places import places

        at = places()
        link_lessons(at.notebooks)
        chosen = select(names or [], at)
    _conclude(execute.tidy(chosen, at), "clean outputs written")


@app.command()
def bench(
    name: Annotated[str | None, typer.Argument(show_default="all")] = None,
    size: Annotated[str, typer.Option(help="quick or full.")] = "quick",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Time the package against its peers, turn by turn in one process."""
    with _typed():
        from workbench.lab import bench as harness
        from workbench.show import benchmarks  # noqa: F401  (registers what lab may not know)

        rows = harness.run(name, size)
    for text in (row.to_json() for row in rows) if as_json else harness.table(rows):
        typer.echo(text)


@app.command()
def measure(
    experiment: Annotated[str, typer.Argument(help="Such as lift_contexts; a wrong name lists them all.")],
    dataset: Annotated[
        str | None, typer.Option(help="The data to measure on.", show_default="the experiment's world")
    ] = None,
    seeds: Annotated[str, typer.Option(help="First and last seed, as in 0-4.")] = "0-4",
    variants: Annotated[
        str | None, typer.Option(help="Separated by commas without blanks.", show_default="all")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A setting for all variants; repeatable."),
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="'local', or the address of a dask.distributed scheduler.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Gather all results in figures/results.")] = False,
) -> None:
    """Run the trials of an experiment that have no result yet, and print mean and spread over seeds."""
    with _typed():
        from workbench.lab import dualrec_trials, encode_trials, lcn_trials, lift_trials, topn_trials
        from workbench.lab.experiments import summary, sweep
        from workbench.lab.store import Store

        known = {
            name: module
            for module in (lift_trials, topn_trials, dualrec_trials, lcn_trials, encode_trials)
            for name in module.EXPERIMENTS
        }
        if experiment not in known:
            raise unknown("experiment", experiment, known)
        own = known[experiment]
        dataset = dataset or next(name for name in own.SETTINGS if name.startswith("world"))
        asked = lift_trials.typed(experiment, dataset, seeds, variants, settings or [], own.trials)
    found = sweep(experiment, asked, own.measure, scheduler=scheduler, say=typer.echo, shared=True)
    shown = [name for name in own.SHOWN if name in found]
    typer.echo(summary(found, ["variant"], shown).round(4).to_string())
    if keep:
        typer.echo(f"kept in figures/results/{Store().keep(experiment).name}")


@data_app.command("list")
def list_data() -> None:
    """List the real data sets: size, licence, and where the files are, if they are."""
    from workbench.data.sources import available

    for name, title, size, licence, folder in available():
        typer.echo(f"{name:<26} {title}: {size}; {licence}\n{'':<26} {folder or 'not at hand'}")


@data_app.command()
def get(name: str) -> None:
    """Make sure that a data set is at hand, downloading it where that is possible."""
    from tqdm import tqdm

    from workbench.data import sources

    with _typed(), tqdm(unit="B", unit_scale=True, desc=name, leave=False, disable=None) as bar:

        def show(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        folder = sources.get(name, show)
    typer.echo(f"{name}: {folder}")


@data_app.command()
def check(name: str) -> None:
    """Check a data set's files: are they there, do they parse, do the counts agree with the published."""
    from workbench.data import sources

    with _typed():
        found = sources.check(name)
    typer.echo(str(found))
    if not found.ok:
        raise typer.Exit(1)


if __name__ == "__main__":
    app()
