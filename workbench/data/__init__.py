"""Tables of interactions in, arrays out: `load` is the front door."""

from workbench.data.interactions import Interactions
from workbench.errors import DataError

__all__ = ["DataError", "Interactions", "item_names", "load"]


def load(dataset: str, seed: int = 0) -> Interactions:
    """Load a data set by name.

    ``"world"`` or ``"world:<preset>"`` generates the embedded world with this seed (knobs at their
    defaults; use :func:`workbench.data.world.make_world` to turn them); any other name is a real data
    set (``workbench data list`` shows them), to which the seed does not apply.

    Raises ConfigError for a name nobody knows and DataError when the files are not at hand.
    """
    if dataset == "world" or dataset.startswith("world:"):
        from workbench.data.world import make_world

        preset = dataset.partition(":")[2] or "small"
        return make_world(preset, seed=seed).interactions
    from workbench.data.sources import load_source

    return load_source(dataset)


def item_names(dataset: str, log: Interactions) -> list[str]:
    """A printable name for every item code: the title where the data set has titles, else "item <id>"."""
    from workbench.data.sources import SOURCES, titles

    if dataset in SOURCES and SOURCES[dataset].titles is not None:
        return titles(dataset, log).tolist()
    return [f"item {raw}" for raw in log.vocabularies["item"]]
