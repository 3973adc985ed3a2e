"""The command line: parse, call one function, print. Imports stand inside each command, so --help loads no torch."""

from __future__ import annotations

import contextlib
import os
import sys

from cyclopts import App, CycloptsError

from triptych import __version__
from triptych.cli import clips, compare, drawing, find, make, models, use, watch
from triptych.errors import TriptychError

RESUMABLE = ("world", "prepare", "train", "compare")

app = App(
    name="triptych",
    help="One generative pre-trained Transformer over text, image and video.",
    help_epilogue="Begin with: triptych demo",
    version=__version__,
    suppress_keyboard_interrupt=False,  # main() says what to do next
)
drawing.register(app)
use.register(app)
watch.register(app)
clips.register(app)
find.register(app)
make.register(app)
models.register(app)
compare.register(app)


def main(arguments: list[str] | None = None) -> int:
    """Run a command and give its exit status: 0, 1 for errors that are the user's to mend (one line, without a
    traceback), 2 for a wrong command line, 130 when interrupted.

    Args:
        arguments: the words after `triptych`; those of the process if not given.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    _speak_utf8()
    try:
        app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        return _fail(f"{' '.join(str(error).split())} See `triptych {_command(arguments)}--help`", 2)
    except TriptychError as error:
        return _fail(str(error), 1)
    except BrokenPipeError:  # the reader of our output is gone, e.g. `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    except KeyboardInterrupt:
        again = "; run the same command again to go on" if arguments[:1] and arguments[0] in RESUMABLE else ""
        return _fail(f"stopped{again}", 130)
    return 0


def _fail(message: str, status: int) -> int:
    print(f"triptych: {' '.join(message.split())}", file=sys.stderr)
    return status


def _command(arguments: list[str]) -> str:
    return f"{arguments[0]} " if arguments and arguments[0] in app else ""


def _speak_utf8() -> None:
    """Chinese and half blocks must not end a command where the system's encoding lacks them."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError):
            stream.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]
