# SPDX-License-Identifier: Apache-2.0
"""ONTAP's query language, without any server."""

from hypothesis import given
from hypothesis import strategies as st
import pytest

from lab.ontapsim import query
from lab.ontapsim.errors import OntapError
from lab.ontapsim.query import Collection

RECORDS = [
    {
        "uuid": str(n),
        "name": f"fv{n}",
        "style": "flexvol",
        "is_svm_root": False,
        "nas": {"path": f"/fv{n}"},
        "space": {"size": n * 10, "snapshot": {"reserve_percent": 0}},
        "aggregates": [{"name": "aggr1", "uuid": "a"}],
    }
    for n in range(1, 6)
]
VOLUMES = Collection("/storage/volumes", RECORDS, optional=("qos.policy.name",))


def names(text: str) -> list[str]:
    return [record["name"] for record in query.select(VOLUMES, query.parse(text))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["fv1", "fv2", "fv3", "fv4", "fv5"]),
        ("name=fv1", ["fv1"]),
        ("name=fv1|fv3", ["fv1", "fv3"]),
        ("name=fv1%7Cfv3", ["fv1", "fv3"]),
        ("name=fv1,fv3", ["fv1", "fv3"]),
        ("name=!fv1", ["fv2", "fv3", "fv4", "fv5"]),
        ("name=*3", ["fv3"]),
        ("name=fv?", []),
        ("style=flex*&nas.path=/fv2", ["fv2"]),
        ("is_svm_root=false&name=fv5", ["fv5"]),
        ("is_svm_root=true", []),
        ("space.size=20..40", ["fv2", "fv3", "fv4"]),
        ("space.size=>30", ["fv4", "fv5"]),
        ("space.size=>=30", ["fv3", "fv4", "fv5"]),
        ("space.size=<20", ["fv1"]),
        ("space.size=<=20", ["fv1", "fv2"]),
        ("aggregates.name=aggr1&name=fv2", ["fv2"]),
        ("aggregates.name=aggr2", []),
        ("qos.policy.name=null&name=fv1", ["fv1"]),
        ("qos.policy.name=!null", []),
        ('name="fv1"', ["fv1"]),
        ("name={fv1}", ["fv1"]),
        ('name="fv*"', []),
        ("order_by=space.size desc&name=fv1|fv2", ["fv2", "fv1"]),
    ],
)
def test_filters(text, expected):
    assert names(text) == expected


def test_a_stray_question_mark_separates_as_cinder_sends_it():
    parsed = query.parse("return_records=false?max_records=10000")
    assert parsed.return_records is False
    assert parsed.max_records == 10000
    assert not parsed.filters


def test_records_can_be_left_out_but_are_counted():
    parsed = query.parse("name=fv1|fv2&return_records=false")
    assert query.answer(VOLUMES, parsed) == {"num_records": 2}


def test_keys_come_without_being_asked_for():
    record = query.answer(VOLUMES, query.parse("name=fv1"))["records"][0]
    assert record == {"uuid": "1", "name": "fv1"}


def test_a_named_field_brings_the_identity_of_its_object():
    parsed = query.parse("name=fv1&fields=aggregates.name,space.snapshot")
    record = query.answer(VOLUMES, parsed)["records"][0]
    assert record == {
        "uuid": "1",
        "name": "fv1",
        "aggregates": [{"name": "aggr1", "uuid": "a"}],
        "space": {"snapshot": {"reserve_percent": 0}},
    }


def test_a_field_that_is_filtered_on_comes_back():
    record = query.answer(VOLUMES, query.parse("nas.path=/fv1"))["records"][0]
    assert record["nas"] == {"path": "/fv1"}


@pytest.mark.parametrize("fields", ["*", "**"])
def test_all_fields(fields):
    answer = query.answer(VOLUMES, query.parse(f"name=fv1&fields={fields}"))
    assert answer["records"] == [RECORDS[0]]


def test_a_star_after_a_field_means_all_of_it():
    answer = query.answer(VOLUMES, query.parse("name=fv1&fields=space.*"))
    assert answer["records"][0]["space"] == RECORDS[0]["space"]


@given(st.integers(1, 7))
def test_the_pages_together_are_the_collection(page_size):
    found, text = [], f"max_records={page_size}&style=flex*&order_by=name desc"
    while text is not None:
        body = query.answer(VOLUMES, query.parse(text))
        assert body["num_records"] == len(body["records"]) <= page_size
        found += [record["name"] for record in body["records"]]
        link = body["_links"].get("next")
        text = link["href"].partition("?")[2] if link else None
    assert found == ["fv5", "fv4", "fv3", "fv2", "fv1"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("nmae=fv1", "262179"),
        ("fields=nmae", "262197"),
        ("order_by=nmae", "262197"),
        ("max_records=many", "262197"),
        ("max_records=0", "262197"),
        ("return_records=maybe", "262197"),
        ("return_timeout=121", "262197"),
    ],
)
def test_an_invalid_query_is_refused(text, code):
    with pytest.raises(OntapError) as caught:
        query.answer(VOLUMES, query.parse(text))
    assert caught.value.code == code
    assert caught.value.status == 400


def test_options_of_one_request_are_not_filters():
    kept, taken = query.parse("recurse=true&name=fv1").without("recurse")
    assert taken == {"recurse": "true"}
    assert kept.filters == {"name": "fv1"}


def test_dotted_names_in_a_body_become_objects():
    body = {"nas.path": "/x", "space": {"size": 1}, "space.snapshot.used": 2}
    assert query.expand_dots(body) == {
        "nas": {"path": "/x"},
        "space": {"size": 1, "snapshot": {"used": 2}},
    }
