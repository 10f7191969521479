"""The plans that schedules load over each other, and the two queues of their jobs."""

from tests.contract.model import cyclic, job, kept, plan

QUEUES = ("default", "scan")
PLANS = (
    plan(
        job("a", 1), job("b", 1, needs=("a",)), job("c", 1, priority=2),
        job("d", 2), job("e", 2, queue="scan", needs=("d",)), job("f", 5),
        cyclic("x", 1), cyclic("y", 5, queue="scan"), approvals=(5,), persons=2, expires_ms=30_000,
    ),
    plan(
        job("a", 1, queue="scan"), job("b", 1, version=1), job("c", 2, priority=2),
        job("d", 3), job("g", 3, needs=("d",)), job("f", 5, imported=True),
        cyclic("x", 1, timing="u"), cyclic("z", 7, at_load=True), approvals=(3,), expires_ms=10_000,
    ),
    plan(
        job("a", 1, version=2), job("d", 2), job("f", 5, queue="scan"),
        cyclic("i", 9, idle=True), cyclic("x", 3, version=1),
    ),
    plan(*(job(f"m{number}", 1, queue=QUEUES[number // 10]) for number in range(12)), cyclic("x", 1)),
    plan(*(job(f"s{number:02}", 1) for number in range(22)), cyclic("x", 1)),  # many short ones, that travel together
    plan(
        *kept(job("a", 1)), *kept(job("c", 1, needs=("a",))), job("b", 1),
        *kept(job("d", 2, queue="scan"), delay_ms=11_000), job("e", 3, needs=("d",)), *kept(job("f", 5, imported=True)),
        cyclic("x", 2), approvals=(3,), expires_ms=10_000,
    ),
    plan(*kept(job("a", 1, version=2), timing="u"), job("c", 1), *kept(job("d", 2)), job("f", 5)),
)  # fmt: skip
