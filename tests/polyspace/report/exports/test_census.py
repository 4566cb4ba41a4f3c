from polyspace.report import page
from polyspace.report.blocks import Facts, Folded, Paragraph
from polyspace.report.exports import census
from tests.support.blocks import be
from tests.support.exports import quantization, tensor


def test_tensors_come_worst_first(bundle):
    info = bundle().quantization_info
    assert [t.name for t in census.worst_first(info)] == [
        "map.bias",
        "map.weight",
        "head.weight",
        "student.mean",
    ]


def test_overflow_is_worse_than_any_rounding(bundle):
    lost = tensor("lost", 5, "float16", overflow=1)
    info = quantization("fp16")
    changed = bundle(quantization_info={**info, "tensors": [*info["tensors"], lost]})
    assert census.worst_first(changed.quantization_info)[0].name == "lost"
    said = be(Paragraph, census.tensors(changed)[0])
    assert "1 values overflow and 3 are subnormal" in str(said.text)


def test_every_tensor_is_a_row_and_folded_away(bundle, cells):
    said, folded = census.tensors(bundle())
    text = str(be(Paragraph, said).text)
    assert text.startswith("3 of 4 tensors were rounded; 0 values overflow")
    assert "map.bias lost the most: rms error 4.0e\N{MINUS SIGN}4" in text
    assert isinstance(folded, Folded)
    rows = cells(page.block(folded, ""))[1:]
    assert len(rows) == 4
    small, worst = "2.0e\N{MINUS SIGN}4", "4.0e\N{MINUS SIGN}4"
    assert rows[1] == ["map.weight", "float16", "1,000", "1.25", "0", "3", worst, small]


def test_a_model_that_storing_left_alone_says_so(bundle):
    said, _ = census.tensors(bundle("fp32"))
    assert be(Paragraph, said).text == "None of the 4 tensors was changed by storing it."


def test_the_policy_counts_trained_and_measured_values_apart(bundle):
    facts = be(Facts, census.policy(bundle())[0])
    assert facts.given["trained values"] == "1,110 float16"
    assert facts.given["measured and counted values"] == "12 float32"
    assert facts.given["kept float32 on request"] == "nothing"
