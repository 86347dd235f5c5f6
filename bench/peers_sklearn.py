"""scikit-learn, for the metrics. Threads: NumPy's."""

from __future__ import annotations

import sklearn
from calls import Call
from sklearn import metrics

TITLE = "sklearn"


def setup(threads: int) -> str:
    return f"scikit-learn {sklearn.__version__}: as NumPy"


def calls(case, data) -> list[Call]:
    if case.family != "metrics":
        return []
    namespace = {"metrics": metrics} | data
    return [Call(f"value = metrics.{case.function}(y_true, y_pred)", namespace, case.outputs)]
