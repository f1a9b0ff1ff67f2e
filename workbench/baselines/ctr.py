"""The networks of LIFT's Table 2 by the name they have there, its FATE and DERT apart.

Each is made as ``CTR[name](sizes, **options)`` and says in ``needs`` which parts of a
:class:`workbench.methods.layers.Sample` it reads beside the target. GBDT is no network: see
:mod:`workbench.baselines.tabular`.
"""

from workbench.baselines.retrieval import RIM, SIM, UBR
from workbench.baselines.sequential import DIEN, DIN, BERT4Rec
from workbench.baselines.tabular import DeepFM

CTR = {
    "DeepFM": DeepFM,
    "BERT4Rec": BERT4Rec,
    "DIN": DIN,
    "DIEN": DIEN,
    "SIM": SIM,
    "UBR": UBR,
    "RIM": RIM,
}
