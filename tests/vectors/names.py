#!/usr/bin/env python3
"""The test vectors of the rule of names (docs/segment.md), computed without the library: python3 names.py > names.txt"""

NAMES = ["a", "b", "arm/pose", "foobar", "größe", "日本", "a b", "1.5", "-", "camera/left/frame", "x" * 255,
         "robot/3263", "robot/38498", "🦀", "Pose { x: f64, y: f64 }"]


def fnv1a(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


if __name__ == "__main__":
    print("# key, schema, and the text that both follow from; made by names.py. robot/3263 and robot/38498 have one key.")
    for name in NAMES:
        value = fnv1a(name.encode())
        key = ((value >> 32) ^ (value & 0xFFFFFFFF)) & 0x3FFFFFFF | 0x40000000
        print(key, f"{value or 1:#018x}", name)
