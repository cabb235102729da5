# SPDX-License-Identifier: Apache-2.0
"""Modules of the benchmark that run in processes of their own."""

import json
import os
from pathlib import Path
import sys
from typing import Any

TOP = str(Path(__file__).parent.parent)


def command(module: str, order: dict[str, Any]) -> list[str]:
    """Return the command that runs ``benchmarks.``\\ *module* with *order* as JSON."""
    return [sys.executable, "-m", f"benchmarks.{module}", json.dumps(order)]


def environment() -> dict[str, str]:
    """Return the environment of such a process: it imports this checkout."""
    path = os.pathsep.join(filter(None, [TOP, os.environ.get("PYTHONPATH")]))
    return os.environ | {"PYTHONPATH": path}
