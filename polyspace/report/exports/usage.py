"""How a bundle is loaded and asked, as code that runs."""

from collections.abc import Mapping

from polyspace.report.records.bundle import Bundle

ONNX = "onnx"
"""What the names of formats that ONNX Runtime reads begin with."""


def python(bundle: Bundle) -> str:
    """Load it with PolySpace."""
    shape, dtype, axes = _example(bundle)
    return (
        "import numpy as np\n"
        "import polyspace\n\n"
        f'model = polyspace.load("{bundle.kind}")  # the folder that holds this file\n'
        f'inputs = np.zeros({shape}, "{dtype}")  # {axes}\n'
        "chances = model(inputs)  # float32 [clip, class]\n"
        "print(dict(zip(model.class_names, chances[0].tolist())))"
    )


def terminal(bundle: Bundle) -> str:
    """Name the classes of videos in a terminal."""
    return f"polyspace predict VIDEO --bundle {bundle.kind}"


def onnx(bundle: Bundle) -> str | None:
    """Run it without PolySpace, where ONNX Runtime can."""
    if not bundle.kind.startswith(ONNX):
        return None
    shape, dtype, axes = _graph_example(bundle)
    return (
        "import numpy as np\n"
        "import onnxruntime\n\n"
        f'session = onnxruntime.InferenceSession("{bundle.kind}/model.onnx")\n'
        f'inputs = np.zeros({shape}, "{dtype}")  # {axes}\n'
        "name = session.get_inputs()[0].name\n"
        '(chances,) = session.run(["probabilities"], {name: inputs})'
    )


def _example(bundle: Bundle) -> tuple[str, str, str]:
    """Give shape, type and axes of what the loaded model takes."""
    if bundle.entry == "tokens":
        return _tokens(bundle)
    return "(1, 16, 120, 160, 3)", "uint8", "clip, frame, height, width, colour; any size"


def _graph_example(bundle: Bundle) -> tuple[str, str, str]:
    """Give shape, type and axes of what the graph itself takes."""
    if bundle.entry == "tokens":
        return _tokens(bundle)
    inputs: Mapping[str, object] = bundle.student.inputs
    moving = inputs.get("kind") == "motion"
    sides = [inputs.get(side) for side in ("frames", "height", "width")]
    shape = f"(1, {sides[0]}, {4 if moving else 3}, {sides[1]}, {sides[2]})"
    return shape, "float32" if moving else "uint8", "clip, time, channel, height, width; resized"


def _tokens(bundle: Bundle) -> tuple[str, str, str]:
    of = bundle.student.tokens
    shape = f"(1, {of['time']}, {of['space']}, {of['dim']})"
    return shape, "float32", f"clip, time, space, dim of {bundle.student.name}"
