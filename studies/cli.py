"""The command line. Imports what a command needs when it needs it, so that help is immediate."""

from __future__ import annotations

import argparse
import atexit
import gc
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .catalogue import NAMES, load_study
from .parser import USAGE, build_parser
from .streams import say, standard_streams, warn

if TYPE_CHECKING:
    from .run import Means
    from .sweep import Sweep

OK, FAILED = 0, 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status.

    0 ok, 1 failed run or refuted validation, 2 bad usage or input.
    """
    resumable = False
    with standard_streams():
        try:
            options = build_parser().parse_args(arguments)
            resumable = options.command == "run"
            if isinstance(sys.stdout, io.TextIOWrapper):  # the name of a folder need not be text
                sys.stdout.reconfigure(errors="backslashreplace")
            collect_less()
            return dispatch(options)
        except KeyboardInterrupt:  # also during the imports, which take a second
            hint = "; the same command goes on from here" if resumable else ""
            warn(f"gradhorizon: interrupted{hint}")
            return FAILED


def dispatch(options: argparse.Namespace) -> int:
    """Run the chosen command; returns the exit status."""
    from ..engine import InputError
    from .errors import MachineFault, RunIncomplete, of_machine, told_as

    command, resumable = COMMANDS[options.command], options.command == "run"
    try:
        return command(options)
    except InputError as error:
        warn(f"gradhorizon: {error}")
        return USAGE
    except RunIncomplete as reason:
        for line in str(reason).splitlines():
            warn(f"gradhorizon: {line}")
        if resumable:
            does = "goes on from here" if reason.interrupted else "tries again what failed"
            warn(f"gradhorizon: the same command {does}")
        return FAILED
    except MachineFault as error:
        hint = "; once that is mended, the same command goes on from here" if resumable else ""
        warn(f"gradhorizon: the run failed: {error}{hint}")
        return FAILED
    except Exception as error:
        if not (isinstance(error, MemoryError) or of_machine(error)):
            raise
        what, hint = ("the run", "; it can be resumed") if resumable else (options.command, "")
        text = error if isinstance(error, OSError) else told_as(error)
        warn(f"gradhorizon: {what} failed: {text}{hint}")
        return FAILED


def collect_less() -> None:
    """Look for cyclic garbage seldom, and not at the end: a short run would spend a third on it.

    What is searched is nearly all modules, which stay.
    """
    gc.set_threshold(50_000)
    atexit.register(gc.freeze)


def list_studies(arguments: argparse.Namespace) -> int:
    """Print name and summary of every study."""
    for name in NAMES:
        say(f"{name:<14}{load_study(name).summary}")
    return OK


def run(arguments: argparse.Namespace) -> int:
    """Run a study or a user's sweep, or a shard of it."""
    from .run import report, run_shard, run_sweep

    sweep = settled(arguments)
    folder = arguments.out or Path("results") / sweep.study.name
    if arguments.shard is not None:
        run_shard(sweep, folder, arguments.shard, means(arguments))
        part, parts = arguments.shard
        say(f"shard {part} of {parts} is done; when all are: gradhorizon collect {folder}")
        return OK
    data = run_sweep(sweep, folder, means(arguments))
    if sweep.target is not None:
        for line in sweep.target.unreached(data, sweep.target_variable):
            say(line)
    for line in report(data, folder):
        say(line)
    return OK


def means(arguments: argparse.Namespace) -> Means:
    """With what a run measures."""
    from ..engine import InputError
    from . import executors
    from .display import check_log
    from .run import Means

    if arguments.log_json is not None:
        check_log(arguments.log_json)
    if arguments.scheduler is not None and arguments.workers is not None:
        raise InputError("--workers", arguments.workers, "nothing beside --scheduler")
    crew: Any = executors.processes if arguments.processes else executors.threads
    if arguments.scheduler is not None:
        crew = lambda count: executors.scheduler(arguments.scheduler)  # noqa: E731
    return Means(arguments.workers, crew, arguments.log_json)


def settled(arguments: argparse.Namespace) -> Sweep:
    """The sweep that the arguments of ``run`` ask for."""
    from ..engine import InputError
    from .options import Options, settle
    from .own_sweep import load_toml

    name = arguments.study
    stored: dict[str, Any] = {}
    if name in NAMES:
        study = load_study(name)
    elif name.lower().endswith(".toml"):
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
        device=arguments.device,
        overrides=tuple(arguments.set),
        target_error=arguments.target_error,
        ceiling=arguments.ceiling,
    )
    return settle(study, given.over(stored))


def draw_again(arguments: argparse.Namespace) -> int:
    """Redraw the figure of a results folder."""
    from .outputs import redraw

    redraw(arguments.folder)
    say(f"{arguments.folder / 'figure.png'}\n{arguments.folder / 'figure.svg'}")
    return OK


def collect(arguments: argparse.Namespace) -> int:
    """Write the results of what is stored in a folder."""
    from .folder import collect_folder
    from .run import report

    for line in report(collect_folder(arguments.folder), arguments.folder):
        say(line)
    return OK


def status(arguments: argparse.Namespace) -> int:
    """Tell how far the run of a folder is."""
    from .folder import status as lines

    for line in lines(arguments.folder):
        say(line)
    return OK


def validate(arguments: argparse.Namespace) -> int:
    """Compare measurements with exact theory; status 1 if a statement is refuted."""
    from ..engine import InputError, Shown
    from . import validation
    from .files import check_writable, write_output

    file = arguments.json
    if file is not None:
        try:
            check_writable(file)
        except OSError as error:
            shown = Shown(f"{file} ({error.strerror or error})")
            raise InputError("--json", shown, "a file that can be written") from None
    size = "quick" if arguments.quick else "thorough" if arguments.thorough else "default"
    found = validation.validate(size=size, seed=arguments.seed, workers=arguments.workers)
    if file is not None:
        write_output(file, validation.as_json(found).encode())
    for line in validation.table(found):
        say(line)
    return OK if found.holds else FAILED


COMMANDS = {
    "list": list_studies,
    "run": run,
    "figure": draw_again,
    "collect": collect,
    "status": status,
    "validate": validate,
}


if __name__ == "__main__":
    sys.exit(main())
