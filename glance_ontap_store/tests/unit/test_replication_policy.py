# SPDX-License-Identifier: Apache-2.0
"""The policy file: its values, its rules, and all its mistakes at once."""

import pathlib

from hypothesis import given
from hypothesis import strategies as st
import pytest
import yaml

from glance_ontap_store.replication import policy_file
from glance_ontap_store.replication.policy import Match
from glance_ontap_store.replication.policy import Policy
from glance_ontap_store.replication.policy import Rule
from glance_ontap_store.replication.policy_file import WrongPolicy
from glance_ontap_store.replication.step import Verify
from glance_ontap_store.survey.image import Image
from glance_ontap_store.units import GIB

EXAMPLE = pathlib.Path(__file__).parents[3] / "etc/ontap-replicas.yaml"
KINDS = {"fv1": "ontap", "fv2": "ontap", "fv3": "ontap", "disk": "file"}
IMAGE = Image(
    id="image-1",
    owner="acme",
    name="debian-12",
    size=2 * GIB,
    disk_format="raw",
    visibility="public",
    tags=frozenset({"golden", "linux"}),
    properties={"os_distro": "debian"},
)


def mistakes(text, kinds=KINDS):
    """The places of a policy's mistakes, with what they say."""
    with pytest.raises(WrongPolicy) as caught:
        policy_file.parse(text, kinds)
    return {each.place: str(each) for each in caught.value.mistakes}


def one_rule(match="{}", more="stores: [fv1]"):
    return f"rules:\n  - match: {match}\n    {more}\n"


class TestValues:
    def test_the_example_has_every_setting(self):
        found = policy_file.parse(EXAMPLE.read_text("utf-8"), KINDS)
        assert found.free_floor_gib == 500
        assert found.free_floor_percent == 15
        assert found.max_percent == 20
        assert (found.parallel, found.per_pool) == (2, 1)
        asked, golden, public, trials, project, rest = found.rules
        assert asked.match.properties == {"ontap_replicate": ("all", "yes")}
        assert (asked.stores, asked.ttl_s) == (("fv1", "fv2", "fv3"), 30 * 86400)
        assert (golden.ttl_s, golden.verify) == (None, Verify.FULL)
        assert public.match == Match(
            visibilities=("public",),
            disk_formats=("raw",),
            min_size=GIB,
            max_size=200 * GIB,
        )
        assert (trials.match.names, trials.stores) == (("trial-*", "*-test"), ())
        assert project.ttl_s == 7 * 86400
        assert (rest.match, rest.stores) == (Match(), ())

    def test_the_statement_about_clusters_in_the_example_is_right(self):
        text = EXAMPLE.read_text("utf-8")
        text = text.replace("# same_cluster:", "same_cluster:").replace("#   -", "  -")
        found = policy_file.parse(text, KINDS)
        assert found.are_near("cinder-1@ontap-a", "cinder-1@ontap-b")
        assert not found.are_near("cinder-1@ontap-a", "cinder-1@other")

    def test_what_is_left_out_has_a_value(self):
        found = policy_file.parse(one_rule(), None)
        assert found == Policy(rules=(Rule("rules[0]", Match(), ("fv1",)),))
        assert (found.free_floor_percent, found.max_percent) == (10, 100)
        assert (found.parallel, found.per_pool) == (2, 1)
        assert found.longest_ttl_s is None

    def test_the_longest_ttl_is_how_far_uses_matter(self):
        text = "defaults: {ttl: 12h, stores: []}\nrules: [{match: {tag: x}, ttl: 2d},"
        found = policy_file.parse(text + "{match: {}}]", KINDS)
        assert [rule.ttl_s for rule in found.rules] == [2 * 86400, 12 * 3600]
        assert found.longest_ttl_s == 2 * 86400


class TestMatch:
    @pytest.mark.parametrize(
        ("match", "is_met"),
        [
            ("{}", True),
            ("{tag: golden}", True),
            ("{tag: [silver, linux]}", True),
            ("{tag: silver}", False),
            ("{property: {os_distro: debian}}", True),
            ("{property: {os_distro: [arch, debian]}}", True),
            ("{property: {os_distro: arch}}", False),
            ("{property: {os_distro: debian, os_version: '12'}}", False),
            ("{visibility: public}", True),
            ("{visibility: [private, shared]}", False),
            ("{project: acme}", True),
            ("{project: [globex]}", False),
            ("{name: debian-*}", True),
            ("{name: [arch-*, '*-12']}", True),
            ("{name: DEBIAN-*}", False),
            ("{name: debian}", False),
            ("{disk_format: raw}", True),
            ("{disk_format: [qcow2]}", False),
            ("{min_size_gib: 2, max_size_gib: 2}", True),
            ("{min_size_gib: 2.5}", False),
            ("{max_size_gib: 1.5}", False),
            ("{tag: golden, visibility: private}", False),
            ("{tag: golden, visibility: public, name: debian-*}", True),
        ],
    )
    def test_all_conditions_have_to_be_met(self, match, is_met):
        found = policy_file.parse(one_rule(match), KINDS).rule_for(IMAGE)
        assert (found is not None) == is_met

    def test_an_image_of_unknown_size_or_without_a_name_meets_no_condition(self):
        image = Image(id="image-2")
        for match in ("{max_size_gib: 5}", "{name: a*}", "{project: acme}"):
            assert policy_file.parse(one_rule(match), KINDS).rule_for(image) is None

    def test_the_first_rule_that_matches_decides(self):
        text = (
            "rules: [{match: {tag: none}, stores: [fv3]}, {match: {tag: golden},"
            " stores: [fv2]}, {match: {}, stores: [fv1]}]"
        )
        found = policy_file.parse(text, KINDS).rule_for(IMAGE)
        assert (found.place, found.stores) == ("rules[1]", ("fv2",))


class TestMistakes:
    def test_all_of_them_come_at_once_each_with_its_place(self):
        text = """
defaults:
  stores: [fv1, fv9, disk]
  ttl: 30x
  free_floor_percent: 120
  parallel: 0
  verfy: sample
rules:
  - match: {property: {ontap_replicate: yes}}
  - match: {visibility: publik}
    ttl: 30
    per_pool: 3
  - match: {min_size_gib: 5, max_size_gib: 2}
    stores: fv1
  - match: {}
  - match: {name: debian-*}
  - stores: [fv1, fv1]
same_cluster: [[host@a]]
"""
        found = mistakes(text)
        assert list(found) == [
            "defaults.stores[1]",
            "defaults.stores[2]",
            "defaults.ttl",
            "defaults.free_floor_percent",
            "defaults.parallel",
            "defaults.verfy",
            "rules[0].match.property.ontap_replicate",
            "rules[1].match.visibility",
            "rules[1].ttl",
            "rules[1].per_pool",
            "rules[2].match",
            "rules[2].stores",
            "rules[4]",
            "rules[5]",
            "rules[5].stores",
            "same_cluster[0]",
        ]
        assert found["rules[1].match.visibility"] == (
            "line 10: rules[1].match.visibility: 'publik' is not one of public,"
            " community, shared and private."
        )
        assert "stores of type ontap are: fv1, fv2, fv3" in found["defaults.stores[1]"]
        assert "of type file" in found["defaults.stores[2]"]
        assert "such as 30d" in found["defaults.ttl"]
        assert "Did you mean verify?" in found["defaults.verfy"]
        assert "quotes" in found["rules[0].match.property.ontap_replicate"]
        assert "under defaults" in found["rules[1].per_pool"]
        assert "rules[3] has all its images" in found["rules[4]"]

    @pytest.mark.parametrize(
        ("text", "place", "says"),
        [
            ("", "", "Nothing is not a mapping"),
            ("a: [", "", "not YAML"),
            ("\tx", "", "not YAML"),
            ("rules: 2026-99-99", "", "not YAML"),
            ("{[a]: b}", "", "not YAML"),
            ("rules: &a [*a]", "rules[0]", "a rule, such as"),
            ("[]", "", "keys defaults and rules"),
            ("defaults: {}", "", "The key rules is missing"),
            ("rules: []", "rules", "at least one rule"),
            ("rules: [7]", "rules[0]", "7 is not a rule"),
            ("rules: {}", "rules", "a list of at least one rule"),
            (one_rule(more="stroes: [fv1]"), "rules[0].stroes", "mean stores?"),
            (one_rule(more="ttl: never"), "rules[0]", "which stores"),
            (one_rule("{tag: 12}"), "rules[0].match.tag", "in quotes"),
            (one_rule("{tag: []}"), "rules[0].match.tag", "list of tags"),
            (one_rule("{tag: ['']}"), "rules[0].match.tag[0]", "a tag"),
            (one_rule("{name: 2026-01-01}"), "rules[0].match.name", "in quotes"),
            (one_rule("{property: {}}"), "rules[0].match.property", "os_distro"),
            (one_rule("{property: {1: x}}"), "rules[0].match.property", "name of a pr"),
            (one_rule("{size: 5}"), "rules[0].match.size", "min_size_gib"),
            (one_rule("{max_size_gib: .nan}"), "rules[0].match.max_size_gib", "GiB"),
            (one_rule("{max_size_gib: '5'}"), "rules[0].match.max_size_gib", "GiB"),
            (one_rule("{max_size_gib: -1}"), "rules[0].match.max_size_gib", "GiB"),
            (one_rule("{tag: a, tag: b}"), "rules[0].match.tag", "more than once"),
            (one_rule(more="stores: [1]"), "rules[0].stores[0]", "id of a store"),
            (one_rule(more="stores: [fv1]\n    verify: no"), "rules[0].verify", "none"),
            (one_rule(more="stores: [fv1]\n    ttl: 0"), "rules[0].ttl", "30d"),
            (one_rule() + one_rule(), "rules", "more than once"),
            (one_rule() + "same_cluster: [[a, b]]", "same_cluster[0][0]", "@backend"),
        ],
    )
    def test_a_mistake_says_where_it_is_and_what_is_wanted(self, text, place, says):
        assert says in mistakes(text)[place]

    def test_a_rule_that_repeats_another_one_never_matches(self):
        text = "defaults: {stores: []}\nrules: [{match: {tag: a}}, {match: {tag: a}}]"
        assert "rules[0] has all its images" in mistakes(text)["rules[1]"]

    def test_without_known_stores_any_id_will_do(self):
        assert policy_file.parse(one_rule(more="stores: [x]"), None).rules

    def test_the_message_has_all_lines_and_their_number(self):
        with pytest.raises(WrongPolicy) as caught:
            policy_file.parse("rules: [{match: {}, stores: [x, y]}]", KINDS)
        first, *lines = str(caught.value).splitlines()
        assert first == "The policy file has 2 mistakes:"
        assert [line.partition("[1]")[0].strip()[:7] for line in lines] == [
            "line 1:"
        ] * 2


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["defaults", "rules", "match", "stores", "ttl", "tag", "property"]
            )
            | st.integers(),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(anything)
def test_no_file_ends_the_command_in_another_way(document):
    text = yaml.safe_dump(document)
    try:
        assert policy_file.parse(text, KINDS).rules
    except WrongPolicy as error:
        assert error.mistakes
        assert all(each.line >= 1 and each.problem for each in error.mistakes)
