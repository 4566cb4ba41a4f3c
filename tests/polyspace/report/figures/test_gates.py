from polyspace.report.figures import gates


def labels(figure):
    return [label.get_text() for label in figure.axes[0].get_xticklabels()]


def test_few_classes_stand_in_their_own_order(evaluation):
    assert labels(gates.by_class(evaluation())) == ["left", "right", "still"]


def test_of_many_classes_those_with_the_lowest_and_highest_gates_are_shown(evaluation):
    read = evaluation(names=tuple(f"class {n}" for n in range(60)), clips=60)
    shown = labels(gates.by_class(read))
    assert len(shown) == gates.SHOWN

    def mean(name):
        place = read.dataset.class_names.index(name)
        return sum(gate.per_class[place] for gate in read.gates.values())

    assert [mean(name) for name in shown] == sorted(mean(name) for name in shown)
    assert mean(shown[0]) == min(mean(name) for name in read.dataset.class_names)


def test_a_gate_runs_from_shut_to_open_whatever_its_values(evaluation):
    bars, lines = gates.means(evaluation().gates).axes
    assert bars.get_xlim() == lines.get_ylim() == (0, 1)
