# SPDX-License-Identifier: Apache-2.0
"""The operator's files as check reads them: as Glance does, and no secret out."""

import pytest

from glance_ontap_store import errors
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


def test_stores_are_those_of_our_type(read):
    found, _ = read()
    assert [each.id for each in found.stores] == ["fv1", "fv2"]
    assert [each.id for each in found.cinder_stores] == ["old"]
    assert found.cinder_stores[0].volume_type == "old"
    assert found.lock_path == "/locks"


def test_what_a_store_does_not_say_is_backend_defaults(read):
    found, _ = read()
    first, second = (each.settings for each in found.stores)
    assert (first.mount_point_base, second.mount_point_base) == ("/shared", "/own")
    assert first.credential.password == "s3cret-of-all"
    assert second.credential.password == "s3cret-of-fv2"
    assert first.http_retries == 3


def test_directories_are_read_too(read):
    found, secrets = read(directory="[fv1]\nontap_store_password = s3cret-of-fv1\n")
    assert found.stores[0].settings.credential.password == "s3cret-of-fv1"
    assert "s3cret-of-fv1" in secrets


def test_mistakes_of_one_store_leave_the_other(read):
    found, _ = read(GLANCE + "[fv1]\nontap_api_timeout = soon\n")
    first, second = found.stores
    assert first.settings is None
    assert "ontap_api_timeout" in first.mistakes[0]
    assert second.settings is not None


@pytest.mark.parametrize("text", ["no section\n", "[DEFAULT\n"])
def test_files_that_are_none(read, text):
    with pytest.raises(errors.Misconfigured):
        read(text)


def test_secrets_are_masked(read):
    _, secrets = read()
    assert set(secrets) == {"s3cret-of-all", "s3cret-of-fv2"}
    text = configuration.masked("user s3cret-of-fv2 at s3cret-of-all", secrets)
    assert text == "user *** at ***"


def test_back_ends_of_cinder_have_defaults_too(tmp_path):
    path = tmp_path / "cinder.conf"
    path.write_text(
        "[DEFAULT]\nenabled_backends = a,b\nmy_ip = $nowhere\n"
        "[backend_defaults]\nnetapp_storage_protocol = nfs\n"
        "[a]\nnfs_qcow2_volumes = true\n[b]\nnetapp_storage_protocol = iscsi\n"
    )
    conf = configuration.read([str(path)], [], "cinder")
    assert [
        (each.section, each.protocol, each.qcow2)
        for each in configuration.cinder_backends(conf)
    ] == [("a", "nfs", True), ("b", "iscsi", False)]


class TestDirectories:
    def test_one_that_could_be_made(self, tmp_path):
        assert host.unusable(str(tmp_path / "a" / "b")) is None
        assert list(tmp_path.iterdir()) == []

    def test_one_below_a_file(self, tmp_path):
        (tmp_path / "file").touch()
        assert "is not a directory" in host.unusable(str(tmp_path / "file" / "b"))

    def test_one_on_a_file_system_that_takes_nothing(self):
        assert "/proc" in host.unusable("/proc/nothing/b")


@pytest.fixture
def sudo(tmp_path, monkeypatch):
    """A sudo that says yes to what `sudo -l` is asked, or no."""

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
def test_sudo_is_asked_and_runs_nothing(sudo, code, allowed):
    asked = sudo(code)
    assert host._sudo(["/etc/glance/rootwrap.conf"]) is allowed
    assert asked.read_text() == (
        "asked: -n -l glance-rootwrap /etc/glance/rootwrap.conf privsep-helper\n"
    )
