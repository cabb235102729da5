# SPDX-License-Identifier: Apache-2.0
import pytest

from benchmarks import replicas
from glance_ontap_store.replication.step import Action
from glance_ontap_store.replication.step import Outcome
from glance_ontap_store.replication.step import Result
from glance_ontap_store.replication.step import Step
from glance_ontap_store.survey.image import Image

STEP = Step(Action.MAKE, Image("1"), "fv2", "a test wants it")


@pytest.mark.parametrize("result", [each for each in Result if each is not Result.DONE])
def test_only_what_was_done_is_measured(result: Result) -> None:
    with pytest.raises(replicas.NoReplica, match=r"make in fv2: .*, no room"):
        replicas.check(Outcome(STEP, result, "no room"))


def test_what_was_done_is_measured() -> None:
    replicas.check(Outcome(STEP, Result.DONE))
