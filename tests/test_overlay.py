"""Colours of labels."""

from medvlm.report.overlay import PALETTE, label_colours


def test_labels_have_their_colours_in_the_order_in_which_they_come():
    assert label_colours(["polyp", "mass", "polyp"]) == {"polyp": PALETTE[0], "mass": PALETTE[1]}
    many = label_colours(map(str, range(len(PALETTE) + 1)))
    assert len(many) == len(PALETTE) + 1 and many[str(len(PALETTE))] == PALETTE[0] and label_colours([]) == {}
