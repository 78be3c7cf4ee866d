"""Who may do what on a Kafka with ACLs: the rights of each service's user, as ``acls.toml`` has them; pure.

References
----------
https://kafka.apache.org/43/security/authorization-and-acls/ (Apache Kafka 4.3): which operation on which
resource each request needs, and that Read, Write, Delete and Alter imply Describe.
"""

from __future__ import annotations

import tomllib
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from libs.common.topics import TOPICS

if TYPE_CHECKING:
    from collections.abc import Iterable

ACLS: Final = Path(__file__).with_name("acls.toml")
USERS: Final = "bookrunner-{role}"
CLUSTER: Final = "kafka-cluster"  # what Kafka calls the one there is
_REGISTRY: Final = "registry"


class Resource(Enum):
    """What a right is of, by its name in Kafka's tools and its number in Kafka's protocol."""

    TOPIC = ("topic", 2)
    GROUP = ("group", 3)
    CLUSTER = ("cluster", 4)
    TRANSACTIONAL_ID = ("transactional-id", 5)


class Operation(Enum):
    """What somebody may do with it; as above."""

    READ = ("Read", 3)
    WRITE = ("Write", 4)
    CREATE = ("Create", 5)
    DESCRIBE = ("Describe", 8)
    DESCRIBE_CONFIGS = ("DescribeConfigs", 10)


class Pattern(Enum):
    """Whether a name is the resource's, or what the names of many begin with; as above."""

    LITERAL = ("literal", 3)
    PREFIXED = ("prefixed", 4)


class Acl(NamedTuple):
    """One right."""

    role: str  # a service, or a person's part
    resource: Resource
    pattern: Pattern
    name: str
    operation: Operation

    @property
    def options(self) -> str:
        """Return it as options of Kafka's own tool, kafka-acls.sh."""
        operation, resource = self.operation.value[0], self.resource.value[0]
        if self.resource is Resource.CLUSTER:
            return f"--operation {operation} --{resource}"
        pattern = self.pattern.value[0]
        return f"--operation {operation} --{resource} {self.name} --resource-pattern-type {pattern}"


_WORDS: Final = {
    "groups": (Resource.GROUP, Pattern.LITERAL, Operation.READ),
    "transactions": (Resource.TRANSACTIONAL_ID, Pattern.PREFIXED, Operation.WRITE),
    "read": (Resource.TOPIC, Pattern.LITERAL, Operation.READ),
    "write": (Resource.TOPIC, Pattern.LITERAL, Operation.WRITE),
    "describe": (Resource.TOPIC, Pattern.LITERAL, Operation.DESCRIBE),
    "configs": (Resource.TOPIC, Pattern.LITERAL, Operation.DESCRIBE_CONFIGS),
    "create": (Resource.TOPIC, Pattern.LITERAL, Operation.CREATE),
}


def read_acls(text: str) -> list[Acl]:
    """Return the rights that a text like that of `ACLS` gives.

    Raises
    ------
    ValueError
        If it has a word that is none.
    """
    return [
        acl
        for role, rights in tomllib.loads(text).items()
        for word, names in rights.items()
        for acl in _of(role, word, TOPICS if names == _REGISTRY else names)
    ]


def _of(role: str, word: str, names: Iterable[str]) -> Iterable[Acl]:
    if word == "cluster":
        for name in names:
            yield Acl(role, Resource.CLUSTER, Pattern.LITERAL, CLUSTER, Operation[name.upper()])
        return
    if word not in _WORDS:
        raise ValueError(f"{word!r} of {role!r} is no right; these are: {', '.join(_WORDS)}, cluster")
    resource, pattern, operation = _WORDS[word]
    for name in names:
        yield Acl(role, resource, pattern, name, operation)


def principal(users: str, role: str) -> str:
    """Return who has the rights of `role`, as Kafka names it.

    Parameters
    ----------
    users
        How users are named, with ``{role}`` in it.
    """
    return f"User:{users.replace('{role}', role)}"
