# SPDX-License-Identifier: Apache-2.0
"""The contract of `cinder.api.Operator`."""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
from typing import Any
import uuid

import pytest

from glance_ontap_store import errors
from glance_ontap_store.cinder import waiting
from glance_ontap_store.cinder.api import NewVolume
from glance_ontap_store.cinder.api import Operator
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.cinder.api import VolumeService
from glance_ontap_store.cinder.waiting import Clock

# A driver of NFS looks at its copy every ten seconds.
_PATIENCE_S = 120

Make = Callable[..., Volume]


class OperatorContract:
    """Subclasses provide a Cinder by overriding the attributes and fixtures below."""

    # A type that is not pinned to a pool, and one that is pinned.
    volume_type = "ontap"
    pinned_type = "ontap-fv1"
    # Another pool of the same back end, without the name of the back end.
    other_pool: str

    @pytest.fixture
    def volumes(self) -> VolumeService:
        raise NotImplementedError

    @pytest.fixture
    def operator(self) -> Operator:
        raise NotImplementedError

    @pytest.fixture
    def clock(self) -> Clock:
        raise NotImplementedError

    # The contract.

    @pytest.fixture
    def make(
        self, volumes: VolumeService, operator: Operator, clock: Clock
    ) -> Iterator[Make]:
        """A function that makes volumes as an administrator sees them."""
        made: list[Volume] = []

        def make(**changes: Any) -> Volume:
            wanted: dict[str, Any] = {
                "name": f"contract-{uuid.uuid4()}",
                "size_gib": 1,
                "volume_type": self.volume_type,
                "metadata": {},
            }
            begun = volumes.create(NewVolume(**{**wanted, **changes}))
            made.append(begun)
            waiting.settled(volumes, clock, begun, 0.2, _PATIENCE_S)
            return seen(operator, begun)

        yield make
        for each in made:
            with contextlib.suppress(errors.ImageVolumeGone):
                volumes.delete(each.id)

    def ended(self, operator: Operator, clock: Clock, volume: Volume) -> Volume:
        """The volume after its migration."""
        found = waiting.first(
            clock,
            _PATIENCE_S,
            lambda: (
                None
                if (now := seen(operator, volume)).is_migrating or not now.migration
                else now
            ),
        )
        assert found, "the migration does not end"
        return found

    def elsewhere(self, volume: Volume) -> str:
        service, _hash, _pool = (volume.pool or "").partition("#")
        return f"{service}#{self.other_pool}"

    def test_an_administrator_sees_pool_and_migration(self, make):
        volume = make()
        assert volume.pool
        assert volume.project_id
        assert volume.name_id is None
        assert volume.migration == ""
        assert not volume.is_migrating

    def test_volumes_are_found_by_name_in_all_projects(self, operator, make):
        volume = make()
        make()
        found = operator.list_volumes({"name": volume.name, "all_tenants": 1})
        assert [each.id for each in found] == [volume.id]

    def test_a_volume_is_moved_to_another_pool_by_its_back_end(
        self, operator, clock, make
    ):
        volume = make()
        target = self.elsewhere(volume)
        operator.migrate(volume.id, target)
        after = self.ended(operator, clock, volume)
        assert (after.pool, after.migration) == (target, "success")
        assert after.name_id is None
        assert after.status == "available"
        assert after.metadata == volume.metadata

    def test_a_type_that_is_pinned_elsewhere_is_an_error(self, operator, clock, make):
        volume = make(volume_type=self.pinned_type)
        operator.migrate(volume.id, self.elsewhere(volume))
        after = self.ended(operator, clock, volume)
        assert (after.pool, after.migration) == (volume.pool, "error")
        assert after.status == "available"

    @pytest.mark.parametrize("target", ["its own", "nobody's"])
    def test_a_pool_that_cannot_be_meant_is_refused(self, operator, make, target):
        volume = make()
        pool = volume.pool if target == "its own" else f"nobody@nothing#{volume.pool}"
        with pytest.raises(errors.ImageVolumeInUse):
            operator.migrate(volume.id, pool)
        assert not seen(operator, volume).migration

    def test_a_volume_that_does_not_exist_is_not_migrated(self, operator, make):
        target = self.elsewhere(make())
        with pytest.raises(errors.ImageVolumeGone):
            operator.migrate(str(uuid.uuid4()), target)


def seen(operator: Operator, volume: Volume) -> Volume:
    """The volume as the administrator sees it."""
    found = operator.list_volumes({"name": volume.name, "all_tenants": 1})
    return next(each for each in found if each.id == volume.id)
