"""What is timed is the real thing: what was kept says what the network says, and peers do the same work."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from workbench.errors import ConfigError
from workbench.lab import encode_speed
from workbench.lab.encode_speed import (
    GROWING,
    ML_1M,
    PEERS,
    LibraryEncode,
    beside_table1,
    clustering_growth,
    clusterings,
    exponents,
    extracting,
    library,
    look_growth,
    measurements,
    networks,
    positives,
    request_growth,
    request_times,
    stored,
    vectors,
)
from workbench.lab.long_speed import answering, asked, kept, looking
from workbench.methods.clustering import ClusterConfig, cluster, inertia
from workbench.methods.encode import Encode
from workbench.methods.long_history import Behaviours, LongHistory, LongSample

LENGTH = 400
SYSTEMS = networks(("ENCODE", *PEERS), clusters=8)


def padded(sample: LongSample, events: int) -> LongSample:
    """The same request of a user of whom only the first events are there."""
    there = torch.arange(sample.long.item.shape[1]) < events
    return sample._replace(
        long=Behaviours(sample.long.item * there, sample.long.context * there.unsqueeze(-1))
    )


def says(model: LongHistory, sample: LongSample) -> Tensor:
    with torch.inference_mode():
        return model(sample)


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("events", [LENGTH, 370])
def test_what_was_kept_answers_as_the_whole_network_does(name: str, events: int) -> None:
    """ETA finds many events equally near, and which of them it takes may change with padding."""
    sample = padded(asked(30, LENGTH), LENGTH if name == "ETA" else events)
    model = SYSTEMS[name]
    answer, expected = answering(model, sample)(), says(model, sample)
    assert answer.shape == (30,)
    assert torch.allclose(answer, expected, atol=1e-6)
    nobody = says(model, padded(sample, 0))
    assert name == "DIN" or (answer - nobody).abs().max() > 1e-4, "the events do not matter"


@pytest.mark.parametrize("name", SYSTEMS)
def test_nothing_is_read_where_there_are_no_events(name: str) -> None:
    sample = padded(asked(4, 60), 0)
    read = looking(SYSTEMS[name], sample)()
    assert read.shape == (4, SYSTEMS[name].interest.size)
    assert not read.any()
    assert torch.allclose(answering(SYSTEMS[name], sample)(), says(SYSTEMS[name], sample), atol=1e-6)


def test_the_index_of_sim_finds_the_latest_events_of_the_category() -> None:
    """By hand: a candidate of a category with three events reads these three and nothing else."""
    sample, model = asked(30, 60), SYSTEMS["SIM hard"]
    read = looking(model, sample)()
    item, target = sample.long.item[0], sample.target[:, 0]
    for row, category in enumerate(model.interest.category[target]):
        same = item[model.interest.category[item] == category]
        events, query = model.life.items(same), model.life.items(target[row])
        weights = (20 * torch.cosine_similarity(events, query, dim=1)).softmax(0)
        assert torch.allclose(read[row], weights @ events, atol=1e-5)


def test_the_dot_product_is_kept_as_well() -> None:
    sample, model = asked(30, LENGTH), networks(["DIN-L"])["DIN-L"]
    model.interest.attention.config = encode_speed.EncodeConfig(metric="dot")
    assert torch.allclose(answering(model, sample)(), says(model, sample), atol=1e-6)


def test_a_look_nobody_knows() -> None:
    model = SYSTEMS["DIN"]
    with pytest.raises(ConfigError, match="nothing is said of what Module can keep of a user"):
        kept(nn.Module(), model.life, asked(2, 9).long)


def test_interests_on_disk_say_the_same(tmp_path) -> None:
    sample = asked(30, LENGTH)
    answer = stored(SYSTEMS["ENCODE"], sample, tmp_path)()
    assert torch.allclose(answer, says(SYSTEMS["ENCODE"], sample), atol=1e-6)


def test_the_library_clusters_as_well_as_we_do() -> None:
    config, h = ClusterConfig(), vectors(6, 500, 4)
    found = {name: float(inertia(h, run(), 30).mean()) for name, run in clusterings(h, config).items()}
    assert found["workbench"] == pytest.approx(found["scikit-learn"], rel=0.03)
    assert found["workbench"] == pytest.approx(found["scikit-learn, k-means++"], rel=0.05)


def test_the_library_finds_well_separated_clusters_as_we_do_for_users_of_any_length() -> None:
    """Two directions, far apart: one answer is right, and padding is left alone."""
    way = torch.tensor([[1.0, 0.1], [-0.1, 1.0]])
    where = torch.randint(0, 2, (4, 40), generator=torch.Generator().manual_seed(0))
    h = way[where] + 0.05 * vectors(4, 40, 2)
    there = torch.arange(40) < torch.tensor([40, 20, 1, 0])[:, None]
    config = ClusterConfig(2)
    for label in (cluster(h, there, config), library(h, there, config)):
        assert torch.equal(label < 0, ~there)
        for user in range(2):
            agree = (label[user] == where[user])[there[user]].double().mean()
            assert agree in (0, 1)


def test_users_without_ratings_at_hand_have_as_many() -> None:
    count = np.bincount(positives(2000).user)[1:]
    assert np.allclose(np.quantile(count, ML_1M[0][1:-1]), ML_1M[1][1:-1], rtol=0.02)
    assert 1300 < count.max() <= 1435
    log = positives(50)
    assert len(np.unique(np.stack([log.user, log.item]), axis=1).T) == len(log), "nobody rates twice"


def test_both_extract_everybody_s_interests(tmp_path) -> None:
    log = positives(12)
    ours, theirs = (extracting(kind, log, tmp_path)() for kind in (Encode, LibraryEncode))
    assert ours.there[1:].any(1).all()
    assert (ours.there.sum(1) == theirs.there.sum(1)).mean() > 0.9
    assert ours.interests.shape == theirs.interests.shape == (13, 30, 32)


def test_every_row_is_measured() -> None:
    found = list(measurements("tiny"))
    how = encode_speed.SIZES["tiny"]
    peers = {case: {row.peer for row in found if row.case == case} for case in {row.case for row in found}}
    assert peers.pop("cluster 9 users") == {"scikit-learn", "scikit-learn, k-means++"}
    assert peers.pop("extract, per user") == {"scikit-learn"}
    assert peers.pop("request of 8") == {*PEERS, "DIN-L, plain", "ENCODE, from disk"}
    assert all(peers.pop(f"request, L={n}") == {*GROWING[1:]} for n in how.lengths)
    assert all(peers.pop(f"request, K={k}") == {"DIN"} for k in how.clusters)
    assert all(some == {"scikit-learn"} for some in peers.values())
    assert all(row.median_s > 0 for row in found)


def test_growth_times_all_systems_at_every_setting() -> None:
    how = encode_speed.SIZES["tiny"]
    for growth in (request_growth("tiny"), look_growth("tiny")):
        settings = growth.groupby("knob")["setting"].agg(lambda one: tuple(dict.fromkeys(one)))
        assert settings.to_dict() == {"L": how.lengths, "K": how.clusters}
        assert set(growth[growth["knob"] == "L"]["system"]) == {*GROWING}
        assert set(growth[growth["knob"] == "K"]["system"]) == {"ENCODE", "DIN"}
    assert set(clustering_growth("tiny")["knob"]) == {"L", "K", "m"}


def test_times_of_every_method() -> None:
    times = request_times("tiny").set_index("method")["ms"]
    assert list(times.index) == [*PEERS, "ENCODE"]
    assert times.between(1e-3, 1e4).all()


def test_exponents_are_those_of_the_larger_settings() -> None:
    settings = (1, 10, 100, 1000)
    rows = [("L", n, "a", 5e-3 if n == 1 else 1e-3 * n**2) for n in settings]
    rows += [("L", n, "b", 0.5) for n in settings]
    found = exponents(pd.DataFrame(rows, columns=["knob", "setting", "system", "seconds"]))
    assert found["system"].tolist() == ["a", "b"]
    assert found["exponent"].tolist() == pytest.approx([2, 0], abs=1e-9)


def test_formulas_stand_beside_what_was_measured() -> None:
    rows = [("L", n, system, n * 1e-3) for n in (10, 20, 40) for system in GROWING]
    rows += [("K", n, "ENCODE", 1e-3) for n in (10, 20, 40)]
    table = beside_table1(pd.DataFrame(rows, columns=["knob", "setting", "system", "seconds"]))
    assert table["online"].tolist()[0::4] == ["O(BLd)", "O(BKd)"]
    assert table["L, printed"].tolist() == [1, 0, 1, 0, 0]
    assert table["K, printed"].tolist() == [0, 0, 0, 0, 1]
    assert table["L, measured"].tolist() == pytest.approx([1] * 5)
    assert table.set_index("method")["K, measured"].dropna().to_dict() == {
        "ENCODE": pytest.approx(0, abs=1e-9)
    }
