"""Bits of HTML, as a parser reads them: text stays text, and tables have the cells that were asked for."""

from html.parser import HTMLParser

from hypothesis import example, given
from hypothesis import strategies as st

from poker_env.report.html import Markup, details, escape, facts, render, table, text

NASTY = "</td><script>alert(1)</script> & &amp; \"'"
anything = st.text() | st.sampled_from([NASTY, "<!--", "a\ud800b", "&lt;", "]]>"])
scalars = st.none() | st.booleans() | st.integers() | st.floats() | anything
rows = st.integers(0, 4).flatmap(lambda n: st.lists(st.lists(scalars, min_size=n, max_size=n), max_size=4))
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(anything, inner, max_size=3)
)


class Reader(HTMLParser):
    """The elements of a page, how they nest, and the text in each."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.tags, self.comments, self.open, self.texts = [], 0, [], []
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)
        if tag in ("td", "th", "p", "h3", "summary"):
            self.texts.append((tag, ""))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.texts and self.open and self.open[-1] == self.texts[-1][0]:
            self.texts[-1] = (self.texts[-1][0], self.texts[-1][1] + data)

    def handle_comment(self, data):
        raise AssertionError(data)

    handle_decl = unknown_decl = handle_pi = handle_comment

    def of(self, *tags):
        return [content for tag, content in self.texts if tag in tags]


def shown(value):
    """What somebody reads where a value was put."""
    return str(value).encode("utf-8", "replace").decode()


@given(anything)
@example(NASTY)
def test_text_stays_text_in_elements_and_attributes(content):
    reader = Reader(f'<p title="{escape(content)}">{escape(content)}</p>')
    assert reader.tags == [("p", {"title": shown(content)})] and reader.of("p") == [shown(content)]
    assert escape(escape(content)) == escape(content)  # it is markup now
    assert Reader(details(content, Markup("<p>in</p>"))).texts == [("summary", shown(content)), ("p", "in")]


@given(st.lists(anything, max_size=4), rows)
@example([NASTY], [[NASTY]])
def test_tables_have_the_cells_that_were_asked_for(header, body):
    reader = Reader(table(header, body))
    assert reader.of("th") == [shown(cell) for cell in header]
    assert reader.of("td") == [shown(cell) for row in body for cell in row]
    assert [tag for tag, _ in reader.tags].count("tr") == 1 + len(body)
    pairs = [(row[0], row[-1]) for row in body if row]
    assert Reader(facts(pairs)).of("td") == [shown(cell) for pair in pairs for cell in pair]


def leaves(value):
    """Everything that a JSON value says."""
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in leaves(item)]
    if isinstance(value, list) and any(isinstance(item, list | dict) for item in value):
        return [leaf for item in value for leaf in leaves(item)]
    return [shown(text(value))]


@given(values)
@example({"my_bot": {"hands": 1}, "my bot": {"hands": 2}})  # names that read the same
@example({"<b>": {"<i>": [NASTY, {"</p>": [[NASTY]]}]}})
def test_any_json_is_shown_and_nothing_of_it_is_markup(value):
    reader = Reader(render(value))
    cells = reader.of("td", "p")
    assert {tag for tag, _ in reader.tags} <= {"div", "table", "thead", "tbody", "tr", "th", "td", "p", "h3"}
    assert all(cells.count(leaf) >= leaves(value).count(leaf) for leaf in leaves(value))


def test_nested_json():
    page = Reader(
        render({"win_rate": 0.5, "by_seat": {"first": {"hands": 1200}, "second": {"hands": None, "sd": 2.0}}, "x": {}})
    )
    assert page.of("h3") == ["by seat", "x"]
    assert page.of("th") == ["", "hands", "sd"]  # one line each, with all the columns that any of them has
    assert page.of("td") == ["win rate", "0.5", "first", "1,200", "–", "second", "–", "2"]
    assert Reader(render([{"a": 1}, {"b": [1, 2]}])).of("td") == ["1", "1", "–", "2", "–", "1, 2"]


def test_plain_values():
    shown_as = {None: "–", True: "yes", 12345: "12,345", 1234.56: "1,235", 0.123456: "0.1235", float("inf"): "inf"}
    assert {value: text(value) for value in shown_as} == shown_as
    assert (text([]), text([1, None, "a"])) == ("–", "1, –, a")
