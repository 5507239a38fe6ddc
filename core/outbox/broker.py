"""How Celery speaks to Redis: kombu's own transport, which survives a Redis that goes away under unfinished work."""

from __future__ import annotations

from typing import Any

from kombu.transport import redis


class QoS(redis.QoS):
    """What a channel has received and not yet acknowledged."""

    def restore_unacked(self, client: Any = None) -> None:
        """Put it back into the queue, if there is still a broker to put it back to.

        After a lost connection Celery 5.7 closes a channel whose transport has been cleared away, and kombu 5.7 fails
        there with an `AttributeError`, which ends the whole worker, its relay included. What is not put back is no
        loss: an outbox event comes again when its lease ends, and a periodic task at its next time.
        """
        if self.channel.connection.client is not None:
            super().restore_unacked(client)


class Channel(redis.Channel):
    """A channel that keeps its unacknowledged messages in the `QoS` above."""

    QoS = QoS
    _plain_client: Any = None

    def _create_client(self, asynchronous: bool = False) -> Any:
        """The client of a pool. kombu makes one for each message sent and each acknowledged, which costs more than the
        message does; a client holds nothing but its pool, which `close` replaces.
        """
        if asynchronous:
            return super()._create_client(asynchronous=True)  # type: ignore[misc]
        client = self._plain_client
        if client is None or client.connection_pool is not self.pool:
            client = self._plain_client = super()._create_client()  # type: ignore[misc]
        return client


class Transport(redis.Transport):
    """Named in `CELERY_BROKER_TRANSPORT`."""

    Channel = Channel
