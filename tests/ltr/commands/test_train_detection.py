"""Detection as a user runs it, on real images of COCO: train a detector, add the EBM to it, score both."""

import json

from ltr.commands import evaluate
from ltr.commands import train as train_command

SMALL = (
    "--device cpu --workers 0 --detector.base.name efficientnet_lite0_fpn --detector.base.min_size 160 "
    "--detector.base.max_size 240 --batch_size 2 --samples_per_epoch 4 --epochs 1 --data.val_images 1"
).split()


def test_train_and_score_on_coco(shared_data, tmp_path, capsys):
    where = ["--workspace", str(tmp_path)]
    coco = str(shared_data / "coco")
    runs = tmp_path / "checkpoints" / "ltr" / "detection"
    train = [*SMALL, *where, "--data.root", coco]
    assert train_command.main(["detection", "direct", *train]) == 0
    base = runs / "direct" / "direct_final.safetensors"
    assert train_command.main(["detection", "ebm", *train, "--base_weights", str(base)]) == 0
    capsys.readouterr()

    assert evaluate.main(["detection", "--root", coco, "--limit", "2", *where]) == 0
    printed = capsys.readouterr().out
    assert "Faster-RCNN" in printed and "Ours (EBM)" in printed and "The first 2 of 85 images" in printed
    (table,) = (tmp_path / "evaluation" / "detection").glob("*.json")
    assert json.loads(table.read_text())

    # the base is a row of the table even where no run of it is in it
    assert evaluate.main(["detection", "--runs", str(runs / "ebm"), "--root", coco, "--limit", "1", *where]) == 0
    printed = capsys.readouterr().out
    assert f"Faster-RCNN is the base of the others, {base}." in printed and "No finished run of gaussian" in printed
    rows = [line.split("  ")[0] for line in printed.splitlines()]
    assert rows.index("Faster-RCNN") < rows.index("Ours (EBM)")
