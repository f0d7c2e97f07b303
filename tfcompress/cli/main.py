"""The click group, and the one place that turns errors into a line and an exit code."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path

import click

from tfcompress._version import __version__
from tfcompress.cli.overview import COMMANDS, overview
from tfcompress.errors import INTERRUPTED, TfcompressError, nearest


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module and return its ``command``."""
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(COMMANDS[cmd_name].module).command
        if not isinstance(command, click.Command):
            msg = f"{COMMANDS[cmd_name].module}.command is not a click command"
            raise TypeError(msg)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, naming the nearest one for a misspelt name."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            msg = f"no command {args[0]!r}{nearest(args[0], COMMANDS)}; there are {', '.join(COMMANDS)}"
            raise click.UsageError(msg, ctx)
        return super().resolve_command(ctx, args)

    def get_help(self, ctx: click.Context) -> str:
        """Return the same text as the fast path does."""
        return overview().rstrip("\n")


group = LazyGroup("tfcompress", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
group = click.version_option(__version__, message="tfcompress %(version)s")(group)


def run_command(words: Sequence[str]) -> int:
    """Run one command; return the exit code of what became of it (see :mod:`tfcompress.errors`)."""
    try:
        group.main(args=list(words), prog_name="tfcompress", standalone_mode=False)
    except TfcompressError as error:
        return _fail(str(error), error.exit_code)
    except click.ClickException as error:
        return _usage(error)
    except (KeyboardInterrupt, click.Abort):
        return _fail("interrupted; no file was finished (the same command takes up what was trained)", INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except Exception:  # noqa: BLE001  the boundary: a bug of ours becomes one line and a log, not a wall of text
        return _bug()
    return 0


def _fail(message: str, code: int) -> int:
    sys.stderr.write(f"tfcompress: {' '.join(message.split())}\n")
    return code


def _usage(error: click.ClickException) -> int:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "tfcompress"
    return _fail(f"{error.format_message().rstrip('.')} (see {command} --help)", error.exit_code)


def _bug() -> int:
    with tempfile.NamedTemporaryFile("w", prefix="tfcompress-", suffix=".log", delete=False) as log:
        log.write(f"tfcompress {__version__}, Python {sys.version}\n{sys.argv}\n{traceback.format_exc()}")
    reason = traceback.format_exception_only(sys.exc_info()[1])[-1].strip()
    return _fail(
        f"a bug in tfcompress, sorry: {reason} (the details are in {Path(log.name)})", TfcompressError.exit_code
    )
