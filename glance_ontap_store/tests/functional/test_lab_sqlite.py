# SPDX-License-Identifier: Apache-2.0
"""SQLite under several workers: the lab's engine plugin below oslo.db."""

from pathlib import Path
import threading
from typing import Any

from oslo_db.sqlalchemy import enginefacade
import pytest
import sqlalchemy

from lab import sqlite_plugin

pytestmark = pytest.mark.shared

READ = sqlalchemy.text("SELECT n FROM t")
ADD = sqlalchemy.text("UPDATE t SET n = n + 1")


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An engine as oslo.db makes it from the lab's database URL; ``t`` holds 0."""
    sqlite_plugin.install(tmp_path / "plugins")
    monkeypatch.syspath_prepend(str(tmp_path / "plugins"))
    facade = enginefacade.transaction_context()
    url = f"sqlite:///{tmp_path / 'db'}?timeout=30&plugin={sqlite_plugin.NAME}"
    facade.configure(connection=url)
    made = facade.writer.get_engine()
    with made.begin() as connection:
        connection.execute(sqlalchemy.text("PRAGMA journal_mode=WAL"))
        connection.execute(sqlalchemy.text("CREATE TABLE t (n INTEGER)"))
        connection.execute(sqlalchemy.text("INSERT INTO t VALUES (0)"))
    return made


def value(engine: Any) -> int:
    with engine.connect() as connection:
        return int(connection.execute(READ).scalar())


def test_writers_that_read_first_do_not_collide(engine: Any) -> None:
    """Symptom: "database is locked" at a login while another one ran."""
    both_have_read = threading.Barrier(2)
    failures: list[Exception] = []

    def write() -> None:
        try:
            with engine.begin() as connection:
                connection.execute(READ).all()
                both_have_read.wait(10)
                connection.execute(ADD)
        except Exception as exc:
            failures.append(exc)

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert value(engine) == 2


def test_a_transaction_is_still_undone_as_one(engine: Any) -> None:
    with pytest.raises(ZeroDivisionError), engine.begin() as connection:
        connection.execute(ADD)
        connection.execute(ADD)
        raise ZeroDivisionError
    assert value(engine) == 0


def test_a_savepoint_is_undone_alone(engine: Any) -> None:
    with engine.begin() as connection:
        connection.execute(ADD)
        with pytest.raises(ZeroDivisionError), connection.begin_nested():
            connection.execute(ADD)
            raise ZeroDivisionError
    assert value(engine) == 1
