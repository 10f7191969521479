"""The rules: each a small function that says what is wrong with a check, or nothing. The table at the end has all."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from moie_worker.plan.lint import proves
from moie_worker.plan.lint.proves import Proof
from moie_worker.plan.lint.shapes import Group, Script, Simple
from moie_worker.plan.lint.status import (
    PRINTS,
    End,
    Status,
    can_fail,
    commands,
    is_filter,
    of_chain,
    of_pipeline,
)
from moie_worker.plan.model import Job

OWN_MEASURE = ("http", "arxiv_scan")  # actions that fail by the answer of somebody else
SHOWN = 60  # characters of a command in a message


@dataclass(frozen=True, slots=True)
class Check:
    """The verification command of a job, understood."""

    job: Job
    script: Script
    status: Status
    ends: tuple[End, ...]
    proofs: frozenset[Proof]  # the kinds of proof that the exit code depends on


def always_true(check: Check) -> str:
    """`true`, `:`, `exit 0`, `test 1 = 1`: the exit code is 0 whatever the world is like."""
    if _idle(check) and not _prints(check):
        return "succeeds whatever the world is like; write a command that looks at the result of the job"
    return ""


def only_prints(check: Check) -> str:
    """`echo`, `printf`, `date`: printing succeeds, so a sentence is taken for a proof."""
    if _idle(check) and _prints(check):
        return "only prints; a sentence proves nothing: look at the result of the job"
    return ""


def swallowed_failure(check: Check) -> str:
    """`… || true`, `… || :`, `… || echo failed`: what comes after `||` turns every failure into success."""
    for end in check.ends:
        if end.chain.background or of_chain(end.chain, end.options).can_fail:
            continue
        before = of_pipeline(end.chain.first, end.options)
        for joint, pipeline in end.chain.rest:
            if joint == "||" and before.can_fail:
                return f"`|| {_shown(pipeline.commands)}` turns every failure into success; remove it"
            before = of_pipeline(pipeline, end.options)
    return ""


def status_discarded(check: Check) -> str:
    """`…; true`, `…; exit 0`, a last line `echo done`: only the last command decides, and it cannot fail."""
    for end in check.ends:
        if end.chain.background or end.chain.rest or end.options.errexit:
            continue
        if of_chain(end.chain, end.options).can_fail or len(end.chain.first.commands) > 1:
            continue
        if any(of_chain(chain, end.options).can_fail for chain in end.before) and not check.status.can_fail:
            last = _shown(end.chain.first.commands)
            return f"`{last}` comes last and decides alone; join the commands with `&&`, or begin with `set -e`"
    return ""


def pipeline_hides_status(check: Check) -> str:
    """`… | tee log`, `… | head`, `… | sort`: without `pipefail` the last command decides, and it always succeeds."""
    for end in check.ends:
        for pipeline in (end.chain.first, *(pipeline for _, pipeline in end.chain.rest)):
            *before, last = pipeline.commands
            if pipeline.negated or end.chain.background or end.options.pipefail or not is_filter(last):
                continue
            if any(not isinstance(one, Simple) or can_fail(one) for one in before):
                advice = "write the output to a file and look at it, or use bash with `set -o pipefail`"
                return f"`| {_shown([last])}` hides the exit code of what comes before it; {advice}"
    return ""


def background(check: Check) -> str:
    """`… &` at the end: the shell goes on without waiting, and its exit code is 0."""
    if any(end.chain.background for end in check.ends[:1]):
        return "ends in `&`: nobody waits for the command, and its exit code is lost; remove the `&`"
    return ""


def set_plus_e(check: Check) -> str:
    """`set +e` without a look at `$?`: failures before the last command are passed over."""
    off = [index for index, chain in enumerate(check.script.chains) if _switches_off(chain.first.commands[0])]
    if not off or len(check.script.chains) - off[-1] < 3:
        return ""
    if "$?" in str(check.job.verification_cmd) or "PIPESTATUS" in str(check.job.verification_cmd):
        return ""
    return "`set +e` passes over every failure but the last command's; remove it, or look at `$?`"


def cannot_fail(check: Check) -> str:
    """Anything else whose branches and brackets all end with 0, such as an `if` whose branches only print."""
    return "" if check.status.can_fail else "every way through it ends with exit code 0; let it fail somewhere"


def always_there(check: Check) -> str:
    """`test -d /`, `test -e /tmp`, `ls .`: what is there on every machine, before the job and after it."""
    if check.proofs == {Proof.ALWAYS_THERE}:
        return "asks for what is there on every machine; ask for what the job makes"
    return ""


def asks_for_help(check: Check) -> str:
    """`… --help`, `… --help | grep word`, `… --version`: it starts; whether it works is not asked."""
    if Proof.HELP in check.proofs and check.proofs <= proves.WEAK:
        return (
            "asks a program for its help or version, which shows that it starts, not that it works; let it do its work"
        )
    return ""


def grep_for_a_name(check: Check) -> str:
    """`grep Name file.py`: that a word stands in a source or a file, which an empty function or a comment does too."""
    if Proof.NAME in check.proofs and check.proofs <= proves.WEAK:
        return "only asks whether a word stands in a file, which a comment does too; run what the file is for"
    return ""


def no_check(job: Job) -> str:
    """A cyclic job with an action and no `verification_cmd`: the action's own word is taken. Not said of `http`
    and `arxiv_scan`, which fail by the answer of somebody else."""
    if job.action is None or job.verification_cmd is not None or job.action.use in OWN_MEASURE:
        return ""
    return f"takes the word of its action `{job.action.use}`; add a verification_cmd that looks at what it did"


def _idle(check: Check) -> bool:
    """Nothing in it can fail, in the foreground or not."""
    found = [one for one in commands(check.script) if not isinstance(one, Group)]
    return bool(found) and all(isinstance(one, Simple) and not can_fail(one) for one in found)


def _prints(check: Check) -> bool:
    return any(one.name in PRINTS for one in _simple(check))


def _simple(check: Check) -> list[Simple]:
    return [one for one in commands(check.script) if isinstance(one, Simple)]


def _switches_off(command: object) -> bool:
    return isinstance(command, Simple) and command.name == "set" and any(one.text == "+e" for one in command.args)


def _shown(found: Iterable[object]) -> str:
    text = " | ".join(str(one) if isinstance(one, Simple) else "(…)" for one in found)
    line = " ".join(text.split())
    return line if len(line) <= SHOWN else line[: SHOWN - 1] + "…"


CheckRule = Callable[[Check], str]
JobRule = Callable[[Job], str]
Rule = CheckRule | JobRule

CHECK_RULES: Sequence[CheckRule] = (
    always_true, only_prints, swallowed_failure, status_discarded, pipeline_hides_status, background, set_plus_e,
    always_there, asks_for_help, grep_for_a_name,
)  # fmt: skip
LAST_RESORT: CheckRule = cannot_fail  # asked when no other rule has the reason
JOB_RULES: Sequence[JobRule] = (no_check,)


ALL_RULES: Sequence[Rule] = (*CHECK_RULES, LAST_RESORT, *JOB_RULES)


def rule_id(rule: Rule) -> str:
    """The stable name of a rule: `always-true`."""
    return str(getattr(rule, "__name__", "")).replace("_", "-")
