"""The errors of redis-py in our words: what is wrong, where, and what to do."""

from redis import exceptions as redis_errors

from moie_worker.adapters.redis.asking import NoPrimaryError, Refusal
from moie_worker.errors import MoieError, NotTakenError, UnreachableError
from moie_worker.sentinels import SCHEME as SENTINEL

PASSING = ("MISCONF ", "NOREPLICAS ", "BUSY ", "MASTERDOWN ", "CLUSTERDOWN ", "TRYAGAIN ")  # it serves again later
ENDED = ("Connection reset by peer", "Connection closed by server", "Broken pipe")
ALERT = "\\x15"  # the first byte of a refusal by TLS
TLS = {  # what OpenSSL calls it, and what to do; {tls} is an address, up to its options
    "CERTIFICATE_VERIFY_FAILED": "its certificate is not accepted. Name the file of the authority that signed it: "
    "{tls}ssl_ca_certs=FILE, and the host as the certificate does",
    "CERTIFICATE_REQUIRED": "it asks for a certificate of ours. Name it: {tls}ssl_certfile=FILE&ssl_keyfile=FILE",
    "EOF occurred in violation": "it ended the TLS connection. Does it ask for a certificate of ours? Name it: "
    "{tls}ssl_certfile=FILE&ssl_keyfile=FILE",
    "WRONG_VERSION_NUMBER": "it does not speak TLS at this port. Is it {plain} there?",
    # A Redis without TLS that finds no end of a line in the handshake waits for it.
    "handshake operation timed out": "it does not answer the handshake of TLS. Is it frozen, or is it {plain} there?",
}


def ours(error: redis_errors.RedisError, where: str) -> MoieError:
    """What to tell people; `where` is the address without its password."""
    match error:
        case redis_errors.NoPermissionError():
            return MoieError(f"Redis at {where} forbids this to the user in its address: {error}. Widen the user's ACL")
        case redis_errors.AuthenticationError() | redis_errors.AuthorizationError():
            return UnreachableError(
                f"Redis at {where} refuses user or password: {str(error).rstrip('.')}. Check the address"
            )
        case redis_errors.BusyLoadingError():
            return UnreachableError(f"Redis at {where} is still loading its data. Wait and try again")
        case redis_errors.MaxConnectionsError():
            return UnreachableError(f"no connection to Redis at {where} is free. Raise its `maxclients`")
        case redis_errors.TimeoutError():
            why = _of_tls(Refusal.of(error).text, where) or "Is it frozen or overloaded?"
            return UnreachableError(f"Redis at {where} does not answer in time. {why}")
        case redis_errors.InvalidResponse():
            why = f"It speaks TLS: use {_tls(where)}…" if ALERT in repr(str(error)) else "Is it one?"
            return UnreachableError(f"what answers at {where} does not speak as Redis does ({error}). {why}")
        case NoPrimaryError():
            return UnreachableError(_no_primary(error, where))
        case redis_errors.ConnectionError():
            return UnreachableError(_no_connection(error, where))
        case redis_errors.OutOfMemoryError():
            return MoieError(f"Redis at {where} is full. Raise its `maxmemory` or make room")
        case redis_errors.ReadOnlyError():
            return UnreachableError(f"Redis at {where} is a read-only replica. Give the address of the primary")
        case _:
            return _by_words(str(error), where)


def _by_words(text: str, where: str) -> MoieError:
    """An error inside of a script arrives without its class."""
    if "NOPERM " in text or "can't run this command" in text:
        return MoieError(f"Redis at {where} forbids this to the user in its address. Widen the user's ACL")
    if "OOM " in text:
        return MoieError(f"Redis at {where} is full. Raise its `maxmemory` or make room")
    if "READONLY " in text:
        return UnreachableError(f"Redis at {where} is a read-only replica. Give the address of the primary")
    if any(word in text for word in PASSING):
        return UnreachableError(f"Redis at {where} does not serve just now: {text}")
    return NotTakenError(f"Redis at {where} refused: {text}")


def _no_connection(error: redis_errors.ConnectionError, where: str) -> str:
    said = str(error).rstrip(".")
    if known := _of_tls(said, where):
        return f"Redis at {where} cannot be reached: {known} ({said})"
    return f"Redis at {where} cannot be reached: {said}. {_or_tls(said, where)}Is it running, is the address right?"


def _no_primary(error: NoPrimaryError, where: str) -> str:
    for refusal in error.refusals:
        if known := _of_tls(refusal.text, where):
            return f"no Sentinel at {where} can be asked: {known} ({refusal.text})"
    said = error.said()
    if any(refusal.login for refusal in error.refusals):
        return (
            f"Sentinels at {where} refuse user or password ({said}). Theirs are not those of Redis: "
            "&sentinel_username=…&sentinel_password=…"
        )
    why = f" ({said})" if said else ""
    asked = f"{_or_tls(said, where)}Is a failover under way, is the name of the group right?"
    return f"no Sentinel at {where} names a living primary{why}. {asked}"


def _or_tls(said: str, where: str) -> str:
    """Who gets no handshake ends the connection: after an alert, which may be lost, or at once."""
    ended = any(sign in said for sign in ENDED)
    return f"Does it speak TLS ({_tls(where)}…)? " if ended and not _is_tls(where) else ""


def _is_tls(where: str) -> bool:
    return where.startswith("rediss:") or "&tls=" in where


def _of_tls(text: str, where: str) -> str | None:
    if _is_tls(where) and "No such file" in text:
        return "a file is not there. See ssl_ca_certs=, ssl_certfile= and ssl_keyfile= in the address"
    return next(
        (words.format(tls=_tls(where), plain=_plain(where)) for sign, words in TLS.items() if sign in text), None
    )


def _tls(where: str) -> str:
    return f"{SENTINEL}://…&tls=all&" if where.startswith(SENTINEL) else "rediss://…?"


def _plain(where: str) -> str:
    return f"{SENTINEL}://… without tls=" if where.startswith(SENTINEL) else "redis://"
