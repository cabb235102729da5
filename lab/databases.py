# SPDX-License-Identifier: Apache-2.0
"""Ready-made SQLite databases, so that a lab does not migrate each time."""

from collections.abc import Callable
import contextlib
import hashlib
from importlib import metadata
import os
from pathlib import Path
import shutil
import sqlite3
import sys
import tempfile

from lab import sqlite_plugin

_SHAPED_BY = ("alembic", "oslo.db", "SQLAlchemy")


def url(path: Path) -> str:
    """Return the database's URL; a writer waits up to a minute for another writer."""
    return f"sqlite:///{path}?timeout=60&plugin={sqlite_plugin.NAME}"


def prepare(
    project: str, path: Path, migrate: Callable[[], None], content: str = ""
) -> bool:
    """Make database ``path`` with ``project``'s schema; return if it was ready-made.

    ``migrate`` is called if there is no ready-made database of exactly these
    versions and this ``content``, which names what ``migrate`` adds to the schema.
    Ready-made databases are kept inside a virtual environment; outside of one none
    are kept.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    template = _template(project, content)
    if template and template.exists():
        shutil.copyfile(template, path)
        return True
    migrate()
    # Several processes can read while one writes; the file remembers the mode.
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode=WAL").fetchone()
    if template:
        with contextlib.suppress(OSError):
            _publish(path, template)
    return False


def _template(project: str, content: str) -> Path | None:
    if sys.prefix == sys.base_prefix:
        return None
    versions = " ".join(f"{n} {metadata.version(n)}" for n in (project, *_SHAPED_BY))
    key = hashlib.sha256(f"{versions} {content}".encode()).hexdigest()[:16]
    return Path(sys.prefix) / ".lab-databases" / f"{project}-{key}.sqlite"


def _publish(path: Path, template: Path) -> None:
    """Copy to the template in one step, because labs may start together."""
    template.parent.mkdir(exist_ok=True)
    handle, name = tempfile.mkstemp(dir=template.parent)
    os.close(handle)
    shutil.copyfile(path, name)
    os.replace(name, template)
