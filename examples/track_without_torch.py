"""Tracks one target with numpy, OpenCV and ONNX Runtime alone.

    ebm-export-network ebm_efficientnet_lite0 graphs --onnx     # once, where this package is installed
    python examples/track_without_torch.py graphs clip.mp4 --box 59 13 56 88 > boxes.txt
    python examples/track_without_torch.py graphs David/img --box 128 79 64 78 > boxes.txt

It prints a box a frame: x, y, w, h in pixels. docs/export.md says what is simpler than in the tracker, and what that
costs.
"""

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

SIDE, CELLS, TAPS, CHANNELS = 288, 18, 4, 32  # of the patch in pixels, of its map in cells; of the classifier's filter
ROTATIONS, SHIFTS = (0, -10, 10, -20, 20, -40, 40), ((0, 0), (60, 0), (-60, 0), (0, 60), (0, -60))
STEP = np.array([1e-4, 1e-4, 3e-4, 3e-4], np.float32)  # of the ascent, in position and size


class Tracker:
    def __init__(self, folder, image, box, threads=0):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        sessions = [
            onnxruntime.InferenceSession(f"{folder}/{name}.onnx", options, providers=["CPUExecutionProvider"])
            for name in ("backbone", "modulation", "encode", "energy")
        ]
        self.backbone, self.modulate, self.encode, self.energy = (s.run for s in sessions)
        self.center, self.size = np.array(box[:2]) + np.array(box[2:]) / 2, np.array(box[2:], float)
        self.random, self.frame = np.random.default_rng(0), 0

        patch, scale = self.crop(image)
        stride8, stride16, features = self.backbone(None, {"images": patch[None]})
        sides = self.size / scale
        reference = np.array([[*(SIDE / 2 - sides / 2), *sides]], np.float32)
        self.modulation = dict(zip(
            ("modulation8", "modulation16"),
            self.modulate(None, {"stride8": stride8, "stride16": stride16, "box": reference}), strict=True,
        ))  # fmt: skip
        # the classifier: principal channels of the first frame, and ridge regression on rotated and shifted copies
        rows = features[0].reshape(len(features[0]), -1)
        self.projection = np.linalg.svd(rows, full_matrices=False)[0][:, :CHANNELS].T
        self.sigma = 0.25 * np.sqrt(np.prod(sides)) / 16
        samples = []
        for degrees in ROTATIONS:
            for shift in SHIFTS if degrees == 0 else SHIFTS[:1]:
                center = SIDE / 2 + np.array(shift)
                turned, _ = self.crop(image, degrees, shift)
                sample = self.project(self.backbone(["classification"], {"images": turned[None]})[0])
                samples.append(self.normal_equations(sample, center))
        self.first = self.now = [np.mean(part, axis=0) for part in zip(*samples, strict=True)]
        self.solve()

    def crop(self, image, degrees=0.0, shift=(0, 0)):
        """A patch five targets wide, uint8 (SIDE, SIDE, 3), and the pixels of the image per pixel of the patch."""
        scale = 5 * np.sqrt(np.prod(self.size)) / SIDE
        angle = np.deg2rad(degrees)
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        offset = self.center - turn @ (np.full(2, SIDE / 2 - 0.5) + shift) - 0.5
        if scale > 2:  # against aliasing
            image = cv2.blur(image, (int(scale), int(scale)))
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(image, np.column_stack([turn, offset]), (SIDE, SIDE), flags=flags,
                              borderMode=cv2.BORDER_REPLICATE), scale  # fmt: skip

    def project(self, features):
        """Every window of the projected map, (CELLS^2, CHANNELS TAPS^2): rows of a least-squares problem."""
        features = np.tensordot(self.projection, features[0] / np.sqrt(np.mean(features**2)), 1)
        padded = np.pad(features, ((0, 0), (2, 1), (2, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (TAPS, TAPS), (1, 2))
        return windows.transpose(1, 2, 0, 3, 4).reshape(CELLS**2, -1)

    def normal_equations(self, sample, center):
        """Of the regression from a sample to a Gaussian around the target's centre in the patch."""
        x, y = (np.exp(-((np.arange(CELLS) - c / 16) ** 2) / (2 * self.sigma**2)) for c in center)
        return sample.T @ sample, sample.T @ np.outer(y, x).ravel()

    def solve(self):
        matrix, right = (0.25 * first + 0.75 * now for first, now in zip(self.first, self.now, strict=True))
        self.filter = np.linalg.solve(matrix + 0.1 * np.eye(len(matrix)), right).astype(np.float32)

    def track(self, image):
        self.frame += 1
        patch, scale = self.crop(image)
        stride8, stride16, features = self.backbone(None, {"images": patch[None]})
        sample = self.project(features)
        scores = cv2.resize((sample @ self.filter).reshape(CELLS, CELLS), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        grid = np.arange(SIDE) + 0.5 - 8  # cell i lies at 16 i
        far = np.minimum(((grid[:, None] - SIDE / 2) ** 2 + (grid[None] - SIDE / 2) ** 2) / (SIDE / 2) ** 2, 1)
        row, column = np.unravel_index(np.argmax(scores * (1 - 0.3 * far)), scores.shape)
        if scores[row, column] < 0.25:  # lost: the box stays
            return self.box()
        found = np.array([grid[column], grid[row]])

        # the box: ten starts climb the energy, and the mean of the best three is the answer
        maps = self.encode(None, {"stride8": stride8, "stride16": stride16, **self.modulation})
        sides = (self.size / scale).astype(np.float32)
        noise = self.random.uniform(-0.5, 0.5, (10, 4)) * (np.arange(10) > 0)[:, None] * np.sqrt(np.prod(sides))
        starts = np.maximum(sides + 1.0 * noise[:, 2:], sides.min() / 3)
        y = np.concatenate([(found + 0.1 * noise[:, :2]) / sides, np.log(starts)], axis=1).astype(np.float32)[None]
        for _ in range(10):
            inputs = {"map8": maps[0], "map16": maps[1], "size": sides[None], "y": y}
            f, gradient = self.energy(None, inputs)
            y = y + STEP * gradient
        best = y[0, np.argsort(-f[0])[:3]]
        middle, refined = (best[:, :2] * sides).mean(0), np.exp(best[:, 2:]).mean(0)
        self.center = np.clip(self.center + (middle - SIDE / 2) * scale, 0, image.shape[1::-1])
        self.size = self.size * (refined / sides) ** 0.5  # half of the change

        # the classifier learns where the box is
        new = self.normal_equations(sample, middle)
        rate = max(0.01, 1 / (self.frame + 20))
        self.now = [(1 - rate) * old + rate * fresh for old, fresh in zip(self.now, new, strict=True)]
        if self.frame % 10 == 0:
            self.solve()
        return self.box()

    def box(self):
        return [*(self.center - self.size / 2), *self.size]


def frames(source):
    """RGB images of a video, or of a folder in the order of their names."""
    if Path(source).is_dir():
        images = (cv2.imread(str(file)) for file in sorted(Path(source).iterdir()))
    else:
        video = cv2.VideoCapture(source)
        images = (image for _, image in iter(video.read, (False, None)))
    return (cv2.cvtColor(image, cv2.COLOR_BGR2RGB) for image in images if image is not None)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("graphs", help="the folder that ebm-export-network wrote")
    parser.add_argument("source", help="a video, or a folder of images")
    parser.add_argument("--box", type=float, nargs=4, required=True, metavar=("X", "Y", "W", "H"))
    options = parser.parse_args()
    tracker = None
    for image in frames(options.source):
        box = tracker.track(image) if tracker else options.box
        tracker = tracker or Tracker(options.graphs, image, box)
        print(*(f"{value:.2f}" for value in box), sep=",", flush=True)
    if tracker is None:
        sys.exit(f"no image can be read from {options.source}")


if __name__ == "__main__":
    main()
