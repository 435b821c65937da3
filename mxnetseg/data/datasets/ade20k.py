"""ADE20K scene parsing, the 150 classes of the 2016 challenge (Zhou et al., CVPR 2017)."""

from __future__ import annotations

from ...registry import DATASETS
from ..base import SegmentationDataset
from ..files import Sample, images_below, pair_folders, require
from ..labels import class_names, shifted
from ..palettes import ADE20K as PALETTE

_CLASSES = """
    wall; building, edifice; sky; floor, flooring; tree; ceiling; road, route; bed; windowpane, window; grass;
    cabinet; sidewalk, pavement; person, individual, someone, somebody, mortal, soul; earth, ground; door, double
    door; table; mountain, mount; plant, flora, plant life; curtain, drape, drapery, mantle, pall; chair; car, auto,
    automobile, machine, motorcar; water; painting, picture; sofa, couch, lounge; shelf; house; sea; mirror; rug,
    carpet, carpeting; field; armchair; seat; fence, fencing; desk; rock, stone; wardrobe, closet, press; lamp;
    bathtub, bathing tub, bath, tub; railing, rail; cushion; base, pedestal, stand; box; column, pillar; signboard,
    sign; chest of drawers, chest, bureau, dresser; counter; sand; sink; skyscraper; fireplace, hearth, open
    fireplace; refrigerator, icebox; grandstand, covered stand; path; stairs, steps; runway; case, display case,
    showcase, vitrine; pool table, billiard table, snooker table; pillow; screen door, screen; stairway, staircase;
    river; bridge, span; bookcase; blind, screen; coffee table, cocktail table; toilet, can, commode, crapper, pot,
    potty, stool, throne; flower; book; hill; bench; countertop; stove, kitchen stove, range, kitchen range, cooking
    stove; palm, palm tree; kitchen island; computer, computing machine, computing device, data processor,
    electronic computer, information processing system; swivel chair; boat; bar; arcade machine; hovel, hut, hutch,
    shack, shanty; bus, autobus, coach, charabanc, double-decker, jitney, motorbus, motorcoach, omnibus, passenger
    vehicle; towel; light, light source; truck, motortruck; tower; chandelier, pendant, pendent; awning, sunshade,
    sunblind; streetlight, street lamp; booth, cubicle, stall, kiosk; television receiver, television, television
    set, tv, tv set, idiot box, boob tube, telly, goggle box; airplane, aeroplane, plane; dirt track; apparel,
    wearing apparel, dress, clothes; pole; land, ground, soil; bannister, banister, balustrade, balusters, handrail;
    escalator, moving staircase, moving stairway; ottoman, pouf, pouffe, puff, hassock; bottle; buffet, counter,
    sideboard; poster, posting, placard, notice, bill, card; stage; van; ship; fountain; conveyer belt, conveyor
    belt, conveyer, conveyor, transporter; canopy; washer, automatic washer, washing machine; plaything, toy;
    swimming pool, swimming bath, natatorium; stool; barrel, cask; basket, handbasket; waterfall, falls; tent,
    collapsible shelter; bag; minibike, motorbike; cradle; oven; ball; food, solid food; step, stair; tank, storage
    tank; trade name, brand name, brand, marque; microwave, microwave oven; pot, flowerpot; animal, animate being,
    beast, brute, creature, fauna; bicycle, bike, wheel, cycle; lake; dishwasher, dish washer, dishwashing machine;
    screen, silver screen, projection screen; blanket, cover; sculpture; hood, exhaust hood; sconce; vase; traffic
    light, traffic signal, stoplight; tray; ashcan, trash can, garbage can, wastebin, ash bin, ash-bin, ashbin,
    dustbin, trash barrel, trash bin; fan; pier, wharf, wharfage, dock; crt screen; plate; monitor, monitoring
    device; bulletin board, notice board; shower; radiator; glass, drinking glass; clock; flag
"""


@DATASETS.register(
    "ADE20K",
    aliases=("ade",),
    classes=150,
    folder="ADE20K/ADEChallengeData2016",
    splits={"train": 20210, "val": 2000, "test": 3352},
    homepage="http://sceneparsing.csail.mit.edu",
)
class ADE20K(SegmentationDataset):
    """ADE20K, 150 classes; masks hold 1-150, and 0 (other) is ignored.

    ``test`` reads ``release_test/testing`` (no masks), as the challenge distributes it.
    """

    classes = class_names(_CLASSES)
    palette = PALETTE
    id_map = shifted(150)
    layout = "images/{training,validation}/*.jpg and annotations/{training,validation}/*.png"
    source = "download ADEChallengeData2016.zip from http://sceneparsing.csail.mit.edu"

    def find(self, split: str) -> list[Sample]:
        """Samples sorted by name."""
        if split == "test":
            folder = self.root.parent / "release_test" / "testing"
            own = self.root / "images" / "testing"
            place = require(own if own.is_dir() else folder, "folder of test images", self.remedy)
            return [Sample(path, None) for path in images_below(place)]
        part = {"train": "training", "val": "validation"}[split]
        return pair_folders(self.root / "images" / part, self.root / "annotations" / part, self.remedy)
