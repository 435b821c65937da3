"""COCO-Stuff 10k, version 1.1 (Caesar et al., CVPR 2018)."""

from __future__ import annotations

from ...registry import DATASETS
from ..base import SegmentationDataset
from ..files import Sample, list_entries, pair_listed
from ..labels import class_names, shifted
from ..palettes import voc_palette


@DATASETS.register(
    "COCOStuff",
    aliases=("cocostuff10k", "stuff"),
    classes=182,
    folder="COCOStuff",
    splits={"train": 9000, "val": 1000, "test": 1000},
    homepage="https://github.com/nightrome/cocostuff10k",
)
class COCOStuff(SegmentationDataset):
    """COCO-Stuff 10k, 182 classes (91 things, 91 stuff); 0 is ignored.

    Eleven of the things never occur; papers that report 171 classes leave them out. There is one list for
    evaluation, so ``val`` and ``test`` are the same images, with masks.
    """

    classes = class_names(
        """
        person; bicycle; car; motorcycle; airplane; bus; train; truck; boat; traffic light; fire hydrant; street
        sign; stop sign; parking meter; bench; bird; cat; dog; horse; sheep; cow; elephant; bear; zebra; giraffe;
        hat; backpack; umbrella; shoe; eye glasses; handbag; tie; suitcase; frisbee; skis; snowboard; sports ball;
        kite; baseball bat; baseball glove; skateboard; surfboard; tennis racket; bottle; plate; wine glass; cup;
        fork; knife; spoon; bowl; banana; apple; sandwich; orange; broccoli; carrot; hot dog; pizza; donut; cake;
        chair; couch; potted plant; bed; mirror; dining table; window; desk; toilet; door; tv; laptop; mouse;
        remote; keyboard; cell phone; microwave; oven; toaster; sink; refrigerator; blender; book; clock; vase;
        scissors; teddy bear; hair drier; toothbrush; hair brush; banner; blanket; branch; bridge; building-other;
        bush; cabinet; cage; cardboard; carpet; ceiling-other; ceiling-tile; cloth; clothes; clouds; counter;
        cupboard; curtain; desk-stuff; dirt; door-stuff; fence; floor-marble; floor-other; floor-stone; floor-tile;
        floor-wood; flower; fog; food-other; fruit; furniture-other; grass; gravel; ground-other; hill; house;
        leaves; light; mat; metal; mirror-stuff; moss; mountain; mud; napkin; net; paper; pavement; pillow;
        plant-other; plastic; platform; playingfield; railing; railroad; river; road; rock; roof; rug; salad; sand;
        sea; shelf; sky-other; skyscraper; snow; solid-other; stairs; stone; straw; structural-other; table; tent;
        textile-other; towel; tree; vegetable; wall-brick; wall-concrete; wall-other; wall-panel; wall-stone;
        wall-tile; wall-wood; water-other; waterdrops; window-blind; window-other; wood
        """
    )
    palette = voc_palette(182)
    id_map = shifted(182)
    layout = "images/<name>.jpg, labels/<name>.png (made from annotations/<name>.mat), imageLists/{train,test}.txt"
    source = (
        "download cocostuff-10k-v1.1.zip from https://github.com/nightrome/cocostuff10k, "
        "run `mxnetseg prepare COCOStuff`"
    )

    def find(self, split: str) -> list[Sample]:
        """Samples in the order of the list file."""
        path = self.root / "imageLists" / ("train.txt" if split == "train" else "test.txt")
        return pair_listed(list_entries(path, self.remedy), self.root / "images", self.root / "labels", self.remedy)
