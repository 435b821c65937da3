"""Reading MATLAB files of both kinds."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import scipy.io

from ...errors import DataError

__all__ = ["read_mat"]


def read_mat(path: Path, *names: str) -> np.ndarray:
    """Variable of a MATLAB file, with the axes that MATLAB shows.

    Parameters
    ----------
    path : Path
        A file of version 4 to 7, or 7.3 (HDF5).
    *names : str
        Variable, then fields of nested structures, e.g. ``"GTcls", "Segmentation"``.

    Raises
    ------
    DataError
        If the file is damaged or has no such variable.
    """
    try:
        return np.asarray(_read_hdf5(path, names) if h5py.is_hdf5(path) else _read_classic(path, names))
    except (OSError, ValueError, KeyError, TypeError, NotImplementedError) as error:
        raise DataError(f"{path}: {error}", f"a MATLAB file with {'.'.join(names)}", "download it again") from error


def _read_hdf5(path: Path, names: tuple[str, ...]) -> np.ndarray:
    with h5py.File(path) as file:
        return file["/".join(names)][()].T


def _read_classic(path: Path, names: tuple[str, ...]) -> object:
    value = scipy.io.loadmat(path, variable_names=names[:1], struct_as_record=True, squeeze_me=False)[names[0]]
    for field in names[1:]:
        value = value[field].flat[0]
    return value
