"""The pictures of lesson 05 say what their numbers say."""

import numpy as np
import pandas as pd
import pytest
from pages import collisions

from workbench.errors import DataError
from workbench.methods.dualrec import window_mask
from workbench.methods.dualrec_config import window_sizes
from workbench.show.pictures_attention import attention_change, attention_map, moves
from workbench.show.pictures_dualrec import (
    GAINS,
    gain_over_controls,
    head_windows,
    loss_parts,
    loss_with_and_without,
    tried_weights,
)

WORDS = {"Past-Only": "the past alone", "past twice": "a second past", "stranger": "a stranger's future"}


def titled(figure) -> str:
    assert collisions(figure) == []
    return figure.get_suptitle()


@pytest.mark.parametrize(("heads", "n"), [(8, 50), (8, 12), (3, 3), (1, 20), (5, 7)])
def test_a_panel_a_head_shows_its_mask(heads: int, n: int) -> None:
    sizes = window_sizes(heads, n)
    seen = window_mask(n, sizes).numpy()
    figure = head_windows(seen, sizes, "past")
    assert "before" in titled(figure)
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.images[0].get_array().tolist() for axes in shown] == seen.tolist()
    assert "after" in titled(head_windows(seen[:, ::-1, ::-1], sizes, "future"))
    with pytest.raises(DataError, match="do not fit"):
        head_windows(seen, sizes[1:], "past")


def curves(gap: float) -> pd.DataFrame:
    rows = [
        (model, reads, epoch, 7 - 0.2 * epoch + (gap if reads == "past" and model == "BERT4Rec" else 0))
        for model, last, ways in (("BERT4Rec", 8, ("both sides", "past")), ("DualRec", 4, ("past",)))
        for epoch in range(1, last + 1)
        for reads in ways
    ]
    return pd.DataFrame(rows, columns=["model", "reads", "epoch", "loss"])


def test_the_gap_is_the_distance_of_the_masked_models_two_lines() -> None:
    assert "+ 0.37 loss" in titled(loss_with_and_without(curves(0.37), "tiny"))


def test_attention_of_one_user_has_all_names_once_a_side() -> None:
    weights = np.tril(np.full((5, 5), 0.2))
    names = ["a", "b", "a long name of an item that goes on", "d", "e"]
    figure = attention_map(weights, names, "past", "User 1: layer 1, head 1")
    assert titled(figure).startswith("User 1")
    written = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert written[0].startswith("a ")
    assert written[2].startswith("a long name of an item th…")
    with pytest.raises(DataError, match="4 names for 5 items"):
        attention_map(weights, names[1:], "past", "")


@pytest.mark.parametrize(
    ("itself", "before", "words"),
    [(0.1, 0.0, "to the newest 5 items"), (-0.1, 0.05, "from an item itself to the few before it"),
     (-0.1, 0.0, "further back"), (0.0, 0.0, "stays"), (0.1, -0.025, "among the newest 5")],
)  # fmt: skip
def test_the_title_says_where_attention_moved(itself: float, before: float, words: str) -> None:
    one = itself * np.eye(12) + before * sum(np.eye(12, k=-back) for back in range(1, 5))
    difference = np.stack([one, one])
    assert words in titled(attention_change(difference, "tiny"))
    np.testing.assert_allclose(moves(difference), [[itself] * 2, [itself + 4 * before] * 2], atol=1e-12)


def test_places_with_little_to_look_at_do_not_count_and_part_of_a_map_can_be_shown() -> None:
    difference = np.zeros((1, 9, 9))
    difference[0, :5] = 5.0
    assert not moves(difference).any()
    figure = attention_change(difference, shown=4)
    assert figure.axes[0].images[0].get_array().shape == (4, 4)


def gains(low: float, high: float) -> pd.DataFrame:
    rows = [(kind, over, (low + high) / 2, low, high) for kind in ("all", "half") for over in GAINS]
    return pd.DataFrame(rows, columns=["data", "over", "gain", "low", "high"])


def test_the_future_is_worth_something_only_over_all_three() -> None:
    assert "in all of these data" in titled(gain_over_controls(gains(0.01, 0.03), "NDCG@10", WORDS))
    one_fails = gains(0.01, 0.03)
    one_fails.loc[(one_fails["data"] == "all") & (one_fails["over"] == "stranger"), "low"] = -0.01
    assert titled(gain_over_controls(one_fails, "NDCG@10", WORDS)).endswith("with half")
    assert "Nowhere" in titled(gain_over_controls(gains(-0.01, 0.01), "NDCG@10", WORDS))
    part = gains(0.01, 0.03).query("over != 'past twice'")
    assert "that have been run" in titled(gain_over_controls(part, "NDCG@10", WORDS))
    assert "helps nowhere" in titled(gain_over_controls(gains(-0.03, -0.01), "NDCG@10", WORDS))


def test_the_parts_of_the_loss_add_up() -> None:
    figure = loss_parts({"past": 3.0, "future": 1.0, "transfer": 0.0})
    assert "past encoder's answers make up 75%" in titled(figure)
    assert sum(bar.get_width() for bar in figure.axes[0].patches) == pytest.approx(4.0)
    assert "transfer makes up 80%" in titled(loss_parts({"past": 0.1, "future": 0.1, "transfer": 0.8}))


def test_what_was_tried_stands_over_what_is_kept() -> None:
    kept = pd.DataFrame({"setting": [0.1, 0.1, 0.5, 0.5], "seed": [0, 1] * 2, "value": [0.3, 0.31, 0.4, 0.4]})
    assert "0.390" in titled(tried_weights({(0.5, 0.5): 0.39}, "NDCG@10", {}))
    figure = tried_weights({(0.5, 0.5): 0.39, (0.1, 0.0): 0.41}, "NDCG@10", {"alpha": kept})
    assert titled(figure).startswith("Of 2 tried, α = 0.1 and β = 0 do best")
    low, high = figure.axes[0].get_ylim()
    assert low < 0.3 < 0.41 < high
