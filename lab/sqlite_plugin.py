# SPDX-License-Identifier: Apache-2.0
"""A SQLAlchemy engine plugin: SQLite for several writing processes.

oslo.db begins each SQLite transaction with a plain BEGIN. One that reads first
and then writes must upgrade its read lock, and SQLite refuses that at once
("database is locked", whatever the timeout) when somebody else has written in
between: with several workers a login or an upload then fails now and then.

So here reads take no transaction, and one begins, with the write lock from the
start and the timeout's patience, right before its first write. A transaction
sees what others commit before that: READ COMMITTED, as on the databases that
the services are deployed on.

Chosen in the databases' URLs (``?plugin=lab_sqlite``); the entry point lies in
a directory of the lab (:func:`install`), the services stay as they are.
"""

from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import CreateEnginePlugin

NAME = "lab_sqlite"
_READS = ("SELECT", "PRAGMA", "EXPLAIN", "WITH", "BEGIN", "COMMIT", "ROLLBACK")


class Plugin(CreateEnginePlugin):
    """Loaded by SQLAlchemy where the engine's URL names it."""

    def update_url(self, url: Any) -> Any:
        """The URL has nothing else of ours."""
        return url

    def engine_created(self, engine: Any) -> None:
        # Called before oslo.db adds its listeners: ours comes first.
        event.listen(engine, "begin", _skip_begin)
        event.listen(engine, "before_cursor_execute", _begin_before_write)


def _skip_begin(connection: Any) -> None:
    # oslo.db's own mark: its listener then leaves BEGIN out.
    connection.info["in_transaction"] = True


def _begin_before_write(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
    begun = connection.connection.dbapi_connection.in_transaction
    if not begun and not statement.lstrip().upper().startswith(_READS):
        cursor.execute("BEGIN IMMEDIATE")


def install(directory: Path) -> None:
    """Makes ``directory``, put on PYTHONPATH, announce the plugin."""
    announced = directory / f"{NAME}-0.dist-info"
    announced.mkdir(parents=True, exist_ok=True)
    (announced / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {NAME}\nVersion: 0\n", encoding="utf-8"
    )
    (announced / "entry_points.txt").write_text(
        f"[sqlalchemy.plugins]\n{NAME} = {__name__}:Plugin\n", encoding="utf-8"
    )
