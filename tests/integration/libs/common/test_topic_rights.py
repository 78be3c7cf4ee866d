"""What a process meets that may not create its topics, and what `bookrunner acls` says to whom it fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.admin import CreateAclsRequest

from libs.common.acls import ACLS, principal, read_acls
from libs.common.kafka import create_topics
from libs.common.kafka_admin import TopicRightsError
from libs.common.kafka_security import client_arguments
from libs.common.settings import PermanentError
from libs.common.topics import EXECUTION_COMMANDS, L2_TRADES
from tests.acl_kafka import ROOT, AclKafka, acl_kafka, user_of
from tests.integration.libs.cli.command import run

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AclKafka]:
    with acl_kafka(tmp_path_factory.mktemp("rights")) as found:
        yield found


async def test_a_user_without_the_right_is_told_what_is_missing_at_once_and_needs_it_no_more_when_it_is_there(
    guarded: AclKafka,
) -> None:
    assert (await run("acls", "--apply", **guarded.environment(ROOT))).code == 0
    autopilot = guarded.settings("autopilot")
    with pytest.raises(
        TopicRightsError, match=r"lets 'bookrunner-autopilot' neither see nor create execution\.commands\.v1:"
    ) as told:
        await create_topics(autopilot, (EXECUTION_COMMANDS,))
    assert isinstance(told.value, PermanentError)  # no restart mends it
    await create_topics(guarded.settings("admin"), (EXECUTION_COMMANDS, L2_TRADES))
    await create_topics(autopilot, (EXECUTION_COMMANDS,))
    with pytest.raises(TopicRightsError, match=r"l2\.trades\.v1"):
        await create_topics(autopilot, (EXECUTION_COMMANDS, L2_TRADES))  # it is there, but not for this user


async def test_what_is_given_once_is_not_given_again_and_what_is_beyond_it_is_told(guarded: AclKafka) -> None:
    acls = read_acls(ACLS.read_text(encoding="utf-8"))
    roles = len({acl.role for acl in acls})
    await run("acls", "--apply", **guarded.environment(ROOT))
    again = await run("acls", "--apply", **guarded.environment(ROOT))
    assert again.out == f"{len(acls)} rights of {roles} users, 0 of them new\n"
    others = await run("acls", "--apply", "--users", "desk-{role}", **guarded.environment(ROOT))
    assert f"{len(acls)} of them new" in others.out
    who = principal("desk-{role}", "l2")
    client = AIOKafkaClient(**client_arguments(guarded.settings(ROOT)))
    await client.bootstrap()
    more = CreateAclsRequest(2, "somebody-elses", 3, who, "*", 3, 3)  # a topic, literally: Read, allowed
    (answer,) = (await client.send(client.get_random_node(), more)).creation_responses
    assert answer[0] == 0
    await client.close()
    others = await run("acls", "--apply", "--users", "desk-{role}", **guarded.environment(ROOT))
    assert f"{who} may do with somebody-elses what acls.toml does not say\n" in others.out


async def test_who_may_not_give_rights_is_told_who_may(guarded: AclKafka) -> None:
    refused = await run("acls", "--apply", "--users", "new-{role}", **guarded.environment("observer"))
    assert refused.code == 1
    assert refused.err == "bookrunner: this user may not change ACLs: take one of the broker's super.users\n"
    refused = await run("acls", "--apply", **guarded.environment("l2"))
    assert "super.users" in refused.err
    assert user_of("l2") == "bookrunner-l2"


async def test_a_kafka_without_acls_is_told_as_one(fresh_kafka: str) -> None:
    refused = await run("acls", "--apply", KAFKA_BOOTSTRAP_SERVERS=fresh_kafka)
    assert refused.code == 1
    assert "this Kafka has no ACLs: set authorizer.class.name" in refused.err


async def test_a_name_that_tells_no_user_from_another_is_a_wrong_command_line() -> None:
    refused = await run("acls", "--users", "bookrunner")
    assert refused.code == 2
    assert "say where the role stands" in refused.err
