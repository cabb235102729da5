# SPDX-License-Identifier: Apache-2.0
"""ZAPI: answers to what Cinder's REST client asks, and a refusal of all else."""

import logging
from xml.etree import ElementTree

import pytest

PATH = "/servlets/netapp.servlets.admin.XMLrequest_filer"
NODES = """
<system-node-get-iter>
  <desired-attributes><node-details-info>
    <node/><node-model/><is-all-flash-optimized/>
  </node-details-info></desired-attributes>
  <max-records>1000</max-records>
</system-node-get-iter>"""
# A client that is fooled by this expands 10^9 words.
BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "word">'
    b'<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    b"<netapp><system-get-version>&b;</system-get-version></netapp>"
)


def envelope(call: str, svm: str = "") -> bytes:
    vfiler = f' vfiler="{svm}"' if svm else ""
    return (
        f'<netapp xmlns="http://www.netapp.com/filer/admin" version="1.15"{vfiler}>'
        f"{call}</netapp>"
    ).encode()


class Zapi:
    """Sends XML and returns the result without its namespace."""

    def __init__(self, api):
        self._client = api._client

    def answer(self, request, user="cinder", password=None):
        return self._client.post(
            PATH,
            data=request,
            content_type="text/xml",
            auth=(user, password or f"pw-{user}"),
        )

    def results(self, request, **who):
        answer = self.answer(request, **who)
        assert answer.status_code == 200
        assert answer.mimetype == "text/xml"
        root = ElementTree.fromstring(answer.data)
        assert root.tag == "{http://www.netapp.com/filer/admin}netapp"
        (found,) = root
        for element in found.iter():
            element.tag = element.tag.rpartition("}")[2]
        return found

    def passed(self, call, svm="", **who):
        found = self.results(envelope(call, svm), **who)
        assert found.attrib == {"status": "passed"}
        return found

    def failed(self, request, **who):
        found = self.results(request, **who)
        assert found.get("status") == "failed"
        assert len(found) == 0
        return int(found.get("errno")), found.get("reason")


@pytest.fixture
def zapi(api):
    return Zapi(api)


def test_versions_agree_with_rest(api, zapi):
    version = api.get("/api/cluster")["version"]
    found = zapi.passed("<system-get-version/>", svm="svm1")
    numbers = found.find("version-tuple/system-version-tuple")
    for name in ("generation", "major", "minor"):
        assert numbers.findtext(name) == str(version[name])
    assert found.findtext("version") == version["full"]


def test_the_version_of_zapi_follows_that_of_ontap(zapi):
    found = zapi.passed("<system-get-ontapi-version/>")
    assert found.findtext("major-version") == "1"
    # ONTAP 9.14.1
    assert found.findtext("minor-version") == "241"


def test_nodes_agree_with_rest(api, zapi):
    (node,) = api.get("/api/cluster/nodes?fields=model")["records"]
    found = zapi.passed(NODES)
    assert found.findtext("num-records") == "1"
    (details,) = found.find("attributes-list")
    assert {item.tag: item.text for item in details} == {
        "node": node["name"],
        "node-model": node["model"],
        "is-all-flash-optimized": "true",
    }


def test_nodes_have_all_attributes_if_none_is_desired(zapi):
    found = zapi.passed("<system-node-get-iter/>")
    (details,) = found.find("attributes-list")
    assert "is-all-flash-select-optimized" in {item.tag for item in details}


def sis_of(path):
    return (
        f"<sis-get-iter><query><sis-status-info><path>{path}</path>"
        "</sis-status-info></query><desired-attributes><sis-status-info>"
        "<state/><is-compression-enabled/><logical-data-size/><logical-data-limit/>"
        "</sis-status-info></desired-attributes><max-records>50</max-records>"
        "</sis-get-iter>"
    )


def test_deduplication_agrees_with_rest(api, zapi):
    (volume,) = api.get("/api/storage/volumes?name=fv1&fields=efficiency")["records"]
    (sis,) = api.get(
        "/api/private/cli/volume/efficiency?volume=fv1"
        "&fields=logical-data-size,logical-data-limit"
    )["records"]
    found = zapi.passed(sis_of("/vol/fv1"), svm="svm1")
    (details,) = found.find("attributes-list")
    assert {item.tag: item.text for item in details} == {
        "state": volume["efficiency"]["state"],
        "is-compression-enabled": "false",
        "logical-data-size": str(sis["logical_data_size"]),
        "logical-data-limit": str(sis["logical_data_limit"]),
    }


def test_another_svms_flexvol_is_not_listed(zapi):
    found = zapi.passed(sis_of("/vol/other"), svm="svm1")
    assert found.findtext("num-records") == "0"
    assert len(found.find("attributes-list")) == 0


def test_snapshots_are_found_by_a_pattern(api, zapi):
    snapshots = f"/api/storage/volumes/{api.uuid('fv1')}/snapshots"
    for name in ("deleted_cinder_1", "kept"):
        api.job("POST", snapshots, {"name": name})
    (snapshot,) = api.get(f"{snapshots}?name=deleted_cinder_1")["records"]
    found = zapi.passed(
        "<snapshot-get-iter><query><snapshot-info><name>deleted_cinder_*</name>"
        "<vserver>svm1</vserver><busy>false</busy></snapshot-info></query>"
        "<desired-attributes><snapshot-info><name/><volume/><snapshot-instance-uuid/>"
        "</snapshot-info></desired-attributes></snapshot-get-iter>",
        svm="svm1",
    )
    (details,) = found.find("attributes-list")
    assert {item.tag: item.text for item in details} == {
        "name": "deleted_cinder_1",
        "volume": "fv1",
        "snapshot-instance-uuid": snapshot["uuid"],
    }


def test_nothing_splits(zapi):
    call = "<clone-split-status><volume-name>{}</volume-name></clone-split-status>"
    found = zapi.passed(call.format("fv1"), svm="svm1")
    assert found.findtext("clone-split-info/unsplit-size") == "0"
    code, reason = zapi.failed(envelope(call.format("fv9"), "svm1"))
    assert code == 15661
    assert "fv9" in reason


@pytest.mark.parametrize(
    ("svm", "user"), [("svm1", "cinder"), ("", "svmadmin")], ids=["header", "login"]
)
def test_an_svm_has_no_nodes(zapi, svm, user):
    code, reason = zapi.failed(envelope(NODES, svm), user=user)
    assert (code, reason) == (13005, "Unable to find API: system-node-get-iter")


def test_another_call_is_not_found_and_logged(zapi, caplog):
    with caplog.at_level(logging.ERROR):
        request = envelope("<clone-create><volume>fv1</volume></clone-create>")
        code, reason = zapi.failed(request)
    assert (code, reason) == (13005, "Unable to find API: clone-create")
    assert "clone-create" in caplog.text


@pytest.mark.parametrize(
    "call",
    [
        "<system-node-get-iter><query><x/></query></system-node-get-iter>",
        "<system-node-get-iter><tag>x</tag></system-node-get-iter>",
        sis_of("/vol/fv1").replace("path>", "vserver>"),
        NODES.replace("<node/>", "<node-serial-number/>"),
        "<system-get-version><x/></system-get-version>",
    ],
)
def test_an_argument_that_would_be_ignored_is_refused(zapi, call):
    code, reason = zapi.failed(envelope(call))
    assert code == 13001
    assert "does not model" in reason


@pytest.mark.parametrize(
    "content",
    [b"", b"no xml", BOMB, envelope(""), envelope("<a/><b/>")],
    ids=["empty", "text", "bomb", "no-call", "two-calls"],
)
def test_what_is_no_call_is_refused(zapi, content):
    code, reason = zapi.failed(content)
    assert code == 13001
    assert reason.startswith("Not a request")


def test_an_unknown_svm(zapi):
    request = envelope("<system-get-version/>", "svm9")
    assert zapi.failed(request) == (15698, "Specified vserver not found")


def test_a_login_without_a_role(zapi):
    code, _ = zapi.failed(envelope("<system-get-version/>"), user="nobody")
    assert code == 13003


def test_a_wrong_login_is_asked_to_log_in(zapi):
    answer = zapi.answer(envelope("<system-get-version/>"), password="wrong")
    assert answer.status_code == 401
    assert "Basic" in answer.headers["WWW-Authenticate"]
