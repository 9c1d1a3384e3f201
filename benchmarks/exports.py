"""Size, latency and fidelity of SKNet-50 and ResNeXt-50 in every format that they can be exported to.

    python benchmarks/exports.py [--peer PYTHON] [--rounds N] [--output exports.json]

Prints the table of docs/export.md: batch 1, all cores, float32 unless the name says otherwise. Rows take
turns in processes of their own; nothing else should run meanwhile. --peer, an interpreter with torch and
timm, adds the ratio to timm.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from machine import Others, facts
from rows import Row
from speed import common, measure, say
from worker import once

NETWORKS = {"sknet50": "SKNet-50", "resnext50": "ResNeXt-50"}
TITLES = {
    "saved_model": "SavedModel, TensorFlow",
    "openvino": "OpenVINO",
    "model.onnx": "ONNX, ONNX Runtime",
    "float32.tflite": "LiteRT",
    "float16.tflite": "LiteRT, float16",
    "dynamic.tflite": "LiteRT, dynamic",
    "int8.tflite": "LiteRT, int8",
    "timm": "timm, PyTorch",
}


def arguments():
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("--peer", metavar="PYTHON", help="interpreter that has torch and timm")
    parser.add_argument("--rounds", type=int, default=5, help="turns of every row (5)")
    parser.add_argument("--turn", type=float, default=0.5, help="seconds that a turn takes (0.5)")
    parser.add_argument("--size", type=int, default=224, help="height and width of the images (224)")
    parser.add_argument("--small", action="store_true", help="small networks, for a trial of this script")
    parser.add_argument("--output", type=Path, default=Path("exports.json"))
    return parser.parse_args()


def main():
    options = arguments()
    pythons = {"ours": sys.executable, "peer": options.peer and shutil.which(options.peer)}
    others, result = Others(), {"machine": facts(pythons), "networks": {}}
    for network in NETWORKS:
        with tempfile.TemporaryDirectory() as folder:
            say(f"exporting {network}")
            reports = once("jobs.py", make="exports", network_name=network, folder=folder, **common(options))
            measured = measure(rows(network, folder, options.peer), pythons, options, others)
        result["networks"][network] = {
            name: {**reports.get(name, {}), **measured[f"{network}/{name}"]}
            for name in TITLES
            if f"{network}/{name}" in measured
        }
    result["machine"]["share_of_others"] = others.share()
    options.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for network, found in result["networks"].items():
        print(f"\n{NETWORKS[network]}\n\n{table(found)}")
    print(f"\n{others.warning()}")


def rows(network, folder, peer):
    """One row a file, of a runtime that takes one image at a time, and timm's."""
    commands = {
        "saved_model": {"make": "saved_model", "folder": f"{folder}/saved_model", "batch": 1},
        "openvino": {"make": "openvino", "file": f"{folder}/openvino/model.xml", "batch": 1},
        "model.onnx": {"make": "onnx", "file": f"{folder}/model.onnx", "batch": 1},
    }
    for name in TITLES:
        if name.endswith(".tflite"):
            commands[name] = {"make": "litert", "file": f"{folder}/{name}"}
    found = [Row(network, name, "ours", network, command, True) for name, command in commands.items()]
    if peer:
        command = {"make": "infer", "network_name": network, "batch": 1}
        found.append(Row(network, "timm", "peer", network, command))
    return found


def table(found):
    lines = [
        "| format | MB | ms | against timm | largest difference | same top 1 |",
        "|---|---|---|---|---|---|",
    ]
    timm = found.get("timm", {}).get("median_ms")
    for name, row in found.items():
        size = f"{row['bytes'] / 1e6:.1f}" if "bytes" in row else ""
        time = f"{row['median_ms']:.1f}" if "median_ms" in row else row["note"]
        ratio = f"{row['median_ms'] / timm:.2f}" if timm and "median_ms" in row else ""
        fidelity = f"{row['difference']:.1e} | {row['agreement']:.1%}" if "difference" in row else " | "
        lines.append(f"| {TITLES[name]} | {size} | {time} | {ratio} | {fidelity} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
