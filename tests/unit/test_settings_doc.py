"""The page of the settings is what the code says."""

from pathlib import Path

from moie_worker import settings
from moie_worker.settings_page import reference

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"


def test_the_page_is_not_stale() -> None:
    assert PAGE.read_text() == reference(), (
        "write it again: python -c 'from moie_worker.settings_page import reference; print(reference(), end=\"\")' > "
        + str(PAGE)
    )


def test_every_setting_is_on_the_page() -> None:
    page = PAGE.read_text()
    assert all(f"| `{name}` |" in page for name in settings.variables())
