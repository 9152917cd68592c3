"""Which frames OTB-100 runs of each of its targets."""

from pathlib import Path

import numpy as np

from pytracking.evaluation.datasets.files import numbered_frames

#: OTB-100: every target with the number of frames it is run on (59,035 in all).
OTB_LENGTHS = {
    "Basketball": 725, "Biker": 142, "Bird1": 408, "Bird2": 99, "BlurBody": 334, "BlurCar1": 742, "BlurCar2": 585,
    "BlurCar3": 357, "BlurCar4": 380, "BlurFace": 493, "BlurOwl": 631, "Board": 698, "Bolt": 350, "Bolt2": 293,
    "Box": 1161, "Boy": 602, "Car1": 1020, "Car2": 913, "Car24": 3059, "Car4": 659, "CarDark": 393, "CarScale": 252,
    "ClifBar": 472, "Coke": 291, "Couple": 140, "Coupon": 327, "Crossing": 120, "Crowds": 347, "Dancer": 225,
    "Dancer2": 150, "David": 471, "David2": 537, "David3": 252, "Deer": 71, "Diving": 215, "Dog": 127, "Dog1": 1350,
    "Doll": 3872, "DragonBaby": 113, "Dudek": 1145, "FaceOcc1": 892, "FaceOcc2": 812, "Fish": 476, "FleetFace": 707,
    "Football": 362, "Football1": 74, "Freeman1": 326, "Freeman3": 460, "Freeman4": 283, "Girl": 500, "Girl2": 1500,
    "Gym": 767, "Human2": 1128, "Human3": 1698, "Human4-2": 667, "Human5": 713, "Human6": 792, "Human7": 250,
    "Human8": 128, "Human9": 305, "Ironman": 166, "Jogging-1": 307, "Jogging-2": 307, "Jump": 122, "Jumping": 313,
    "KiteSurf": 84, "Lemming": 1336, "Liquor": 1741, "Man": 134, "Matrix": 100, "Mhyang": 1490, "MotorRolling": 164,
    "MountainBike": 228, "Panda": 1000, "RedTeam": 1918, "Rubik": 1997, "Shaking": 365, "Singer1": 351, "Singer2": 366,
    "Skater": 160, "Skater2": 435, "Skating1": 400, "Skating2-1": 473, "Skating2-2": 473, "Skiing": 81, "Soccer": 392,
    "Subway": 175, "Surfer": 376, "Suv": 945, "Sylvester": 1345, "Tiger1": 349, "Tiger2": 365, "Toy": 271, "Trans": 124,
    "Trellis": 569, "Twinnings": 472, "Vase": 271, "Walking": 412, "Walking2": 500, "Woman": 597,
}  # fmt: skip
#: Number of the first frame if it is not 1.
OTB_FIRST_FRAME = {"David": 300, "BlurCar1": 247, "BlurCar3": 3, "BlurCar4": 18, "Tiger1": 6}
#: Annotated frames before the first one that is run: Tiger1's annotation starts at frame 1, before it comes into view.
OTB_OMITTED = {"Tiger1": 5}


def pair_by_otb_range(name: str, images: dict[int, Path], boxes: np.ndarray) -> tuple[list[Path], np.ndarray] | None:
    """The benchmark's frames of one of its sequences and their boxes; None if the counts fit in no known way."""
    length, first, omitted = OTB_LENGTHS[name], OTB_FIRST_FRAME.get(name, 1), OTB_OMITTED.get(name, 0)
    last = first + length - 1
    if len(boxes) == length + omitted:  # annotated from before the first frame that is run
        boxes = boxes[omitted:]
    elif len(images) == len(boxes) and first in images and last in images:  # a line for every image of the full video
        boxes = boxes[[first <= number <= last for number in images]]
    if len(boxes) != length:
        return None
    # A copy cut to the range and numbered anew from 1 has exactly as many images, but not these numbers.
    if len(images) == length and not (first in images and last in images):
        return list(images.values()), boxes
    return numbered_frames(images, first, last), boxes
