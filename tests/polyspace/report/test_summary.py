from rich.console import Console

from polyspace.report import summary


def lines(record):
    console = Console(width=140)
    with console.capture() as capture:
        console.print(summary.table(record))
    return capture.get().splitlines()


def test_every_method_stands_in_the_table_best_first_with_its_interval(evaluation):
    record = evaluation()
    text = "\n".join(lines(record))
    best = sorted(record.methods, key=lambda method: -method.top1.value)
    places = [text.index(f"{m.top1.value * 100:.1f} %") for m in best]
    assert places == sorted(places)
    assert all(f"[{m.top1.low * 100:.1f}, {m.top1.high * 100:.1f}]" in text for m in best)
    assert "chance" in text


def test_square_brackets_in_names_are_no_markup(evaluation):
    record = evaluation()
    odd = record.methods[0].model_copy(update={"name": "[bold]fusion[/nothing]"})
    renamed = record.model_copy(update={"methods": (odd, *record.methods[1:])})
    assert any("[bold]fusion[/nothing]" in line for line in lines(renamed))


def test_the_sentence_begins_with_what_must_be_known_first(evaluation):
    assert summary.sentence(evaluation()).startswith("Fusion reaches")
    warned = summary.sentence(evaluation(random_weights=["vivit"]))
    assert warned.startswith("Random weights: vivit.")
    assert "Fusion reaches" in warned
