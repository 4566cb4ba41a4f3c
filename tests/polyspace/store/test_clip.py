import torch

from polyspace.store.clip import StoredClip


def test_prints_shapes_and_sizes_rather_than_values():
    clip = StoredClip(
        id="v_01",
        group="g1",
        label=3,
        class_name="pan",
        tokens={"student": torch.zeros(1, 8, 4, 512, dtype=torch.float16)},
        summary={"student": torch.zeros(1, 512, dtype=torch.float16)},
        seconds={"student": torch.zeros(1, 8, 2, dtype=torch.float64)},
        scale={},
        quarantined={"teacher": "no frames"},
    )
    assert repr(clip) == (
        "clip 'v_01' of group 'g1': pan (3)\n"
        "  student: tokens [1, 8, 4, 512] float16, 32768 bytes\n"
        "  teacher: quarantined, no frames"
    )
