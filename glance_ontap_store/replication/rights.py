# SPDX-License-Identifier: Apache-2.0
"""The rules of Cinder's policy that guard what replication asks of Cinder. Pure.

To permit them one by one is not enough: behind those of pools and services Cinder asks
for an administrator once more (``User does not have admin privileges``).
doc/source/admin/replicas.rst explains them to operators; a test compares both.
"""

from collections.abc import Iterable

from glance_ontap_store import errors
from glance_ontap_store.cinder.api import Volume
from glance_ontap_store.cinder.api import VolumeType
from glance_ontap_store.errors import Reason
from glance_ontap_store.survey import answer
from glance_ontap_store.survey.answer import Answer
from glance_ontap_store.survey.answer import T
from glance_ontap_store.survey.answer import Unknown

POOLS = "scheduler_extension:scheduler_stats:get_pools"
SERVICES = "volume_extension:services:index"
SPECS = "volume_extension:types_extra_specs:read_sensitive"
ENCRYPTION = "volume_extension:volume_type_encryption:get"
HOST = "volume_extension:volume_host_attribute"
MIGRATION = "volume_extension:volume_mig_status_attribute"
MIGRATE = "volume_extension:volume_admin_actions:migrate_volume"
LINES = (POOLS, SERVICES, SPECS, ENCRYPTION, HOST, MIGRATION, MIGRATE)


def missing(what: str, line: str) -> errors.Refused:
    """Return the error that the user of ``--os-cloud`` may not *what*.

    *line* is the rule that says so.
    """
    return errors.Refused(
        f"The user of --os-cloud may not {what} (Cinder's policy: {line}). Give the"
        " credentials of an administrator, or of a user whom context_is_admin in"
        " Cinder's policy makes one of Cinder alone."
    )


def known(found: Answer[T], what: str, line: str) -> T:
    """Return Cinder's answer to a question that needs a line of its policy.

    :raises errors.Refused: the user lacks it
    :raises errors.Broken: there is no answer for another reason
    """
    if isinstance(found, Unknown) and found.reason is Reason.FORBIDDEN:
        raise missing(f"see {what} of Cinder", line)
    return answer.known(found, f"its {what}")


def check_shown(volumes: Iterable[Volume]) -> None:
    """Check that Cinder shows where volumes lie, and whether they are being moved.

    :raises errors.Refused: it does not
    """
    for volume in volumes:
        check_host(volume)
        check_migration(volume)


def check_host(volume: Volume) -> None:
    """Check that Cinder shows where the volume lies.

    :raises errors.Refused: it does not
    """
    if volume.pool is None:
        raise missing("see the hosts of volumes", HOST)


def check_migration(volume: Volume) -> None:
    """Check that Cinder shows whether the volume is being moved.

    :raises errors.Refused: it does not
    """
    if volume.migration is None:
        raise missing("see whether volumes are being moved", MIGRATION)


def check_specs(types: Iterable[VolumeType]) -> None:
    """Check that Cinder shows what volume types are pinned to.

    :raises errors.Refused: it shows none of it
    """
    names = ("volume_backend_name", "pool_name")
    if not any(name in kind.extra_specs for kind in types for name in names):
        raise missing("see the properties of volume types", SPECS)
