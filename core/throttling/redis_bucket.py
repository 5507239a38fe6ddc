"""Buckets in Redis: one script, so nothing comes between looking and counting, and one clock, Redis's own.

The keys of one call must live on one server (no Redis Cluster).
"""

from __future__ import annotations

from collections.abc import Sequence

import redis
from redis.commands.core import Script

from core.redis import ask
from core.throttling.buckets import Bucket

PREFIX = "rl:"
# ARGV holds interval and burst of each key. Whole microseconds: exact in Lua's floating point until the year 2255.
TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local wait, full_at = 0, {}
for i, key in ipairs(KEYS) do
  local interval, burst = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  full_at[i] = math.max(tonumber(redis.call('GET', key) or now), now) + interval
  wait = math.max(wait, full_at[i] - burst * interval - now)
end
if wait > 0 then return wait end
for i, key in ipairs(KEYS) do
  redis.call('SET', key, string.format('%.0f', full_at[i]), 'PX', math.ceil((full_at[i] - now) / 1000))
end
return 0
"""
GIVE_BACK = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
for i, key in ipairs(KEYS) do
  local full_at = tonumber(redis.call('GET', key) or now) - tonumber(ARGV[2 * i - 1])
  if full_at > now then
    redis.call('SET', key, string.format('%.0f', full_at), 'PX', math.ceil((full_at - now) / 1000))
  else
    redis.call('DEL', key)
  end
end
return 0
"""


def take(buckets: Sequence[Bucket]) -> int:
    """See `Store`; `RedisAway` when there is no answer."""
    return _run(TAKE, buckets)


def give_back(buckets: Sequence[Bucket]) -> None:
    """See `Store`; `RedisAway` when there is no answer."""
    _run(GIVE_BACK, buckets)


def _run(script: str, buckets: Sequence[Bucket]) -> int:
    keys = [PREFIX + bucket.key for bucket in buckets]
    args = [number for bucket in buckets for number in (bucket.interval, bucket.burst)]

    def question(client: redis.Redis) -> int:
        return int(Script(client, script)(keys=keys, args=args))

    return ask(question)
