# SPDX-License-Identifier: Apache-2.0
"""A cloud with many stores and image-volumes, for commands over HTTP."""

from typing import Any
import uuid

from glance_ontap_store import units
from glance_ontap_store.tests.fakes.cinder_http import CinderHttp
from glance_ontap_store.tests.fakes.cinder_http import GlanceHttp
from glance_ontap_store.tests.fakes.openstack_http import AUTH_URL
from glance_ontap_store.tests.fakes.openstack_http import PROJECT_ID
from glance_ontap_store.tests.fakes.openstack_http import Http

# Of so many image-volumes one is a replica.
_PERIOD = 5
# Of so many images one is golden: the policy wants it in the first two stores.
_GOLDEN = 100
_CONFIG = f"""
[DEFAULT]
enabled_backends = STORES
[backend_defaults]
ontap_store_auth_address = {AUTH_URL}
ontap_store_user_name = glance
ontap_store_password = s3cret
ontap_store_project_name = images
ontap_os_region_name = north
ontap_mount_point_base = BASE
ontap_replica_volume_type = ontap
"""
POLICY = """
defaults: {stores: [fv0, fv1], free_floor_gib: 5, verify: none}
rules:
  - match: {tag: golden}
  - match: {}
    stores: []
"""


class ManyImages:
    """*volumes* image-volumes, a fifth of them replicas, spread over *stores* stores.

    Each store has a FlexVol of its own, and all are of one project. All images have
    the same size. Glance shows their locations to services and administrators, and
    not in lists.
    """

    def __init__(self, http: Http, volumes: int, stores: int) -> None:
        names = [f"fv{number}" for number in range(stores)]
        http.roles |= {"boss": ("admin",), "glance": ("member",)}
        self.names = names
        self.cinder = CinderHttp(http, *(f"ontap-{name}" for name in names), "ontap")
        self.glance = GlanceHttp(http, *names)
        self.cinder.types[-1]["extra_specs"] = {"volume_backend_name": "ontap"}
        for number, name in enumerate(names):
            self._add_pool(number, name)
        service = {"host": "h@ontap", "zone": "nova", "binary": "cinder-volume"}
        self.cinder.services = [service]
        # Every fifth image-volume is a replica of the one before.
        for number in range(volumes):
            if number % _PERIOD == _PERIOD - 1:
                self._add_replica(number)
            else:
                self._add_image(number)

    def config(self, base: str) -> str:
        """The text of a glance-api.conf; *base* is the directory of the mounts."""
        enabled = ",".join(f"{name}:ontap" for name in self.names)
        text = _CONFIG.replace("STORES", enabled).replace("BASE", base)
        return text + "".join(
            f"[{name}]\nontap_volume_type = ontap-{name}\n" for name in self.names
        )

    def _add_pool(self, number: int, name: str) -> None:
        export = f"192.0.2.1:/{name}"
        specs = {"pool_name": export, "volume_backend_name": "ontap"}
        self.cinder.types[number]["extra_specs"] = specs
        capabilities = {
            **specs,
            "vendor_name": "NetApp",
            "storage_protocol": "nfs",
            "total_capacity_gb": 100_000.0,
            "free_capacity_gb": 60_000.0,
        }
        self.cinder.pools.append({"name": _pool(name), "capabilities": capabilities})

    def _add_image(self, number: int) -> None:
        image_id, store = _id("image", number), self._store(number)
        self._add_volume(number, image_id, store)
        self.glance.locations[image_id] = [f"cinder://{store}/{_id('volume', number)}"]
        self.glance.images[image_id] = {
            "id": image_id,
            "name": f"image-no-{number:06}",
            "owner": "acme",
            "status": "active",
            "size": units.GIB,
            "disk_format": "raw",
            "container_format": "bare",
            "visibility": "private",
            "os_hash_algo": "sha512",
            "os_hash_value": f"{number:0128x}",
            "stores": store,
            "tags": [] if number % _GOLDEN != 1 else ["golden"],
            "created_at": "2026-01-02T03:04:05Z",
            "updated_at": "2026-01-02T03:05:05Z",
        }

    def _add_replica(self, number: int) -> None:
        """Add one of the image before, in the next store."""
        image_id, store = _id("image", number - 1), self._store(number)
        source = _id("volume", number - 1)
        digest = self.glance.images[image_id]["os_hash_value"]
        self._add_volume(
            *(number, image_id, store),
            ontap_replica_of=source,
            ontap_hash_value=digest,
        )
        self.glance.images[image_id]["stores"] += f",{store}"
        url = f"cinder://{store}/{_id('volume', number)}"
        self.glance.locations[image_id].append(url)

    def _add_volume(
        self, number: int, image_id: str, store: str, **metadata: Any
    ) -> None:
        self.cinder.add(
            {
                "id": _id("volume", number),
                "name": f"image-{image_id}",
                "status": "available",
                "size": 1,
                "volume_type": f"ontap-{store}",
                "encrypted": False,
                "multiattach": False,
                "bootable": "false",
                "availability_zone": "nova",
                "created_at": "2026-01-02T03:04:05.000000",
                "updated_at": "2026-01-02T03:05:05.000000",
                "os-vol-host-attr:host": _pool(store),
                "os-vol-tenant-attr:tenant_id": PROJECT_ID,
                "os-vol-mig-status-attr:migstat": None,
                "metadata": {
                    "glance_image_id": image_id,
                    "image_owner": "acme",
                    "image_size": str(units.GIB),
                    "ontap_store": store,
                    "ontap_state": "sealed",
                    "ontap_format": "1",
                    "ontap_writer": "glance-1",
                    "ontap_started": "2026-01-02T03:04:05Z",
                    "ontap_write_id": _id("write", number),
                    "ontap_hash_algo": "sha512",
                    "ontap_hash_value": f"{number:0128x}",
                    "ontap_content": "raw",
                    "readonly": "True",
                    **metadata,
                },
            }
        )

    def _store(self, number: int) -> str:
        return self.names[number % len(self.names)]


def _pool(store: str) -> str:
    return f"h@ontap#192.0.2.1:/{store}"


def _id(kind: str, number: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{kind}-{number}"))
