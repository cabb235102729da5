# SPDX-License-Identifier: Apache-2.0
"""Every request of every operation fails in every way, once and for a while.

The requests are those that the operation sends without a fault, so that a new one is
tested by itself. They go through the real clients (python-cinderclient, keystoneauth)
to a fake Cinder behind HTTP.
"""

import dataclasses
import itertools

import pytest

from glance_ontap_store import errors
from glance_ontap_store import identity
from glance_ontap_store import units
from glance_ontap_store.cinder.client import CinderClient
from glance_ontap_store.replication.carrying_out import CarryingOut
from glance_ontap_store.replication.step import Action
from glance_ontap_store.replication.step import By
from glance_ontap_store.replication.step import Result
from glance_ontap_store.replication.step import Step
from glance_ontap_store.requester import Requester
from glance_ontap_store.stopping.interruption import Stop
from glance_ontap_store.survey.image import Image
from glance_ontap_store.tests import builders
from glance_ontap_store.tests import sampling
from glance_ontap_store.tests.fakes import faulty_http
from glance_ontap_store.tests.fakes import replication
from glance_ontap_store.tests.fakes.cloud import WAITS
from glance_ontap_store.tests.fakes.faulty_http import FAULTS
from glance_ontap_store.tests.fakes.faulty_http import CinderOverHttp
from glance_ontap_store.tests.fakes.faulty_http import Fault
from glance_ontap_store.tests.fakes.glance import Pattern
from glance_ontap_store.tests.fakes.host import FakeHost
from glance_ontap_store.tests.fakes.images import FakeGlance
from glance_ontap_store.tests.fakes.replication import STORES
from glance_ontap_store.tests.fakes.replication import parts_of
from glance_ontap_store.transfer import buffers

CONTENT = Pattern(builders.SIZE).at(0, builders.SIZE)
OUTAGE_S = 30
LOGIN = "POST /auth/tokens"


class Operation:
    """One operation of a store: begun, and what must be true afterwards."""

    # Whether it can be run again without `prepare`.
    changes_nothing = False

    def __init__(self, cloud):
        self.cloud = cloud
        self.images = cloud.lifecycle()

    def prepare(self):
        """Make what is there before."""

    def run(self):
        """Do it; the value says what came of it."""

    def check(self, result):
        """Assert that the result is right, and end what it holds."""

    def check_failure(self):
        """Assert that a failure changed nothing."""

    def remove(self):
        """Remove what `prepare` and `run` made, without faults."""


class Add(Operation):
    announced = builders.SIZE

    def prepare(self):
        self.stored = None

    def run(self):
        self.stored = self.images.store(builders.upload(announced=self.announced))
        return self.stored

    def check(self, result):
        cinder = self.cloud.cinder
        volume = cinder.get(result.volume_id)
        assert volume.metadata["ontap_state"] == "sealed"
        assert cinder.is_readonly(result.volume_id)
        assert cinder.attachments(result.volume_id) == []
        with open(cinder.path_of(result.volume_id), "rb") as file:
            assert file.read(builders.SIZE) == CONTENT

    def remove(self):
        if self.stored:
            self.cloud.cinder.delete(self.stored.volume_id)


class AddOfUnknownSize(Add):
    announced = 0

    def check(self, result):
        super().check(result)
        assert self.cloud.cinder.get(result.volume_id).size_gib == 2


class OnStored(Operation):
    changes_nothing = True

    def prepare(self):
        faulty, self.cloud.volumes = self.cloud.volumes, self.cloud.cinder
        self.stored = self.cloud.lifecycle().store(builders.upload())
        self.cloud.volumes = faulty

    def check_failure(self):
        assert self.cloud.cinder.get(self.stored.volume_id).status == "available"

    def remove(self):
        self.cloud.cinder.delete(self.stored.volume_id)


class Get(OnStored):
    def run(self):
        stream, _size = self.images.read(self.stored.volume_id, 0, None)
        return b"".join(stream)

    def check(self, result):
        assert result == CONTENT


class GetThroughAClone(Get):
    def prepare(self):
        super().prepare()
        volume_id = self.stored.volume_id
        self.other = self.cloud.cinder.attach(volume_id, FakeHost().connector, "ro")
        self.cloud.cinder.complete(self.other.id)
        # Until the volume is in-use, so that each run sends the same requests.
        self.cloud.clock.sleep(60)

    def check_failure(self):
        held = self.cloud.cinder.attachments(self.stored.volume_id)
        assert held == [self.other.id]

    def remove(self):
        self.cloud.cinder.detach(self.other.id)
        super().remove()


class GetSize(OnStored):
    def run(self):
        return self.images.size_for(self.stored.volume_id, Requester(is_trusted=True))

    def check(self, result):
        assert result == builders.SIZE


class Delete(OnStored):
    changes_nothing = False

    def run(self):
        self.images.record_to_delete(self.stored.volume_id)
        self.images.delete(self.stored.volume_id)

    def check(self, _result):
        with pytest.raises(errors.ImageVolumeGone):
            self.cloud.clock.sleep(60)
            self.cloud.cinder.get(self.stored.volume_id)
        self.stored = None

    def check_failure(self):
        """Whoever hears of a failure asks again, and learns that it is gone."""
        try:
            super().check_failure()
        except errors.ImageVolumeGone:
            self.stored = None

    def remove(self):
        if self.stored:
            super().remove()


class Replicate(OnStored):
    """Whatever happens, the next run completes the replica."""

    changes_nothing = False

    def prepare(self):
        super().prepare()
        self.glance = FakeGlance(enabled=STORES)
        self.glance.on_removed = lambda volume_id: not cinder.delete(volume_id)
        cinder, self.source = self.cloud.cinder, self.stored.volume_id
        image = replication.show(self.glance, self.cloud, self.source)
        self.step = Step(
            Action.MAKE,
            Image(image.id),
            "fv2",
            "a test",
            replication.pool("fv2"),
            self.source,
        )
        self.parts = {each: parts_of(self.cloud, each) for each in STORES}

    def run(self, action=Action.MAKE):
        carrying = CarryingOut(
            self.glance,
            self.cloud.volumes,
            self.parts,
            self.cloud.clock,
            by=By.ARRAY,
            parallel=1,
            per_pool=1,
            stop=Stop(),
            say=lambda _text: None,
        )
        (outcome,) = carrying.run([dataclasses.replace(self.step, action=action)])
        if outcome.result is not Result.DONE:
            raise errors.Broken(f"{outcome.result}: {outcome.reason}")

    def check(self, _result):
        cinder = self.cloud.cinder
        (replica,) = self.replicas()
        assert replica.metadata["ontap_state"] == "sealed"
        assert cinder.is_readonly(replica.id)
        assert cinder.attachments(replica.id) == []
        with open(cinder.path_of(replica.id), "rb") as file:
            assert file.read(builders.SIZE) == CONTENT
        urls = [place.url for place in self.glance.locations["image-1"]]
        assert urls == [f"cinder://fv1/{self.source}", f"cinder://fv2/{replica.id}"]

    def replicas(self):
        found = self.cloud.cinder.find("image-image-1")
        return [
            each
            for each in found
            if each.metadata["ontap_store"] == "fv2" and not each.is_leaving
        ]

    def remove(self):
        self.run()
        self.check(None)
        self.run(Action.RETIRE)
        super().remove()


OPERATIONS = [Add, AddOfUnknownSize, Get, GetThroughAClone, GetSize, Delete, Replicate]

# Operation, fault, request: a volume may come of a creation for a long time after a
# time-out. So a second one must not be made, and the upload fails; a reader waits for
# the first one's end.
MAY_FAIL_ONCE = {
    (operation, fault, "POST /volumes")
    for operation in ("Add", "AddOfUnknownSize", "GetThroughAClone", "Replicate")
    for fault in ("504", "no answer")
}


@pytest.fixture
def http(requests_mock, cloud):
    return CinderOverHttp(requests_mock, cloud.cinder, cloud.clock)


@pytest.fixture
def make(monkeypatch, cloud, http):
    """A function that prepares an operation over HTTP."""

    def make(kind, has_short_tokens=False):
        # Clearing 32 MiB for each upload would be a third of the time.
        monkeypatch.setattr(buffers, "COUNT", 1)
        sizes = kind is AddOfUnknownSize
        monkeypatch.setattr(units, "gib_for", lambda size: 2 if sizes and size else 1)
        settings = builders.make_settings(ontap_api_timeout=faulty_http.API_TIMEOUT_S)
        session = identity.session_for(settings)
        # Each request would look through the environment for proxies.
        session.session.trust_env = False
        if has_short_tokens:
            http.on_request = session.invalidate
        cloud.volumes = CinderClient(settings, session)
        operation = kind(cloud)
        operation.prepare()
        return operation

    return make


@pytest.fixture
def each(make, http, cloud):
    """A generator of a prepared operation and a request of it, by its number.

    The requests are those of a run without faults. Of a request that is sent often
    it yields the first and the last one, or all if it is the one that is *wanted*.
    """

    def each(kind, wanted=None):
        """Where logins are *wanted*, the token ends after each request."""
        has_short_tokens = wanted == LOGIN
        operation = make(kind, has_short_tokens)
        if operation.changes_nothing:
            # It is run again and again, and logs in only once.
            operation.check(operation.run())
        http.recover()
        operation.check(operation.run())
        sent = list(http.sent)
        assert sent
        for number, request in enumerate(sent):
            is_repeated = request in sent[:number] and request in sent[number + 1 :]
            if request != wanted if wanted else is_repeated:
                continue
            if not operation.changes_nothing:
                end(operation, http, cloud)
                operation = make(kind, has_short_tokens)
            http.recover()
            before = cloud.holdings()
            operation.has_volume = "POST /volumes" in sent[:number]
            yield operation, number, request
            http.recover()
            if operation.changes_nothing:
                cloud.clock.sleep(3600)
                assert cloud.holdings() == before
        end(operation, http, cloud)

    return each


def end(operation, http, cloud):
    """Remove what the operation made, and assert that nothing else is there."""
    http.recover()
    cloud.clock.sleep(3600)
    operation.remove()
    cloud.clock.sleep(3600)
    assert cloud.holdings() == set()
    assert cloud.cinder.used_gib() == 0
    assert cloud.cinder.orphans == []


def attempt(operation):
    """Run and check the operation; the error if it failed as it may."""
    try:
        result = operation.run()
    except (errors.Broken, errors.ImageVolumeInUse) as error:
        operation.check_failure()
        return error
    operation.check(result)
    return None


def chosen(*names):
    found = [fault for fault in FAULTS if fault.name in names]
    assert len(found) == len(names)
    return found


def named(case):
    return case.name if isinstance(case, Fault) else case.__name__


def with_operations(number, faults):
    """Parameters: a short run has one of *number* pairs, with each fault and operation.

    They do not repeat: the number of faults is no multiple of *number*.
    """
    assert len(faults) % number
    pairs = sampling.one_tuple_of(number, itertools.product(OPERATIONS, faults))
    return pytest.mark.parametrize(("kind", "fault"), pairs, ids=named)


OUTAGES = chosen(
    "500", "503 with Retry-After", "reset before", "reset after", "no answer", "garbage"
)


class TestFaults:
    @with_operations(3, FAULTS)
    def test_one_fault_ends_no_operation(self, http, each, kind, fault):
        for operation, number, request in each(kind):
            http.fail(fault, number)
            error = attempt(operation)
            may_fail = (kind.__name__, fault.name, request) in MAY_FAIL_ONCE
            assert error is None or may_fail, f"{number}: {request}: {error!r}"

    @with_operations(5, OUTAGES)
    def test_an_outage_leaves_nothing(self, http, each, kind, fault):
        for operation, number, request in each(kind):
            http.fail(fault, number, OUTAGE_S)
            error = attempt(operation)
            if isinstance(operation, Add) and operation.has_volume:
                # Cinder's driver may refuse for good, so that is not tried for long.
                may_fail = (request, fault.name) == ("PUT /attachments/ID", "500")
                assert error is None or may_fail, f"{number}: {request}: {error!r}"


@pytest.mark.parametrize("seconds", [None, OUTAGE_S], ids=["once", "outage"])
@pytest.mark.parametrize(
    "fault", chosen("503 with Retry-After", "reset before", "no answer"), ids=named
)
def test_a_keystone_that_is_away_ends_no_upload(http, each, fault, seconds):
    logins = 0
    for operation, number, request in each(AddOfUnknownSize, LOGIN):
        http.fail(fault, number, seconds)
        error = attempt(operation)
        may_fail = seconds and not operation.has_volume
        assert error is None or may_fail, f"{number}: {request}: {error!r}"
        logins += 1
    assert logins > 9


@pytest.mark.parametrize(
    "fault", chosen("500", "503 with Retry-After", "reset before"), ids=named
)
def test_an_outage_without_end_ends_an_upload_in_time(
    http, make, cloud, fault, is_long
):
    """Work and clean-up wait once each, however many requests they have."""
    operation = make(AddOfUnknownSize)
    http.recover()
    operation.check(operation.run())
    requests = list(http.sent)
    end(operation, http, cloud)
    first = requests.index("POST /volumes") + 1
    for number in range(first, len(requests), 1 if is_long else 4):
        operation = make(AddOfUnknownSize)
        http.recover()
        http.fail(fault, number, seconds=10**6)
        begun = cloud.clock.monotonic()
        with pytest.raises(errors.StoreError):
            operation.run()
        # Besides, it is waited for Cinder's own work.
        assert cloud.clock.monotonic() - begun < 2 * WAITS.state_transition_s + 60
