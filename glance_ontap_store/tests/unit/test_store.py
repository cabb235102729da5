# SPDX-License-Identifier: Apache-2.0
"""The driver as glance_store loads it; `conformance.store` tests its methods."""

import hashlib
import os
import socket
import subprocess
import threading
import uuid

from glance_store import capabilities
from glance_store import exceptions
from glance_store import location
from glance_store import multi_backend
from oslo_config import cfg
import pytest

from glance_ontap_store import backend
from glance_ontap_store import errors
from glance_ontap_store import opts
from glance_ontap_store.cinder.api import NewVolume
from glance_ontap_store.store import Store
from glance_ontap_store.tests.fakes.cloud import PROJECT_OPTIONS
from glance_ontap_store.tests.fakes.cloud import TYPES
from glance_ontap_store.tests.fakes.glance import Context
from glance_ontap_store.tests.fakes.glance import OnePass
from glance_ontap_store.tests.fakes.glance import Pattern


@pytest.fixture
def options(cloud, tmp_path):
    """Two ontap stores and a file store, as in a glance-api.conf."""
    return {
        "fv1": {
            **PROJECT_OPTIONS,
            "ontap_volume_type": "ontap-fv1",
            "ontap_mount_point_base": cloud.base,
            "weight": 7,
        },
        "fv2": {
            **PROJECT_OPTIONS,
            "ontap_store_user_name": "glance-2",
            "ontap_volume_type": "ontap-fv2",
            "ontap_mount_point_base": cloud.base,
        },
        "files": {"filesystem_store_datadir": str(tmp_path / "images")},
    }


ENABLED = {"fv1": "ontap", "fv2": "ontap", "files": "file"}


def load(cloud, options, enabled=ENABLED):
    cloud.configure(enabled, options)
    return {
        store_id: multi_backend.get_store_from_store_identifier(store_id)
        for store_id in enabled
    }


def add(store, size=1000, context=None, image_id=None):
    uri, *_rest = store.add(
        image_id or str(uuid.uuid4()),
        OnePass(Pattern(size)),
        size,
        "sha256",
        context=context,
    )
    return uri


class TestManyStores:
    def test_every_store_has_its_own_options(self, cloud, options):
        stores = load(cloud, options)
        assert {settings.store_id for settings in cloud.built} == {"fv1", "fv2"}
        first, second = cloud.built
        assert first.credential.user_name == "glance"
        assert second.credential.user_name == "glance-2"
        assert first.volume_type != second.volume_type
        assert stores["fv1"].weight == 7

    def test_images_go_to_the_chosen_store(self, cloud, options):
        stores = load(cloud, options)
        for store_id in ("fv1", "fv2"):
            volume_id = add(stores[store_id]).rpartition("/")[2]
            volume = cloud.cinder.get(volume_id)
            assert volume.volume_type == f"ontap-{store_id}"
            assert volume.metadata["ontap_store"] == store_id
        assert add(stores["files"]).startswith("file://")

    def test_a_location_leads_back_to_its_store(self, cloud, options):
        stores = load(cloud, options)
        uri = add(stores["fv2"])
        found = location.get_location_from_uri_and_backend(
            uri, "fv2", conf=stores["fv2"].conf
        )
        assert b"".join(stores["fv2"].get(found)[0]) == Pattern(1000).at(0, 1000)
        with pytest.raises(exceptions.BadStoreUri):
            location.get_location_from_uri_and_backend(
                uri, "fv1", conf=stores["fv1"].conf
            )

    def test_glance_store_finds_the_image_by_uri_and_store(self, cloud, options):
        stores = load(cloud, options)
        uri = add(stores["fv1"])
        assert multi_backend.get_size_from_uri_and_backend(uri, "fv1") == 1000
        stream, size = multi_backend.get(uri, "fv1", offset=990, chunk_size=5)
        assert (b"".join(stream), size) == (Pattern(1000).at(990, 5), 5)
        multi_backend.delete(uri, "fv1")
        with pytest.raises(exceptions.NotFound):
            multi_backend.delete(uri, "fv1")

    def test_glance_store_accepts_the_answer_of_add(self, cloud, options):
        stores = load(cloud, options)
        answer = multi_backend.store_add_to_backend_with_multihash(
            str(uuid.uuid4()),
            OnePass(Pattern(10)),
            10,
            "sha512",
            stores["fv1"],
        )
        assert answer[1] == 10
        assert answer[4] == {"store": "fv1"}

    def test_a_stores_type_is_one_of_its_schemes(self, cloud, options):
        """Glance looks a store up by its type, as a scheme."""
        load(cloud, options)
        schemes = set(multi_backend.get_known_schemes_for_multi_store())
        assert {"ontap", "cinder", "file"} <= schemes

    def test_upstream_rewriting_finds_the_store_that_wrote_the_volume(
        self, cloud, options
    ):
        """Glance asks all stores of the scheme; upstream compares volume types."""
        options["fv2"]["ontap_volume_type"] = "ontap-fv1"
        stores = load(cloud, options)
        volume_id = add(stores["fv2"]).rpartition("/")[2]
        answers = {
            store_id: found["store"].is_image_associated_with_store(None, volume_id)
            for store_id, found in location.SCHEME_TO_CLS_BACKEND_MAP["cinder"].items()
        }
        assert answers == {"fv1": False, "fv2": True}

    def test_backend_defaults_apply_to_all_stores(self, cloud, options):
        """The option of a store's own group comes before ``[backend_defaults]``."""
        del options["fv1"]["ontap_volume_type"]
        options["backend_defaults"] = {
            "ontap_volume_type": "multiattach",
            "ontap_delete_wait": 99,
        }
        load(cloud, options)
        first, second = cloud.built
        assert first.volume_type == "multiattach"
        assert second.volume_type == "ontap-fv2"
        assert first.delete_wait_s == second.delete_wait_s == 99


class TestFiftyStores:
    """The cost of a request does not grow with the number of stores."""

    @pytest.fixture
    def options(self, cloud):
        return {
            f"s{number}": {
                **PROJECT_OPTIONS,
                "ontap_volume_type": "ontap-fv1",
                "ontap_mount_point_base": cloud.base,
            }
            for number in range(50)
        }

    def calls(self, cloud, options, count):
        """The calls to Cinder for one image in the last of *count* stores."""
        enabled = dict.fromkeys(list(options)[-count:], "ontap")
        store_id = list(enabled)[-1]
        store = load(cloud, options, enabled)[store_id]
        cloud.volumes.calls.clear()
        uri = add(store)
        for _reader in range(2):
            stream, _size = multi_backend.get(uri, store_id)
            assert b"".join(stream)
        multi_backend.delete(uri, store_id)
        return list(cloud.volumes.calls)

    def test_an_image_takes_as_many_calls_as_with_one_store(self, cloud, options):
        assert self.calls(cloud, options, 50) == self.calls(cloud, options, 1)

    def test_cinder_is_not_asked_at_the_start(self, cloud, options):
        load(cloud, options, dict.fromkeys(options, "ontap"))
        assert len(cloud.built) == 50
        assert cloud.volumes.calls == []


class TestCapabilities:
    def test_the_store_reads_ranges_and_writes(self, cloud, options):
        store = load(cloud, options)["fv1"]
        assert store.is_capable(
            capabilities.BitMasks.RW_ACCESS,
            capabilities.BitMasks.READ_RANDOM,
            capabilities.BitMasks.DRIVER_REUSABLE,
        )

    def test_the_same_object_serves_every_request(self, cloud, options):
        """Otherwise every request would make new sessions and mounts."""
        load(cloud, options)
        for _time in range(3):
            multi_backend.get_store_from_store_identifier("fv1")
        assert len(cloud.built) == 2


class TestClosedToOthers:
    @pytest.fixture
    def stores(self, cloud, options):
        options["fv1"]["ontap_allowed_projects"] = "acme,initech"
        return load(cloud, options)

    @pytest.mark.parametrize("project_id", ["acme", "initech"])
    def test_allowed_projects_are_accepted(self, stores, project_id):
        assert add(stores["fv1"], context=Context(project_id))

    @pytest.mark.parametrize("context", [Context("globex"), Context(None), None])
    def test_other_projects_are_refused_without_a_question(
        self, cloud, stores, context
    ):
        with pytest.raises(exceptions.Forbidden, match="'fv1' does not take"):
            add(stores["fv1"], context=context)
        assert cloud.volumes.calls == []
        assert add(stores["fv2"], context=context)

    def test_other_projects_may_read(self, stores):
        uri = add(stores["fv1"], context=Context("acme"))
        stream, size = multi_backend.get(uri, "fv1", context=Context("globex"))
        assert b"".join(stream) == Pattern(size).at(0, size)


class TestOwner:
    def owner_of(self, cloud, uri):
        return cloud.cinder.get(uri.rpartition("/")[2]).metadata.get("image_owner")

    def test_a_member_owns_what_it_uploads(self, cloud, options):
        store = load(cloud, options)["fv1"]
        assert self.owner_of(cloud, add(store, context=Context())) == "acme"

    def test_an_administrator_uploads_for_others(self, cloud, options):
        options["fv1"]["ontap_allowed_projects"] = "acme"
        store = load(cloud, options)["fv1"]
        admin = Context("admins", is_admin=True)
        image_id = str(uuid.uuid4())
        cloud.owners.told[image_id] = "acme"
        uri = add(store, context=admin, image_id=image_id)
        assert self.owner_of(cloud, uri) == "acme"
        with pytest.raises(exceptions.Forbidden, match="project admins"):
            add(store, context=admin)


class TestNotConfigured:
    @pytest.fixture
    def stores(self, cloud, options, caplog):
        options["fv1"].update(
            ontap_store_auth_address="nonsense", ontap_store_password=""
        )
        return load(cloud, options)

    def test_the_other_stores_work(self, cloud, stores):
        assert add(stores["fv2"])

    def test_all_mistakes_are_logged_once_at_start(self, stores, caplog):
        logged = [
            record.getMessage()
            for record in caplog.get_records("setup")
            if record.levelname == "ERROR"
            and record.name.startswith("glance_ontap_store")
        ]
        assert len(logged) == 1
        assert "ontap_store_auth_address" in logged[0]
        assert "ontap_store_password" in logged[0]
        assert "'fv1'" in logged[0]

    def test_adding_is_disabled(self, stores):
        with pytest.raises(exceptions.StoreAddDisabled):
            add(stores["fv1"])

    def test_reading_fails_with_the_mistakes(self, stores):
        found = location.get_location_from_uri_and_backend(
            f"cinder://fv1/{uuid.uuid4()}", "fv1", conf=stores["fv1"].conf
        )
        for call in (stores["fv1"].get, stores["fv1"].get_size):
            with pytest.raises(
                exceptions.BadStoreConfiguration, match="ontap_store_auth_address"
            ):
                call(found)

    def test_no_volume_is_associated_with_the_store(self, stores):
        asked = stores["fv1"].is_image_associated_with_store(None, str(uuid.uuid4()))
        assert asked is False

    def test_an_unconfigured_store_says_so(self, cloud, options):
        found = Store(cloud.configure(ENABLED, options), backend="fv1")
        with pytest.raises(exceptions.BadStoreConfiguration, match="not configured"):
            found.get_size(
                location.get_location_from_uri_and_backend(
                    f"cinder://fv1/{uuid.uuid4()}", "fv1", conf=found.conf
                )
            )


class TestOneStore:
    """The old way of glance_store: one store, with options in ``[glance_store]``."""

    def test_the_options_of_the_group_are_used(self, cloud, monkeypatch):
        monkeypatch.setattr(Store, "build", staticmethod(cloud.build))
        conf = cfg.ConfigOpts()
        found = Store(conf)
        conf([])
        for name, value in PROJECT_OPTIONS.items():
            conf.set_override(name, value, group="glance_store")
        found.configure()
        (settings,) = cloud.built
        assert settings.store_id is None
        assert found.url_prefix == "cinder://"
        assert {option.name for option in found.OPTIONS} == {
            option.name for option in opts.OPTIONS
        }


class TestLog:
    def failing(self, cloud, options, caplog, error):
        stores = load(cloud, options)
        uri = add(stores["fv1"])
        cloud.volumes.fail("get", error)
        caplog.clear()
        caplog.set_level("INFO")
        found = location.get_location_from_uri_and_backend(
            uri, "fv1", conf=stores["fv1"].conf
        )
        expected = type(errors.to_glance_store(error))
        with pytest.raises(expected, match="the cause"):
            stores["fv1"].get_size(found)
        return [
            (record.levelname, record.getMessage())
            for record in caplog.records
            if record.name == "glance_ontap_store.store"
        ], uri.rpartition("/")[2]

    @pytest.mark.parametrize(
        ("error", "level"),
        [
            (errors.CinderUnreachable("the cause"), "ERROR"),
            (errors.Broken("the cause"), "ERROR"),
            (errors.ImageVolumeGone("the cause"), "INFO"),
            (errors.Refused("the cause"), "INFO"),
        ],
    )
    def test_a_failure_is_logged_once_with_its_volume(
        self, cloud, options, caplog, error, level
    ):
        logged, volume_id = self.failing(cloud, options, caplog, error)
        ((found, text),) = logged
        assert found == level
        assert volume_id in text
        assert "the cause" in text
        assert "fv1" in text

    def test_no_secret_is_logged(self, cloud, options, caplog):
        caplog.set_level("DEBUG", logger="glance_ontap_store")
        stores = load(cloud, options)
        add(stores["fv1"])
        assert caplog.text
        assert "s3cret" not in caplog.text


class TestStart:
    """A server may load Glance in one process and serve requests in its children."""

    def test_loading_a_store_does_nothing_to_the_host(
        self, cloud, options, monkeypatch
    ):
        """It makes no thread, process, connection, directory or mount."""

        def forbidden(*_args, **_kwargs):
            raise AssertionError("it was done at start")

        found = Store(cloud.configure({"fv1": "ontap"}, options), backend="fv1")
        monkeypatch.setattr(threading.Thread, "start", forbidden)
        monkeypatch.setattr(subprocess.Popen, "__init__", forbidden)
        monkeypatch.setattr(os, "fork", forbidden)
        monkeypatch.setattr(socket.socket, "connect", forbidden)
        monkeypatch.setattr(os, "makedirs", forbidden)
        monkeypatch.setattr(os, "stat", forbidden)
        monkeypatch.setattr(Store, "build", staticmethod(backend.build))
        found.configure_add()
        assert found.stores.get("fv1").settings.store_id == "fv1"

    def test_stores_know_their_siblings(self, cloud, options):
        stores = load(cloud, options)
        (sibling,) = stores["fv1"].stores.siblings("fv1")
        assert sibling.settings.store_id == "fv2"
        assert stores["fv2"].stores.get("fv1").settings.volume_type == "ontap-fv1"

    def test_a_shared_volume_type_is_logged_as_a_warning(self, cloud, options, caplog):
        options["fv2"]["ontap_volume_type"] = "ontap-fv1"
        load(cloud, options)
        assert "Store fv2 has the volume type of fv1, ontap-fv1" in caplog.text

    def test_stores_with_different_types_log_no_warning(self, cloud, options, caplog):
        load(cloud, options)
        assert "has the volume type of" not in caplog.text


class TestOlderGlance:
    def test_add_without_a_hash_returns_no_multihash(self, cloud, options):
        """The functional tests of glance_store call `add` in this way."""
        store = load(cloud, options)["fv1"]
        image_id = str(uuid.uuid4())
        uri, size, checksum, metadata = store.add(
            image_id, OnePass(Pattern(1000)), 1000
        )
        assert uri.startswith("cinder://fv1/")
        assert (size, metadata) == (1000, {"store": "fv1"})
        md5 = hashlib.md5(Pattern(1000).at(0, 1000), usedforsecurity=False)
        assert checksum == md5.hexdigest()


class TestDeletion:
    """It depends on nothing but ownership."""

    @pytest.mark.parametrize(
        "metadata",
        [
            {"image_size": "large"},
            {"image_size": "\u0662"},
            {"ontap_state": "banana"},
            {"ontap_format": "2"},
        ],
        ids=str,
    )
    def test_an_image_with_invalid_metadata_is_deleted(self, cloud, options, metadata):
        store = load(cloud, options)["fv1"]
        uri = add(store, context=Context("acme"))
        volume_id = uri.rpartition("/")[2]
        cloud.cinder.set_metadata(volume_id, metadata)
        with pytest.raises(exceptions.BackendException):
            multi_backend.get(uri, "fv1")
        multi_backend.delete(uri, "fv1", context=Context("acme"))
        cloud.clock.sleep(60)
        assert cloud.holdings() == set()


class TestVolumeTypeById:
    def test_an_image_made_by_cinder_is_found(self, cloud, options):
        kind = TYPES["ontap-fv1"]
        options["fv1"]["ontap_volume_type"] = kind.id
        store = load(cloud, options)["fv1"]
        made = cloud.cinder.create(
            NewVolume("x", 1, "ontap-fv1", {"image_owner": "acme"})
        )
        other = cloud.cinder.create(
            NewVolume("x", 1, "ontap-fv2", {"image_owner": "acme"})
        )
        assert store.is_image_associated_with_store(None, made.id) is True
        assert store.is_image_associated_with_store(None, other.id) is False
