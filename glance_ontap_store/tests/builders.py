# SPDX-License-Identifier: Apache-2.0
"""Values and objects that several test modules need."""

from typing import Any

from glance_ontap_store import errors
from glance_ontap_store import identity
from glance_ontap_store import opts
from glance_ontap_store.cinder.client import CinderClient
from glance_ontap_store.images.filling import Upload
from glance_ontap_store.settings import Settings
from glance_ontap_store.tests.fakes.cloud import FakeCloud
from glance_ontap_store.tests.fakes.glance import Content
from glance_ontap_store.tests.fakes.glance import OnePass
from glance_ontap_store.tests.fakes.glance import Pattern
from glance_ontap_store.tests.fakes.openstack_http import AUTH_URL

VOLUME_ID = "0fb1d5e2-6f2c-4a8f-9d55-1f4c0f1f9d11"

OTHER_ID = "5f8b3e1c-7c0b-4d26-8f6f-6d6f6f0b1a22"

ATTACHMENT_ID = "9a0f1a6e-5f65-4a76-9a43-0f1d2c3b4a55"

CONNECTOR = {"host": "glance-1", "ip": "192.0.2.10"}

# As Cinder answers; api-ref/source/v3 of Cinder.
VOLUME = {
    "id": VOLUME_ID,
    "name": "image-1",
    "status": "available",
    "size": 3,
    "metadata": {"image_owner": "acme"},
    "volume_type": "ontap-fv1",
    "encrypted": False,
    "attachments": [],
    "multiattach": False,
    "bootable": "false",
    "links": [],
}


def make_settings(**changes: Any) -> Settings:
    values: dict[str, Any] = {option.name: option.default for option in opts.OPTIONS}
    values.update(
        ontap_store_auth_address=AUTH_URL,
        ontap_store_user_name="glance",
        ontap_store_password="s3cret",
        ontap_store_project_name="images",
        ontap_os_region_name="north",
    )
    return Settings.from_options({**values, **changes}, "fv1")


def make_client(**changes: Any) -> CinderClient:
    given = make_settings(**changes)
    return CinderClient(given, identity.session_for(given))


class First(errors.Broken):
    """The failure that must come out."""


# Less than a GiB: an upload extends its volume only where a test makes it do so.
SIZE = 5000


def upload(content: Content | int = SIZE, announced: int = 0, **changes: Any) -> Upload:
    """An upload of *content*, or of that many bytes; *announced* 0 means unknown."""
    if isinstance(content, int):
        content = Pattern(content)
    wanted: dict[str, Any] = {
        "image_id": "image-1",
        "owner": "acme",
        "reader": OnePass(content),
        "size": announced,
        "hash_algo": "sha256",
    }
    return Upload(**{**wanted, **changes})


def assert_nothing_is_left(cloud: FakeCloud) -> None:
    cloud.clock.sleep(3600)
    assert cloud.holdings() == set()
    assert not list(cloud.cinder.find("image-image-1"))
    assert not cloud.cinder.orphans


# The requests to Cinder of an upload that extends its volume: the name, and which
# call of that name it is.
UPLOAD_CALLS = [
    ("create", 1),
    ("get", 1),
    ("get", 2),
    ("reserve", 1),
    ("connect", 1),
    ("complete", 1),
    ("detach", 1),
    ("extend", 1),
    ("get", 3),
    ("set_readonly", 1),
    ("set_metadata", 1),
]
