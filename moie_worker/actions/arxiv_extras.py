"""What the feed parser loses of an arXiv answer: it knows arXiv's and OpenSearch's elements by the prefixes that they
usually have, not by their namespaces, and keeps one affiliation of all."""

from dataclasses import dataclass, field
from xml.etree import ElementTree

from moie_worker.plan.texts import one_line

ATOM = "{http://www.w3.org/2005/Atom}"
ARXIV = "{http://arxiv.org/schemas/atom}"
OPENSEARCH = ("{http://a9.com/-/spec/opensearch/1.1/}", "{http://a9.com/-/spec/opensearchrss/1.0/}")
TEXTS = ("comment", "journal_ref", "doi")


@dataclass(frozen=True, slots=True)
class Extra:
    """Of one entry; empty where it says nothing."""

    texts: dict[str, str] = field(default_factory=dict)
    primary: str = ""
    affiliations: tuple[str, ...] = ()  # each named once


@dataclass(frozen=True, slots=True)
class Extras:
    """Of one answer. `total` is None where no OpenSearch element says it."""

    total: str | None = None
    entries: tuple[Extra, ...] = ()  # in the order of the answer

    def of(self, position: int) -> Extra:
        """Of the entry at a position from 0."""
        return self.entries[position] if position < len(self.entries) else Extra()


def read_extras(body: bytes) -> Extras:
    """Empty for what cannot be read here: an encoding that only the feed parser can mend.

    The caller has refused documents with a DOCTYPE, and encodings in which it could not find one.
    """
    try:
        root = ElementTree.fromstring(body)  # noqa: S314 - without a DOCTYPE there are no entities to explode
    except (ElementTree.ParseError, LookupError, ValueError):
        return Extras()
    totals = [found for space in OPENSEARCH if (found := root.findtext(f"{space}totalResults")) is not None]
    return Extras(totals[0] if totals else None, tuple(_extra(entry) for entry in root.iter(f"{ATOM}entry")))


def _extra(entry: ElementTree.Element) -> Extra:
    primary = entry.find(f"{ARXIV}primary_category")
    names = [one_line(place.text or "") for place in entry.iter(f"{ARXIV}affiliation")]
    return Extra(
        texts={name: one_line(entry.findtext(f"{ARXIV}{name}") or "") for name in TEXTS},
        primary="" if primary is None else one_line(primary.get("term", "")),
        affiliations=tuple(dict.fromkeys(name for name in names if name)),
    )
