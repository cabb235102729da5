# SPDX-License-Identifier: Apache-2.0
"""Reading the operator's files as Glance does, without showing secrets."""

from importlib import metadata

from glance_store import driver
from oslo_config import cfg
import pytest

from glance_ontap_store import errors
from glance_ontap_store import opts
from glance_ontap_store.survey import configuration
from glance_ontap_store.survey import host
from glance_ontap_store.tests.fakes.openstack_http import AUTH_URL

GLANCE = f"""
[DEFAULT]
enabled_backends = fv1:ontap, old:cinder, disk:file, fv2:ontap

[backend_defaults]
ontap_store_auth_address = {AUTH_URL}
ontap_store_user_name = glance
ontap_store_password = s3cret-of-all
ontap_store_project_name = images
ontap_mount_point_base = /shared

[fv1]
ontap_volume_type = images-fv1

[fv2]
ontap_volume_type = images-fv2
ontap_store_password = s3cret-of-fv2
ontap_mount_point_base = /own

[old]
cinder_volume_type = old

[oslo_concurrency]
lock_path = /locks
"""


@pytest.fixture
def read(tmp_path):
    def read(text=GLANCE, directory=None):
        path = tmp_path / "glance-api.conf"
        path.write_text(text)
        directories = []
        if directory is not None:
            directories = [str(tmp_path / "conf.d")]
            (tmp_path / "conf.d").mkdir()
            (tmp_path / "conf.d" / "secrets.conf").write_text(directory)
        conf = configuration.read([str(path)], directories, "glance")
        found = configuration.glance_config(conf, [str(path)], directories)
        return found, configuration.secrets_of(conf)

    return read


def test_stores_of_type_ontap_are_found(read):
    found, _ = read()
    assert [store.id for store in found.stores] == ["fv1", "fv2"]
    assert [store.id for store in found.cinder_stores] == ["old"]
    assert found.cinder_stores[0].volume_type == "old"
    assert found.lock_path == "/locks"


def test_options_that_a_store_lacks_come_from_backend_defaults(read):
    found, _ = read()
    first, second = (store.settings for store in found.stores)
    assert (first.mount_point_base, second.mount_point_base) == ("/shared", "/own")
    assert first.credential.password == "s3cret-of-all"
    assert second.credential.password == "s3cret-of-fv2"
    assert first.http_retries == 3


@pytest.mark.skipif(
    not hasattr(driver, "BackendGroupConfiguration"),
    reason=f"glance_store {metadata.version('glance_store')} has no [backend_defaults]:"
    " from 5.0 on",
)
@pytest.mark.parametrize("store_id", ["fv1", "fv2"])
def test_values_are_those_that_glance_store_gives_to_the_store(
    read, tmp_path, monkeypatch, store_id
):
    read()
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[str(tmp_path / "glance-api.conf")])
    # Its class registers options there.
    monkeypatch.setattr(driver, "CONF", conf)
    theirs = driver.BackendGroupConfiguration(opts.OPTIONS, store_id, conf=conf)
    ours = configuration.read([str(tmp_path / "glance-api.conf")], [], "glance")
    assert configuration.values(ours, opts.OPTIONS, store_id) == (
        {option.name: getattr(theirs, option.dest) for option in opts.OPTIONS},
        [],
    )


def test_configuration_directories_are_read_too(read):
    found, secrets = read(directory="[fv1]\nontap_store_password = s3cret-of-fv1\n")
    assert found.stores[0].settings.credential.password == "s3cret-of-fv1"
    assert "s3cret-of-fv1" in secrets


def test_mistakes_of_one_store_do_not_affect_the_other(read):
    found, _ = read(GLANCE + "[fv1]\nontap_api_timeout = soon\n")
    first, second = found.stores
    assert first.settings is None
    assert "ontap_api_timeout" in first.mistakes[0]
    assert second.settings is not None


@pytest.mark.parametrize("text", ["no section\n", "[DEFAULT\n"])
def test_a_file_that_cannot_be_parsed_is_an_error(read, text):
    with pytest.raises(errors.Misconfigured):
        read(text)


@pytest.mark.parametrize(
    ("flavor", "is_cached"),
    [
        ("", False),
        ("flavor = keystone", False),
        ("flavor = keystone+caching", True),
        ("flavor = keystone+cachemanagement", True),
    ],
)
def test_the_image_cache_is_part_of_the_flavor(read, flavor, is_cached):
    found, _ = read(f"{GLANCE}[paste_deploy]\n{flavor}\n")
    assert found.has_image_cache == is_cached


def test_secrets_are_masked(read):
    _, secrets = read()
    assert set(secrets) == {"s3cret-of-all", "s3cret-of-fv2"}
    text = configuration.masked("user s3cret-of-fv2 at s3cret-of-all", secrets)
    assert text == "user *** at ***"


def test_back_ends_of_cinder_use_backend_defaults(tmp_path):
    path = tmp_path / "cinder.conf"
    path.write_text(
        "[DEFAULT]\nenabled_backends = a,b\nmy_ip = $nowhere\n"
        "[backend_defaults]\nnetapp_storage_protocol = nfs\n"
        "[a]\nnfs_qcow2_volumes = true\n[b]\nnetapp_storage_protocol = iscsi\n"
    )
    conf = configuration.read([str(path)], [], "cinder")
    assert [
        (backend.section, backend.protocol, backend.qcow2)
        for backend in configuration.cinder_backends(conf)
    ] == [("a", "nfs", True), ("b", "iscsi", False)]


CINDER = """
[DEFAULT]
enabled_backends = a,b
cinder_internal_tenant_project_id = p9
{user}
[a]
nfs_mount_options = vers=3
nfs_sparsed_volumes = false
netapp_use_legacy_client = false
image_upload_use_cinder_backend = true
image_upload_use_internal_tenant = true
image_volume_cache_enabled = true
[b]
nfs_mount_options = vers=3
nas_mount_options = vers=4.1
"""


class TestCinder:
    @pytest.fixture
    def conf(self, tmp_path):
        def conf(user="", more=""):
            path = tmp_path / "cinder.conf"
            path.write_text(CINDER.format(user=user) + more)
            return configuration.read([str(path)], [], "cinder")

        return conf

    def test_the_options_of_a_back_end(self, conf):
        first, second = configuration.cinder_backends(conf())
        assert first.mount_options == "vers=3"
        assert not first.is_sparse
        assert not first.uses_zapi
        assert first.is_cloning_uploads
        assert first.is_internal
        assert first.caches_images
        assert second.mount_options == "vers=4.1"

    def test_the_defaults_are_cinders(self, conf):
        _, found = configuration.cinder_backends(conf())
        assert found.is_sparse
        assert found.uses_zapi
        assert not found.is_cloning_uploads
        assert not found.is_internal
        assert not found.caches_images

    def test_the_internal_tenant_needs_project_and_user(self, conf):
        assert configuration.internal_project(conf()) is None
        with_user = conf(user="cinder_internal_tenant_user_id = u9")
        assert configuration.internal_project(with_user) == "p9"

    @pytest.mark.parametrize(
        ("text", "zone"),
        [
            ("", "nova"),
            ("storage_availability_zone = az1", "az1"),
            ("storage_availability_zone = az1\ndefault_availability_zone = az2", "az2"),
        ],
    )
    def test_the_default_zone(self, conf, text, zone):
        assert configuration.default_zone(conf(user=text)) == zone


def test_the_options_of_secure_nfs_are_auto_unless_set(tmp_path):
    path = tmp_path / "cinder.conf"
    path.write_text(
        "[DEFAULT]\nenabled_backends = a,b\n"
        "[backend_defaults]\nnas_secure_file_operations = False\n"
        "[a]\nnas_secure_file_operations = true\nnas_secure_file_permissions = TRUE\n"
        "[b]\n"
    )
    conf = configuration.read([str(path)], [], "cinder")
    assert [
        (backend.secure_operations, backend.secure_permissions)
        for backend in configuration.cinder_backends(conf)
    ] == [("true", "true"), ("false", "auto")]


class TestDirectories:
    def test_a_missing_directory_is_usable_and_is_not_created(self, tmp_path):
        assert host.unusable(str(tmp_path / "a" / "b")) is None
        assert list(tmp_path.iterdir()) == []

    def test_a_directory_below_a_file_is_unusable(self, tmp_path):
        (tmp_path / "file").touch()
        assert "is not a directory" in host.unusable(str(tmp_path / "file" / "b"))

    def test_a_directory_on_a_read_only_file_system_is_unusable(self):
        assert "/proc" in host.unusable("/proc/nothing/b")


@pytest.fixture
def sudo(tmp_path, monkeypatch):
    """Install a sudo that exits with the given code; return the file of its log."""

    def make(answer):
        path = tmp_path / "sudo"
        said = f"echo asked: $* >> {tmp_path}/asked"
        path.write_text(f"#!/bin/sh\n{said}\nexit {answer}\n")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr(host.os, "geteuid", lambda: 1000)
        return tmp_path / "asked"

    return make


@pytest.mark.parametrize(("code", "allowed"), [(0, True), (1, False)])
def test_sudo_is_only_asked_for_permission(sudo, code, allowed):
    asked = sudo(code)
    assert host._sudo(["/etc/glance/rootwrap.conf"]) is allowed
    assert asked.read_text() == (
        "asked: -n -l glance-rootwrap /etc/glance/rootwrap.conf privsep-helper\n"
    )
