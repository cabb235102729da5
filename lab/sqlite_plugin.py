# SPDX-License-Identifier: Apache-2.0
"""A SQLAlchemy engine plugin: SQLite for several writing processes.

oslo.db begins each SQLite transaction with a plain BEGIN. A transaction that reads
first and then writes must upgrade its read lock. If another process has written
meanwhile, SQLite refuses that at once with "database is locked", whatever the
timeout: with several workers, some logins and uploads failed.

With this plugin reads are outside of transactions. A transaction begins right before
its first write, takes the write lock from the start, and waits for it as long as the
timeout says. It sees what others commit before that: READ COMMITTED, as on the
databases that the services are deployed on.

The databases' URLs choose the plugin (``?plugin=lab_sqlite``). Its entry point is in
a directory of the lab (:func:`install`), so that the services stay as they are.
"""

from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import CreateEnginePlugin

NAME = "lab_sqlite"
_READS = ("SELECT", "PRAGMA", "EXPLAIN", "WITH", "BEGIN", "COMMIT", "ROLLBACK")


class Plugin(CreateEnginePlugin):
    """The plugin, which SQLAlchemy loads if the engine's URL names it."""

    def update_url(self, url: Any) -> Any:
        """Return the URL unchanged: it has no other option of ours."""
        return url

    def engine_created(self, engine: Any) -> None:
        # Called before oslo.db adds its listeners, so that ours come first.
        event.listen(engine, "begin", _skip_begin)
        event.listen(engine, "before_cursor_execute", _begin_before_write)


def _skip_begin(connection: Any) -> None:
    # The mark that lets oslo.db's listener leave BEGIN out.
    connection.info["in_transaction"] = True


def _begin_before_write(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
    begun = connection.connection.dbapi_connection.in_transaction
    if not begun and not statement.lstrip().upper().startswith(_READS):
        cursor.execute("BEGIN IMMEDIATE")


def install(directory: Path) -> None:
    """Write the plugin's entry point into ``directory``, which is on PYTHONPATH."""
    announced = directory / f"{NAME}-0.dist-info"
    announced.mkdir(parents=True, exist_ok=True)
    (announced / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {NAME}\nVersion: 0\n", encoding="utf-8"
    )
    (announced / "entry_points.txt").write_text(
        f"[sqlalchemy.plugins]\n{NAME} = {__name__}:Plugin\n", encoding="utf-8"
    )
