from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tests.prometheus import DOCS, faults_of_expression, faults_of_name, parse, promised

if TYPE_CHECKING:
    from collections.abc import Iterator

KNOWN = promised()
SERVICES = ("l2", "venues", "router", "portfolio", "execution", "context", "policies", "gateway")


def dashboard() -> Any:
    return json.loads((DOCS / "grafana" / "bookrunner.json").read_text())


def read_yaml(name: str) -> Any:
    return msgspec.yaml.decode((DOCS / "prometheus" / name).read_text())


def panels() -> Iterator[tuple[str, str]]:
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


def alerts() -> Iterator[dict[str, Any]]:
    for group in read_yaml("alerts.yml")["groups"]:
        yield from group["rules"]


def anchors(page: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", (DOCS / page).read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(("title", "expression"), list(panels()))
def test_a_panel_names_only_metrics_and_labels_that_are_exposed(title: str, expression: str) -> None:
    assert faults_of_expression(expression.replace("$job", ".*"), KNOWN) == [], title


@pytest.mark.parametrize("alert", list(alerts()), ids=lambda alert: str(alert["alert"]))
def test_an_alert_names_what_is_exposed_waits_and_leads_to_its_runbook(alert: dict[str, Any]) -> None:
    assert faults_of_expression(alert["expr"], KNOWN) == []
    assert re.fullmatch(r"\d+[smh]", alert["for"])
    assert alert["labels"]["severity"] in {"warning", "critical"}
    assert alert["annotations"]["summary"]
    page, _, anchor = alert["annotations"]["runbook"].partition("#")
    assert page == "docs/operations.md"
    assert anchor == alert["alert"].lower()
    assert anchor in anchors("operations.md")
    labels = set(re.findall(r"\$labels\.(\w+)", json.dumps(alert["annotations"])))
    assert labels <= parse(alert["expr"]).grouped | {"job", "instance"}, "labels that aggregation drops"


def test_every_runbook_is_that_of_an_alert() -> None:
    page = (DOCS / "operations.md").read_text().partition("## Runbooks")[2]
    assert sorted(re.findall(r"^### (\w+)$", page, re.MULTILINE)) == sorted(a["alert"] for a in alerts())


def test_every_metric_is_drawn_on_the_dashboard() -> None:
    drawn = {
        re.sub(r"_(bucket|sum|count)$", "", use.name)
        for _, expression in panels()
        for use in parse(expression.replace("$job", ".*")).uses
    }
    assert set(KNOWN) <= drawn


def test_the_dashboard_lets_one_choose_data_source_and_service_and_repeats_no_id() -> None:
    variables = {each["name"]: each for each in dashboard()["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    assert variables["job"]["query"]["query"] == "label_values(up, job)"
    numbers = [panel["id"] for panel in dashboard()["panels"]]
    assert len(set(numbers)) == len(numbers)
    assert all(
        t["datasource"]["uid"] == "${datasource}" for p in dashboard()["panels"] for t in p.get("targets", ())
    )


def test_prometheus_scrapes_every_service_once() -> None:
    jobs = read_yaml("prometheus.yml")["scrape_configs"]
    targets = {job["job_name"]: job["dns_sd_configs"] for job in jobs}
    ports = {name: 5000 if name == "gateway" else 9464 for name in SERVICES}
    assert targets == {name: [{"names": [name], "type": "A", "port": ports[name]}] for name in SERVICES}
    compose = msgspec.yaml.decode((DOCS.parent / "docker-compose.yml").read_text())
    assert set(SERVICES) <= set(compose["services"])
    assert compose["x-settings"]["METRICS_PORT"] == 9464
    for name in ("prometheus.yml", "prometheus-run.yml"):
        assert read_yaml(name)["rule_files"] == ["alerts.yml"]


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_a_promised_name_follows_the_conventions(name: str) -> None:
    assert faults_of_name(name, KNOWN[name].kind) == []
