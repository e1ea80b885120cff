"""The command line's commands and flags."""

from __future__ import annotations

import argparse
from pathlib import Path

from .catalogue import NAMES
from .streams import warn

USAGE = 2
"""Exit status for bad usage or input."""

WORKERS = "tasks at a time (default: one per core)"


class OneLineParser(argparse.ArgumentParser):
    """A parser whose complaint is one line."""

    def error(self, message: str) -> None:  # type: ignore[override]
        """Print the message and exit with status 2."""
        line = " ".join(message.split())  # an argument may have several
        warn(f"gradhorizon: {line} (see {self.prog} --help)")
        self.exit(USAGE)


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
    for name, text in (
        ("figure", "redraw the figure of stored results"),
        ("collect", "write the results of what is stored, as shards leave it"),
        ("status", "how far a run is: what is complete, begun, missing, failed"),
    ):
        commands.add_parser(name, help=text).add_argument("folder", type=Path, metavar="DIR")
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
    run.add_argument(
        "--target-error",
        metavar="E",
        help="add networks until 95 %% intervals of means are +- E, or +- E%%",
    )
    run.add_argument(
        "--ceiling", type=int, metavar="N", help="at most so many per cell (default 1000000)"
    )
    run.add_argument("--precision", choices=("float64", "float32"))
    run.add_argument(
        "--device", choices=("cpu", "cuda"), default="cpu", help="cuda: a GPU, and float32"
    )
    run.add_argument("--workers", type=int, metavar="K", help=WORKERS)
    where = run.add_mutually_exclusive_group()
    where.add_argument("--processes", action="store_true", help="workers are processes")
    where.add_argument("--scheduler", metavar="ADDRESS", help="workers are those of a dask cluster")
    run.add_argument("--shard", type=shard, metavar="i/n", help="the i-th of n parts alone")
    run.add_argument("--log-json", type=Path, metavar="FILE", help="append events to FILE")


def shard(text: str) -> tuple[int, int]:
    """Two numbers from ``i/n``."""
    part, _, parts = text.partition("/")
    if part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts):
        return int(part), int(parts)
    raise argparse.ArgumentTypeError(f"{text!r} is not allowed; allowed: i/n with 1 <= i <= n")


def _add_validate(validate: argparse.ArgumentParser) -> None:
    size = validate.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="a quarter of the networks")
    size.add_argument("--thorough", action="store_true", help="4 times as many, twice as wide")
    validate.add_argument("--seed", type=int, default=0, metavar="S", help="default 0")
    validate.add_argument("--json", type=Path, metavar="FILE", help="write the checks to FILE")
    validate.add_argument("--workers", type=int, metavar="K", help=WORKERS)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("gradhorizon")
    except PackageNotFoundError:  # run from a source tree
        return "unknown"
