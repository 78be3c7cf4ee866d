"""The rights in acls.toml beside what the services declare that they read and write."""

from __future__ import annotations

import tomllib

import pytest

from libs.cli.acls import lines, rights
from libs.cli.errors import UsageError
from libs.common.acls import ACLS, USERS, Acl, Operation, Pattern, Resource, read_acls
from libs.common.topics import (
    CONTEXT_INPUTS,
    CONTEXT_SOURCES,
    DEAD_LETTERS,
    EXECUTION_COMMANDS,
    GATEWAY_IDEMPOTENCY,
    L2_BOOK_HEALTH,
    L2_CANDLES,
    L2_CANDLES_DAILY,
    L2_SUBSCRIPTIONS,
    POLICIES_REGISTRY,
    POLICIES_SIGNALS,
    SERVICES_STATUS,
    TOPICS,
)
from services.context.app import USED
from services.context.app import App as Context
from services.context.settings import ContextSettings
from services.gateway.asking.commands import ANSWER_TOPICS, ASKED
from services.gateway.http.record_routes import STREAMED
from services.gateway.reading.topic_views import GatewayViews
from services.l2.posting import PUBLISHED
from services.l2.settings import L2Settings
from services.policies.app import App as Policies
from services.policies.settings import PoliciesSettings
from services.venues.app import INPUTS, OUTPUTS
from services.venues.settings import VenuesSettings
from services.venues.tables import changelogs
from tests.services_alone import WIRINGS

RIGHTS = read_acls(ACLS.read_text(encoding="utf-8"))
EVERYBODY_WRITES = {DEAD_LETTERS.name, SERVICES_STATUS.name}
PEOPLE = {"admin", "operator", "observer"}
WRITERS_NAME = {"operator": "cli", "autopilot": "gateway"}  # by the registry's word for who sends commands


def names(role: str, operation: Operation) -> set[str]:
    return {
        acl.name
        for acl in RIGHTS
        if (acl.role, acl.resource, acl.operation) == (role, Resource.TOPIC, operation)
    }


@pytest.mark.parametrize("service", ["router", "portfolio", "execution"])
def test_a_service_reads_its_inputs_state_and_views_and_writes_its_outputs(service: str) -> None:
    wiring = WIRINGS[service]()
    announced = {POLICIES_REGISTRY.name} if service == "execution" else set()
    views = {view.topic.name for view in wiring.views}
    reads = {topic.name for topic in (*wiring.inputs, wiring.state)} | views
    writes = {output.topic.name for output in wiring.outputs.values()} | {wiring.state.name} | announced
    assert names(service, Operation.READ) == reads
    assert names(service, Operation.WRITE) == writes | EVERYBODY_WRITES
    assert Acl(service, Resource.GROUP, Pattern.LITERAL, wiring.service, Operation.READ) in RIGHTS
    own_ids = Acl(service, Resource.TRANSACTIONAL_ID, Pattern.PREFIXED, f"{wiring.service}-", Operation.WRITE)
    assert own_ids in RIGHTS


def test_l2_reads_what_it_takes_over_and_writes_what_it_publishes() -> None:
    taken_over = {L2_SUBSCRIPTIONS, L2_BOOK_HEALTH, L2_CANDLES, L2_CANDLES_DAILY}
    assert names("l2", Operation.READ) == {topic.name for topic in taken_over}
    published = {topic.name for topic in (*PUBLISHED, L2_SUBSCRIPTIONS)}
    assert names("l2", Operation.WRITE) == published | EVERYBODY_WRITES
    group = L2Settings.model_fields["group"].default
    assert Acl("l2", Resource.GROUP, Pattern.LITERAL, group, Operation.READ) in RIGHTS


def test_venues_makes_its_changelogs_and_no_other_topic() -> None:
    group = VenuesSettings.model_fields["group"].default
    own = {topic.name for topic in changelogs(group)}
    assert names("venues", Operation.READ) == {topic.name for topic in INPUTS} | own
    assert names("venues", Operation.WRITE) == {topic.name for topic in OUTPUTS} | own | EVERYBODY_WRITES
    assert names("venues", Operation.CREATE) == own
    assert Acl("venues", Resource.GROUP, Pattern.LITERAL, group, Operation.READ) in RIGHTS


def test_the_gateway_reads_what_it_shows_and_writes_wishes_commands_and_replies() -> None:
    views = {view.topic.name for view in GatewayViews(1.0, 1, lambda: 0).all}
    shown = {topic.name for topic in ANSWER_TOPICS} | {DEAD_LETTERS.name} | set(STREAMED)
    assert names("gateway", Operation.READ) == views | shown
    told = (L2_SUBSCRIPTIONS, POLICIES_SIGNALS, CONTEXT_INPUTS, GATEWAY_IDEMPOTENCY)
    writes = {topic.name for topic in (*ASKED, *told)}
    assert names("gateway", Operation.WRITE) == writes | EVERYBODY_WRITES
    known = {name for each in (Operation.READ, Operation.WRITE) for name in names("gateway", each)}
    assert names("gateway", Operation.DESCRIBE) == TOPICS.keys() - known  # it measures all
    assert names("autopilot", Operation.WRITE) == {EXECUTION_COMMANDS.name}


def test_the_host_of_policies_reads_its_views_and_writes_what_it_registers_and_signals() -> None:
    views = {view.topic.name for view in Policies(PoliciesSettings()).views}
    assert names("policies", Operation.READ) == views
    writes = {POLICIES_REGISTRY.name, POLICIES_SIGNALS.name}
    assert names("policies", Operation.WRITE) == writes | EVERYBODY_WRITES


def test_the_context_service_reads_what_is_wanted_and_what_it_and_others_said_and_writes_both() -> None:
    views = {view.topic.name for view in Context(ContextSettings()).views}
    writes = {CONTEXT_INPUTS.name, CONTEXT_SOURCES.name}
    assert names("context", Operation.READ) == views | {CONTEXT_SOURCES.name}
    assert names("context", Operation.READ) == {topic.name for topic in USED} - EVERYBODY_WRITES
    assert names("context", Operation.WRITE) == writes | EVERYBODY_WRITES


def test_who_writes_a_topic_is_one_that_the_registry_names_for_it() -> None:
    for acl in RIGHTS:
        if acl.operation is Operation.WRITE and acl.name in TOPICS and acl.role not in PEOPLE:
            writers = TOPICS[acl.name].writers
            assert {WRITERS_NAME.get(acl.role, acl.role), "all", "any"} & set(writers), acl


def test_only_the_admin_creates_the_topics_of_the_registry_and_no_right_is_of_all_topics() -> None:
    creators = {acl.role for acl in RIGHTS if acl.operation is Operation.CREATE and acl.name in TOPICS}
    assert creators == {"admin"}
    assert names("admin", Operation.CREATE) == TOPICS.keys()
    assert not any(
        acl.name == "*" or acl.pattern is Pattern.PREFIXED for acl in RIGHTS if acl.resource is Resource.TOPIC
    )


def test_no_right_stands_twice_or_is_implied_by_another() -> None:
    assert len(RIGHTS) == len(set(RIGHTS))
    for acl in RIGHTS:
        if acl.resource is Resource.TOPIC and acl.operation is Operation.DESCRIBE:
            assert acl.name not in names(acl.role, Operation.READ) | names(acl.role, Operation.WRITE)


def test_the_file_is_installed_with_its_package() -> None:
    project = tomllib.loads((ACLS.parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    assert ACLS.name in project["tool"]["setuptools"]["package-data"]["libs.common"]


def test_a_word_that_is_no_right_is_told() -> None:
    with pytest.raises(ValueError, match=r"'reads' of 'router' is no right; these are: groups"):
        read_acls('[router]\nreads = ["a"]\n')


def test_each_right_is_printed_as_a_command_of_kafkas_own_tool() -> None:
    acls = rights("desk.{role}")
    printed = lines(acls, "desk.{role}")
    assert len(printed) == len(RIGHTS)
    assert (
        "kafka-acls.sh --add --allow-principal User:desk.router --operation Write "
        "--transactional-id router- --resource-pattern-type prefixed" in printed
    )
    assert "kafka-acls.sh --add --allow-principal User:desk.gateway --operation Describe --cluster" in printed
    assert lines(acls, USERS)[0].startswith("kafka-acls.sh --add --allow-principal User:bookrunner-l2 ")


def test_users_that_would_all_be_one_are_refused() -> None:
    with pytest.raises(UsageError, match="say where the role stands"):
        rights("bookrunner")


def test_a_name_is_quoted_for_the_shell_and_has_no_signs_that_nobody_sees() -> None:
    with pytest.raises(UsageError, match="signs that nobody can see"):
        rights("{role}\x1b[31m")
    first, *_ = lines(rights("CN={role}, O=$(reboot)"), "CN={role}, O=$(reboot)")
    assert "--allow-principal 'User:CN=l2, O=$(reboot)' --operation" in first
