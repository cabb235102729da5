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
    """The database's URL; a writer waits for another one up to a minute."""
    return f"sqlite:///{path}?timeout=60&plugin={sqlite_plugin.NAME}"


def prepare(project: str, path: Path, migrate: Callable[[], None]) -> bool:
    """Has ``path`` hold ``project``'s schema; whether it was ready-made.

    ``migrate`` is called where no ready-made one exists for exactly these
    versions. Those are kept inside the Python environment (not outside of a
    virtual one: there nothing is kept).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    template = _template(project)
    if template and template.exists():
        shutil.copyfile(template, path)
        return True
    migrate()
    # Readers and one writer at a time, from several processes; stays with the file.
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode=WAL").fetchone()
    if template:
        with contextlib.suppress(OSError):
            _publish(path, template)
    return False


def _template(project: str) -> Path | None:
    if sys.prefix == sys.base_prefix:
        return None
    versions = " ".join(f"{n} {metadata.version(n)}" for n in (project, *_SHAPED_BY))
    key = hashlib.sha256(versions.encode()).hexdigest()[:16]
    return Path(sys.prefix) / ".lab-databases" / f"{project}-{key}.sqlite"


def _publish(path: Path, template: Path) -> None:
    """Copies to the template at once or not at all: labs may start together."""
    template.parent.mkdir(exist_ok=True)
    handle, name = tempfile.mkstemp(dir=template.parent)
    os.close(handle)
    shutil.copyfile(path, name)
    os.replace(name, template)
