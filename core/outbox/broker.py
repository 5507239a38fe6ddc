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


class Transport(redis.Transport):
    """Named in `CELERY_BROKER_TRANSPORT`."""

    Channel = Channel
