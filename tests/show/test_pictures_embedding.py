"""Maps of embeddings: purity against hand-worked neighbourhoods, every point drawn once."""

from __future__ import annotations

import numpy as np
import pytest
from pages import collisions, said

from workbench.errors import DataError
from workbench.show.pictures_embedding import embedding_map, neighbour_purity


def test_purity_by_hand():
    """Two far clusters of four points: neighbours share all, chance is 2 * 4 * 3 / (8 * 7) = 3/7."""
    points = np.concatenate([np.arange(4), 100 + np.arange(4)])[:, None].astype(float)
    share, chance = neighbour_purity(points, np.repeat([0, 1], 4), k=3)
    assert share == 1
    assert chance == pytest.approx(3 / 7)
    # on a line 0 1 2 3 coloured a b a b the nearest neighbour never has the same colour
    assert neighbour_purity(points[:4], np.array([0, 1, 0, 1]), k=1)[0] == 0
    with pytest.raises(DataError, match="no 8 neighbours"):
        neighbour_purity(points, np.zeros(8), k=8)


def test_a_point_is_not_its_own_neighbour_even_among_equals():
    same = np.zeros((6, 2))
    share, chance = neighbour_purity(same, np.arange(6), k=2)
    assert (share, chance) == (0, 0)


def test_every_point_is_drawn_once_and_every_code_is_named():
    rng = np.random.default_rng(0)
    need = np.concatenate([np.repeat([0, 1, 2], 20), np.full(7, -1)])
    xy = 10 * np.eye(4)[need][:, :2] + rng.normal(0, 0.3, (67, 2))
    figure = embedding_map(xy, {"need": need, "progress": rng.random(67)}, (0.9, 0.3), "67 windows, seed 0")
    by_need, by_progress = figure.axes[:2]
    drawn = np.concatenate([np.asarray(dots.get_offsets()) for dots in by_need.collections])
    assert sorted(map(tuple, drawn)) == sorted(map(tuple, xy))
    assert [text.get_text() for text in by_need.texts] == ["0", "1", "2"]
    assert len(by_progress.collections[0].get_offsets()) == 67
    title = "Windows of the same need lie together: 90% of nearest neighbours share it, 30% by chance"
    assert figure.get_suptitle() == title
    assert any("67 windows" in words for words in said(figure))
    assert collisions(figure) == []


def test_the_title_does_not_flatter():
    points = np.random.default_rng(0).normal(size=(30, 2))
    codes = np.arange(30) % 2
    title = embedding_map(points, {"need": codes}, (0.52, 0.48), "").get_suptitle()
    assert title.startswith("Windows of the same need hardly lie together")
