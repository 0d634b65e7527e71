"""The command line: which commands there are, and what a failure looks like. A file a command, loaded when it is asked for.

Errors of a person or of the machine are one text on standard error and an exit code; only our own faults show a traceback.
"""

from __future__ import annotations

import importlib
import os
import sys

import click

import harness
from harness.errors import HarnessError

COMMANDS = {
    "optimize": "Run a study to its verdict and write the report.",
    "confirm": "Take fresh pairs for a variant of a finished run.",
    "diagnose": "Run the baseline only and name what is wrong, why, and which knobs are worth screening.",
    "claims": "Put the tuning checklist's statements to the test and write the table.",
    "check": "Show a study's plan, its cost and the smallest effect it can see; run nothing.",
    "report": "Make the report of a run again, from its folder alone.",
    "export": "Print alert rules or a dashboard for production, with limits derived from a confirmed run.",
    "render": "Print the Rust that a variant's runtime is built from.",
    "doctor": "Say what is ready on this machine, what is missing, and the command that mends it.",
    "clean": "Thin old runs and remove what dead runs left behind.",
}
"""Every command with its one line of help; each lives in the file of its name."""


class Commands(click.Group):
    """Loads a command's file only when that command is asked for, so that --help is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order in which people meet them."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of that name, or None; an unknown name is answered with the nearest one by click."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"harness.cli.{cmd_name}").command
        assert isinstance(command, click.Command)  # noqa: S101 - the contract of the files in this folder
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing any of them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: harness optimize studies/quickstart.yaml",
)
@click.version_option(harness.__version__, prog_name="harness")
def cli() -> None:
    """Find, by measurement, which settings of a Tokio runtime make a service better under its load."""


def main() -> None:
    """Run the command line and exit with the code that DESIGN's table gives."""
    if not sys.platform.startswith("linux"):
        click.echo("harness runs on Linux only: it needs cgroups, /proc and timerfd", err=True)
        sys.exit(3)
    try:
        code = cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(130)
    except HarnessError as error:
        click.echo(str(error), err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of our output went away (`harness ... | head`): nothing is wrong, and nothing can be said.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
