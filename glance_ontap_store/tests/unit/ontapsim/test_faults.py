# SPDX-License-Identifier: Apache-2.0
"""Faults: what can be switched on, whom it strikes, and how often."""

import socket

import pytest

from lab.ontapsim import faults
from lab.ontapsim.faults import BadFault
from lab.ontapsim.faults import FaultTable


@pytest.fixture
def table():
    return FaultTable()


def test_a_fault_strikes_as_often_as_its_count(table):
    table.add({"action": "error", "path": "^/api/cluster$", "count": 2})
    struck = [table.strike("GET", "/api/cluster")[1] is not None for _ in range(4)]
    assert struck == [True, True, False, False]
    assert table.list()[0]["hits"] == 2


def test_without_a_count_it_strikes_until_it_is_removed(table):
    fault = table.add({"action": "reset"})
    assert table.strike("GET", "/api/x")[1] is not None
    assert table.strike("PATCH", "/api/y")[1] is not None
    table.remove(fault.id)
    assert table.strike("GET", "/api/x")[1] is None


def test_method_and_path_both_must_match(table):
    table.add({"action": "error", "method": "POST", "path": "/file/clone$"})
    assert table.strike("GET", "/api/storage/file/clone")[1] is None
    assert table.strike("POST", "/api/storage/file/copy")[1] is None
    assert table.strike("POST", "/api/storage/file/clone")[1] is not None


def test_the_body_must_match_too(table):
    table.add({"action": "error", "path": "/file/copy$", "body": "volume-a"})
    assert table.strike("POST", "/api/storage/file/copy", "volume-b")[1] is None
    assert table.strike("POST", "/api/storage/file/copy", "volume-a")[1] is not None


def test_latencies_add_up_and_the_oldest_of_the_others_strikes(table):
    table.add({"action": "latency", "latency_s": 1})
    table.add({"action": "latency", "latency_s": 0.5})
    table.add({"action": "error", "status": 503})
    table.add({"action": "reset"})
    latency_s, fault = table.strike("GET", "/api/x")
    assert latency_s == 1.5
    assert fault is not None
    assert fault.status == 503


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        {"action": "explode"},
        {"action": "error", "stauts": 503},
        {"action": "error", "status": "503"},
        {"action": "error", "count": True},
        {"action": "error", "path": "("},
        {"action": "latency", "latency_s": "long"},
        {"action": "error", "body": "("},
        {"action": "job_failed", "cause": "magic"},
        {"action": "job_failed", "after_bytes": "1"},
    ],
)
def test_an_invalid_fault_is_refused(table, body):
    with pytest.raises(BadFault):
        table.add(body)
    assert not table.list()


def test_a_reset_connection_is_seen_as_reset_not_as_an_end():
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname()) as client:
            accepted, _ = server.accept()
            number = accepted.fileno()
            with accepted, accepted.makefile("rb"):
                faults.reset(accepted)
                with pytest.raises(ConnectionResetError):
                    client.recv(1)
                # The TLS layer may still use the number: no other file has it.
                with open(__file__, "rb") as other:
                    assert other.fileno() != number


def test_latency_uses_the_given_sleep(table):
    slept = []
    app = faults.with_faults(
        lambda environ, start: [b"ok"],
        table,
        path_of=lambda environ: "/api/x",
        sleep=slept.append,
    )
    table.add({"action": "latency", "latency_s": 30})
    assert list(app({"REQUEST_METHOD": "GET"}, None)) == [b"ok"]
    assert slept == [30]
