# SPDX-License-Identifier: Apache-2.0
"""Judge facts with the judges of all areas."""

from glance_ontap_store.checks import backends
from glance_ontap_store.checks import block
from glance_ontap_store.checks import cinder
from glance_ontap_store.checks import cinder_conf
from glance_ontap_store.checks import finding
from glance_ontap_store.checks import glance
from glance_ontap_store.checks import host
from glance_ontap_store.checks import images
from glance_ontap_store.checks import keystone
from glance_ontap_store.checks import pools
from glance_ontap_store.checks import replicas
from glance_ontap_store.checks import volume_types
from glance_ontap_store.checks.finding import Finding
from glance_ontap_store.survey.facts import Facts

# Findings of the same severity are shown in this order.
_AREAS = (
    glance.judges,
    host.judges,
    keystone.judges,
    cinder.judges,
    volume_types.judges,
    pools.judges,
    block.judges,
    replicas.judges,
    images.judges,
    cinder_conf.judges,
    backends.judges,
)


def judge(facts: Facts) -> list[Finding]:
    """Return all findings about *facts*, the worst first."""
    return finding.ordered(
        found for judges in _AREAS for found in judges.findings(facts)
    )
