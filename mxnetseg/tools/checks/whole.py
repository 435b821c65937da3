"""All splits of a data set."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from tqdm import tqdm

from ...config import DataConfig
from ...data.base import SegmentationDataset
from .balance import Balance
from .classes import class_list, labels_from_1, missing_classes
from .repeats import leaks, repetitions
from .report import Report, SplitReport
from .samples import SampleReport, look_at_sample
from .sources import open_split

__all__ = ["check_splits"]


def check_splits(config: DataConfig, splits: list[str], workers: int = 0, progress: bool = True) -> Report:
    """Read every file of some splits.

    Parameters
    ----------
    config : DataConfig
        ``train_split`` tells in which split every class has to occur.
    splits : list of str
    workers : int
        Threads that decode (decoding releases Python's lock); 0 reads one file after the other.
    progress : bool
        Show a progress bar where the error stream is a terminal.

    Returns
    -------
    Report

    Raises
    ------
    UserError
        If the data set, a split or an option does not exist.
    """
    report = Report()
    for split in splits:
        dataset, findings = open_split(config, split)
        if dataset is not None:
            seen = _read(dataset, workers, progress)
            report.splits[split] = SplitReport(dataset, seen, Balance.of(dataset, seen))
            findings += [finding for sample in seen for finding in sample.findings]
            findings += labels_from_1(report.splits[split]) or missing_classes(report.splits[split], config.train_split)
            findings += repetitions(report.splits[split])
        report.findings += [replace(finding, split=split) for finding in findings]
    first = next(iter(report.splits.values()), None)
    report.findings += [*leaks(report.splits, config.train_split), *(class_list(first.dataset) if first else ())]
    return report


def _read(dataset: SegmentationDataset, workers: int, progress: bool) -> list[SampleReport]:
    bar = tqdm(
        total=len(dataset), desc=f"{dataset.name} {dataset.split}", unit="img", disable=None if progress else True
    )
    seen = []
    with bar, ThreadPoolExecutor(max(1, workers), "mxnetseg-check") as pool:
        try:
            for sample in pool.map(lambda index: look_at_sample(dataset, index), range(len(dataset))):
                seen.append(sample)
                bar.update()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return seen
