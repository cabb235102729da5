# SPDX-License-Identifier: Apache-2.0
"""Glance's policy for locations, read from the operator's files and applied."""

import pytest

from glance_ontap_store.errors import Reason
from glance_ontap_store.survey import configuration
from glance_ontap_store.survey import location_policy
from glance_ontap_store.survey.answer import Unknown
from glance_ontap_store.survey.facts import LocationPolicy

RECOMMENDED = '"fetch_image_location": "role:service or service_roles:service"'


@pytest.fixture
def read(tmp_path):
    def read(files, options=""):
        """What Glance's configuration says, with *files* beside glance-api.conf."""
        config = tmp_path / "glance-api.conf"
        config.write_text(f"[oslo_policy]\n{options}\n")
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(f"{text}\n")
        conf = configuration.read([str(config)], [], "glance-of-this-test")
        return location_policy.read(conf)

    return read


def test_without_a_file_glances_defaults_hold(read):
    assert read({}) == LocationPolicy(vouched=False, users=False, file=None)


def test_the_recommended_line_accepts_a_service_token(read, tmp_path):
    path = str(tmp_path / "policy.yaml")
    assert read({"policy.yaml": RECOMMENDED}) == LocationPolicy(True, False, path)


@pytest.mark.parametrize(
    ("rule", "vouched", "users"),
    [
        ("", True, True),
        ("!", False, False),
        ("role:service", False, False),
        ("service_roles:service", True, False),
        ("rule:service_api or service_roles:service", True, False),
        ("role:reader and project_id:%(project_id)s", True, True),
        # Glance's rule "default" takes its place, which permits everything.
        ("rule:nowhere", True, True),
        ("role:reader and service_roles:service", True, False),
    ],
)
def test_a_rule_is_applied_and_not_compared(read, rule, vouched, users):
    found = read({"policy.yaml": f'"fetch_image_location": "{rule}"'})
    assert (found.vouched, found.users) == (vouched, users)


def test_a_changed_service_rule_counts(read):
    text = '"service_api": "role:service or service_roles:service"'
    assert read({"policy.yaml": text}).vouched


def test_the_file_and_directory_of_the_configuration_are_read(read, tmp_path):
    found = read(
        {"other.yaml": RECOMMENDED, "policy.yaml": '"fetch_image_location": "!"'},
        "policy_file = other.yaml",
    )
    assert found == LocationPolicy(True, False, str(tmp_path / "other.yaml"))
    found = read({"extra/more.yaml": RECOMMENDED}, "policy_dirs = extra")
    assert found.vouched


@pytest.mark.parametrize("text", ["[a, list]", '"a": "b', "just words"])
def test_a_file_that_makes_no_sense_is_unknown(read, text):
    found = read({"policy.yaml": text})
    assert isinstance(found, Unknown)
    assert found.reason is Reason.UNREADABLE
    assert found.text
