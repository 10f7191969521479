"""Settings: what the environment may say, and what is answered when it says nonsense."""

import logging
import ssl
from datetime import timedelta
from pathlib import Path

import pytest
from kombu.utils.url import parse_url
from redis import ConnectionPool

from moie_worker import settings
from moie_worker.adapters.redis.connect import address_of, broker_options, connect
from moie_worker.addresses import BROKER_SCHEMES, celery_url, check_url, redact, sentinels_of, state_url_of, tls_options
from moie_worker.errors import InputError, UnreachableError


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in settings.base_environment():
        if name.startswith(settings.PREFIX):
            monkeypatch.delenv(name)


def test_defaults_are_those_of_the_design() -> None:
    loaded = settings.load()
    assert loaded.plan == "default"
    assert loaded.heartbeat == timedelta(minutes=10)
    assert loaded.heartbeat_stale is None
    assert loaded.pace.limit == timedelta(minutes=15)
    assert (loaded.lease, loaded.renew, loaded.sweep) == (
        timedelta(seconds=30),
        timedelta(seconds=10),
        timedelta(milliseconds=750),
    )
    assert loaded.embedded
    assert loaded.home.name == "moie-worker"


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("0.5", 0.5), ("30s", 30), ("10m", 600), ("1m30s", 90)])
def test_a_duration_is_seconds_or_text(monkeypatch: pytest.MonkeyPatch, text: str, seconds: float) -> None:
    monkeypatch.setenv("MOIE_STALE_CHECK", text)
    assert settings.load().stale_check == timedelta(seconds=seconds)


def test_an_override_wins_over_the_environment_and_none_is_no_override(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOIE_PLAN", "night")
    assert settings.load(plan=None).plan == "night"
    assert settings.load(plan="day").plan == "day"


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOIE_REDIS_URL", "")
    monkeypatch.setenv("MOIE_LEASE", "")
    assert settings.load().redis_url is None


def test_a_home_is_absolute_wherever_a_process_goes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/somewhere")
    assert settings.load(home=Path("data")).home == tmp_path / "data"
    assert settings.load(home=Path("~/data")).home == Path("/somewhere/data")


@pytest.mark.parametrize(
    ("name", "value", "answer"),
    [
        ("MOIE_HEARTBEAT", "10x", "MOIE_HEARTBEAT: '10x' is not a duration"),
        ("MOIE_LEASE", "-1s", "MOIE_LEASE: '-1s' is negative"),
        ("MOIE_SWEEP", "0", "MOIE_SWEEP: must be longer than zero"),
        ("MOIE_PLAN", "a b", "MOIE_PLAN: use 1 to 64 letters"),
        ("MOIE_PLAN", "night\n", "MOIE_PLAN: use 1 to 64 letters"),
        ("MOIE_PLAN", "x" * 65, "MOIE_PLAN: use 1 to 64 letters"),
        ("MOIE_THREADS", "0", "MOIE_THREADS: "),
        ("MOIE_THREADS", "many", "MOIE_THREADS: "),
        ("MOIE_FLOWER_PORT", "70000", "MOIE_FLOWER_PORT: "),
        ("MOIE_FLOWER_PASSWORD", "short", "MOIE_FLOWER_PASSWORD: use at least 12 characters"),
        ("MOIE_FLOWER_USER", "a:b", "MOIE_FLOWER_USER: use a name without colons"),
        ("MOIE_ARXIV_URL", "ftp://arxiv.org", "MOIE_ARXIV_URL: use an address that begins with http"),
        ("MOIE_REDIS_URL", "amqp://host", "MOIE_REDIS_URL: unknown kind of address"),
        ("MOIE_REDIS_URL", "redis://:pw@", "MOIE_REDIS_URL: no host in it"),
        ("MOIE_REDIS_URL", "redis://host:port", "MOIE_REDIS_URL: not a URL"),
        ("MOIE_REDIS_URL", "unix://run/redis.sock", "MOIE_REDIS_URL: the path of a socket is absolute"),
        ("MOIE_PING_URL", "http://hc.example/uuid", "MOIE_PING_URL: use https://; http:// is for the loopback"),
        ("MOIE_PING_URL", "https://user@hc.example/uuid", "MOIE_PING_URL: use an address such as https://host/path"),
        ("MOIE_PING_URL", "https://hc.example/a b", "MOIE_PING_URL: use an address such as https://host/path"),
        ("MOIE_PING_URL", "https://hc.example:port/", "MOIE_PING_URL: not a URL"),
        ("MOIE_PING_URL", "https:///uuid", "MOIE_PING_URL: use an address such as https://host/path"),
        ("MOIE_PING_METHOD", "PUT", "MOIE_PING_METHOD: "),
        ("MOIE_BROKER_URL", "sqs://host", "MOIE_BROKER_URL: unknown kind of address"),
    ],
)
def test_a_wrong_value_is_named_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, answer: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError) as caught:
        settings.load()
    assert str(caught.value).startswith(answer)


@pytest.mark.parametrize("url", ["https://hc.example/uuid?a=1", "http://localhost:8000/", "http://[::1]:8000/x"])
def test_a_ping_goes_out_by_https_or_stays_on_this_machine(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("MOIE_PING_URL", url)
    loaded = settings.load()
    assert loaded.ping_url is not None
    assert loaded.ping_url.get_secret_value() == url
    assert "uuid" not in repr(loaded)


def test_all_wrong_values_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOIE_LEASE", "soon")
    monkeypatch.setenv("MOIE_RENEW", "later")
    with pytest.raises(InputError) as caught:
        settings.load()
    assert [line.split(":")[0] for line in str(caught.value).splitlines()] == ["MOIE_LEASE", "MOIE_RENEW"]


@pytest.mark.parametrize(
    ("name", "value", "answer"),
    [
        ("MOIE_HEARTBEAT_STALE", "10m", "MOIE_HEARTBEAT_STALE (10m) must be longer than MOIE_HEARTBEAT (10m)"),
        ("MOIE_RENEW", "16s", "MOIE_RENEW (16s) must be at most half of MOIE_LEASE (30s)"),
    ],
)
def test_values_must_fit_together(monkeypatch: pytest.MonkeyPatch, name: str, value: str, answer: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError) as caught:
        settings.load()
    assert str(caught.value).startswith(answer)


def test_an_unknown_variable_is_warned_of_with_its_neighbour(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MOIE_REDIS_ULR", "redis://h")
    monkeypatch.setenv("MOIE_ZZZZ", "1")
    monkeypatch.setenv("MOIE_TOKEN", "of an attempt")
    monkeypatch.setenv("MOIE_SLOT", "of an attempt")
    with caplog.at_level(logging.WARNING):
        settings.load()
    assert [record.getMessage() for record in caplog.records] == [
        "MOIE_REDIS_ULR is no setting and is ignored; did you mean MOIE_REDIS_URL?",
        "MOIE_ZZZZ is no setting and is ignored",
    ]


def test_passwords_are_in_no_repr_and_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = settings.load(
        redis_url="redis://:hush-1@h", broker_url="amqp://me:hush-2@h", flower_password="hush-3-long-enough"
    )
    assert "hush" not in repr(loaded) + str(loaded)
    for wrong in ("http://:hush@host", "redis://:hush@host:port", "redis://:hu/sh@host", "redis://:hush@[host"):
        monkeypatch.setenv("MOIE_REDIS_URL", wrong)
        with pytest.raises(InputError) as caught:
            settings.load()
        assert "hush" not in str(caught.value)
        assert "hu/sh" not in str(caught.value)


def test_the_embedded_redis_is_found_through_the_home(tmp_path: Path) -> None:
    loaded = settings.load(home=tmp_path)
    with pytest.raises(UnreachableError, match="moie up"):
        loaded.state_url()
    (tmp_path / settings.EMBEDDED_URL_FILE).write_text("unix://:pw@/run/r.sock?db=0\n")
    assert loaded.state_url() == "unix://:pw@/run/r.sock?db=0"
    assert loaded.celery_broker_url() == "redis+socket://:pw@/run/r.sock?virtual_host=0"


def test_the_broker_is_the_same_redis_unless_told(tmp_path: Path) -> None:
    assert settings.load(redis_url="redis://:pw@h:1/2").celery_broker_url() == "redis://:pw@h:1/2"
    told = settings.load(redis_url="redis://h", broker_url="amqp://me:pw@rabbit/vhost")
    assert told.celery_broker_url() == "amqp://me:pw@rabbit/vhost"
    assert told.state_url() == "redis://h"


def test_celery_and_redis_py_read_the_same_socket_from_the_mapped_address() -> None:
    url = "unix://:p%40w@/tmp/a%20b/%C3%BC.sock?db=3"
    assert ConnectionPool.from_url(url).connection_kwargs["path"] == "/tmp/a b/ü.sock"
    assert celery_url(url) == "redis+socket://:p%40w@/tmp/a%20b/%C3%BC.sock?virtual_host=3"
    assert celery_url("unix:///r.sock") == "redis+socket:///r.sock?virtual_host=0"


def test_celery_gets_the_certificate_rule_it_demands() -> None:
    assert celery_url("rediss://:pw@h:1/0") == "rediss://:pw@h:1/0?ssl_cert_reqs=required"
    assert parse_url(celery_url("rediss://h"))["ssl"] == {"ssl_cert_reqs": ssl.CERT_REQUIRED}
    assert celery_url("rediss://h?ssl_cert_reqs=none") == "rediss://h?ssl_cert_reqs=none"
    assert tls_options("redis://h") is None
    assert tls_options("rediss://h?ssl_ca_certs=/ca.pem") == {
        "ssl_cert_reqs": ssl.CERT_REQUIRED,
        "ssl_ca_certs": "/ca.pem",
    }


@pytest.mark.parametrize("url", ["redis://h", "rediss://:pw@h:1/2", "unix:///r.sock", "amqp://a:b@h//", "amqps://h"])
def test_known_addresses_are_accepted(url: str) -> None:
    check_url(url, BROKER_SCHEMES)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://:hush@h:1/0", "redis://:***@h:1/0"),
        ("connect to rediss://me:hu@sh@h failed", "connect to rediss://me:***@h failed"),
        ("unix://:hu/sh@/r.sock?db=0", "unix://:***@/r.sock?db=0"),
        ("unix:///r.sock?db=0&password=hush", "unix:///r.sock?db=0&password=***"),
        ("http://host:8080/path", "http://host:8080/path"),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_redact_takes_passwords_out_of_any_text(text: str, shown: str) -> None:
    assert redact(text) == shown


def test_redact_takes_out_known_secrets_wherever_they_stand() -> None:
    assert redact("AUTH hush, hush", ["hush", ""]) == "AUTH ***, ***"


SENTINEL = "sentinel://us%3Aer:p%40w@s1:1,s2,[::1]:3/4?master=main&sentinel_username=ask&sentinel_password=hush"


def test_an_address_of_sentinels_is_one_line_here_and_several_for_celery() -> None:
    assert settings.load(redis_url=SENTINEL).celery_broker_url() == ";".join(
        f"sentinel://us%3Aer:p%40w@{place}/4" for place in ("s1:1", "s2:26379", "[::1]:3")
    )
    options = broker_options(SENTINEL, timedelta(seconds=5))
    assert options["master_name"] == "main"
    asking = options["sentinel_kwargs"]
    assert (asking["username"], asking["password"]) == ("ask", "hush")
    assert asking["socket_timeout"] * 3 <= 2.5, "all Sentinels are asked within half of the time limit"
    assert asking["retry"].get_retries() == 0


def test_the_broker_of_a_celery_application_behind_sentinels_holds_its_state_too() -> None:
    url = state_url_of(celery_url(SENTINEL), broker_options(SENTINEL, timedelta(seconds=5)))
    assert url is not None
    assert sentinels_of(url) == sentinels_of(SENTINEL)
    with pytest.raises(ValueError, match="needs `master_name`"):
        state_url_of(celery_url(SENTINEL), {})


TLS_OPTIONS = "ssl_ca_certs=/ca.pem&ssl_check_hostname=false"
HOW = {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_ca_certs": "/ca.pem", "ssl_check_hostname": False}


@pytest.mark.parametrize(("spoken", "redis", "sentinels"), [("all", 1, 1), ("redis", 1, 0), ("sentinels", 0, 1)])
def test_tls_is_spoken_with_whom_the_address_of_sentinels_says(spoken: str, redis: int, sentinels: int) -> None:
    url = f"{SENTINEL}&tls={spoken}&{TLS_OPTIONS}"
    asking = broker_options(url, timedelta(seconds=5))["sentinel_kwargs"]
    assert tls_options(url) == (HOW if redis else None)
    assert asking.items() >= {"ssl": True, **HOW}.items() if sentinels else "ssl" not in asking
    assert address_of(connect(url)).endswith(f"/4?master=main&tls={spoken}")


@pytest.mark.parametrize("spoken", ["all", "redis", "sentinels"])
def test_a_celery_application_behind_sentinels_says_its_tls_in_two_places(spoken: str) -> None:
    said = f"{SENTINEL}&tls={spoken}&{TLS_OPTIONS}"
    options = broker_options(said, timedelta(seconds=5))
    url = state_url_of(celery_url(said), options, tls_options(said) or False)
    assert url is not None
    assert sentinels_of(url) == sentinels_of(said)


@pytest.mark.parametrize(
    ("redis", "sentinels", "answer"),
    [
        ({"ssl_ca_certs": "/a"}, {"ssl_ca_certs": "/b"}, "have other options of TLS"),
        ({"ssl_ciphers": "X"}, {}, "ssl_ciphers is none of the options of TLS known here"),
        ({"ssl_cert_reqs": "x"}, {}, "ssl_cert_reqs=x: use required, optional or none"),
    ],
)
def test_what_one_address_cannot_say_of_tls_is_refused(
    redis: dict[str, str], sentinels: dict[str, str], answer: str
) -> None:
    options = {"master_name": "main", "sentinel_kwargs": {"ssl": True, **sentinels}}
    with pytest.raises(ValueError, match=answer):
        state_url_of("sentinel://h", options, redis)


@pytest.mark.parametrize("said", ["none", None, ssl.CERT_NONE])
def test_a_celery_application_may_say_in_three_ways_that_it_trusts_anybody(said: object) -> None:
    url = state_url_of("sentinel://h", {"master_name": "main"}, {"ssl_cert_reqs": said, "ssl_ca_certs": None})
    assert url == "sentinel://h:26379/0?master=main&tls=redis&ssl_cert_reqs=none"


def test_passwords_of_sentinels_are_not_shown() -> None:
    for text in (SENTINEL, celery_url(SENTINEL)):
        assert "p%40w" not in redact(text)
        assert "hush" not in redact(text)


def test_an_address_of_sentinels_is_shown_without_passwords() -> None:
    assert address_of(connect(SENTINEL)) == "sentinel://::1:3,s1:1,s2:26379/4?master=main"


@pytest.mark.parametrize(
    ("url", "answer"),
    [
        ("sentinel://h:1/0", "name the group that the Sentinels watch"),
        ("sentinel://h:1,:2/0?master=m", "no host in it"),
        ("sentinel://h:port/0?master=m", "the places of Sentinels are host:port"),
        ("sentinel://h:1/db?master=m", "the path of a sentinel:// address is the number of a database"),
        ("sentinel://h:1/0?master=m&ssl=true", "unknown option ssl"),
        ("sentinel://h:1/0?master=m&tls=yes", "tls=yes: use all, redis or sentinels"),
        ("sentinel://h:1/0?master=m&ssl_ca_certs=/ca.pem", "ssl_ca_certs says nothing without TLS: write tls=all"),
        ("sentinel://h:1/0?master=m&tls=all&ssl_cert_reqs=no", "ssl_cert_reqs=no: use required, optional or none"),
        ("sentinel://h:1/0?master=m&tls=all&ssl_check_hostname=0", "ssl_check_hostname=0: use true or false"),
        ("rediss://h?ssl_cert_reqs=never", "ssl_cert_reqs=never: use required, optional or none"),
    ],
)
def test_a_wrong_address_of_sentinels_is_explained(url: str, answer: str) -> None:
    with pytest.raises(InputError, match=f"^MOIE_REDIS_URL: {answer}"):
        settings.load(redis_url=url)
