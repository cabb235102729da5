# SPDX-License-Identifier: Apache-2.0
"""The page, the dashboard and the alerts name the metrics that the store records."""

import json
import pathlib
import re

import pytest
import yaml

from glance_ontap_store.telemetry import catalogue
from glance_ontap_store.telemetry.catalogue import Kind

CHECKOUT = pathlib.Path(__file__).parents[3]
PAGE = CHECKOUT / "doc/source/admin/metrics.rst"
DASHBOARD = CHECKOUT / "etc/grafana/glance-ontap-store.json"
ALERTS = CHECKOUT / "etc/prometheus/glance-ontap-store.rules.yaml"

# Every time series of a metric has its name, with one of these endings if it is a
# histogram.
SERIES = {
    metric.name + ending: metric
    for metric in catalogue.METRICS
    for ending in (
        ("_bucket", "_sum", "_count") if metric.kind is Kind.HISTOGRAM else ("",)
    )
}
# Labels that Prometheus adds.
ADDED = {"instance", "le"}


def of_page():
    block = PAGE.read_text("utf-8").partition(".. code-block:: text\n")[2]
    lines = block.partition("\n\n\n")[0].split("The sum over")[0].splitlines()
    text = "\n".join(line.strip() for line in lines if not line.strip().startswith("#"))
    return [query for query in text.split("\n\n") if query.strip()]


def of_dashboard():
    panels = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


def of_alerts():
    groups = yaml.safe_load(ALERTS.read_text("utf-8"))["groups"]
    return [rule["expr"] for group in groups for rule in group["rules"]]


QUERIES = [*of_page(), *of_dashboard(), *of_alerts()]


def test_all_places_have_queries():
    assert min(len(of_page()), len(of_dashboard()), len(of_alerts())) > 9


@pytest.mark.parametrize("query", QUERIES)
class TestQuery:
    def test_it_names_time_series_that_there_are(self, query):
        named = re.findall(r"glance_ontap_\w+", query)
        assert set(named) <= set(SERIES)
        assert named or "node_textfile_mtime_seconds" in query

    def test_it_selects_by_labels_and_values_that_there_are(self, query):
        for name, selector in re.findall(r"(glance_ontap_\w+)\{([^}]*)\}", query):
            for label, _how, value in re.findall(r'(\w+)(=~|!~|!=|=)"(.*?)"', selector):
                assert label in SERIES[name].labels
                known = catalogue.VALUES[label]
                if known is not None and value != "$store":
                    assert set(value.split("|")) <= set(known)

    def test_it_adds_up_by_labels_that_there_are(self, query):
        known = {
            label
            for name in re.findall(r"glance_ontap_\w+", query)
            for label in SERIES[name].labels
        }
        for labels in re.findall(r"by \((.*?)\)", query):
            assert set(re.split(r",\s*", labels)) <= known | ADDED


def test_a_legend_of_the_dashboard_names_labels_of_its_query():
    for panel in json.loads(DASHBOARD.read_text("utf-8"))["panels"]:
        for target in panel["targets"]:
            for label in re.findall(r"{{(\w+)}}", target["legendFormat"]):
                assert re.search(rf"by \([^)]*\b{label}\b", target["expr"])


def test_every_metric_has_a_place_in_a_query():
    """What nobody asks for need not be recorded."""
    asked = {
        SERIES[name]
        for query in QUERIES
        for name in re.findall(r"glance_ontap_\w+", query)
    }
    assert {metric.name for metric in set(catalogue.METRICS) - asked} == set()


def test_the_page_has_the_tables_of_the_catalogue():
    page = PAGE.read_text("utf-8")
    for table in catalogue.tables().split("\n\n.. "):
        assert table.strip().removeprefix(".. ") in page, (
            "run: python -m glance_ontap_store.telemetry"
        )
