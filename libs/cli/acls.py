"""`bookrunner acls`: what each user of Kafka may do, printed for its own tool, or given to a broker."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING, Final

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import ClusterAuthorizationFailedError, KafkaError, SecurityDisabled, for_code
from aiokafka.protocol.admin import CreateAclsRequest, DescribeAclsRequest

from libs.cli.errors import CommandError, UsageError
from libs.common.acls import ACLS, USERS, Acl, principal, read_acls
from libs.common.kafka_security import client_arguments, refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from libs.common.settings import ServiceSettings

ANY_HOST: Final = "*"
REQUEST_TIMEOUT_MS: Final = 10_000
# Kafka's numbers: any resource, any pattern, any operation; a permission, which is no denial.
_ANY: Final = 1
_ALLOW: Final = 3


def rights(users: str) -> list[Acl]:
    """Return what the file gives.

    Raises
    ------
    UsageError
        If `users` does not tell one user from another, or could not be typed.
    """
    if not users.isprintable():
        raise UsageError(f"--users {users!r} has signs that nobody can see: take others, as in {USERS}")
    if "{role}" not in users:
        raise UsageError(
            f"--users {users!r} would name all users alike: say where the role stands, as in {USERS}"
        )
    return read_acls(ACLS.read_text(encoding="utf-8"))


def lines(acls: Iterable[Acl], users: str) -> list[str]:
    """Return a command of Kafka's own tool for each right, without where the broker is."""
    return [
        f"kafka-acls.sh --add --allow-principal {quote(principal(users, acl.role))} {acl.options}"
        for acl in acls
    ]


async def apply(settings: ServiceSettings, acls: Sequence[Acl], users: str) -> list[str]:
    """Give the rights to a broker; return what to tell: how many, and what these users have beyond them.

    Raises
    ------
    CommandError
        If the broker has no authorizer, or does not let this user change rights.
    """
    client = AIOKafkaClient(**client_arguments(settings), request_timeout_ms=REQUEST_TIMEOUT_MS)
    try:
        try:
            await client.bootstrap()
        except KafkaError as error:
            if (refused := await refusal(settings)) is not None:
                raise refused from error
            raise
        roles = {principal(users, acl.role): acl.role for acl in acls}
        wanted = {_numbers(acl, users) for acl in acls}
        there = {right for who in roles for right in await _rights_of(client, who)}
        for acl in acls:
            if (new := _numbers(acl, users)) not in there:
                resource, pattern, name, who, operation = new
                request = CreateAclsRequest(resource, name, pattern, who, ANY_HOST, operation, _ALLOW)
                answer = await client.send(client.get_random_node(), request)
                for code, message in answer.creation_responses:
                    _check(code, message)
    finally:
        await client.close()
    beyond = {(who, name) for _, _, name, who, _ in there - wanted}
    fresh = len(wanted - there)
    return [
        f"{len(wanted)} rights of {len(roles)} users, {fresh} of them new",
        *(f"{who} may do with {name} what acls.toml does not say" for who, name in sorted(beyond)),
    ]


def _numbers(acl: Acl, users: str) -> tuple[int, int, str, str, int]:
    who = principal(users, acl.role)
    return acl.resource.value[1], acl.pattern.value[1], acl.name, who, acl.operation.value[1]


async def _rights_of(client: AIOKafkaClient, who: str) -> list[tuple[int, int, str, str, int]]:
    request = DescribeAclsRequest(_ANY, None, _ANY, who, None, _ANY, _ANY)
    answer = await client.send(client.get_random_node(), request)
    _check(answer.error_code, answer.error_message)
    return [
        (resource, pattern, name, principal_, operation)
        for resource, name, pattern, acls in answer.resources
        for principal_, _host, operation, permission in acls
        if permission == _ALLOW
    ]


def _check(code: int, message: str | None) -> None:
    if not code:
        return
    match for_code(code):
        case kind if kind is SecurityDisabled:
            raise CommandError(
                "this Kafka has no ACLs: set authorizer.class.name in its server.properties "
                "(org.apache.kafka.metadata.authorizer.StandardAuthorizer)"
            )
        case kind if kind is ClusterAuthorizationFailedError:
            raise CommandError("this user may not change ACLs: take one of the broker's super.users")
        case kind:
            raise CommandError(f"Kafka refused: {kind.__name__} {message or ''}".strip())
