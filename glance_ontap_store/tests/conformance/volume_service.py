# SPDX-License-Identifier: Apache-2.0
"""The contract of `cinder.api.VolumeService`."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import dataclasses
from typing import Any
import uuid

import pytest

from glance_ontap_store import errors
from glance_ontap_store.cinder import waiting
from glance_ontap_store.cinder.api import Attachment
from glance_ontap_store.cinder.api import NewVolume
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.cinder.api import VolumeService
from glance_ontap_store.cinder.waiting import Clock

# Long enough for a real Cinder on a busy machine; a fake clock jumps over it.
_PATIENCE_S = 120

Make = Callable[..., Volume]


def attach(
    volumes: VolumeService, volume_id: str, connector: Mapping[str, Any], mode: str
) -> Attachment:
    """The volume reserved and connected."""
    attachment_id = volumes.reserve(volume_id, mode)
    info = volumes.connect(volume_id, attachment_id, connector)
    return Attachment(attachment_id, volume_id, info)


class VolumeServiceContract:
    """Subclasses provide a Cinder by overriding the attributes and fixtures below."""

    # A volume type whose volumes are small and raw, and have one attachment at a time.
    volume_type: str | None = None
    # One of the same back end that is not pinned to a pool.
    unpinned_type: str | None = None
    # A volume type without room for a volume of `too_large_gib`.
    full_volume_type: str | None = None
    too_large_gib = 5000
    # Keys of a connection that tell a host where the volume is.
    connection_keys: tuple[str, ...] = ("driver_volume_type", "export", "name")

    @pytest.fixture
    def volumes(self) -> VolumeService:
        raise NotImplementedError

    @pytest.fixture
    def clock(self) -> Clock:
        raise NotImplementedError

    @pytest.fixture
    def connector(self) -> Mapping[str, Any]:
        raise NotImplementedError

    def full_quota(
        self, volumes: VolumeService
    ) -> contextlib.AbstractContextManager[None]:
        """Keep less than 1 GiB in the project's quota."""
        raise NotImplementedError

    def snapshot(
        self, volumes: VolumeService, volume_id: str
    ) -> contextlib.AbstractContextManager[None]:
        """Keep a snapshot of the volume."""
        raise NotImplementedError

    # The contract.

    @pytest.fixture
    def make(self, volumes: VolumeService, clock: Clock) -> Iterator[Make]:
        """A function that makes volumes; they are deleted after the test."""
        made: list[str] = []

        def make(settle: bool = True, **changes: Any) -> Volume:
            wanted: dict[str, Any] = {
                "name": f"contract-{uuid.uuid4()}",
                "size_gib": 1,
                "volume_type": self.volume_type,
                "metadata": {"contract": "yes"},
            }
            volume = volumes.create(NewVolume(**{**wanted, **changes}))
            made.append(volume.id)
            if not settle:
                return volume
            return waiting.settled(volumes, clock, volume, 0.2, _PATIENCE_S)

        yield make
        for volume_id in reversed(made):
            self._remove(volumes, clock, volume_id)

    @staticmethod
    def _remove(volumes: VolumeService, clock: Clock, volume_id: str) -> None:
        def gone() -> bool:
            try:
                volume = volumes.get(volume_id)
                for attachment_id in volumes.attachments(volume_id):
                    volumes.detach(attachment_id)
                if not volume.is_leaving and volume.status != "creating":
                    volumes.delete(volume_id)
            except errors.ImageVolumeGone:
                return True
            except errors.ImageVolumeInUse:
                pass
            return False

        assert waiting.until(clock, _PATIENCE_S, gone), f"{volume_id} stays"

    @staticmethod
    def _wait_gone(volumes: VolumeService, clock: Clock, volume_id: str) -> bool:
        def gone() -> bool:
            try:
                volumes.get(volume_id)
            except errors.ImageVolumeGone:
                return True
            return False

        return waiting.until(clock, _PATIENCE_S, gone)

    @pytest.fixture
    def missing(self) -> str:
        return str(uuid.uuid4())

    def test_a_new_volume_has_the_requested_properties(self, volumes, clock, make):
        name = f"contract-{uuid.uuid4()}"
        made = make(
            settle=False, name=name, size_gib=2, metadata={"a": "1", "image_owner": "x"}
        )
        assert made.status == "creating"
        settled = waiting.settled(volumes, clock, made, 0.2, _PATIENCE_S)
        assert settled.status == "available"
        assert settled.size_gib == 2
        assert settled.metadata == {"a": "1", "image_owner": "x"}
        assert settled.volume_type == (self.volume_type or settled.volume_type)
        assert settled.encrypted is False
        assert volumes.attachments(made.id) == []
        assert volumes.get(made.id) == settled

    def test_all_volumes_with_the_name_are_found(self, volumes, make):
        name = f"contract-{uuid.uuid4()}"
        first, second = make(name=name), make(name=name)
        make()
        assert {volume.id for volume in volumes.find(name)} == {first.id, second.id}
        assert all(volume.metadata == first.metadata for volume in volumes.find(name))

    def test_volumes_are_found_by_status_and_metadata(self, volumes, make):
        key = str(uuid.uuid4())
        first = make(metadata={"contract": key, "a": "1"})
        second = make(metadata={"contract": key, "a": "2"})

        def found(**wanted):
            return {volume.id for volume in volumes.search(**wanted)}

        assert found(metadata={"contract": key}) == {first.id, second.id}
        assert found(metadata={"contract": key, "a": "2"}) == {second.id}
        assert found(status="in-use", metadata={"contract": key}) == set()
        assert first.id in found(status="available")

    def test_a_volume_shows_who_has_attached_it(self, volumes, connector, make):
        volume = make()
        marked = {**connector, "mountpoint": "glance_store:a:b"}
        attachment = attach(volumes, volume.id, marked, "ro")
        assert volumes.get(volume.id).attachments == ()
        volumes.complete(attachment.id)
        (shown,) = volumes.get(volume.id).attachments
        assert (shown.id, shown.device) == (attachment.id, "glance_store:a:b")
        assert shown.attached_at
        assert shown.host_name in (None, connector["host"])
        (listed,) = [each for each in volumes.search("in-use") if each.id == volume.id]
        assert listed.attachments == (shown,)
        volumes.detach(attachment.id)
        assert volumes.get(volume.id).attachments == ()

    def test_a_reservation_that_is_complete_has_no_device(self, volumes, make):
        volume = make()
        attachment_id = volumes.reserve(volume.id, "ro")
        volumes.complete(attachment_id)
        (shown,) = volumes.get(volume.id).attachments
        assert (shown.id, shown.device) == (attachment_id, None)
        volumes.detach(attachment_id)

    def test_an_unknown_name_finds_nothing(self, volumes):
        assert volumes.find(f"contract-{uuid.uuid4()}") == []

    def test_an_unknown_volume_type_is_misconfigured(self, make):
        with pytest.raises(errors.Misconfigured):
            make(volume_type=f"no-such-type-{uuid.uuid4()}")

    def test_a_clone_may_have_another_type_of_its_sources_back_end(self, make):
        source = make()
        clone = make(volume_type=self.unpinned_type, source_id=source.id)
        assert clone.volume_type == self.unpinned_type
        assert clone.size_gib == source.size_gib

    def test_a_clone_of_an_unknown_type_is_misconfigured(self, make):
        source = make()
        with pytest.raises(errors.Misconfigured):
            make(volume_type=f"no-such-type-{uuid.uuid4()}", source_id=source.id)

    def test_a_new_volume_is_in_the_zone_asked_for(self, volumes, make):
        zone = make().availability_zone
        assert zone
        made = make(availability_zone=zone)
        assert volumes.get(made.id).availability_zone == zone

    def test_a_clone_stays_in_its_sources_zone(self, make):
        source = make()
        clone = make(
            volume_type=None,
            source_id=source.id,
            availability_zone=source.availability_zone,
        )
        assert clone.availability_zone == source.availability_zone

    def test_an_unknown_zone_is_misconfigured(self, make):
        with pytest.raises(errors.Misconfigured, match="vailability zone"):
            make(availability_zone=f"no-such-zone-{uuid.uuid4()}")

    def test_a_full_quota_is_lack_of_space(self, volumes, make):
        with self.full_quota(volumes), pytest.raises(errors.NoSpace):
            make()

    def test_a_full_pool_is_lack_of_space(self, volumes, clock, make):
        with pytest.raises(errors.NoSpace):
            make(volume_type=self.full_volume_type, size_gib=self.too_large_gib)

    def test_a_failed_creation_has_a_fault(self, volumes, clock, make):
        made = make(
            settle=False,
            volume_type=self.full_volume_type,
            size_gib=self.too_large_gib,
        )
        with pytest.raises(errors.NoSpace):
            waiting.settled(volumes, clock, made, 0.2, _PATIENCE_S)
        assert volumes.get(made.id).is_broken
        fault = volumes.last_fault(made.id)
        assert fault is not None
        assert fault.is_lack_of_room
        assert fault.text

    def test_an_available_volume_has_no_fault(self, volumes, make):
        assert volumes.last_fault(make().id) is None

    def test_metadata_are_added_and_replaced(self, volumes, make):
        volume = make(metadata={"kept": "1", "changed": "old"})
        for _time in range(2):
            volumes.set_metadata(volume.id, {"changed": "new", "added": "2"})
            assert volumes.get(volume.id).metadata == {
                "kept": "1",
                "changed": "new",
                "added": "2",
            }

    def test_a_multihash_fits_into_the_metadata(self, volumes, make):
        volume = make()
        volumes.set_metadata(volume.id, {"ontap_hash_value": "f" * 128})
        assert volumes.get(volume.id).metadata["ontap_hash_value"] == "f" * 128

    def test_a_volume_is_extended_twice(self, volumes, clock, make):
        volume = make()
        for size_gib in (2, 4):
            volumes.extend(volume.id, size_gib)
            begun = dataclasses.replace(volume, status="extending")
            settled = waiting.settled(volumes, clock, begun, 0.5, _PATIENCE_S)
            assert settled.size_gib == size_gib
            assert settled.status == "available"

    def test_extending_over_the_quota_is_lack_of_space(self, volumes, make):
        volume = make()
        with self.full_quota(volumes), pytest.raises(errors.NoSpace):
            volumes.extend(volume.id, 100)
        assert volumes.get(volume.id).size_gib == 1

    def test_an_attached_volume_is_not_extended(self, volumes, connector, make):
        volume = make()
        attachment = attach(volumes, volume.id, connector, "rw")
        with pytest.raises(errors.ImageVolumeInUse):
            volumes.extend(volume.id, 2)
        volumes.detach(attachment.id)

    @pytest.mark.parametrize("mode", ["ro", "rw"])
    def test_a_volume_is_attached_and_detached(self, volumes, connector, make, mode):
        volume = make()
        attachment = attach(volumes, volume.id, connector, mode)
        assert attachment.volume_id == volume.id
        assert attachment.connection_info["driver_volume_type"]
        assert volumes.attachments(volume.id) == [attachment.id]
        assert volumes.get(volume.id).status != "available"
        volumes.complete(attachment.id)
        assert volumes.get(volume.id).status == "in-use"
        volumes.detach(attachment.id)
        after = volumes.get(volume.id)
        assert after.status == "available"
        assert volumes.attachments(volume.id) == []

    def test_detaching_twice_is_not_an_error(self, volumes, connector, make):
        attachment = attach(volumes, make().id, connector, "ro")
        for _time in range(2):
            volumes.detach(attachment.id)

    def test_an_incomplete_attachment_is_detached(self, volumes, connector, make):
        volume = make()
        volumes.detach(attach(volumes, volume.id, connector, "rw").id)
        assert volumes.get(volume.id).status == "available"

    def test_detaching_an_unknown_attachment_is_not_an_error(self, volumes, missing):
        volumes.detach(missing)

    def test_an_unknown_attachment_cannot_be_completed(self, volumes, missing):
        with pytest.raises(errors.ImageVolumeGone):
            volumes.complete(missing)

    @pytest.mark.parametrize("is_completed", [False, True])
    def test_a_second_attachment_is_refused_as_busy(
        self, volumes, connector, make, is_completed
    ):
        volume = make()
        first = attach(volumes, volume.id, connector, "ro")
        if is_completed:
            volumes.complete(first.id)
        with pytest.raises(errors.ImageVolumeInUse):
            attach(volumes, volume.id, connector, "ro")
        assert volumes.attachments(volume.id) == [first.id]
        volumes.detach(first.id)
        volumes.detach(attach(volumes, volume.id, connector, "ro").id)

    @pytest.mark.parametrize("is_completed", [False, True])
    def test_an_attached_volume_is_not_deleted(
        self, volumes, clock, connector, make, is_completed
    ):
        volume = make()
        attachment = attach(volumes, volume.id, connector, "ro")
        if is_completed:
            volumes.complete(attachment.id)
        with pytest.raises(errors.ImageVolumeInUse):
            volumes.delete(volume.id)
        volumes.detach(attachment.id)
        volumes.delete(volume.id)
        assert self._wait_gone(volumes, clock, volume.id)

    def test_a_readonly_volume_is_still_read(self, volumes, connector, make):
        volume = make()
        for _time in range(2):
            volumes.set_readonly(volume.id)
        attachment = attach(volumes, volume.id, connector, "ro")
        volumes.complete(attachment.id)
        volumes.detach(attachment.id)

    def test_a_readonly_volume_is_still_deleted(self, volumes, clock, make):
        volume = make()
        volumes.set_readonly(volume.id)
        volumes.delete(volume.id)
        assert self._wait_gone(volumes, clock, volume.id)

    def test_deleting_twice_is_either_busy_or_gone(self, volumes, clock, make):
        volume = make()
        volumes.delete(volume.id)
        with pytest.raises((errors.ImageVolumeInUse, errors.ImageVolumeGone)):
            volumes.delete(volume.id)
        assert self._wait_gone(volumes, clock, volume.id)
        with pytest.raises(errors.ImageVolumeGone):
            volumes.delete(volume.id)

    def test_a_deleted_volume_is_not_found_by_its_name(self, volumes, clock, make):
        name = f"contract-{uuid.uuid4()}"
        volume = make(name=name)
        volumes.delete(volume.id)
        assert self._wait_gone(volumes, clock, volume.id)
        assert volumes.find(name) == []

    def test_a_broken_volume_can_be_deleted(self, volumes, clock, make):
        made = make(
            settle=False,
            volume_type=self.full_volume_type,
            size_gib=self.too_large_gib,
        )
        with pytest.raises(errors.NoSpace):
            waiting.settled(volumes, clock, made, 0.2, _PATIENCE_S)
        volumes.delete(made.id)
        assert self._wait_gone(volumes, clock, made.id)

    def test_a_volume_with_a_snapshot_is_not_deleted(self, volumes, clock, make):
        volume = make()
        assert volumes.has_snapshots(volume.id) is False
        with self.snapshot(volumes, volume.id):
            assert volumes.has_snapshots(volume.id) is True
            with pytest.raises(errors.ImageVolumeInUse):
                volumes.delete(volume.id)
        assert volumes.has_snapshots(volume.id) is False
        volumes.delete(volume.id)
        assert self._wait_gone(volumes, clock, volume.id)

    def test_the_connection_of_an_attachment_is_shown(self, volumes, connector, make):
        attachment = attach(volumes, make().id, connector, "ro")
        shown = volumes.connection_info(attachment.id)
        for key in self.connection_keys:
            assert shown[key] == attachment.connection_info[key]
        if shown["driver_volume_type"] == "nfs":
            assert shown["format"] == "raw"
        volumes.detach(attachment.id)

    def test_a_reserved_volume_is_neither_deleted_nor_connected(
        self, volumes, clock, make
    ):
        volume = make()
        attachment_id = volumes.reserve(volume.id, "ro")
        assert "driver_volume_type" not in volumes.connection_info(attachment_id)
        assert volumes.attachments(volume.id) == [attachment_id]
        with pytest.raises(errors.ImageVolumeInUse):
            volumes.delete(volume.id)
        volumes.detach(attachment_id)
        assert volumes.get(volume.id).status == "available"

    def test_only_reservations_that_are_not_connected_are_told(
        self, volumes, connector, make
    ):
        volume = make()
        attachment_id = volumes.reserve(volume.id, "ro")
        assert volumes.reservations(volume.id) == [attachment_id]
        volumes.connect(volume.id, attachment_id, connector)
        assert volumes.reservations(volume.id) == []
        volumes.detach(attachment_id)
        unconnected = volumes.reserve(volume.id, "ro")
        volumes.complete(unconnected)
        assert volumes.reservations(volume.id) == []
        volumes.detach(unconnected)

    def test_a_deleted_attachment_cannot_be_connected(self, volumes, connector, make):
        volume = make()
        attachment_id = volumes.reserve(volume.id, "ro")
        volumes.detach(attachment_id)
        with pytest.raises(errors.ImageVolumeGone):
            volumes.connect(volume.id, attachment_id, connector)
        assert volumes.get(volume.id).status == "available"

    def test_a_deleted_attachment_is_no_volume_that_is_gone(
        self, volumes, connector, make
    ):
        attachment = attach(volumes, make().id, connector, "ro")
        volumes.detach(attachment.id)
        with pytest.raises(errors.ImageVolumeInUse):
            volumes.connection_info(attachment.id)

    def test_a_connection_that_was_made_is_shown_like_its_answer(
        self, volumes, connector, make
    ):
        volume = make()
        attachment_id = volumes.reserve(volume.id, "rw")
        answer = volumes.connect(volume.id, attachment_id, connector)
        shown = volumes.connection_info(attachment_id)
        assert {key: answer[key] for key in shown if key in answer} == {
            key: shown[key] for key in shown if key in answer
        }
        assert set(self.connection_keys) <= set(shown) & set(answer)
        volumes.detach(attachment_id)

    def test_a_clone_of_a_volume_that_is_being_attached_is_refused_as_busy(
        self, volumes, connector, make
    ):
        volume = make()
        attachment = attach(volumes, volume.id, connector, "ro")
        with pytest.raises(errors.ImageVolumeInUse):
            make(source_id=volume.id, volume_type=None)
        volumes.complete(attachment.id)
        assert make(source_id=volume.id, volume_type=None).size_gib == volume.size_gib
        volumes.detach(attachment.id)

    def test_an_unknown_volume_type_keeps_its_text(self, volumes):
        assert volumes.type_name(self.volume_type) == self.volume_type
        assert volumes.type_name("no such type") == "no such type"
        assert volumes.type_name(None) is None

    @pytest.mark.parametrize(
        "call",
        [
            pytest.param(lambda volumes, it: volumes.get(it), id="get"),
            pytest.param(lambda volumes, it: volumes.delete(it), id="delete"),
            pytest.param(lambda volumes, it: volumes.extend(it, 2), id="extend"),
            pytest.param(
                lambda volumes, it: volumes.set_metadata(it, {"a": "b"}),
                id="set_metadata",
            ),
            pytest.param(
                lambda volumes, it: volumes.set_readonly(it), id="set_readonly"
            ),
            pytest.param(
                lambda volumes, it: volumes.reserve(it, "ro"),
                id="reserve",
            ),
        ],
    )
    def test_an_unknown_volume_is_gone(self, volumes, missing, call):
        with pytest.raises(errors.ImageVolumeGone):
            call(volumes, missing)
