"""Who hears what of a replay, whatever the line to the client is; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from simulator.replay_venue import Answer, Awaiting, Delivery, Released, ReplayVenue, Session


class Listener(Protocol):
    """A client of one venue."""

    silent: bool  # nothing was offered since the last look

    @property
    def venue(self) -> ReplayVenue:
        """Whose client it is."""

    @property
    def session(self) -> Session:
        """What it has asked for."""

    def offer(self, text: str) -> None:
        """Send it a frame, after those before."""


L = TypeVar("L", bound=Listener)
W = TypeVar("W")


class Hub(Generic[L]):
    """Every client, by the topics it follows."""

    def __init__(self) -> None:
        self.clients: dict[L, None] = {}
        self._followers: dict[tuple[str, str], dict[L, None]] = {}

    def follow(self, client: L, answer: Answer) -> None:
        """Give `client` its answer, and from now on what its topics bring."""
        for frame in answer.frames:
            client.offer(frame)
        for topic in answer.unsubscribed:
            client.session.topics.pop(topic, None)
            self._drop(client, topic)
        for topic in answer.subscribed:
            client.session.topics[topic] = None
            self._followers.setdefault((client.venue.venue, topic), {})[client] = None

    def leave(self, client: L) -> None:
        """Forget a client that is gone."""
        self.clients.pop(client, None)
        for topic in client.session.topics:
            self._drop(client, topic)

    def deliver(self, venue: str, delivery: Delivery) -> list[L]:
        """Offer a frame to those it belongs to, and return them."""
        clients = list(self._followers.get((venue, delivery.topic), ()))
        for client in clients:
            client.offer(delivery.wrapped if client.session.wrapped else delivery.bare)
        return clients

    def heartbeat(self) -> None:
        """Let each subscribed client hear its venue that heard nothing since the last call."""
        for client in list(self.clients):
            if client.silent and client.session.topics and client.venue.heartbeat is not None:
                client.offer(client.venue.heartbeat)
            client.silent = True

    def _drop(self, client: L, topic: str) -> None:
        followers = self._followers.get((client.venue.venue, topic), {})
        followers.pop(client, None)
        if not followers:
            self._followers.pop((client.venue.venue, topic), None)


class Waiting(Generic[W]):
    """Who waits for recorded replies whose time has not come."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str], list[W]] = {}

    def add(self, venue: str, awaiting: Awaiting, who: W) -> None:
        """Let somebody wait."""
        self._waiting.setdefault((venue, awaiting.spelling), []).append(who)

    def released(self, venue: str, released: Released) -> list[W]:
        """Return those who waited for a reply, and forget them."""
        return self._waiting.pop((venue, released.spelling), [])

    def give_up(self) -> list[W]:
        """Return all who wait, and forget them: nothing more comes."""
        waiting = [who for waiting in self._waiting.values() for who in waiting]
        self._waiting.clear()
        return waiting
