# SPDX-License-Identifier: Apache-2.0
"""The parts of the soak and of the crash tests that need no lab."""

from collections.abc import Iterator
import http.server
import itertools
import random
import threading
from typing import Any

import keystoneauth1.session
import pytest
import requests

from glance_ontap_store.tests.crash import scenes
from glance_ontap_store.tests.crash import selection
from glance_ontap_store.tests.fakes.glance import Content
from glance_ontap_store.tests.fakes.mortal import Line
from glance_ontap_store.tests.soak import proxy as proxies
from glance_ontap_store.tests.soak import weather
from glance_ontap_store.tests.soak.content import Bytes
from glance_ontap_store.tests.soak.model import Command
from glance_ontap_store.tests.soak.model import Model
from glance_ontap_store.tests.soak.model import Outcome
from glance_ontap_store.tests.soak.model import Result
from glance_ontap_store.tests.soak.proxy import Fault
from glance_ontap_store.tests.soak.proxy import Plan
from glance_ontap_store.tests.soak.proxy import Proxy

DONE = Outcome(Result.DONE)


class TestContent:
    def test_is_the_same_in_any_pieces(self) -> None:
        data = Bytes(5, 200_000)
        whole = data.at(0, data.size)
        assert len(whole) == data.size
        assert b"".join(data.at(n, 7001) for n in range(0, data.size, 7001)) == whole

    def test_differs_between_images(self) -> None:
        assert Bytes(5, 200_000).at(0, 200_000) != Bytes(6, 200_000).at(0, 200_000)

    def test_has_holes(self) -> None:
        data = Bytes(5, 2_000_000)
        blocks = [data.at(n * 65536, 65536) for n in range(30)]
        assert bytes(65536) in blocks
        assert blocks.count(bytes(65536)) < 30


def stored(model: Model, rng: random.Random) -> Command:
    """Let the model have an image."""
    while True:
        command = model.next(rng)
        if command.verb == "add":
            model.done(command, Outcome(Result.DONE, "cinder://fv1/x"), is_quiet=True)
            return command
        model.done(command, Outcome(Result.KILLED), is_quiet=True)


def chosen(model: Model, rng: random.Random, verb: str) -> Command:
    """The next operation of that kind; the others are killed."""
    while True:
        command = model.next(rng)
        if command.verb == verb:
            return command
        model.done(command, Outcome(Result.KILLED), is_quiet=True)


class TestModel:
    @pytest.fixture
    def rng(self) -> random.Random:
        return random.Random(3)

    @pytest.fixture
    def model(self) -> Model:
        return Model(["fv1", "fv2"])

    def test_chooses_the_same_for_the_same_seed(self) -> None:
        def commands() -> list[Command]:
            model, rng = Model(["fv1"]), random.Random(11)
            found = []
            for _number in range(40):
                found.append(model.next(rng))
                model.done(found[-1], Outcome(Result.DONE, "url"), is_quiet=True)
            return found

        assert commands() == commands()

    def test_uses_every_verb(self, model: Model, rng: random.Random) -> None:
        verbs = set()
        for _number in range(300):
            command = model.next(rng)
            verbs.add(command.verb)
            model.done(command, Outcome(Result.DONE, "url"), is_quiet=True)
        assert verbs == {"add", "abandon", "read", "leave", "copy", "delete"}

    def test_wrong_bytes_are_a_violation(
        self, model: Model, rng: random.Random
    ) -> None:
        stored(model, rng)
        read = chosen(model, rng, "read")
        model.done(read, Outcome(Result.WRONG, "other bytes at 7"), is_quiet=False)
        assert model.violations == ["read: other bytes at 7"]

    def test_a_missing_image_is_a_violation(
        self, model: Model, rng: random.Random
    ) -> None:
        image = stored(model, rng)
        read = chosen(model, rng, "read")
        model.done(read, Outcome(Result.MISSING, "no volume"), is_quiet=False)
        assert model.violations == [f"image {image.image_id} is missing: no volume"]

    def test_an_image_may_be_missing_while_it_is_deleted(
        self, model: Model, rng: random.Random
    ) -> None:
        stored(model, rng)
        read = chosen(model, rng, "read")
        delete = chosen(model, rng, "delete")
        model.done(read, Outcome(Result.MISSING, "no volume"), is_quiet=False)
        assert not model.violations
        model.done(delete, Outcome(Result.FAILED, "in use"), is_quiet=False)
        assert len(model.remaining()) == 1
        model.done(chosen(model, rng, "delete"), DONE, is_quiet=False)
        assert not model.remaining()

    def test_counts_errors_in_quiet_apart(
        self, model: Model, rng: random.Random
    ) -> None:
        stored(model, rng)
        read = chosen(model, rng, "read")
        model.done(read, Outcome(Result.FAILED, "why"), is_quiet=True)
        assert model.errors_in_quiet == ["read: why"]
        assert not model.violations


def test_every_second_spell_is_quiet() -> None:
    found = list(itertools.islice(weather.spells(random.Random(1)), 60))
    assert all(spell.is_quiet for spell in found[::2])
    assert not any(spell.is_quiet for spell in found[1::2])
    assert len({spell.name for spell in found}) == 6


class _Service(http.server.BaseHTTPRequestHandler):
    """Answers with what it was asked."""

    protocol_version = "HTTP/1.1"
    seen: list[str] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append(self.path)
        self.send_response(202)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Token", self.headers["X-Token"])
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class TestProxy:
    @pytest.fixture
    def proxy(self) -> Iterator[Proxy]:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Service)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        _Service.seen.clear()
        proxy = Proxy(f"http://127.0.0.1:{server.server_address[1]}", seed=1)
        yield proxy
        proxy.close()
        server.shutdown()
        server.server_close()
        thread.join()

    def ask(self, proxy: Proxy) -> requests.Response:
        return requests.post(
            f"{proxy.url}/v3/volumes?x=1",
            data=b"body",
            headers={"X-Token": "t"},
            timeout=30,
        )

    def test_passes_requests_on(self, proxy: Proxy) -> None:
        answer = self.ask(proxy)
        assert (answer.status_code, answer.content) == (202, b"body")
        assert answer.headers["X-Token"] == "t"
        assert _Service.seen == ["/v3/volumes?x=1"]

    @pytest.mark.parametrize(
        ("fault", "status", "is_done"),
        [
            (Fault.ERROR, 500, False),
            (Fault.BUSY, 503, False),
            (Fault.GATEWAY, 504, True),
            (Fault.GARBAGE, 200, True),
        ],
    )
    def test_answers_wrongly(
        self, proxy: Proxy, fault: Fault, status: int, is_done: bool
    ) -> None:
        proxy.plan = Plan((fault,), 1.0)
        assert self.ask(proxy).status_code == status
        assert bool(_Service.seen) is is_done
        assert proxy.struck[fault] == 1

    @pytest.mark.parametrize(
        ("fault", "is_done"), [(Fault.RESET_BEFORE, False), (Fault.RESET_AFTER, True)]
    )
    def test_closes_the_connection(
        self, proxy: Proxy, fault: Fault, is_done: bool
    ) -> None:
        proxy.plan = Plan((fault,), 1.0)
        with pytest.raises(requests.ConnectionError):
            self.ask(proxy)
        assert bool(_Service.seen) is is_done

    def test_is_right_again_when_the_faults_end(self, proxy: Proxy) -> None:
        proxy.plan = proxies.OUTAGE
        for _number in range(3):
            try:
                assert self.ask(proxy).status_code == 503
            except requests.ConnectionError:
                continue
        proxy.plan = proxies.NOTHING
        assert self.ask(proxy).status_code == 202


class TestSelection:
    STEPS = [
        "GET /v3/ID/volumes/ID 1",
        "attach.nfs.lockfiles:_lock open 1",
        "liveness.journal:write rename 1",
        "POST /v3/ID/attachments 3",
        "glance.read 2",
        "glance.read 3",
        "glance.read 4",
    ]

    def test_leaves_out_questions_repetitions_and_locks(self) -> None:
        kept = selection.chosen(self.STEPS, with_locks=False, every=1)
        assert kept == self.STEPS[2:6]

    def test_takes_an_answer_that_comes_before_the_work(self) -> None:
        extend = "POST /volumes/ID/action os-extend"
        done = ("POST /attachments", "DELETE /attachments/ID", "GET /volumes/ID")
        steps = [f"{each} answered 1" for each in (*done, extend, "POST /volumes")]
        assert selection.chosen(steps, False, 1) == steps[-2:]

    def test_takes_data_again_after_another_step(self) -> None:
        """A device that has grown is written to for the first time."""
        growth = ["POST /v3/ID/volumes/ID/action os-extend 1", "brick.extend 1"]
        data = [f"attach.positional:write_at pwrite {n}" for n in range(1, 9)]
        kept = selection.chosen([*data[:4], *growth, *data[4:]], False, 1)
        assert kept == [*data[:2], *growth, *data[4:6]]

    def test_takes_locks_if_asked(self) -> None:
        assert self.STEPS[1] in selection.chosen(self.STEPS, True, 1)

    def test_takes_a_part(self) -> None:
        assert selection.chosen(self.STEPS, False, 2) == [self.STEPS[2], self.STEPS[4]]


@pytest.mark.parametrize("length", [1, 1000, 2**18, 10**6])
def test_the_long_content_is_data_zeros_and_data(length: int) -> None:
    content = scenes.Long(400_001)
    data = scenes.DATA.at(0, scenes.DATA.size)
    whole = data + bytes(400_001 - len(data)) + data
    assert content.size == len(whole)
    at = [
        0,
        1,
        len(data) - 5,
        350_000,
        400_000,
        400_001,
        content.size - 2,
        content.size,
    ]
    for offset in at:
        assert content.at(offset, length) == whole[offset : offset + length]


class TestCheckContent:
    EXPECTED = (scenes.DATA, scenes.Long(400_001))

    @pytest.mark.parametrize("content", EXPECTED)
    def test_each_is_known_in_pieces(self, content: Content) -> None:
        pieces = [content.at(at, 70_000) for at in range(0, content.size, 70_000)]
        scenes.check_content(pieces, *self.EXPECTED)

    @pytest.mark.parametrize(
        ("found", "problem"),
        [
            ([], "ends after 0"),
            ([scenes.DATA.at(0, 299_999)], "ends after 299999"),
            ([scenes.DATA.at(0, 10), b"wrong"], "wrong bytes from 10 on"),
            ([scenes.DATA.at(0, 300_000), b"more"], "wrong bytes from 300000 on"),
        ],
    )
    def test_others_are_told(self, found: list[bytes], problem: str) -> None:
        with pytest.raises(AssertionError, match=problem):
            scenes.check_content(found, *self.EXPECTED)


def test_a_request_and_its_answer_are_steps(requests_mock: Any) -> None:
    url = (
        "http://cinder.example.com/volumes/5f1d5f0c-4f0e-4d3f-9a57-0d4b2a9a3b11/action"
    )
    requests_mock.post(url, json={})
    session = keystoneauth1.session.Session()
    body = {"os-extend": {"new_size": 2}}
    run = Line().run(
        lambda: session.post(url, json=body, authenticated=False).status_code
    )
    assert run.must() == 200
    name = "POST /volumes/ID/action os-extend"
    assert run.steps == [f"{name} 1", f"{name} answered 1"]
