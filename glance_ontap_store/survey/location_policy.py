# SPDX-License-Identifier: Apache-2.0
"""Ask Glance's policies who may see the locations of images.

They are read and applied with oslo.policy, as Glance does, from the operator's files.
"""

from typing import Any

from oslo_config import cfg
from oslo_policy import opts
from oslo_policy import policy

from glance_ontap_store.errors import Reason
from glance_ontap_store.survey.answer import Answer
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.facts import LocationPolicy

RULE = "fetch_image_location"
# Glance's defaults for the rule and for those that it, or a policy file, refers to
# (release 33, glance/policies/base.py and image.py).
_DEFAULTS = {
    "default": "",
    "context_is_admin": "role:admin",
    "service_api": "role:service or role:admin",
    RULE: "rule:service_api",
}
_OWNER = "owner"
_IMAGE = {"project_id": _OWNER, "owner": _OWNER, "visibility": "private"}


def read(conf: cfg.ConfigOpts) -> Answer[LocationPolicy]:
    """Return what the policy files that *conf* names say about locations."""
    # As Glance sets it; older releases of oslo.policy read policy.json otherwise.
    opts.set_defaults(conf, policy_file="policy.yaml")
    enforcer = policy.Enforcer(conf)
    for name, rule in _DEFAULTS.items():
        enforcer.register_default(policy.RuleDefault(name, rule))
    try:
        enforcer.load_rules()
    except (cfg.Error, OSError, ValueError) as error:
        return Unknown(Reason.UNREADABLE, str(error))
    except (AttributeError, TypeError) as error:
        # oslo.policy takes the file's content for a mapping without looking.
        return Unknown(
            Reason.UNREADABLE, f"{enforcer.policy_path} has no rules: {error}"
        )

    def shows_to_owner(service_roles: list[str]) -> bool:
        request: dict[str, Any] = {
            "roles": ["member", "reader"],
            "service_roles": service_roles,
            "project_id": _OWNER,
        }
        return bool(enforcer.enforce(RULE, _IMAGE, request))

    return LocationPolicy(
        vouched=shows_to_owner(["service"]),
        users=shows_to_owner([]),
        file=enforcer.policy_path,
    )
