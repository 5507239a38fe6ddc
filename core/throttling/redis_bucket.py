"""Buckets in Redis: one script, so nothing comes between looking and counting, and one clock, Redis's own.

The keys of one call must live on one server (no Redis Cluster).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from redis.commands.core import Script

from core.redis import ask
from core.throttling.buckets import Bucket, Taken

PREFIX = "rl:"
# ARGV holds interval and burst of each key. Whole microseconds: exact in Lua's floating point until the year 2255.
# The answer is the wait, and then for each key how long it needs to be full again.
TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local answer, full_at = {0}, {}
for i, key in ipairs(KEYS) do
  local interval, burst = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local before = math.max(tonumber(redis.call('GET', key) or now), now)
  full_at[i] = before + interval
  answer[1] = math.max(answer[1], full_at[i] - burst * interval - now)
  answer[i + 1] = before - now
end
if answer[1] > 0 then return answer end
for i, key in ipairs(KEYS) do
  answer[i + 1] = full_at[i] - now
  redis.call('SET', key, string.format('%.0f', full_at[i]), 'PX', math.ceil(answer[i + 1] / 1000))
end
return answer
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


# ARGV holds how long each key needs to be full again.
EMPTY = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
for i, key in ipairs(KEYS) do
  local full_at = math.max(tonumber(redis.call('GET', key) or now), now + tonumber(ARGV[i]))
  redis.call('SET', key, string.format('%.0f', full_at), 'PX', math.ceil((full_at - now) / 1000))
end
return 0
"""


def take(buckets: Sequence[Bucket]) -> Taken:
    """See `Store`; `RedisAway` when there is no answer. A late answer may cost two requests, never none."""
    wait, *until_full = _run(TAKE, buckets, _rates(buckets))
    return Taken(wait, dict(zip(buckets, until_full, strict=True)))


def give_back(buckets: Sequence[Bucket]) -> None:
    """See `Store`; `RedisAway` when there is no answer."""
    _run(GIVE_BACK, buckets, _rates(buckets), may_repeat=False)


def empty(until_full: Mapping[Bucket, int]) -> None:
    """See `Store`; `RedisAway` when there is no answer."""
    _run(EMPTY, list(until_full), list(until_full.values()))


def _rates(buckets: Sequence[Bucket]) -> list[int]:
    return [number for bucket in buckets for number in (bucket.interval, bucket.burst)]


def _run(script: str, buckets: Sequence[Bucket], args: Sequence[int], *, may_repeat: bool = True) -> Any:
    keys = [PREFIX + bucket.key for bucket in buckets]
    return ask(lambda client: Script(client, script)(keys=keys, args=args), may_repeat=may_repeat)
