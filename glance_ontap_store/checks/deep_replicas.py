# SPDX-License-Identifier: Apache-2.0
"""Try whether a cloud's user may make replicas; nothing is made or changed by it."""

from collections.abc import Callable
from collections.abc import Iterator
import dataclasses
import functools

from glance_ontap_store import errors
from glance_ontap_store.checks import codes
from glance_ontap_store.checks.finding import Finding
from glance_ontap_store.cinder.api import Operator
from glance_ontap_store.cinder.api import VolumeType
from glance_ontap_store.replication import rights
from glance_ontap_store.survey import answer
from glance_ontap_store.survey import facts
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.cinder import CinderSurvey

# No cinder-volume has this name. Cinder's API looks first whether the user may migrate
# (403), and then for the service (400), before it changes anything.
NOWHERE = "glance-ontap-check@nowhere#nowhere"
PAGE = "See the page Replicas for all rights."


@dataclasses.dataclass(frozen=True)
class Trial:
    """What is tried with: a store's replica type, and an image-volume of the store.

    *is_admin* is whether the cloud's user has the role admin.
    """

    store_id: str
    replica_type: str
    volume_id: str
    is_admin: bool = False


def rights_of(
    trial: Trial, survey: CinderSurvey, operator: Operator
) -> Iterator[Finding]:
    """Yield what the cloud's user may not do, one finding for each right.

    *survey* and *operator* ask as that user.

    :raises errors.StoreError: Cinder does not answer
    """
    types = answer.known(survey.volume_types(), "its volume types")
    kind = facts.called(trial.replica_type, types)
    shown = survey.volume(trial.volume_id)
    questions: list[Callable[[], object]] = [
        lambda: rights.known(survey.pools(), "pools", rights.POOLS),
        lambda: rights.known(survey.services(), "services", rights.SERVICES),
    ]
    if not trial.is_admin:
        questions.append(lambda: rights.check_specs(types))
    if kind is not None:
        questions.append(functools.partial(_encryption, survey, kind))
    if isinstance(shown, Unknown):
        questions.append(functools.partial(_unseen, shown))
    else:
        questions.append(functools.partial(rights.check_host, shown))
        questions.append(functools.partial(rights.check_migration, shown))
    questions.append(functools.partial(_migrate, operator, trial.volume_id))
    for ask in questions:
        try:
            ask()
        except errors.Refused as error:
            yield codes.REPLICA_RIGHTS(trial.store_id, str(error), PAGE)


def _encryption(survey: CinderSurvey, kind: VolumeType) -> None:
    found = survey.encrypts(kind.id)
    rights.known(found, "encryption of volume types", rights.ENCRYPTION)


def _unseen(shown: Unknown) -> None:
    raise errors.Refused(
        "The user of --os-cloud does not see the store's image-volumes"
        f" ({shown.text}): give an administrator's credentials, or a user's in the"
        " project of the store."
    )


def _migrate(operator: Operator, volume_id: str) -> None:
    try:
        operator.migrate(volume_id, NOWHERE)
    except errors.Refused as error:
        raise rights.missing("have volumes moved", rights.MIGRATE) from error
    except errors.ImageVolumeInUse:
        # Cinder has no such service.
        return


def locations(store_id: str, endpoint: str, status: int) -> Iterator[Finding]:
    """Judge the answer to a location at a place that no list has.

    400: Glance would have added it at another place.
    """
    if status == 400:
        return
    problem = f"The glance-api {endpoint} does not let locations be added ({status})."
    if status != 403:
        yield codes.not_asked(
            store_id,
            "whether locations can be added",
            f"{endpoint} answered {status}",
            "Check --image-endpoint.",
        )
        return
    yield codes.REPLICA_LOCATIONS(
        store_id,
        problem,
        "Give another one with --image-endpoint: it needs show_multiple_locations ="
        " true, and a policy that permits it to this user.",
    )
