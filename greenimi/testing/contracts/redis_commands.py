"""A run through the commands of Redis: what a client answers to each, to be held against what redis-py answers."""

from __future__ import annotations

from typing import Any

Step = tuple[str, tuple[Any, ...], dict[str, Any]]

A, B, C, D = "{t}:a", "{t}:b", "{t}:c", "{t}:d"
"""Keys that are on one node of a Cluster."""


def _step(name: str, *args: Any, **kwargs: Any) -> Step:
    return name, args, kwargs


STRINGS = [
    _step("set", A, "1"),
    _step("get", A),
    _step("get", D),
    _step("set", A, "2", nx=True),
    _step("set", A, "2", get=True),
    _step("set", A, 5, ex=1000),
    _step("ttl", A),
    _step("getex", A, persist=True),
    _step("ttl", A),
    _step("incr", A),
    _step("incrby", A, 10),
    _step("incrbyfloat", A, 0.5),
    _step("decr", B),
    _step("append", B, b"\x00\xff"),
    _step("strlen", B),
    _step("getrange", B, 0, 1),
    _step("setrange", B, 1, "xyz"),
    _step("mset", {C: "c", D: ""}),
    _step("mget", A, B, C, D, "{t}:none"),
    _step("getdel", D),
    _step("exists", A, B, C, D),
    _step("delete", C, D),
    _step("type", A),
    _step("expire", A, 100),
    _step("persist", A),
    _step("pexpireat", A, 99999999999999),
    _step("rename", A, C),
    _step("copy", C, A),
    _step("touch", A, C),
    _step("unlink", A, C),
    _step("setbit", A, 7, 1),
    _step("getbit", A, 7),
    _step("bitcount", A),
    _step("object", "encoding", A),
    _step("dump", D),
]
HASHES = [
    _step("hset", A, mapping={"one": 1, "two": "2", "raw": b"\xfe"}),
    _step("hset", A, "three", 3),
    _step("hget", A, "one"),
    _step("hget", A, "none"),
    _step("hgetall", A),
    _step("hgetall", D),
    _step("hmget", A, "one", "none"),
    _step("hexists", A, "two"),
    _step("hincrby", A, "one", 4),
    _step("hincrbyfloat", A, "one", 0.25),
    _step("hlen", A),
    _step("hkeys", A),
    _step("hvals", A),
    _step("hdel", A, "one", "none"),
    _step("hsetnx", A, "two", 5),
    _step("hscan", A),
]
LISTS = [
    _step("rpush", A, "a", "b", "c"),
    _step("lpush", A, "z"),
    _step("lrange", A, 0, -1),
    _step("llen", A),
    _step("lindex", A, 1),
    _step("lset", A, 0, "y"),
    _step("linsert", A, "BEFORE", "b", "x"),
    _step("lrem", A, 1, "x"),
    _step("ltrim", A, 0, 2),
    _step("lpop", A),
    _step("rpop", A, 2),
    _step("lpop", D),
    _step("rpush", A, "a"),
    _step("lmove", A, B, "LEFT", "RIGHT"),
    _step("blpop", B, timeout=1),
    _step("blpop", B, timeout=0.01),
    _step("rpush", A, "q"),
    _step("blmove", A, B, 1, "LEFT", "RIGHT"),
]
SETS = [
    _step("sadd", A, "a", "b", "c"),
    _step("scard", A),
    _step("sismember", A, "a"),
    _step("smismember", A, "a", "z"),
    _step("srem", A, "c", "z"),
    _step("smembers", A),
    _step("sadd", B, "b", "d"),
    _step("sinter", A, B),
    _step("sunion", A, B),
    _step("sdiff", A, B),
    _step("sunionstore", C, A, B),
    _step("smove", A, B, "a"),
    _step("spop", A),
    _step("sscan", C),
]
SORTED_SETS = [
    _step("zadd", A, {"a": 1, "b": 2.5, "c": 3}),
    _step("zscore", A, "b"),
    _step("zscore", A, "z"),
    _step("zincrby", A, 1.5, "a"),
    _step("zrange", A, 0, -1),
    _step("zrange", A, 0, -1, withscores=True),
    _step("zrange", A, 0, -1, desc=True, withscores=True),
    _step("zrangebyscore", A, "-inf", "+inf", withscores=True),
    _step("zrank", A, "b"),
    _step("zrevrank", A, "z"),
    _step("zcard", A),
    _step("zcount", A, 2, 3),
    _step("zmscore", A, ["a", "z"]),
    _step("zpopmin", A),
    _step("bzpopmin", A, timeout=1),
    _step("zscan", A),
    _step("zrem", A, "c"),
    _step("geoadd", B, (13.361389, 38.115556, "Palermo", 15.087269, 37.502669, "Catania")),
    _step("geodist", B, "Palermo", "Catania", unit="km"),
    _step("geopos", B, "Palermo", "none"),
    _step("geosearch", B, longitude=15, latitude=37, radius=200, unit="km", withdist=True),
    _step("pfadd", C, "a", "b"),
    _step("pfcount", C),
]
STREAMS = [
    _step("xadd", A, {"n": 1}, id="1-1"),
    _step("xadd", A, {"n": 2}, id="1-2"),
    _step("xlen", A),
    _step("xrange", A),
    _step("xrevrange", A, count=1),
    _step("xread", {A: "0"}),
    _step("xread", {A: "1-2"}, block=1),
    _step("xgroup_create", A, "g", id="0"),
    _step("xreadgroup", "g", "me", {A: ">"}, count=1),
    _step("xpending", A, "g"),
    _step("xack", A, "g", "1-1"),
    _step("xinfo_groups", A),
    _step("xdel", A, "1-1"),
    _step("xtrim", A, maxlen=0),
]
SCRIPTS = [
    _step("eval", "return {KEYS[1], ARGV[1], 5, {1, 'x'}}", 1, A, "arg"),
    _step("eval", "return redis.status_reply('FINE')", 1, A),
    _step("script_load", "return 7"),
    _step("script_exists", "0" * 40),
    _step("evalsha", "7d1d25ff9f40de7ddc3a29ef2ad37a3ee2b8d7bf", 1, A),
]
ERRORS = [
    _step("set", A, "text"),
    _step("incr", A),
    _step("lpush", A, "x"),
    _step("execute_command", "NOSUCH", A),
    _step("execute_command", "GET"),
    _step("set", A, object()),
    _step("set", A, None),
    _step("getrange", A, "x", 1),
]
SERVER = [
    _step("ping"),
    _step("echo", "hello"),
    _step("publish", "nobody", "x"),
    _step("config_get", "maxmemory"),
    _step("keys", "{t}*"),
    _step("dbsize"),
    _step("client_getname"),
    _step("object", "freq", D),
]

GROUPS = {
    "strings": STRINGS,
    "hashes": HASHES,
    "lists": LISTS,
    "sets": SETS,
    "sorted_sets": SORTED_SETS,
    "streams": STREAMS,
    "scripts": SCRIPTS,
    "errors": ERRORS,
    "server": SERVER,
}


def answer(client: Any, step: Step) -> Any:
    """What the method returns, or the kind of error it raises and its text."""
    name, args, kwargs = step
    try:
        return getattr(client, name)(*args, **kwargs)
    except Exception as error:
        return type(error).__name__, str(error.args[0] if error.args else "")
