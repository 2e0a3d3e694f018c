"""The command line as a process of its own, and a network small enough for it."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path

from renote.cli import main

TINY = ["--channels", "8", "--multipliers", "1", "2", "--attention", "2", "--batch-size", "16", "--device", "cpu"]


def start(*arguments: str, **options: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "renote.cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        **options,  # type: ignore[call-overload]
    )


def renote(*arguments: str, status: int = 0, **options: object) -> tuple[str, str]:
    process = start(*arguments, **options)
    out, err = process.communicate(timeout=300)
    assert process.returncode == status, f"exit status {process.returncode}\n{out}\n{err}"
    assert "Traceback" not in err
    return out, err


def within(*arguments: str, status: int = 0, cwd: Path | str = ".") -> tuple[str, str]:
    """As `renote`, by the same entry point in this process: seconds quicker, where a process of its own makes no difference."""
    out, err, ended = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), contextlib.chdir(cwd):
        try:
            main(arguments)
        except SystemExit as how:
            ended = int(how.code or 0)
    assert ended == status, f"exit status {ended}\n{out.getvalue()}\n{err.getvalue()}"
    return out.getvalue(), err.getvalue()
