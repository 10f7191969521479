"""What a machine remembers of chains of receipts, in files of its own."""

from pathlib import Path

import pytest

from moie_worker.adapters.heads import HeadFolder
from moie_worker.errors import MoieError


def test_the_newest_head_of_each_plan_is_remembered_by_whoever_comes_later(tmp_path: Path) -> None:
    folder = HeadFolder(tmp_path / "heads")
    assert folder.last("p") is None
    folder.note("p", 1, "a")
    folder.note("p", 2, "b")
    folder.note("q", 7, "c")
    assert (HeadFolder(tmp_path / "heads").last("p"), folder.last("q")) == ((2, "b"), (7, "c"))
    assert (tmp_path / "heads" / "p.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("text", ["", "no", "[]", '{"count": 1}', '{"count": "x", "head": "y"}'])
def test_what_cannot_be_read_is_not_known(tmp_path: Path, text: str) -> None:
    (tmp_path / "p.json").write_text(text)
    assert HeadFolder(tmp_path).last("p") is None


def test_a_head_that_cannot_be_kept_is_an_error_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "heads").write_text("a file")
    with pytest.raises(MoieError, match=r"heads: .*Make room"):
        HeadFolder(tmp_path / "heads").note("p", 1, "a")
