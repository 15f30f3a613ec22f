"""A table of the scene."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from slicer_notebook.protocol.values import Array
from slicer_notebook.session.handles import Node

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Table"]


class Table(Node):
    """A table."""

    mrml_class = "vtkMRMLTableNode"

    def to_dataframe(self) -> pd.DataFrame:
        """The table's columns under their names."""
        import pandas as pd

        return pd.DataFrame(dict(self._session.call("table.columns", node=self)))

    @property
    def array(self) -> Array:
        """The columns side by side, [row, column]."""
        return np.asarray(self.to_dataframe().to_numpy())
