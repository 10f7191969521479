"""Reading recorded answers of the arXiv API, and what they may turn into."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moie_worker.actions.arxiv_feed import ErrorFeedError, FeedError, Paper, error_of, is_withdrawn, parse_feed

FEEDS = Path(__file__).parents[2] / "data" / "arxiv"


def feed(name: str) -> bytes:
    return (FEEDS / name).read_bytes()


def first(name: str) -> Paper:
    return parse_feed(feed(name)).papers[0]


def entry(**parts: str) -> bytes:
    """A feed with one entry of these parts."""
    values = {"id": "http://arxiv.org/abs/2510.14968v1", "title": "T", "summary": "S", **parts}
    inner = "".join(f"<{name}>{text}</{name}>" for name, text in values.items())
    return (
        '<?xml version="1.0" encoding="UTF-8"?><feed xmlns="http://www.w3.org/2005/Atom" '
        'xmlns:arxiv="http://arxiv.org/schemas/atom" xmlns:o="http://a9.com/-/spec/opensearch/1.1/">'
        f"<o:totalResults>1</o:totalResults><entry>{inner}</entry></feed>"
    ).encode()


def test_everything_that_a_recent_answer_says_of_a_paper() -> None:
    paper = first("api2026_testing_p1.xml")
    assert (paper.id, paper.version) == ("2202.12139", 1)
    assert paper.title == "Testing Deep Learning Models: A First Comparative Study of Multiple Testing Techniques"
    assert paper.summary.startswith("Deep Learning (DL) has revolutionized")
    assert paper.authors == ("Mohit Kumar Ahuja", "Arnaud Gotlieb", "Helge Spieker")
    assert (paper.primary, paper.categories) == ("cs.SE", ("cs.SE", "cs.LG"))
    assert (paper.published, paper.updated) == ("2022-02-24T15:05:19Z", "2022-02-24T15:05:19Z")
    assert paper.comment == "Artificial Intelligence in Software Testing 2022 workshop @ ICST 2022"
    assert paper.journal_ref.startswith("Artificial Intelligence in Software Testing @ 2022 IEEE")
    assert paper.doi == "10.1109/ICSTW55395.2022.00035"
    assert paper.url == "https://arxiv.org/abs/2202.12139v1"
    assert not paper.withdrawn


def test_a_hundred_papers_of_many() -> None:
    page = parse_feed(feed("api2026_testing_100.xml"))
    assert (len(page.papers), page.entries, page.total) == (100, 100, 214881)
    assert len({paper.id for paper in page.papers}) == 100
    assert all(paper.title and paper.authors and paper.primary and paper.published for paper in page.papers)
    assert all("\n" not in text for paper in page.papers for text in paper.fields().values())


def test_an_old_id_and_all_affiliations() -> None:
    paper = first("api2026_oldid_affiliation.xml")
    assert (paper.id, paper.version) == ("astro-ph/0601001", 1)
    assert paper.affiliations == ("Ohio State", "CfA", "Warsaw University Observatory")
    assert paper.journal_ref == "ActaAstron.56:1-50,2006"


def test_an_older_format_with_wrapped_titles() -> None:
    paper = first("api2025_oldformat_cs_RO.xml")
    assert paper.title == ("RDD: Retrieval-Based Demonstration Decomposer for Planner Alignment in Long-Horizon Tasks")
    assert (paper.id, paper.primary) == ("2510.14968", "cs.RO")
    assert paper.comment.startswith("39th Conference on Neural Information Processing Systems (NeurIPS 2025)")
    assert parse_feed(feed("api2025_oldformat_cs_RO.xml")).total == 5619


def test_an_empty_answer_has_no_papers() -> None:
    page = parse_feed(feed("api2026_empty.xml"))
    assert (page.papers, page.entries, page.total) == ((), 0, 0)


def test_an_error_feed_raises_its_reason() -> None:
    with pytest.raises(ErrorFeedError, match=r"^incorrect id format for abc$"):
        parse_feed(feed("api2026_error_400.xml"))
    assert error_of(feed("api2026_error_400.xml")) == "incorrect id format for abc"
    assert error_of(b"<html>") == error_of(feed("api2026_empty.xml")) == ""


def test_a_paper_called_error_is_a_paper() -> None:
    assert parse_feed(entry(title="Error")).papers[0].title == "Error"


def test_another_feed_is_refused() -> None:
    with pytest.raises(FeedError, match="RSS feeds are none") as refused:
        parse_feed(feed("rss2025_csAI_atom.xml"))
    assert not refused.value.passing
    with pytest.raises(FeedError, match="rss20"):
        parse_feed(b'<rss version="2.0"><channel><title>x</title></channel></rss>')


EXPLODES = """<?xml version="1.0" encoding="utf-16"?>
<!DOCTYPE feed [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>
<feed xmlns="http://www.w3.org/2005/Atom" xmlns:o="http://a9.com/-/spec/opensearch/1.1/">
<o:totalResults>1</o:totalResults><entry><id>http://arxiv.org/abs/2510.14968v1</id><title>&b;</title></entry></feed>"""


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"Rate exceeded.",
        b"/etc/passwd",
        b"<html><body>x",
        b"<!DOCTYPE html><p>x",
        b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><feed xmlns="http://www.w3.org/2005/Atom">&b;</feed>',
        EXPLODES.encode("utf-16"),
        EXPLODES.encode("utf-16-be"),
        EXPLODES.encode("utf-32"),
        b'<?xml version="1.0" encoding="U\x80F-8"?><feed xmlns="http://www.w3.org/2005/Atom"></feed>',
        b'<?xml version="1.0" encoding="U\x00F-8"?><feed xmlns="http://www.w3.org/2005/Atom"></feed>',
        feed("api2026_testing_p1.xml")[:5000],
    ],
)
def test_what_is_no_whole_feed_may_pass(body: bytes) -> None:
    with pytest.raises(FeedError) as refused:
        parse_feed(body)
    assert refused.value.passing
    assert "root:" not in str(refused.value)


def test_an_answer_that_names_a_file_is_not_that_file() -> None:
    with pytest.raises(FeedError, match="not well-formed"):
        parse_feed(str(FEEDS / "api2026_testing_p1.xml").encode())


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("http://arxiv.org/abs/2510.14968v12", ("2510.14968", 12)),
        ("https://arxiv.org/abs/0704.0001v2", ("0704.0001", 2)),
        ("http://arxiv.org/abs/math.GT/0309136v1", ("math.GT/0309136", 1)),
        ("http://arxiv.org/abs/cond-mat.mes-hall/0309136v1", ("cond-mat.mes-hall/0309136", 1)),
        ("http://arxiv.org/abs/hep-th/9901001", ("hep-th/9901001", 1)),
        ("https://export.arxiv.org/abs/2510.14968v1", ("2510.14968", 1)),
    ],
)
def test_ids_of_all_ages(address: str, expected: tuple[str, int]) -> None:
    paper = parse_feed(entry(id=address)).papers[0]
    assert (paper.id, paper.version) == expected


@pytest.mark.parametrize("address", ["", "http://example.org/abs/2510.14968v1", "http://arxiv.org/abs/../../x", "x"])
def test_an_entry_that_is_no_paper_is_counted_and_left(address: str) -> None:
    page = parse_feed(entry(id=address))
    assert (page.papers, page.entries) == ((), 1)


def test_texts_keep_their_signs() -> None:
    paper = parse_feed(
        entry(title="p &lt; 0.05 &amp;amp; $x_1$\n  &lt;script&gt;", summary="&lt;b&gt;5 &gt; 3")
    ).papers[0]
    assert paper.title == "p < 0.05 &amp; $x_1$ <script>"
    assert paper.summary == "<b>5 > 3"


def test_elements_are_known_by_their_namespace_whatever_its_prefix() -> None:
    recorded = feed("api2026_testing_p1.xml")
    renamed = recorded.replace(b"arxiv:", b"ax:").replace(b"opensearch:", b"os:")
    renamed = renamed.replace(b"xmlns:arxiv=", b"xmlns:ax=").replace(b"xmlns:opensearch=", b"xmlns:os=")
    assert renamed != recorded
    assert parse_feed(renamed) == parse_feed(recorded)
    old = recorded.replace(b"/-/spec/opensearch/1.1/", b"/-/spec/opensearchrss/1.0/")
    assert parse_feed(old) == parse_feed(recorded)


def test_a_wrongly_declared_encoding_loses_no_paper() -> None:
    latin = feed("api2026_testing_p1.xml").decode().encode("latin-1", "xmlcharrefreplace")
    page = parse_feed(latin)
    assert (len(page.papers), page.total) == (10, 214881)
    assert page.papers[1].authors[2] == "José Raúl Romero"
    assert page.papers[0].comment.startswith("Artificial Intelligence")


def test_an_entry_with_nothing_but_an_id() -> None:
    paper = parse_feed(entry(title="", summary="")).papers[0]
    assert (paper.title, paper.authors, paper.primary, paper.published) == ("", (), "", "")


def test_thousands_of_authors_are_cut_with_their_number() -> None:
    authors = "".join(f"</x><author><name>A{n}</name></author><x>" for n in range(3000))
    assert parse_feed(entry(x=authors)).papers[0].fields()["authors"].endswith("A24 and 2975 more")


@pytest.mark.parametrize(
    ("title", "summary", "comment"),
    [
        ("T", "This paper has been withdrawn by the author due to a crucial sign error in equation 1.", ""),
        ("T", "The article is withdrawn.", ""),
        ("T", "We show X. This paper has been withdrawn by the authors.", ""),
        ("T", "S", "This paper has been withdrawn"),
        ("T", "S", "Withdrawn"),
        ("T", "S", "withdrawn by the authors; error in Lemma 3"),
        ("T", "S", "Paper withdrawn due to an error"),
        ("T", "S", "12 pages. This submission has been temporarily withdrawn."),
        ("T", "S", "This submission has been withdrawn by arXiv administrators due to disputed authorship"),
        ("T", "S", "arXiv admin note: this version withdrawn by arXiv because of copyright"),
        ("T", "S", "This manuscript has been withdrawn from arXiv"),
        ("On widgets (withdrawn)", "S", ""),
    ],
)
def test_notices_of_withdrawal(title: str, summary: str, comment: str) -> None:
    assert is_withdrawn(title, summary, comment)


@pytest.mark.parametrize(
    ("title", "summary", "comment"),
    [
        ("Alcohol withdrawal in mice", "We study withdrawal symptoms.", ""),
        ("T", "Drugs withdrawn from the market are listed.", ""),
        ("T", "Rofecoxib has been withdrawn.", ""),
        ("T", "The probe is withdrawn at a constant speed. The work is withdrawn from the gas.", ""),
        ("T", "The document has been withdrawn from public access, and this paper asks why.", ""),
        ("Why papers are withdrawn", "A study of withdrawn preprints on arXiv.", "10 pages"),
        ("T", "S", "Withdrawn from Phys. Rev. and resubmitted to EPL"),
        ("T", "S", "This paper was withdrawn from the conference by choice of the authors, see v2"),
        ("T", "S", "v2: the claim of section 3 is withdrawn"),
        ("T", "S", "Replaces the withdrawn arXiv:1001.0001"),
        ("T", "Troops were withdrawn by 1991.", "withdrawn-troops data set included"),
    ],
)
def test_false_friends_of_withdrawal(title: str, summary: str, comment: str) -> None:
    assert not is_withdrawn(title, summary, comment)


def test_no_recorded_paper_is_taken_for_withdrawn() -> None:
    assert not [paper.id for paper in parse_feed(feed("api2026_testing_100.xml")).papers if paper.withdrawn]


@given(st.binary(max_size=300))
def test_any_bytes_are_a_feed_or_refused(body: bytes) -> None:
    with pytest.raises(FeedError):
        parse_feed(body)


@settings(max_examples=60)
@given(st.integers(0, 24_900), st.binary(min_size=1, max_size=3))
def test_a_damaged_answer_is_read_or_refused(position: int, noise: bytes) -> None:
    body = feed("api2026_testing_p1.xml")
    try:
        page = parse_feed(body[:position] + noise + body[position + len(noise) :])
    except FeedError:
        return
    assert page.entries >= len(page.papers)
