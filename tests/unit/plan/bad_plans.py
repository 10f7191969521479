"""Documents that must be refused: what they hold, and what the message must say, its path first.

Used by the tests of the plan and of the command line. `data` is bytes, or a function for what is too big to stand here.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class BadPlan:
    """A document and a part of the message that it must get."""

    name: str
    data: bytes | Callable[[], bytes]
    expect: str

    def read(self) -> bytes:
        """The document."""
        return self.data if isinstance(self.data, bytes) else self.data()


def text(source: str) -> bytes:
    return source.encode()


def plan(jobs: str = "", *, phase: str = "", meta: str = "", top: str = "") -> bytes:
    """A v3 plan in YAML of one phase; `jobs` are its jobs, in flow style."""
    listed = jobs or '{id: "1.1", task: one, verification_cmd: "true"}'
    return text(
        f"version: 3\nmeta: {{project: p{meta}}}\n{top}\nphases:\n  - {{id: 1, name: first{phase}, jobs: [{listed}]}}\n"
    )


def job(fields: str) -> bytes:
    """A plan whose only job has these fields besides."""
    return plan(f'{{id: "1.1", task: one, verification_cmd: "true", {fields}}}')


def cyclic(fields: str) -> bytes:
    """A plan whose only job is cyclic and has these fields besides."""
    return plan(f'{{id: "1.1", task: one, verification_cmd: "true", status: cyclic, {fields}}}')


def phases(*listed: str) -> bytes:
    return text("version: 3\nphases:\n" + "".join(f"  - {one}\n" for one in listed))


def one_job(name: str, fields: str = "") -> str:
    return f'jobs: [{{id: "{name}", task: t, verification_cmd: "true"{fields}}}]'


def older(change: dict[str, Any], job_change: dict[str, Any]) -> bytes:
    """A v2 document with some fields of its phase and its job changed."""
    job = {"id": "1.1", "task": "t", "description": "", "status": "pending", "verification_cmd": "true"} | job_change
    phase = {"id": 1, "name": "n", "status": "active", "jobs": [job]} | change
    meta = {"project": "p", "operator": "o", "boot_time": "2025-01-01T00:00:00Z", "mode": "daemon", "current_phase": 1}
    return json.dumps({"meta": meta, "phases": [phase]}).encode()


def many_jobs() -> bytes:
    jobs = [{"id": str(number), "task": "t", "verification_cmd": "true"} for number in range(200_001)]
    return json.dumps({"version": 3, "phases": [{"id": 1, "name": "n", "jobs": jobs}]}).encode()


def billion_laughs() -> bytes:
    lines = ["a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    return text("\n".join(lines) + "\nversion: 3\n")


def deep_by_alias() -> bytes:
    lines = ["a0: &a0 {x: 1}"] + [f"a{n}: &a{n} {{x: *a{n - 1}}}" for n in range(1, 40)]
    return text("version: 3\n" + "\n".join(lines) + "\n")


def waiting(needs: str) -> str:
    return f"depends_on: [{needs}]"


JOBS = "phases[0].jobs[0]"

FILES = [
    BadPlan("an empty file", b"", "bad.yaml: is empty"),
    BadPlan("white space only", b" \n\t\n ", "bad.yaml: is empty"),
    BadPlan("comments only", b"# nothing\n", "bad.yaml: is empty"),
    BadPlan("a byte order mark only", b"\xef\xbb\xbf", "bad.yaml: is empty"),
    BadPlan("33 MiB", lambda: b"#" * (33 * 1024 * 1024), "bad.yaml: is 33.0 MiB; at most 32 MiB"),
    BadPlan("invalid UTF-8", b"version: 3\nmeta: {project: \xc3\x28}\n", "is not UTF-8: byte 27 is 0xc3"),
    BadPlan("UTF-16", "version: 3".encode("utf-16"), "is UTF-16; save it as UTF-8"),
    BadPlan(
        "a NUL byte", b"version: 3\nmeta: {project: a\x00b}\n", "holds the control character U+0000; remove it (line 2)"
    ),
    BadPlan("an escape byte", b"version: 3\nmeta: {project: a\x1b[2J}\n", "holds the control character U+001B"),
    BadPlan("binary", bytes(range(256)), "bad.yaml: is not UTF-8"),
    BadPlan("a list at top level", b"- version: 3\n", "a plan is a mapping with `version` and `phases`, not a list"),
    BadPlan("an empty list", b"[]", "a plan is a mapping with `version` and `phases`, not a list"),
    BadPlan("a text at top level", b"hello", "a plan is a mapping with `version` and `phases`, not text"),
    BadPlan("a number at top level", b"3", "a plan is a mapping with `version` and `phases`, not a number"),
    BadPlan("an empty mapping", b"{}", "version: is missing; write `version: 3`"),
]

SYNTAX = [
    BadPlan("broken YAML", b"version: 3\nphases: [\n", "is not valid YAML"),
    BadPlan("a tab as indentation", b"version: 3\nmeta:\n\tproject: p\n", "is not valid YAML"),
    BadPlan(
        "broken JSON", b'{"version": 3,\n "phases": [,]}', "is not valid JSON: Expecting value, column 13 (line 2)"
    ),
    BadPlan("JSON with more behind it", b'{"version": 3} {}', "is not valid JSON: Extra data"),
    BadPlan("a comma at the end of JSON", b'{"version": 3,}', "is not valid JSON"),
    BadPlan(
        "a key twice in YAML", b"version: 3\nmeta: {}\nmeta: {}\n", "the key 'meta' is there twice; keep one (line 3)"
    ),
    BadPlan(
        "a key twice in JSON",
        b'{"version": 3, "meta": {"mode": "daemon", "mode": "x"}}',
        "meta: the key 'mode' is there twice",
    ),
    BadPlan("two documents", b"version: 3\n---\nversion: 3\n", "holds more than one document"),
    BadPlan(
        "a Python tag",
        b"version: 3\nmeta: !!python/object/apply:os.system [id]\n",
        "meta: the tag tag:yaml.org,2002:python/object/apply:os.system is not accepted",
    ),
    BadPlan(
        "a tag of YAML",
        b"version: 3\nmeta: {project: !!str p}\n",
        "meta.project: the tag tag:yaml.org,2002:str is not accepted",
    ),
    BadPlan("a number as key", b"version: 3\n1: x\n", "a key must be text; write it in quotes (line 2)"),
    BadPlan("null as key", b"version: 3\nmeta: {~: x}\n", "meta: a key must be text"),
    BadPlan("a list as key", b"version: 3\n? [a]\n: x\n", "a key must be text"),
    BadPlan("an alias to nothing", b"version: 3\nmeta: *nothing\n", "meta: *nothing refers to nothing before it"),
    BadPlan(
        "an alias to itself", b"version: 3\nmeta: &m {project: *m}\n", "meta.project: *m refers to nothing before it"
    ),
    BadPlan("a merge of a text", b"version: 3\nmeta: {<<: p}\n", "meta: << merges mappings only"),
    BadPlan("a bomb of aliases", billion_laughs, "holds more than 5000000 values, aliases (*) counted"),
    BadPlan(
        "nested too deep in YAML", text("version: 3\nmeta: " + "[" * 40 + "]" * 40), "is nested deeper than 32 levels"
    ),
    BadPlan("nested too deep by aliases", deep_by_alias, "is nested deeper than 32 levels"),
    BadPlan("nested too deep in JSON", lambda: b'{"a":' * 100_000, "is nested deeper than 32 levels"),
    BadPlan(
        "nested a little too deep in JSON", b'{"a":' + b"[" * 40 + b"]" * 40 + b"}", "is nested deeper than 32 levels"
    ),
    BadPlan("NaN in JSON", b'{"version": 3, "meta": {"project": NaN}}', "meta.project: is not a number that fits"),
    BadPlan("infinity in YAML", b"version: .inf\n", "version: .inf is read in different ways"),
    BadPlan("a number of 30 digits", b'{"version": ' + b"9" * 30 + b"}", "version: is not a number that fits"),
    BadPlan("a number of a million digits", lambda: b"version: " + b"9" * 1_000_000, "is too big a number"),
    BadPlan(
        "a float that overflows",
        b"version: " + b"9" * 400 + b".0\n",
        "version: 99999999999999999999 is too big a number",
    ),
    BadPlan(
        "a number beyond 2^53", job("priority: 9007199254740993"), "priority: 9007199254740993 is too big a number"
    ),
    BadPlan("a NUL behind an escape", job(r'description: "a\0b"'), "description: holds the control character U+0000"),
    BadPlan(
        "half a character",
        b'{"version": 3, "meta": {"project": "\\ud800"}}',
        "meta.project: holds the control character U+D800",
    ),
    BadPlan(
        "on without quotes",
        plan(meta=", operator: on"),
        'meta.operator: on is a word to some readers and true or false to others; write true, false or "on"',
    ),
    BadPlan("an octal number", job("priority: 0017"), "priority: 0017 is read in different ways"),
]

VERSIONS = [
    BadPlan("a version to come", b"version: 4\nphases: []\n", "version: 4 is not known; this release reads 1, 2 and 3"),
    BadPlan("version 0", b"version: 0\n", "version: 0 is not known"),
    BadPlan(
        "a version in quotes",
        b'version: "3"\n',
        'version: "3" is not known; this release reads 1, 2 and 3; write 3 without quotes',
    ),
    BadPlan("version true", b"version: true\n", "version: true is not known"),
    BadPlan("version null", b"version: null\n", "version: null is not known"),
    BadPlan("no version", b"phases: [{id: 1, name: n, jobs: []}]\n", "version: is missing; write `version: 3`"),
    BadPlan(
        "a v2 job without a command",
        older({}, {"verification_cmd": None}),
        "verification_cmd: is missing; a job is done only when",
    ),
    BadPlan(
        "a v2 job with a number as id",
        older({}, {"id": 1.1}),
        'phases[0].jobs[0].id: must be text, not a number (1.1); write it in quotes: "1.1"',
    ),
    BadPlan(
        "a v2 job of unknown status",
        older({}, {"status": "complete"}),
        "phases[0].jobs[0].status: must be pending or completed or cyclic, not \"complete\"; did you mean 'completed'?",
    ),
    BadPlan("a v2 phase without jobs", older({"jobs": []}, {}), "phases[0].jobs: is empty"),
    BadPlan(
        "a v2 phase whose jobs are a mapping",
        older({"jobs": {"a": 1}}, {}),
        "phases[0].jobs: must be a list, not a mapping",
    ),
    BadPlan(
        "a v2 phase with a text as id", older({"id": "one"}, {}), "phases[0].id: must be a whole number, not text (one)"
    ),
]

SHAPE = [
    BadPlan("no phases", b"version: 3\n", "phases: is missing: the phases, at least one"),
    BadPlan("an empty list of phases", b"version: 3\nphases: []\n", "phases: is empty; a plan has at least one phase"),
    BadPlan("phases as a mapping", b"version: 3\nphases: {}\n", "phases: must be a list, not a mapping"),
    BadPlan("a phase that is text", b"version: 3\nphases: [first]\n", "phases[0]: must be a mapping, not text (first)"),
    BadPlan("a phase that is null", b"version: 3\nphases: [null]\n", "phases[0]: must be a mapping, not null"),
    BadPlan("meta as a list", b"version: 3\nmeta: []\nphases: []\n", "meta: must be a mapping, not a list"),
    BadPlan("another mode", plan(meta=", mode: once"), 'meta.mode: must be daemon, not "once"'),
    BadPlan(
        "a boot time that is none", plan(meta=", boot_time: yesterday"), "meta.boot_time: 'yesterday' is not a time"
    ),
    BadPlan("a boot time that is a number", plan(meta=", boot_time: 1700000000"), "meta.boot_time: is not a time"),
    BadPlan(
        "a current phase in v3",
        plan(meta=", current_phase: 1"),
        "meta.current_phase: is computed, not written; remove it",
    ),
    BadPlan("a status of a phase in v3", plan(phase=", status: active"), "phases[0].status: is computed from the jobs"),
    BadPlan("an unknown key at the top", plan(top="phase: []"), "phase: is not a known field; did you mean 'phases'?"),
    BadPlan(
        "an unknown key near a known one",
        job("timout: 5s"),
        f"{JOBS}.timout: is not a known field; did you mean 'timeout'?",
    ),
    BadPlan(
        "an unknown key of other systems",
        job("retries: 5"),
        f"{JOBS}.retries: is not a known field; did you mean 'retry'?",
    ),
    BadPlan(
        "a command under another name",
        job("command: ls"),
        f"{JOBS}.command: is not a known field; did you mean 'verification_cmd'?",
    ),
    BadPlan("an unknown key near none", job("colour: red"), f"{JOBS}.colour: is not a known field; known are id, task"),
    BadPlan("a key that needs quotes", job('"a.b": 1'), f'{JOBS}["a.b"]: is not a known field'),
    BadPlan(
        "params for with",
        job("action: {use: shell, params: {}}"),
        f"{JOBS}.action.params: is not a known field; did you mean 'with'?",
    ),
    BadPlan(
        "an unknown order",
        plan(phase=", order: serial"),
        'phases[0].order: must be parallel or sequential, not "serial"',
    ),
    BadPlan(
        "an approval that is true", plan(phase=", approval: true"), "phases[0].approval: must be required, not true"
    ),
    BadPlan(
        "an approval for one and a half persons",
        plan(phase=", approval: {two_persons: 1}"),
        "phases[0].approval.two_persons: must be a valid boolean, not 1",
    ),
    BadPlan(
        "an approval that expires at once",
        plan(phase=", approval: {expires: 0s}"),
        "phases[0].approval.expires: must be longer than zero",
    ),
    BadPlan(
        "an unknown term of an approval",
        plan(phase=", approval: {expire: 2h}"),
        "phases[0].approval.expire: is not a known field; did you mean 'expires'?",
    ),
    BadPlan(
        "a phase without a name",
        b"version: 3\nphases: [{id: 1, jobs: []}]\n",
        "phases[0].name: is missing: what people call it",
    ),
    BadPlan(
        "a negative phase id",
        phases(f"{{id: -1, name: n, {one_job('a')}}}"),
        "phases[0].id: must be greater than or equal to 0, not -1",
    ),
    BadPlan(
        "a phase id that is true",
        phases(f"{{id: true, name: n, {one_job('a')}}}"),
        "phases[0].id: must be a whole number, not true or false (true)",
    ),
    BadPlan(
        "a phase id that is a text",
        phases(f'{{id: "1", name: n, {one_job("a")}}}'),
        "phases[0].id: must be a whole number, not text (1)",
    ),
    BadPlan(
        "a phase id with a fraction",
        phases(f"{{id: 1.5, name: n, {one_job('a')}}}"),
        "phases[0].id: must be a whole number, not a number (1.5)",
    ),
]

JOBS_OF_A_PLAN = [
    BadPlan(
        "a negative without a check",
        plan(
            "{id: a, task: t, status: cyclic, schedule: {every: 10m}, "
            "action: {use: shell, with: {cmd: make}}, expect_fail: {cmd: x}}"
        ),
        "phases[0].jobs[0].expect_fail: belongs to a verification_cmd that it is the negative of",
    ),
    BadPlan("a negative that is empty", job("expect_fail: {cmd: ''}"), "phases[0].jobs[0].expect_fail.cmd: is empty"),
    BadPlan("a check in the environment", job("env: {MOIE_CHECK: x}"), "MOIE_CHECK is reserved"),
    BadPlan(
        "evidence without a check",
        plan(
            "{id: a, task: t, status: cyclic, schedule: {every: 10m}, "
            "action: {use: shell, with: {cmd: make}}, evidence: {files: [out]}}"
        ),
        "phases[0].jobs[0].evidence: belongs to a verification_cmd that looks at the files",
    ),
    BadPlan(
        "evidence newer than what",
        job("evidence: {files: [out], newer_than: yesterday}"),
        "phases[0].jobs[0].evidence.newer_than: ",
    ),
    BadPlan("evidence without a file", job("evidence: {files: []}"), "phases[0].jobs[0].evidence.files: "),
    BadPlan(
        "a job id without quotes",
        plan("{id: 1.10, task: t, verification_cmd: x}"),
        f'{JOBS}.id: must be text, not a number (1.10); write it in quotes: "1.10" (line 5)',
    ),
    BadPlan(
        "a job id with a space",
        plan('{id: "a b", task: t, verification_cmd: x}'),
        f'{JOBS}.id: "a b" may not hold spaces or control characters',
    ),
    BadPlan(
        "a job id with a line break",
        plan(r'{id: "a\nb", task: t, verification_cmd: x}'),
        "may not hold spaces or control characters",
    ),
    BadPlan("an empty job id", plan('{id: "", task: t, verification_cmd: x}'), f"{JOBS}.id: is empty"),
    BadPlan(
        "a job without a task",
        plan('{id: "1", verification_cmd: x}'),
        f"{JOBS}.task: is missing: what is to be done, in one line",
    ),
    BadPlan(
        "a job without a command",
        plan('{id: "1", task: t}'),
        f"{JOBS}.verification_cmd: is missing; a job is done only when",
    ),
    BadPlan(
        "an action alone", plan('{id: "1", task: t, action: {use: shell}}'), f"{JOBS}.verification_cmd: is missing"
    ),
    BadPlan(
        "an empty command", plan('{id: "1", task: t, verification_cmd: " "}'), f"{JOBS}.verification_cmd: is empty"
    ),
    BadPlan(
        "an empty list of words", plan('{id: "1", task: t, verification_cmd: []}'), f"{JOBS}.verification_cmd: is empty"
    ),
    BadPlan(
        "words that are numbers",
        plan('{id: "1", task: t, verification_cmd: [sleep, 5]}'),
        f"{JOBS}.verification_cmd[1]: must be text, not a number (5)",
    ),
    BadPlan(
        "a command that is true",
        plan('{id: "1", task: t, verification_cmd: true}'),
        f"{JOBS}.verification_cmd: must be text, not true or false (true)",
    ),
    BadPlan(
        "a command that is too long",
        lambda: job("cwd: /").replace(b'"true"', b'"' + b"x" * 100_001 + b'"'),
        f"{JOBS}.verification_cmd: is longer than 100000 characters",
    ),
    BadPlan("a task that is a list", job("description: [a]"), f"{JOBS}.description: must be text, not a list"),
    BadPlan(
        "an unknown status", job("status: done"), f'{JOBS}.status: must be pending or completed or cyclic, not "done"'
    ),
    BadPlan("a negative time limit", job("timeout: -5s"), f"{JOBS}.timeout: '-5s' is negative"),
    BadPlan("a negative number as time limit", job("timeout: -5"), f"{JOBS}.timeout: '-5 s' is negative"),
    BadPlan("no time at all", job("timeout: 0"), f"{JOBS}.timeout: must be longer than zero"),
    BadPlan(
        "a time limit of a thousand years",
        job("timeout: 365000d"),
        f"{JOBS}.timeout: '365000d' is too long: at most 366d",
    ),
    BadPlan(
        "an unknown unit",
        job("timeout: 5 minutes"),
        f"{JOBS}.timeout: '5 minutes' is not a duration; write a duration such as 30s",
    ),
    BadPlan("minutes before hours", job("timeout: 5m1h"), f"{JOBS}.timeout: '5m1h' is not a duration"),
    BadPlan("an ISO duration", job("timeout: PT5M"), f"{JOBS}.timeout: 'PT5M' is not a duration"),
    BadPlan("a time limit that is true", job("timeout: true"), f"{JOBS}.timeout: True is not a duration"),
    BadPlan(
        "a part of a millisecond",
        job("timeout: 0.0001"),
        f"{JOBS}.timeout: '0.0001 s' is not a whole number of milliseconds",
    ),
    BadPlan("a priority in words", job("priority: high"), f"{JOBS}.priority: must be a whole number, not text (high)"),
    BadPlan(
        "a huge priority", job("priority: 1000000"), f"{JOBS}.priority: must be less than or equal to 1000, not 1000000"
    ),
    BadPlan(
        "a thousand and one retries", job("retry: {max: 1001}"), f"{JOBS}.retry.max: must be less than or equal to 1000"
    ),
    BadPlan("a cap below the base", job("retry: {base: 1m, cap: 1s}"), f"{JOBS}.retry.cap: is shorter than `base`"),
    BadPlan(
        "a factor below 1", job("retry: {factor: 0.5}"), f"{JOBS}.retry.factor: must be greater than or equal to 1"
    ),
    BadPlan(
        "an unknown key of retry",
        job("retry: {maximum: 3}"),
        f"{JOBS}.retry.maximum: is not a known field; did you mean 'max'?",
    ),
    BadPlan("an environment that is a list", job('env: ["A=1"]'), f"{JOBS}.env: must be a mapping, not a list"),
    BadPlan(
        "a number in the environment",
        job("env: {PORT: 80}"),
        f'{JOBS}.env.PORT: must be text, not a number (80); write it in quotes: "80"',
    ),
    BadPlan(
        "a bad name in the environment",
        job("env: {A-B: x}"),
        f'{JOBS}.env.A-B: "A-B" is not the name of an environment variable',
    ),
    BadPlan(
        "a reserved name in the environment",
        job("env: {MOIE_TOKEN: x}"),
        f"{JOBS}.env.MOIE_TOKEN: MOIE_TOKEN is reserved",
    ),
    BadPlan(
        "a reserved name handed on",
        job("pass_env: [MOIE_SLOT]"),
        f"{JOBS}.pass_env[0]: MOIE_SLOT is reserved",
    ),
    BadPlan("a queue with a space", job('queue: "a b"'), f'{JOBS}.queue: "a b" is not a queue name'),
    BadPlan(
        "an unknown action",
        job("action: {use: shel}"),
        f"{JOBS}.action.use: there is no action 'shel'; did you mean 'shell'?",
    ),
    BadPlan("an action without a name", job("action: {with: {}}"), f"{JOBS}.action.use: is missing"),
    BadPlan("an action that is text", job("action: shell"), f"{JOBS}.action: must be a mapping, not text (shell)"),
    BadPlan(
        "an action with wrong parameters",
        job("action: {use: http, with: {}}"),
        f"{JOBS}.action.with.url: is missing; write the address",
    ),
]

CYCLIC = [
    BadPlan(
        "a cyclic job without a schedule",
        cyclic("queue: q"),
        f"{JOBS}.schedule: is missing; write when the cyclic job runs",
    ),
    BadPlan(
        "a cyclic job with nothing to run",
        plan('{id: "1", task: t, status: cyclic, schedule: {every: 1m}}'),
        f"{JOBS}.verification_cmd: is missing; a cyclic job needs",
    ),
    BadPlan(
        "a cyclic job with a deadline",
        cyclic("schedule: {every: 1m}, deadline: 1h"),
        f"{JOBS}.deadline: a cyclic job is never done",
    ),
    BadPlan(
        "a schedule without cyclic",
        job("schedule: {every: 1m}"),
        f"{JOBS}.schedule: belongs to cyclic jobs; remove it or write `status: cyclic`",
    ),
    BadPlan("an overlap without cyclic", job("overlap: queue"), f"{JOBS}.overlap: belongs to cyclic jobs"),
    BadPlan(
        "an empty schedule", cyclic("schedule: {}"), f"{JOBS}.schedule: needs either `every` or `cron`, and not both"
    ),
    BadPlan(
        "two schedules",
        cyclic('schedule: {every: 1m, cron: "@daily"}'),
        f"{JOBS}.schedule: needs either `every` or `cron`, and not both",
    ),
    BadPlan(
        "a schedule that is text",
        cyclic('schedule: "@daily"'),
        f"{JOBS}.schedule: must be a mapping, not text (@daily)",
    ),
    BadPlan(
        "every tenth of a second", cyclic("schedule: {every: 100ms}"), f'{JOBS}.schedule.every: "100ms" is too short'
    ),
    BadPlan(
        "a time zone beside every",
        cyclic("schedule: {every: 1h, timezone: Europe/Vienna}"),
        f"{JOBS}.schedule.timezone: belongs to `cron`",
    ),
    BadPlan(
        "a cron of four fields",
        cyclic('schedule: {cron: "0 6 * *"}'),
        f'{JOBS}.schedule.cron: cron "0 6 * *" has 4 fields',
    ),
    BadPlan(
        "minute 61", cyclic('schedule: {cron: "61 * * * *"}'), f'{JOBS}.schedule.cron: cron "61 * * * *": bad minute'
    ),
    BadPlan(
        "the 30th of February",
        cyclic('schedule: {cron: "0 0 30 2 *"}'),
        f'{JOBS}.schedule.cron: cron "0 0 30 2 *" never fires',
    ),
    BadPlan(
        "an unknown name for a cron",
        cyclic('schedule: {cron: "@dayly"}'),
        f'{JOBS}.schedule.cron: cron "@dayly" is not known',
    ),
    BadPlan(
        "an unknown time zone",
        cyclic('schedule: {cron: "@daily", timezone: Europe/Viena}'),
        f'{JOBS}.schedule.timezone: unknown time zone "Europe/Viena": did you mean "Europe/Vienna"?',
    ),
    BadPlan(
        "an unknown key of a schedule",
        cyclic("schedule: {crom: x}"),
        f"{JOBS}.schedule.crom: is not a known field; did you mean 'cron'?",
    ),
    BadPlan(
        "an unknown catch-up",
        cyclic("schedule: {every: 1m}, catch_up: twice"),
        f'{JOBS}.catch_up: must be none or once or all, not "twice"',
    ),
    BadPlan(
        "a catch-up without a number",
        cyclic("schedule: {every: 1m}, catch_up: {all: many}"),
        f"{JOBS}.catch_up: must be a whole number, not text",
    ),
    BadPlan(
        "a catch-up of another kind",
        cyclic("schedule: {every: 1m}, catch_up: {some: 3}"),
        f"{JOBS}.catch_up: must be none, once, all, or {{all: 10}}",
    ),
    BadPlan("a negative jitter", cyclic("schedule: {every: 1m}, jitter: -1s"), f"{JOBS}.jitter: '-1s' is negative"),
]

BETWEEN = [
    BadPlan(
        "a phase id twice",
        phases(f"{{id: 1, name: a, {one_job('a')}}}", f"{{id: 1, name: b, {one_job('b')}}}"),
        "phases[1].id: phase 1 is there already: phases[0]",
    ),
    BadPlan(
        "a job id twice",
        phases(f"{{id: 1, name: a, {one_job('a')}}}", f"{{id: 2, name: b, {one_job('a')}}}"),
        "phases[1].jobs[0].id: job 'a' is there already: phases[0].jobs[0]",
    ),
    BadPlan("a phase without jobs", phases("{id: 1, name: a, jobs: []}"), "phases[0].jobs: is empty; remove the phase"),
    BadPlan("a reserved phase", plan(top="reserved: [{ids: [1], reason: later}]"), "phases[0].id: phase 1 is reserved"),
    BadPlan(
        "a reservation without a reason", plan(top="reserved: [{ids: [3]}]"), "reserved[0].reason: is missing: why"
    ),
    BadPlan(
        "an unknown phase to wait for", plan(phase=", depends_on: [7]"), "phases[0].depends_on[0]: there is no phase 7"
    ),
    BadPlan(
        "a phase waiting for itself",
        plan(phase=", depends_on: [1]"),
        "phases[0].depends_on[0]: phase 1 depends on itself",
    ),
    BadPlan(
        "a phase waiting for a later one",
        phases(f"{{id: 1, name: a, depends_on: [2], {one_job('a')}}}", f"{{id: 2, name: b, {one_job('b')}}}"),
        "phases[0].depends_on[0]: phase 2 comes after phase 1",
    ),
    BadPlan(
        "an unknown job to wait for",
        phases(f"{{id: 1, name: a, {one_job('build', ', depends_on: [biuld]')}}}"),
        "phases[0].jobs[0].depends_on[0]: there is no job 'biuld'; did you mean 'build'?",
    ),
    BadPlan(
        "a job waiting for itself", job('depends_on: ["1.1"]'), f"{JOBS}.depends_on[0]: job '1.1' depends on itself"
    ),
    BadPlan("a job waiting for a text", job('depends_on: "1.0"'), f"{JOBS}.depends_on: must be a list, not text"),
    BadPlan(
        "a job waiting for a later phase",
        phases(f"{{id: 1, name: a, {one_job('a', ', depends_on: [b]')}}}", f"{{id: 2, name: b, {one_job('b')}}}"),
        "depends_on[0]: job 'b' is in phase 2, which comes later",
    ),
    BadPlan(
        "a job waiting for a later one in turn",
        plan(
            "{id: a, task: t, verification_cmd: x, depends_on: [b]}, {id: b, task: t, verification_cmd: x}",
            phase=", order: sequential",
        ),
        "depends_on[0]: job 'b' comes after 'a' in a sequential phase",
    ),
    BadPlan(
        "a job waiting for a cyclic one",
        plan(
            "{id: a, task: t, verification_cmd: x, depends_on: [b]},"
            "{id: b, task: t, verification_cmd: x, status: cyclic, schedule: {every: 1m}}"
        ),
        "job 'b' is cyclic and never done",
    ),
    BadPlan(
        "a circle of three",
        plan(", ".join(f"{{id: {a}, task: t, verification_cmd: x, depends_on: [{b}]}}" for a, b in ("ab", "bc", "ca"))),
        "jobs wait for each other: ",
    ),
    BadPlan("more than 200,000 jobs", many_jobs, "phases: there are 200001 jobs; at most 200000"),
]

BAD_PLANS: list[BadPlan] = [*FILES, *SYNTAX, *VERSIONS, *SHAPE, *JOBS_OF_A_PLAN, *CYCLIC, *BETWEEN]
