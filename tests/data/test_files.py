"""Lists of files that are no lists."""

import pytest

from mxnetseg.data.files import list_pairs, pair_listed
from mxnetseg.errors import DataError


def test_list_that_is_no_text_is_named(tmp_path):
    (tmp_path / "l.txt").write_bytes(b"a.png b.png\n\xff\xfe")
    with pytest.raises(DataError, match=r"l\.txt is not a list of files"):
        list_pairs(tmp_path / "l.txt", "")
    with pytest.raises(DataError, match="is not a list of files"):
        list_pairs(tmp_path, "")


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b"])
def test_names_that_no_file_can_have_are_missing_files(tmp_path, name):
    with pytest.raises(DataError, match="2 of 2 files are missing"):
        pair_listed([name], tmp_path, tmp_path, "")
