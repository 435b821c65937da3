"""Colours of the data sets: (K, 3) uint8 RGB, in the order of the training ids (void has no entry)."""

from __future__ import annotations

import cv2
import numpy as np

__all__ = [
    "ADE20K",
    "AEROSCAPES",
    "CAMVID",
    "CITYSCAPES",
    "DEEPGLOBE",
    "ISPRS",
    "MHP",
    "NYUV2",
    "WEIZMANN",
    "ids_of_colors",
    "voc_palette",
]


def voc_palette(count: int) -> np.ndarray:
    """Colours of the PASCAL VOC development kit, good for any number of classes up to 256.

    Each index spreads its bits over the three channels, lowest bits to the highest bits of the colour.

    Parameters
    ----------
    count : int
        Number of colours.

    Returns
    -------
    uint8 array (count, 3)
    """
    index = np.arange(count)
    palette = np.zeros((count, 3), np.uint8)
    for place in range(8):
        for channel in range(3):
            palette[:, channel] |= ((index >> (3 * place + channel) & 1) << (7 - place)).astype(np.uint8)
    return palette


def ids_of_colors(image: np.ndarray, colors: np.ndarray, other: int) -> np.ndarray:
    """Place of each pixel's colour in a list of colours.

    Parameters
    ----------
    image : uint8 array (H, W, 3)
        RGB.
    colors : uint8 array (K, 3)
    other : int
        Result for colours that are not in the list.

    Returns
    -------
    uint8 array (H, W)
    """
    ids = np.full(image.shape[:2], other, np.uint8)
    for number, color in enumerate(np.asarray(colors).tolist()):
        ids[cv2.inRange(image, tuple(color), tuple(color)) > 0] = number
    return ids


def _rgb(text: str) -> np.ndarray:
    """Table from hexadecimal colours."""
    return np.frombuffer(bytes.fromhex(text), np.uint8).reshape(-1, 3)


ADE20K = _rgb(
    """
    787878 b47878 06e6e6 503232 04c803 787850 8c8c8c cc05ff e6e6e6 04fa07 e005ff ebff07 96053d 787846 08ff33 ff0652
    8fff8c ccff04 ff3307 cc4603 0066c8 3de6fa ff0633 0b66ff ff0747 ff09e0 0907e6 dcdcdc ff095c 7009ff 08ffd6 07ffe0
    ffb806 0aff47 ff290a 07ffff e0ff08 6608ff ff3d06 ffc207 ff7a08 00ff14 ff0829 ff0599 0633ff eb0cff a09614 00a3ff
    8c8c8c fa0a0f 14ff00 1fff00 ff1f00 ffe000 99ff00 0000ff ff4700 00ebff 00adff 1f00ff 0bc8c8 ff5200 00fff5 003dff
    00ff70 00ff85 ff0000 ffa300 ff6600 c2ff00 008fff 33ff00 0052ff 00ff29 00ffad 0a00ff adff00 00ff99 ff5c00 ff00ff
    ff00f5 ff0066 ffad00 ff0014 ffb8b8 001fff 00ff3d 0047ff ff00cc 00ffc2 00ff52 000aff 0070ff 3300ff 00c2ff 007aff
    00ffa3 ff9900 00ff0a ff7000 8fff00 5200ff a3ff00 ffeb00 08b8aa 8500ff 00ff5c b800ff ff001f 00b8ff 00d6ff ff0070
    5cff00 00e0ff 70e0ff 46b8a0 a300ff 9900ff 47ff00 ff00a3 ffcc00 ff008f 00ffeb 85ff00 ff00eb f500ff ff007a fff500
    0abed4 d6ff00 00ccff 1400ff ffff00 0099ff 0029ff 00ffcc 2900ff 29ff00 ad00ff 00f5ff 4700ff 7a00ff 00ffb8 005cff
    b8ff00 0085ff ffd600 19c2c2 66ff00 5c00ff
    """
)

AEROSCAPES = _rgb("000000 c08080 008000 808080 800000 000080 c00080 c00000 c08000 004000 808000 008080")

CAMVID = _rgb("808080 800000 c0c080 804080 0000c0 808000 c08080 404080 400080 404000 0080c0")

CITYSCAPES = _rgb(
    """
    804080 f423e8 464646 66669c be9999 999999 faaa1e dcdc00 6b8e23 98fb98 4682b4 dc143c ff0000 00008e 000046 003c64
    005064 0000e6 770b20
    """
)

DEEPGLOBE = _rgb("000000 00ffff ffff00 ff00ff 00ff00 0000ff ffffff")

ISPRS = _rgb("ffffff 0000ff 00ffff 00ff00 ffff00 ff0000")

MHP = _rgb(
    """
    a52a2a ff0000 008000 a52a2a ff4500 ff1493 1e90ff 556b2f 008080 8b4513 4682b4 32cd32 0000cd 00bfff 00ffff 00fa9a
    adff2f ffff00
    """
)

NYUV2 = _rgb(
    """
    ff1417 ff6611 ff8844 ffee55 fefe38 ffff99 aacc22 bbdd77 c8cf82 92a77e 5599ee 0088cc 226688 175279 557777 ddbb33
    d3a76d a9834b 767676 51574a 447c69 74c493 8e8c6d e4bf80 e9d78e e2975d f19670 e16552 c94a53 be5168 a34974 993767
    65387d 4e2472 9163b6 e279a3 e0598b 7c9fb0 5698c4 9abf88
    """
)

WEIZMANN = _rgb("000000 ffffff")
