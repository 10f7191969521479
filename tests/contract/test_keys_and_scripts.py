"""One namer of keys, one header for each Lua file."""

import re
from importlib.resources import files

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from moie_worker.adapters.redis import keys
from moie_worker.adapters.redis.keys import PERMANENT, Keys
from moie_worker.adapters.redis.scripts import Scripts, source
from moie_worker.errors import InputError

LUA = files("moie_worker.adapters.redis") / "lua"
FILES = sorted(path.name.removesuffix(".lua") for path in LUA.iterdir() if path.name.endswith(".lua"))
OPERATIONS = [name for name in FILES if not name.startswith("lib_")]


def text(name: str) -> str:
    return (LUA / f"{name}.lua").read_text(encoding="utf-8")


# -- keys ---------------------------------------------------------------------------------------------


def test_all_keys_of_a_plan_share_a_hash_tag() -> None:
    assert Keys("a-b_c.1")("ready", "default", "job") == "moie:{a-b_c.1}:ready:default:job"


@pytest.mark.parametrize("name", ["", "a b", "a:b", "{a}", "a}", "ü", "a\n", "x" * 65, "*"])
def test_a_name_that_would_break_a_key_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="letters, digits"):
        Keys(name)


@given(st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True))
def test_plans_cannot_reach_into_each_other(name: str) -> None:
    key = Keys(name)("state")
    assert key.count("{") == key.count("}") == 1
    assert key == f"moie:{{{name}}}:state"


def test_permanent_keys_are_those_that_may_stay() -> None:
    plan = Keys("p")
    stay = [keys.PLANS, keys.WORKERS, keys.BEATS, keys.RINGS, keys.ALERTS, keys.EVENTS, f"{keys.ENTRIES}:app"]
    stay += [plan("plan"), plan("state"), plan("parked", "job:a"), plan("defs", "12"), plan("dead", "job:a")]
    assert [key for key in stay if not PERMANENT.fullmatch(key)] == []
    go = [keys.worker("w"), keys.beat("b"), plan("stage", "ab", "defs"), plan("defs", "x"), "celery", "moie:other"]
    assert [key for key in go if PERMANENT.fullmatch(key)] == []


# -- scripts ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_says_what_it_does_takes_and_returns(name: str) -> None:
    head = text(name).split("\n")
    assert re.match(r"-- [A-Z].*[.,]$|-- [A-Z]", head[0])
    for word in ("KEYS", "ARGV", "RETURNS"):
        assert len([line for line in head if line.startswith(f"-- {word}")]) == 1, f"{name}.lua names no {word}"


@pytest.mark.parametrize("name", FILES)
def test_scripts_repeat_themselves_on_a_replica(name: str) -> None:
    """No dice, no order of a set, no full scan: and numbers are written by `text`, which keeps their digits."""
    found = re.findall(r"math\.random|'(?:SRANDMEMBER|SPOP|KEYS|SCAN|RANDOMKEY)'|tostring\(", text(name))
    assert found == []


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_is_accepted_by_redis(name: str, redis_client: "redis.Redis") -> None:
    assert len(redis_client.script_load(source(name).text)) == 40


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_library_is_found_before_it_is_used(name: str) -> None:
    """Libraries are put in front in the order of USES; each local function must stand above its first use."""
    whole = source(name).text
    for function in set(re.findall(r"^local function (\w+)\(", whole, re.MULTILINE)):
        defined = whole.index(f"local function {function}(")
        used = re.search(rf"(?<![\w.:]){function}\(", re.sub(r"--[^\n]*", lambda m: " " * len(m.group()), whole))
        assert used is not None
        assert used.start() >= defined


def test_a_wrong_call_is_told_in_python(redis_client: "redis.Redis") -> None:
    scripts = Scripts(redis_client)
    with pytest.raises(TypeError, match=r"alert_clear\.lua takes keys \('alerts', 'events'\), got 1"):
        scripts.run("alert_clear", ["a"], {"name": "x"})
    with pytest.raises(TypeError, match=r"takes \('name',\), got \('nmae',\)"):
        scripts.run("alert_clear", ["a", "b"], {"nmae": "x"})
    with pytest.raises(TypeError, match="got 0 arguments"):
        scripts.run("alert_clear", ["a", "b"], [])


def test_a_script_that_redis_forgot_is_sent_again(redis_client: "redis.Redis") -> None:
    scripts = Scripts(redis_client)
    assert scripts.run("alert_clear", [keys.ALERTS, keys.EVENTS], {"name": "x"}) == 0
    redis_client.script_flush()
    assert scripts.run("alert_clear", [keys.ALERTS, keys.EVENTS], {"name": "x"}) == 0
