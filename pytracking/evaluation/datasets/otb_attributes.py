"""What is hard about each target of OTB-100: the eleven attributes its authors gave to sequences.

These are facts about the benchmark, in the version that the literature's plots by attribute count: IV 38, SV 64,
OCC 49, DEF 44, MB 29, FM 39, IPR 51, OPR 63, OV 14, BC 31, LR 9. Another version, that of the authors' web page
(https://github.com/jwlim/tracker_benchmark_doc, source/datasets), is the same for 86 targets and differs for 14. There

    Car1 and Car2 are also MB and FM, Car2 also SV; Crossing also OPR and FM; Jump also FM; Coke also BC;
    Box, Deer, Ironman, MotorRolling and Walking2 are also LR, but Freeman3, Freeman4, Skiing and Walking are not.

Where the authors' definition can be computed from their boxes, it speaks for the version taken here: LR is a target of
fewer than 400 pixels, which Freeman3, Freeman4, Skiing and Walking get to and the five others never do; and FM is a
movement of more than 20 pixels from frame to frame, where the targets of Car1, Car2, Crossing and Jump make at most 10.
"""

from pytracking.evaluation.datasets.base import plain_name
from pytracking.evaluation.datasets.otb_frames import OTB_LENGTHS

#: Short and long names: OTB's eleven, in its order, then what UAV123 and LaSOT have beside them.
ATTRIBUTE_NAMES = {
    "IV": "illumination variation", "SV": "scale variation", "OCC": "occlusion", "DEF": "deformation",
    "MB": "motion blur", "FM": "fast motion", "IPR": "in-plane rotation", "OPR": "out-of-plane rotation",
    "OV": "out of view", "BC": "background clutter", "LR": "low resolution",
    "ARC": "aspect ratio change", "FOC": "full occlusion", "POC": "partial occlusion", "VC": "viewpoint change",
    "CM": "camera motion", "SOB": "similar object", "ROT": "rotation",
}  # fmt: skip

#: The attributes of every target, by its name in `OTB_LENGTHS`, separated by blanks.
OTB_ATTRIBUTES = {
    "Basketball": "IV OCC DEF OPR BC", "Biker": "SV OCC MB FM OPR OV LR", "Bird1": "DEF FM OV",
    "Bird2": "OCC DEF FM IPR OPR", "BlurBody": "SV DEF MB FM IPR", "BlurCar1": "MB FM", "BlurCar2": "SV MB FM",
    "BlurCar3": "MB FM", "BlurCar4": "MB FM", "BlurFace": "MB FM IPR", "BlurOwl": "SV MB FM IPR",
    "Board": "SV MB FM OPR OV BC", "Bolt": "OCC DEF IPR OPR", "Bolt2": "DEF BC", "Box": "IV SV OCC MB IPR OPR OV BC",
    "Boy": "SV MB FM IPR OPR", "Car1": "IV SV BC LR", "Car2": "IV BC", "Car24": "IV SV BC", "Car4": "IV SV",
    "CarDark": "IV BC", "CarScale": "SV OCC FM IPR OPR", "ClifBar": "SV OCC MB FM IPR OV BC",
    "Coke": "IV OCC FM IPR OPR", "Couple": "SV DEF FM OPR BC", "Coupon": "OCC BC", "Crossing": "SV DEF BC",
    "Crowds": "IV DEF BC", "Dancer": "SV DEF IPR OPR", "Dancer2": "DEF", "David": "IV SV OCC DEF MB IPR OPR",
    "David2": "IPR OPR", "David3": "OCC DEF OPR BC", "Deer": "MB FM IPR BC", "Diving": "SV DEF IPR",
    "Dog": "SV DEF OPR", "Dog1": "SV IPR OPR", "Doll": "IV SV OCC IPR OPR", "DragonBaby": "SV OCC MB FM IPR OPR OV",
    "Dudek": "SV OCC DEF FM IPR OPR OV BC", "FaceOcc1": "OCC", "FaceOcc2": "IV OCC IPR OPR", "Fish": "IV",
    "FleetFace": "SV DEF MB FM IPR OPR", "Football": "OCC IPR OPR BC", "Football1": "IPR OPR BC",
    "Freeman1": "SV IPR OPR", "Freeman3": "SV IPR OPR LR", "Freeman4": "SV OCC IPR OPR LR", "Girl": "SV OCC IPR OPR",
    "Girl2": "SV OCC DEF MB OPR", "Gym": "SV DEF IPR OPR", "Human2": "IV SV MB OPR", "Human3": "SV OCC DEF OPR BC",
    "Human4-2": "IV SV OCC DEF", "Human5": "SV OCC DEF", "Human6": "SV OCC DEF FM OPR OV",
    "Human7": "IV SV OCC DEF MB FM", "Human8": "IV SV DEF", "Human9": "IV SV DEF MB FM",
    "Ironman": "IV SV OCC MB FM IPR OPR OV BC", "Jogging-1": "OCC DEF OPR", "Jogging-2": "OCC DEF OPR",
    "Jump": "SV OCC DEF MB IPR OPR", "Jumping": "MB FM", "KiteSurf": "IV OCC IPR OPR", "Lemming": "IV SV OCC FM OPR OV",
    "Liquor": "IV SV OCC MB FM OPR OV BC", "Man": "IV", "Matrix": "IV SV OCC FM IPR OPR BC", "Mhyang": "IV DEF OPR BC",
    "MotorRolling": "IV SV MB FM IPR BC", "MountainBike": "IPR OPR BC", "Panda": "SV OCC DEF IPR OPR OV LR",
    "RedTeam": "SV OCC IPR OPR LR", "Rubik": "SV OCC IPR OPR", "Shaking": "IV SV IPR OPR BC",
    "Singer1": "IV SV OCC OPR", "Singer2": "IV DEF IPR OPR BC", "Skater": "SV DEF IPR OPR",
    "Skater2": "SV DEF FM IPR OPR", "Skating1": "IV SV OCC DEF OPR BC", "Skating2-1": "SV OCC DEF FM OPR",
    "Skating2-2": "SV OCC DEF FM OPR", "Skiing": "IV SV DEF IPR OPR LR", "Soccer": "IV SV OCC MB FM IPR OPR BC",
    "Subway": "OCC DEF BC", "Surfer": "SV FM IPR OPR LR", "Suv": "OCC IPR OV", "Sylvester": "IV IPR OPR",
    "Tiger1": "IV OCC DEF MB FM IPR OPR", "Tiger2": "IV OCC DEF MB FM IPR OPR OV", "Toy": "SV FM IPR OPR",
    "Trans": "IV SV OCC DEF", "Trellis": "IV SV IPR OPR BC", "Twinnings": "SV OPR", "Vase": "SV FM IPR",
    "Walking": "SV OCC DEF LR", "Walking2": "SV OCC", "Woman": "IV SV OCC DEF MB FM OPR",
}  # fmt: skip


def otb_attributes(name: str, length: int) -> tuple[str, ...]:
    """The attributes of a target of OTB-100, known by its name (in any toolkit's spelling) and its number of frames.
    Anything else has none, since a user's own 'Man' is another one."""
    name = plain_name(name)
    return tuple(OTB_ATTRIBUTES[name].split()) if OTB_LENGTHS.get(name) == length else ()
