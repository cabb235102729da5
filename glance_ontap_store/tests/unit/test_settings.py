# SPDX-License-Identifier: Apache-2.0
import itertools

import pytest

from glance_ontap_store import errors
from glance_ontap_store import opts
from glance_ontap_store.settings import ApplicationCredential
from glance_ontap_store.settings import Catalog
from glance_ontap_store.settings import Password
from glance_ontap_store.settings import Settings

PASSWORD = {
    "ontap_store_auth_address": "https://keystone.example.com/v3",
    "ontap_store_user_name": "glance",
    "ontap_store_password": "s3cret",
    "ontap_store_project_name": "images",
}
APPLICATION = {
    "ontap_store_auth_address": "https://keystone.example.com/v3",
    "ontap_store_application_credential_id": "ac-id",
    "ontap_store_application_credential_secret": "ac-s3cret",
}


def read(given, store_id="fv1"):
    values = {option.name: option.default for option in opts.OPTIONS}
    unknown = set(given) - set(values)
    assert not unknown
    return Settings.from_options({**values, **given}, store_id)


def mistakes(given):
    with pytest.raises(errors.Misconfigured) as caught:
        read(given)
    return str(caught.value)


class TestValid:
    def test_defaults_complete_the_required_options(self):
        found = read(PASSWORD)
        assert found.store_id == "fv1"
        assert found.volume_type is None
        assert found.credential == Password(
            "glance", "Default", "s3cret", "images", "Default"
        )
        assert found.catalog == Catalog("volumev3", None, "internalURL")
        assert found.region_name is None
        assert found.verify is True
        assert found.http_retries == 3
        assert found.thin_upload is True
        assert found.allowed_projects == frozenset()
        assert found.mount_point_base == "/var/lib/glance/ontap-mnt"

    def test_an_application_credential_replaces_the_password(self):
        assert read(APPLICATION).credential == ApplicationCredential(
            "ac-id", "ac-s3cret"
        )

    def test_every_option_reaches_its_setting(self, tmp_path):
        ca_file = tmp_path / "ca.pem"
        ca_file.write_text("certificate")
        found = read(
            {
                **PASSWORD,
                "ontap_volume_type": "ontap-fv1",
                "ontap_replica_volume_type": "ontap",
                "ontap_availability_zone": "az2",
                "ontap_store_user_domain_name": "users",
                "ontap_store_project_domain_name": "projects",
                "ontap_allowed_projects": ["acme", "globex"],
                "ontap_image_volume_owner": "project",
                "ontap_endpoint_template": "http://cinder.example.com/v3/%(project_id)s",
                "ontap_catalog_info": "block-storage:cinder:publicURL",
                "ontap_os_region_name": "north",
                "ontap_ca_certificates_file": str(ca_file),
                "ontap_http_retries": 0,
                "ontap_api_timeout": 11,
                "ontap_state_transition_timeout": 12,
                "ontap_attach_wait": 0,
                "ontap_delete_wait": 14,
                "ontap_linger": 9,
                "ontap_recovery_interval": 15,
                "ontap_store_thin_upload": False,
                "ontap_transfer_memory": 64,
                "ontap_mount_point_base": "/mnt//glance/",
                "ontap_nfs_mount_options": "vers=3,nolock",
                "ontap_use_multipath": True,
                "ontap_enforce_multipath": True,
                "ontap_rootwrap_config": "/opt/rootwrap.conf",
                "ontap_metrics_directory": "/run/glance/metrics",
            }
        )
        assert found == Settings(
            store_id="fv1",
            volume_type="ontap-fv1",
            replica_volume_type="ontap",
            availability_zone="az2",
            auth_url="https://keystone.example.com/v3",
            credential=Password("glance", "users", "s3cret", "images", "projects"),
            allowed_projects=frozenset({"acme", "globex"}),
            owned_by_project=True,
            endpoint_template="http://cinder.example.com/v3/%(project_id)s",
            catalog=Catalog("block-storage", "cinder", "publicURL"),
            region_name="north",
            verify=str(ca_file),
            http_retries=0,
            api_timeout_s=11,
            transition_timeout_s=12,
            attach_wait_s=0,
            delete_wait_s=14,
            linger_s=9,
            recovery_interval_s=15,
            thin_upload=False,
            transfer_memory=64 * 1024**2,
            mount_point_base="/mnt/glance",
            nfs_mount_options="vers=3,nolock",
            use_multipath=True,
            enforce_multipath=True,
            rootwrap_config="/opt/rootwrap.conf",
            metrics_directory="/run/glance/metrics",
        )

    @pytest.mark.parametrize(("linger", "is_accepted"), [(9, True), (10, False)])
    def test_other_processes_can_delete_what_lingers(self, linger, is_accepted):
        given = {**PASSWORD, "ontap_linger": linger, "ontap_delete_wait": 10}
        if is_accepted:
            assert read(given).linger_s == linger
        else:
            with pytest.raises(errors.Misconfigured, match="ontap_linger = 10 must"):
                read(given)

    def test_without_lingering_a_deletion_need_not_wait(self):
        assert read({**PASSWORD, "ontap_delete_wait": 0}).linger_s == 0

    @pytest.mark.parametrize(
        ("given", "project_ids"),
        [([], set()), (["acme", "initech"], {"acme", "initech"}), ([""], set())],
    )
    def test_empty_project_ids_are_dropped(self, given, project_ids):
        found = read({**PASSWORD, "ontap_allowed_projects": given})
        assert found.allowed_projects == project_ids

    def test_insecure_turns_verification_off(self):
        assert read({**PASSWORD, "ontap_api_insecure": True}).verify is False

    @pytest.mark.parametrize(
        "name",
        [
            "ontap_volume_type",
            "ontap_availability_zone",
            "ontap_os_region_name",
            "ontap_metrics_directory",
        ],
    )
    def test_an_empty_value_equals_an_unset_option(self, name):
        assert read({**PASSWORD, name: ""}) == read(PASSWORD)

    @pytest.mark.parametrize("given", [PASSWORD, APPLICATION])
    def test_repr_and_identity_show_no_secret(self, given):
        found = read(given)
        assert "s3cret" not in repr(found)
        assert "s3cret" not in found.describe_identity()

    def test_the_identity_names_user_and_project_or_credential(self):
        assert "'glance'" in read(PASSWORD).describe_identity()
        assert "'images'" in read(PASSWORD).describe_identity()
        assert "ac-id" in read(APPLICATION).describe_identity()


# option -> (wrong value, expected part of the message)
WRONG = {
    "ontap_store_auth_address": ("keystone.example.com", "not an http or https URL"),
    "ontap_store_user_name": ("", "ontap_store_user_name is missing"),
    "ontap_store_project_name": (None, "ontap_store_project_name is missing"),
    "ontap_catalog_info": ("volumev3", "ontap_catalog_info = 'volumev3'"),
    "ontap_ca_certificates_file": ("/no/such/file", "cannot be read"),
    "ontap_mount_point_base": ("mnt", "ontap_mount_point_base = 'mnt'"),
    "ontap_nfs_mount_options": ("hard,bind", "contains 'bind'"),
    "ontap_rootwrap_config": ("", "ontap_rootwrap_config = ''"),
}


class TestMistakes:
    @pytest.mark.parametrize(
        "names",
        [
            pytest.param(names, id="+".join(names))
            for count in (1, 2, 8)
            for names in itertools.combinations(WRONG, count)
        ],
    )
    def test_one_message_names_every_mistake(self, names):
        text = mistakes({**PASSWORD, **{name: WRONG[name][0] for name in names}})
        for name, (_value, says) in WRONG.items():
            assert (says in text) == (name in names)
        assert "'fv1'" in text

    @pytest.mark.parametrize(
        ("url", "says"),
        [
            (None, "is missing"),
            ("", "is missing"),
            ("ftp://host/", "not an http or https URL"),
            ("http://", "not an http or https URL"),
            ("https:///v3", "not an http or https URL"),
            ("http://[::1", "not an http or https URL"),
        ],
    )
    def test_a_wrong_keystone_url_is_named(self, url, says):
        text = mistakes({**PASSWORD, "ontap_store_auth_address": url})
        assert "ontap_store_auth_address" in text
        assert says in text

    @pytest.mark.parametrize("name", ["ontap_store_user_name", "ontap_store_password"])
    def test_a_password_beside_an_application_credential_is_a_mistake(self, name):
        text = mistakes({**APPLICATION, name: "s3cret"})
        assert name in text
        assert "s3cret" not in text

    @pytest.mark.parametrize("name", list(APPLICATION)[1:])
    def test_the_missing_half_of_an_application_credential_is_named(self, name):
        text = mistakes({**APPLICATION, name: None})
        assert f"{name} is missing" in text
        assert "ontap_store_password" not in text

    def test_all_required_options_are_named_when_nothing_is_set(self):
        text = mistakes({})
        for name in PASSWORD:
            assert name in text

    @pytest.mark.parametrize(
        "text", ["", ":", "::", "volumev3", "volumev3:internalURL", "a:b:c:d", ":b:c"]
    )
    def test_a_malformed_catalog_info_is_named(self, text):
        assert "ontap_catalog_info" in mistakes(
            {**PASSWORD, "ontap_catalog_info": text}
        )

    @pytest.mark.parametrize(
        "text", ["cinder", "http://cinder/%(user)s", "http://cinder/%", "http://c/%s"]
    )
    def test_a_malformed_endpoint_template_is_named(self, text):
        given = {**PASSWORD, "ontap_endpoint_template": text}
        assert "ontap_endpoint_template" in mistakes(given)

    def test_a_ca_file_beside_insecure_is_a_mistake(self, tmp_path):
        ca_file = tmp_path / "ca.pem"
        ca_file.write_text("certificate")
        text = mistakes(
            {
                **PASSWORD,
                "ontap_ca_certificates_file": str(ca_file),
                "ontap_api_insecure": True,
            }
        )
        assert "are both set" in text

    def test_the_message_shows_no_secret(self):
        assert "s3cret" not in mistakes({**PASSWORD, "ontap_store_user_name": ""})
