"""The command line. Imports what a command needs when it needs it, so that help is immediate."""

from __future__ import annotations

import argparse
import atexit
import gc
import os
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .catalogue import NAMES, load_study

if TYPE_CHECKING:
    from .sweep import Sweep

OK, FAILED, USAGE = 0, 1, 2
WORKERS = "threads (default: one per core)"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status.

    0 ok, 1 failed run or refuted validation, 2 bad usage or input.
    """
    options = build_parser().parse_args(arguments)
    collect_less()
    try:
        return dispatch(options)
    except BrokenPipeError:  # the reader has gone, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK


def dispatch(options: argparse.Namespace) -> int:
    """Run the chosen command; returns the exit status."""
    if options.command == "list":
        return list_studies()
    from ..engine import InputError

    command, resumable = COMMANDS[options.command], options.command == "run"
    try:
        return command(options)
    except InputError as error:
        print(f"gradhorizon: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        hint = "; the same command goes on from here" if resumable else ""
        print(f"gradhorizon: interrupted{hint}", file=sys.stderr)
        return FAILED
    except BrokenPipeError:
        raise
    except (OSError, MemoryError) as error:
        hint = "; it can be resumed" if resumable else ""
        print(f"gradhorizon: the run failed: {error}{hint}", file=sys.stderr)
        return FAILED


def collect_less() -> None:
    """Look for cyclic garbage seldom, and not at the end: a short run would spend a third on it.

    What is searched is nearly all modules, which stay.
    """
    gc.set_threshold(50_000)
    atexit.register(gc.freeze)


class OneLineParser(argparse.ArgumentParser):
    """A parser whose complaint is one line."""

    def error(self, message: str) -> None:  # type: ignore[override]
        """Print the message and exit with status 2."""
        self.exit(USAGE, f"gradhorizon: {message} (see {self.prog} --help)\n")


def build_parser() -> argparse.ArgumentParser:
    """All commands and flags."""
    parser = OneLineParser(
        prog="gradhorizon",
        description="How far back in time a recurrent network's gradient reaches, by Monte Carlo.",
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    commands.add_parser("list", help="the studies, one line each")
    _add_run(commands.add_parser("run", help="run a study, or a sweep described in a TOML file"))
    figure = commands.add_parser("figure", help="redraw the figure of stored results")
    figure.add_argument("folder", type=Path, metavar="DIR")
    _add_validate(commands.add_parser("validate", help="measure what theory knows exactly"))
    return parser


def _add_run(run: argparse.ArgumentParser) -> None:
    run.add_argument("study", metavar="STUDY", help=f"{', '.join(NAMES)}, or a .toml file")
    run.add_argument("--networks", type=int, metavar="N", help="networks per cell of the grid")
    run.add_argument("--steps", type=int, metavar="T", help="measured steps")
    run.add_argument("--burn-in", type=int, metavar="B", help="steps before them (default T // 10)")
    run.add_argument("--seed", type=int, metavar="S", help="default 0")
    run.add_argument("--inputs", metavar="FILE", help="gaussian, zero, or a .npy file")
    run.add_argument("--out", type=Path, metavar="DIR", help="default results/STUDY")
    run.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="key=value",
        help="a field of the specification; several values separated by commas make an axis",
    )
    run.add_argument("--precision", choices=("float64", "float32"))
    run.add_argument("--device", choices=("cpu",), default="cpu")
    run.add_argument("--workers", type=int, metavar="K", help=WORKERS)


def _add_validate(validate: argparse.ArgumentParser) -> None:
    size = validate.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="a quarter of the networks")
    size.add_argument("--thorough", action="store_true", help="4 times as many, twice as wide")
    validate.add_argument("--seed", type=int, default=0, metavar="S", help="default 0")
    validate.add_argument("--json", type=Path, metavar="FILE", help="write the checks to FILE")
    validate.add_argument("--workers", type=int, metavar="K", help=WORKERS)


def list_studies() -> int:
    """Print name and summary of every study."""
    for name in NAMES:
        print(f"{name:<14}{load_study(name).summary}")
    return OK


def run(arguments: argparse.Namespace) -> int:
    """Run a study or a user's sweep."""
    from .run import report, run_sweep

    sweep = settled(arguments)
    folder = arguments.out or Path("results") / sweep.study.name
    data = run_sweep(sweep, folder, arguments.workers)
    for line in report(data, folder):
        print(line)
    return OK


def settled(arguments: argparse.Namespace) -> Sweep:
    """The sweep that the arguments of ``run`` ask for."""
    from ..engine import InputError
    from .options import Options, settle
    from .own_sweep import load_toml

    name = arguments.study
    stored: dict[str, Any] = {}
    if name in NAMES:
        study = load_study(name)
    elif name.endswith(".toml"):
        study, stored = load_toml(Path(name))
    else:
        raise InputError("study", name, f"{', '.join(NAMES)}, or a .toml file")
    if arguments.workers is not None and arguments.workers < 1:
        raise InputError("--workers", arguments.workers, "an integer >= 1")
    given = Options(
        networks=arguments.networks,
        steps=arguments.steps,
        seed=arguments.seed,
        inputs=arguments.inputs,
        burn_in=arguments.burn_in,
        precision=arguments.precision,
        overrides=tuple(arguments.set),
    )
    return settle(study, given.over(stored))


def draw_again(arguments: argparse.Namespace) -> int:
    """Redraw the figure of a results folder."""
    from .results import draw, read_dataset

    draw(arguments.folder, read_dataset(arguments.folder))
    print(f"{arguments.folder / 'figure.png'}\n{arguments.folder / 'figure.svg'}")
    return OK


def validate(arguments: argparse.Namespace) -> int:
    """Compare measurements with exact theory; status 1 if a statement is refuted."""
    from ..engine import InputError
    from . import validation

    file = arguments.json
    if file is not None and (file.is_dir() or not file.parent.is_dir()):
        raise InputError("--json", str(file), "a file in a folder that exists")
    size = "quick" if arguments.quick else "thorough" if arguments.thorough else "default"
    found = validation.validate(size=size, seed=arguments.seed, workers=arguments.workers)
    for line in validation.table(found):
        print(line)
    if file is not None:
        file.write_text(validation.as_json(found))
    return OK if found.holds else FAILED


COMMANDS = {"run": run, "figure": draw_again, "validate": validate}


def _version() -> str:
    try:
        return version("gradhorizon")
    except PackageNotFoundError:  # run from a source tree
        return "unknown"


if __name__ == "__main__":
    sys.exit(main())
