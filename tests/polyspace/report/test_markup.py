from polyspace.report.markup import Html, element, image, join

HOSTILE = """<script>alert("1")</script>&'"""


def test_plain_text_is_escaped_and_markup_is_not():
    inner = element("b", HOSTILE)
    assert inner == "<b>&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;&#x27;</b>"
    assert element("p", inner) == f"<p>{inner}</p>"


def test_attributes_are_escaped_and_named_as_in_html():
    assert element("a", "x", class_="y", data_z='"&') == '<a class="y" data-z="&quot;&amp;">x</a>'
    assert image("a.png", alt='">') == '<img src="a.png" alt="&quot;&gt;">'


def test_joining_gives_markup_that_is_not_escaped_again():
    joined = join("1 < 2, ", Html("<br>"))
    assert joined == "1 &lt; 2, <br>"
    assert join(joined) == joined
