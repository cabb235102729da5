# SPDX-License-Identifier: Apache-2.0
"""Judge Cinder's answers to the stores: its version, and the projects' quotas."""

from collections.abc import Iterator

from glance_ontap_store.checks import codes
from glance_ontap_store.checks import remedies
from glance_ontap_store.checks.finding import Finding
from glance_ontap_store.checks.finding import Severity
from glance_ontap_store.checks.registry import Judges
from glance_ontap_store.cinder.api import VolumeType
from glance_ontap_store.errors import Reason
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.facts import Facts
from glance_ontap_store.survey.facts import Login
from glance_ontap_store.survey.facts import Quota
from glance_ontap_store.survey.facts import StoreFacts

# A quota with less room than this is reported before users notice.
ROOM = {"gigabytes": 100, "volumes": 10}
_UNITS = {"gigabytes": "GiB", "volumes": "volumes"}
_OLDEST = (3, 61)

judges = Judges()


@judges.per_store("endpoint")
def cinder_answers(store: StoreFacts, endpoint: str) -> Iterator[Finding]:
    """Report a Cinder that does not answer."""
    if isinstance(store.volume_types, Unknown):
        yield codes.CINDER_UNREACHABLE(
            store.id,
            f"Cinder does not answer at {endpoint}: {store.volume_types.text}",
            "Check the endpoint in Keystone's catalog, the network from this host, and"
            " cinder-api.",
        )


@judges.per_store("volume_types")
def cinder_tells_its_version(
    store: StoreFacts, _types: tuple[VolumeType, ...]
) -> Iterator[Finding]:
    """Report that the version of Cinder is unknown."""
    if isinstance(store.microversion, Unknown):
        yield codes.not_asked(
            store.id,
            "the API version of Cinder",
            store.microversion.text,
            "Run: openstack versions show --service volumev3",
        )


@judges.per_store("microversion")
def cinder_is_new_enough(
    store: StoreFacts, newest: tuple[int, int]
) -> Iterator[Finding]:
    """Report a Cinder older than the store needs."""
    if newest < _OLDEST:
        yield codes.CINDER_TOO_OLD(
            store.id,
            f"Cinder has API version {newest[0]}.{newest[1]}; the store needs"
            f" {_OLDEST[0]}.{_OLDEST[1]} (Victoria).",
            "Upgrade Cinder.",
        )


@judges.per_store("login")
def quota_is_known(store: StoreFacts, login: Login) -> Iterator[Finding]:
    """Report that the quota is unknown, unless an earlier finding says why."""
    quota = store.quota
    if isinstance(quota, Unknown) and quota.reason is not Reason.EARLIER:
        yield codes.not_asked(
            store.id,
            "the Cinder quota of the store's project",
            quota.text,
            f"Run as an administrator: openstack quota show --usage {login.project_id}",
        )


@judges.once("quotas")
def quotas_have_room(_facts: Facts, quotas: tuple[Quota, ...]) -> Iterator[Finding]:
    """Report an error if a volume of 1 GiB does not fit, a warning below `ROOM`."""
    for quota in quotas:
        room, wanted = quota.room, ROOM[quota.name]
        if room.left >= wanted:
            continue
        unit = _UNITS[quota.name]
        # The finding must not come back with the next image.
        raised = room.used + 2 * wanted
        remedy = remedies.set_quota(
            quota.project_id, quota.name, raised, quota.volume_type
        )
        yield codes.QUOTA(
            quota.store_id,
            f"Project {quota.project!r} has used {room.used} of its {room.limit} {unit}"
            f" Cinder quota ({quota.full_name}).",
            f"Run: {remedy}",
            Severity.ERROR if room.left < 1 else Severity.WARNING,
        )
